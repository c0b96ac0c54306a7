"""Closed forms of regularizers of weights, and of consistency under augmentation."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganbench.evaluation.extractors.classifier import Classifier

from ..base import MAX_STANDARD_ERRORS, Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import begin, draw_normal, make_batch, make_trick

Array = NDArray[np.float64]
FILTERED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
SIDE, COPIES, TEMPLATES = 8, 3000, (3, 4, 5)  # of the check of consistency


def check_orthogonal_regularization(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """The terms are the squared products of different filters, summed over all layers."""
    pair = cell.make_trainer().make_pairs(0, 0)[0]
    trick = make_trick(text)
    terms = {
        "discriminator": (pair.discriminator, dict(trick.discriminator_terms(pair))),
        "generator": (pair.generator, dict(trick.generator_terms(pair))),
    }
    for side, (network, found) in terms.items():
        acts = settings["of"] in (side, "both")
        if bool(found) != acts:
            yield f"the term of the {side} is {'missing' if acts else 'there'}"
        elif found:
            expected = settings["weight"] * similarity_of_filters(network)
            yield from compare(
                f"the term of the {side}", next(iter(found.values())).item(), expected, 1e-3, 1e-6
            )


def similarity_of_filters(network: nn.Module) -> float:
    """Computes ‖W Wᵀ ∘ (1 − I)‖² of the learned weights of all layers."""
    total = 0.0
    for layer in network.modules():
        if isinstance(layer, FILTERED):
            matrix = filters_of(layer)
            products = matrix @ matrix.T
            np.fill_diagonal(products, 0)
            total += float((products**2).sum())
    return total


def filters_of(layer: nn.Module) -> Array:  # [filters, fan_in]
    weights = {name: p for name, p in layer.named_parameters() if "bias" not in name}
    weight: Array = next(iter(weights.values())).detach().double().numpy()
    weight = weight.swapaxes(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return weight.reshape(len(weight), -1)


def check_historical_averaging(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Each side's term is the squared distance to the mean of its weights so far."""
    trainer = cell.make_trainer()
    sides = {
        "discriminator": (trainer.task.discriminators, trainer.discriminator_step),
        "generator": (trainer.task.generators, trainer.generator_step),
    }
    for side, (networks, take_step) in sides.items():
        history: list[Array] = []
        for _ in range(3):
            history.append(flat_weights(networks))
            off = history[-1] - np.mean(history, axis=0)
            expected = settings["weight"] * float((off**2).sum())
            term = float(take_step()[f"{side}_history"])
            yield from compare(f"the term of the {side}", term, expected, 0.02, 1e-4)


def flat_weights(networks: nn.Module) -> Array:
    parts = [p.detach().double().flatten() for p in networks.parameters()]
    weights: Array = torch.cat(parts).numpy()
    return weights


def check_transport_pull(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The term is the mean squared distance to the latents, and its weight falls."""
    trainer = cell.make_trainer()
    trick = cell.trick_of(trainer, "transport_pull")
    pair = trainer.make_pairs(0, -1)[0]
    count = pair.fake[0].numel()
    gaps = (pair.fake.flatten(1) - pair.source[:, :count]).detach().double()
    for progress, share in ((0.0, 1.0), (0.25, (1 + math.sqrt(0.5)) / 2), (0.5, 0.5), (1.0, 0.0)):
        begin(trick, progress)
        weight = share * settings["weight"] + (1 - share) * settings["end"]
        (term,) = dict(trick.generator_terms(pair)).values()
        expected = weight * float(gaps.square().mean())
        yield from compare("the term", term.item(), expected, scale=weight)


def check_representation_alignment(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """The term is 1 minus the mean cosine of mapped and of taught features."""
    trainer = cell.make_trainer()
    trick = cell.trick_of(trainer, "representation_alignment")
    pair = trainer.make_pairs(0, 0)[0].with_leaves()
    (term,) = dict(trick.discriminator_terms(pair)).values()
    weights = dict(pair.discriminator.named_parameters())
    matrix = weights["alignment.weight"].detach().double().numpy()
    bias = weights["alignment.bias"].detach().double().numpy()
    mapped = pair.real_features.detach().double().numpy() @ matrix.T + bias
    taught = Classifier(settings["of"])(pair.real.detach())[0].double().numpy()
    norms = np.linalg.norm(mapped, axis=1) * np.linalg.norm(taught, axis=1)
    expected = settings["weight"] * float(1 - ((mapped * taught).sum(1) / norms).mean())
    yield from compare("the term", term.item(), expected, 1e-3)


def check_consistency(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The terms are mean squared differences over all mirrored and shifted images.

    All shifts are equally likely. The check enumerates them for one image and linear scores.
    """
    steps = [draw_normal(1, 1, SIDE, SIDE, seed=seed) for seed in (1, 2)]
    images = [step.cumsum(2).cumsum(3) / SIDE for step in steps]  # smooth, as images are
    copies = [image.repeat(COPIES, 1, 1, 1) for image in images]
    for seed in TEMPLATES:
        weights = draw_normal(SIDE * SIDE, seed=seed) / SIDE
        batch = make_batch(copies[0], copies[1], weights, nn.Flatten())
        terms = dict(make_trick(text).discriminator_terms(batch))
        for role, image in zip(("real", "fake"), images, strict=True):
            if weight := settings["weight" if role == "real" else "fakes"]:
                squares = squared_changes(image, weights, settings)
                error = MAX_STANDARD_ERRORS * float(np.std(squares)) / math.sqrt(COPIES)
                ours = terms[f"{role}_consistency"].item() / weight
                yield from compare(f"the term of the {role}s", ours, float(squares.mean()), error)


def squared_changes(image: Tensor, weights: Tensor, settings: Settings) -> Array:
    """Returns the squared changes of a linear score by all equally likely augmentations."""
    plain, template = (x.double().numpy().reshape(SIDE, SIDE) for x in (image, weights))
    most = math.floor(settings["shift"] * SIDE + 0.5)
    changes = []
    for flip, down, right in product((False, True), range(2 * most + 1), range(2 * most + 1)):
        if flip and not settings["flip"]:
            continue
        padded = np.pad(plain[:, ::-1] if flip else plain, most, mode="reflect")
        moved = padded[down : down + SIDE, right : right + SIDE]
        changes.append(float(((moved - plain) * template).sum()) ** 2)
    return np.array(changes)
