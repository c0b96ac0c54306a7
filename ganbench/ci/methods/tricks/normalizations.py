"""Closed forms of tricks that normalize or bound weights and gradients."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganbench.rng import RngStreams, StepContext

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import CPU, draw_normal, make_trick

SPECTRAL_PASSES, SPECTRAL_TOLERANCE = 150, 0.03  # power iterations, and their remaining error
NORMALIZED = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
CLIPPED = (nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding)


def check_spectral_norm(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Every layer of the discriminators has the spectral norm 1."""
    task = cell.make_trainer().task
    networks = list(task.discriminators.items())
    if settings["generator"]:
        networks += [(f"generator {name}", network) for name, network in task.generators.items()]
    for name, network in networks:
        for place, layer in network.named_modules():
            if not isinstance(layer, NORMALIZED):
                continue
            if name.startswith("generator") and isinstance(layer, nn.Embedding):
                continue
            norm = spectral_norm_of(layer)
            yield from compare(f"the norm of layer {place} of {name}", norm, 1, SPECTRAL_TOLERANCE)


@torch.no_grad()
def spectral_norm_of(layer: nn.Module) -> float:
    """Returns the largest singular value of a layer's weight, after power iterations."""
    layer.train()
    for _ in range(SPECTRAL_PASSES):
        weight = layer.weight
    assert isinstance(weight, Tensor)
    matrix = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return float(torch.linalg.matrix_norm(matrix.flatten(1).double(), 2))


def check_weight_clipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """No weight of the discriminators leaves the box."""
    trainer = cell.make_trainer()
    trainer.train_step()
    largest = max(float(p.detach().abs().max()) for p in trainer.task.discriminators.parameters())
    if largest > settings["limit"] * (1 + 1e-6):
        yield f"a weight is {largest:.4g}, above the limit of {settings['limit']:g}"


def check_singular_value_clipping(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """Singular values above the limit are set to it, in one of `every` discriminator steps."""
    trainer = cell.make_trainer()
    trick = cell.trick_of(trainer, "singular_value_clipping")
    discriminators = trainer.task.discriminators
    last_turn = trainer.hyperparameters.discriminator_turns - 1
    for step in (settings["every"] - 2, settings["every"] - 1):
        enlarge_weights(discriminators, 10 * settings["limit"])
        before = singular_values(discriminators)
        trick.begin_step(StepContext(RngStreams(0, CPU), step, last_turn, 0.0, "check"))
        trick.after_discriminator_step(trainer.task, [])
        is_due = step == settings["every"] - 1
        expected = before.clamp(max=settings["limit"]) if is_due else before
        if (excess := float((singular_values(discriminators) - expected).abs().max())) > 1e-3:
            due = "a step with" if is_due else "a step without"
            yield f"{due} clipping leaves a singular value {excess:.4g} away from its definition"


def check_adversarial_gradient_normalization(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """The gradient of fakes is divided by the root of a moving average of n ‖g‖²."""
    trainer = cell.make_trainer()
    trick = cell.trick_of(trainer, "adversarial_gradient_normalization")
    name, slopes, average = next(iter(trainer.task.discriminators)), draw_normal(6, 3), 0.0
    for step, scale in enumerate((1.0, 5.0, 0.2)):
        trick.begin_step(StepContext(RngStreams(0, CPU), step, -1, 0.0, "check"))
        fake = torch.zeros_like(slopes, requires_grad=True)
        (
            scale * slopes * trick.transform_discriminator_input(fake, f"{name}/fake")
        ).sum().backward()
        now = slopes.numel() * float((scale * slopes).square().sum())
        decay = settings["decay"] if step else 0.0
        average = decay * average + (1 - decay) * now
        assert fake.grad is not None
        yield from compare(
            "the norm of the fakes' gradient",
            float(fake.grad.norm()),
            scale * float(slopes.norm()) / average**0.5,
        )
        cosine = torch.cosine_similarity(fake.grad.flatten(), slopes.flatten(), dim=0)
        yield from compare("the cosine of both gradients", float(cosine), 1)


@torch.no_grad()
def enlarge_weights(network: nn.Module, factor: float) -> None:
    for parameter in network.parameters():
        parameter.mul_(factor)


@torch.no_grad()
def singular_values(network: nn.Module) -> Tensor:
    """Returns the singular values of all layers, each a matrix of outputs by all else."""
    matrices = (
        layer.weight.flatten(1) for layer in network.modules() if isinstance(layer, CLIPPED)
    )
    return torch.cat([torch.linalg.svdvals(matrix.double()) for matrix in matrices])


def check_gradient_clipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """A longer gradient has the norm of the settings, and a shorter one stays."""
    for length in (0.5 * settings["norm"], 10 * settings["norm"]):
        weight = nn.Parameter(torch.zeros(25))
        weight.grad = torch.full((25,), length / 5)
        make_trick(text).transform_gradients("discriminator", [weight])
        expected = min(length, settings["norm"])
        yield from compare("the norm of a gradient", float(weight.grad.norm()), expected, 1e-3)
