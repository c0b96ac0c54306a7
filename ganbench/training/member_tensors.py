"""Tensors of stacked members by name: batches, pairs, optimizer states and loss terms."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from statistics import fmean as mean
from typing import Any

import torch
from torch import Tensor

from ganbench.data.base import Batch, BatchLoader
from ganbench.gan.adversarial_batch import AdversarialBatch

from .member_map import StackedBatch
from .trainer import LossTerms

Tensors = dict[str, Tensor]

PAIR_TENSORS = ("source", "real", "fake", "real_label", "fake_label")
SCORES = ("real_score", "fake_score")


def gather_batches(loaders: Sequence[BatchLoader], number: int) -> Tensors:
    """Returns each member's batch of a number, [S, N, ...] by `domain/field`.

    All loaders have the same examples, so one gather serves all members.
    """
    indices = [loader.batch_indices(number) for loader in loaders]
    batches = loaders[0].gather(
        {domain: torch.stack([own[domain] for own in indices]) for domain in indices[0]}
    )
    named = ((f"{domain}/{k}", x) for domain, b in batches.items() for k, x in vars(b).items())
    return {name: tensor for name, tensor in named if tensor is not None}


def unpack_batches(tensors: Mapping[str, Tensor]) -> dict[str, Batch]:
    """Returns one member's batches by domain, without tensors that belong to no domain."""
    parts: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        domain, _, name = key.rpartition("/")
        if domain:
            parts.setdefault(domain, {"labels": None})[name] = tensor
    return {domain: Batch(**own) for domain, own in parts.items()}


def as_stacked(pair: AdversarialBatch, **changes: Any) -> StackedBatch:
    """Returns a pair that can be differentiated inside of a vmap, with other values of fields."""
    values = {field.name: getattr(pair, field.name) for field in fields(pair)}
    return StackedBatch(**values | changes)


def pack_pairs(pairs: Sequence[AdversarialBatch]) -> Tensors:
    """Returns the tensors of pairs by `number/field`."""
    named = (
        (f"{number}/{name}", getattr(pair, name))
        for number, pair in enumerate(pairs)
        for name in PAIR_TENSORS
    )
    return {name: tensor for name, tensor in named if tensor is not None}


def pack_scores(pairs: Sequence[AdversarialBatch]) -> Tensors:
    """Returns the scores of pairs by `number/field`, without their graph."""
    return {
        f"{number}/{name}": getattr(pair, name).detach()
        for number, pair in enumerate(pairs)
        for name in SCORES
    }


def unpack_pairs(
    templates: Sequence[AdversarialBatch], tensors: Mapping[str, Tensor]
) -> list[AdversarialBatch]:
    """Returns pairs with the networks of templates and the given tensors, scores included."""
    pairs: list[AdversarialBatch] = []
    for number, template in enumerate(templates):
        own = {name: tensors.get(f"{number}/{name}") for name in (*PAIR_TENSORS, *SCORES)}
        scores = {name: own.pop(name) for name in SCORES}
        pair = replace(template, **own)  # type: ignore[arg-type]
        vars(pair).update({name: score for name, score in scores.items() if score is not None})
        pairs.append(pair)
    return pairs


def with_leaves(pairs: Tensors) -> Tensors:
    """Returns pairs with all images as leaves, so that penalties can differentiate by them."""
    images = [key for key in pairs if key.endswith(("/real", "/fake"))]
    return pairs | {key: pairs[key].detach().requires_grad_() for key in images}


def copy_state(state: Mapping[str, Tensor]) -> Tensors:
    """Copies a module's state, because its tensors share memory with other members."""
    return {name: tensor.clone() for name, tensor in state.items()}


def member_optimizer_state(optimizer: torch.optim.Optimizer, member: int) -> dict[str, Any]:
    """Returns the state of one member's lone optimizer; all members share the step count."""
    state = optimizer.state_dict()
    own = {
        number: {key: (x if key == "step" else x[member]).clone() for key, x in tensors.items()}
        for number, tensors in state["state"].items()
    }
    return state | {"state": own}


def stack_optimizer_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the state of the stacked optimizer from those of lone optimizers."""

    def stack_values(number: int, key: str) -> Tensor:
        values = [state["state"][number][key] for state in states]
        return values[0] if key == "step" else torch.stack(values)

    stacked = {
        number: {key: stack_values(number, key) for key in tensors}
        for number, tensors in states[0]["state"].items()
    }
    return {**states[0], "state": stacked}


def read_member_terms(logs: Sequence[LossTerms], members: int) -> list[list[dict[str, float]]]:
    """Converts logs of terms [S] to floats with one transfer: by step, then by member."""
    if not logs:
        return []
    rows = iter(torch.stack([value for log in logs for value in log.values()]).tolist())
    read = [{name: next(rows) for name in log} for log in logs]
    return [[{k: row[i] for k, row in log.items()} for i in range(members)] for log in read]


def mean_terms(logs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each term over the steps that have it."""
    names = dict.fromkeys(name for log in logs for name in log)
    return {name: mean([log[name] for log in logs if name in log]) for name in names}
