"""Decides whether the seeds of a recipe can be trained as one program."""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.data import DATA
from ganbench.gan.build import META_DEVICE, TrainingSetup, build_training
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks.conditional import Conditional
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.gan.tricks.base import TrickList
from ganbench.rng import RngStreams

from .member_map import MemberMap
from .member_tensors import Tensors

PLAIN_TRICKS = frozenset({
    "drift", "ema", "equilibrium", "feature_matching", "frequency_separation", "gradient_clipping",
    "historical_averaging", "label_interpolation", "label_smoothing", "lecam", "logit_centering",
    "minibatch_discrimination", "minibatch_std", "mismatch", "orthogonal_regularization", "pacgan",
    "past_discriminators", "r1", "r2", "representation_alignment", "singular_value_clipping",
    "top_k", "transport_pull", "ttur", "weight_clipping", "width_scaled_rates",
})  # fmt: skip
TRICKS_WITH_REPLACED_CALLS = frozenset({  # they draw noise, or make calls that vmap refuses
    "ada", "consistency", "diffaugment", "dragan", "gradient_penalty", "horizontal_flipping",
    "image_pool", "instance_noise", "label_flipping", "spectral_norm",
})  # fmt: skip
REFUSED_TRICKS = {
    "adversarial_gradient_normalization": (
        "adversarial_gradient_normalization reads the scale of a gradient, and members share one backward pass"
    ),
    "fd_loss": "fd_loss leaves out small eigenvalues, and each member has another number of them",
    "matching_penalty": "matching_penalty differentiates scores by itself, which a vmap refuses",
    "path_length": "path_length differentiates images by itself, which a vmap refuses",
    "post_hoc_ema": "post_hoc_ema counts its snapshots, and only the first member would",
    "progressive_growing": "progressive_growing changes the layers of networks during training",
    "unrolled": "unrolled takes steps and reverts them, which stacked members cannot",
}

REGISTERED = ("_parameters", "_buffers", "_modules")  # where a module has what members stack


def replaces_calls(tricks: TrickList) -> bool:
    return not TRICKS_WITH_REPLACED_CALLS.isdisjoint(tricks.names)


def recipe_stacking_incompatibility(recipe: Recipe, data: str) -> str | None:
    """Returns the reason why seeds of a recipe cannot be stacked, or None.

    It computes only shapes. Raises Incompatible if the recipe cannot be trained at all.
    """
    return stacking_incompatibility(
        build_training(recipe, DATA.make(data), RngStreams(0, META_DEVICE))
    )


def stacking_incompatibility(setup: TrainingSetup) -> str | None:
    """Returns the reason why members of this setup cannot be trained as one program, or None."""
    if not isinstance(setup.task, Unconditional):
        return "stacked members generate from latents, and this task translates images"
    for name in setup.trick.names:
        if name not in PLAIN_TRICKS | TRICKS_WITH_REPLACED_CALLS:
            return REFUSED_TRICKS.get(name, f"{name} has not been tried with stacked members")
    return hidden_tensor_reason(setup.task) or network_incompatibility(setup)


def hidden_tensor_reason(task: nn.Module) -> str | None:
    """Returns a reason if networks hold tensors outside of parameters and buffers, or None.

    Members run on the modules of the first one, so they would share its tensors.
    """
    for path, module in task.named_modules():
        for key, value in vars(module).items():
            if key not in REGISTERED and holds_tensors(value):
                return f"{path}.{key} holds values that are neither parameters nor buffers"
    return None


def holds_tensors(value: object) -> bool:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return any(map(holds_tensors, value))
    return isinstance(value, Tensor | np.ndarray | nn.Module)


def network_incompatibility(setup: TrainingSetup) -> str | None:
    """Returns the reason why a vmap cannot run the networks, or None. It runs copies of them."""
    task, count = deepcopy(setup.task), setup.hyperparameters.batch
    assert isinstance(task, Unconditional)
    labels = [torch.zeros(count, dtype=torch.long)] if isinstance(task, Conditional) else []

    def score_fakes(inputs: Tensors) -> list[Tensor]:
        conditions = [label.to(inputs["latents"].device) for label in labels]
        fakes = [
            generator(inputs["latents"], *conditions) for generator in task.generators.values()
        ]
        shown = [setup.trick.transform_discriminator_input(x, "probe") for x in fakes]
        networks = task.discriminators.values()
        return [network(x, *conditions) for network, x in zip(networks, shown, strict=True)]

    device = next(task.parameters()).device
    latents = task.draw_latents(count, torch.Generator().manual_seed(0)).to(device)
    try:
        with torch.no_grad():
            MemberMap([task], replaces_calls(setup.trick))(score_fakes, {"latents": latents[None]})
    except RuntimeError as error:
        return explain_vmap_error(str(error))
    return None


def explain_vmap_error(message: str) -> str:
    if "random" in message:
        return "its layers draw random numbers, which all stacked members would share"
    return f"vmap cannot run its networks: {message.splitlines()[0]}"
