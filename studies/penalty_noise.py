"""Noise of penalties by finite differences: results/published/penalties/noise.md.

    PYTHONPATH=tests .venv/bin/python studies/penalty_noise.py     a minute

The estimate of R1 by one random direction for each image is unbiased for small steps. Training follows its gradient
by the weights, whose noise this study measures: at discriminators that exact R1 has trained for some hundred steps,
over many draws of the directions, beside the gradients of the exact penalty and of the adversarial loss.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from helpers import split, steps, trainer
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.networks.base import Discriminator
from ganbench.gan.tricks.finite_difference import FiniteDifference, ScoredImages, draw_direction
from ganbench.report.format_number import format_number
from ganbench.report.markdown import markdown_table

FOLDER = Path(__file__).parents[1] / "results" / "published" / "penalties"
VARIANTS = ("gan", "dcgan(width=16, norm='layer')")
ESTIMATES = ((0.001, 1.0), (0.01, 1.0), (0.1, 1.0), (0.01, 0.25))  # epsilon, share of the batch
WEIGHT, STEPS, BATCH, DRAWS = 10.0, 400, 64, 200


def train_discriminator(variant: str) -> Discriminator:
    """Returns the discriminator of a variant after training with exact R1, as in the suite."""
    rates = {"generator_lr": 1e-3, "discriminator_lr": 1e-3}
    training = trainer(variant, tricks=("r1",), batch=BATCH, latent=64, **rates)
    steps(training, STEPS)
    (network,) = training.task.discriminators.values()
    return network


def real_batch(network: Discriminator) -> AdversarialBatch:
    """Returns a batch of real digits; its fakes are never used."""
    images = split("digits").train["image"].make_batch(torch.arange(BATCH)).images
    return AdversarialBatch("d", "g", nn.Identity(), network, images, images, images).with_leaves()


def weight_gradient(term: Tensor, network: Discriminator) -> Tensor:
    """Returns the gradient of a term by all weights, as one vector."""
    weights = list(network.parameters())
    parts = torch.autograd.grad(term, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def exact_penalty(network: Discriminator) -> Tensor:
    pair = real_batch(network)
    return WEIGHT / 2 * pair.squared_gradient_norm(pair.real_score, pair.real).mean()


def estimated_penalty(network: Discriminator, epsilon: float, share: float, seed: int) -> Tensor:
    pair = real_batch(network)
    direction = draw_direction(pair.real, torch.Generator().manual_seed(seed))
    images = ScoredImages(pair.real_score, pair.real, "real", None)
    slopes = FiniteDifference(epsilon, share).slopes(pair, images, direction)
    return WEIGHT / 2 * slopes.square().mean()


def format_mean(values: Tensor) -> str:
    return f"{values.mean():.4f} ± {values.std() / len(values) ** 0.5:.4f}"


def measure_noise(variant: str) -> Iterator[dict[str, object]]:
    """Yields a row for each estimate: its mean value, and the noise of its gradient."""
    network = train_discriminator(variant)
    exact = exact_penalty(network)
    exact_gradient = weight_gradient(exact_penalty(network), network)
    adversarial = weight_gradient(softplus(-real_batch(network).real_score).mean(), network)
    smallest_step = None
    for epsilon, share in ESTIMATES:
        terms = [estimated_penalty(network, epsilon, share, seed) for seed in range(DRAWS)]
        values = torch.stack([term.detach() for term in terms]) / exact.detach()
        smallest_step = values if smallest_step is None else smallest_step
        gradients = torch.stack([weight_gradient(term, network) for term in terms])
        noise = (gradients - gradients.mean(0)).norm(dim=1).mean()
        yield {
            "network": variant,
            "epsilon": f"{epsilon:g}",
            "share": f"{share:g}",
            "value / exact": format_mean(values),
            "change from the first": format_mean(values - smallest_step),
            "noise / exact gradient": format_number((noise / exact_gradient.norm()).item()),
            "noise / adversarial gradient": format_number((noise / adversarial.norm()).item()),
        }


PAGE = """# Noise of R1 by finite differences

`PYTHONPATH=tests python studies/penalty_noise.py` makes this page: {draws} draws of the directions at discriminators
that exact R1 has trained for {steps} steps on digits, as in the suite `penalties`. *value*: the mean estimate over the
exact penalty, ± its standard error. *change from the first*: the mean difference from the first row of the network, at
the same directions. *noise*: the mean distance of a gradient by the weights from the mean gradient, over the length
of the exact penalty's gradient, and of the adversarial loss's on the same reals.

{table}
"""


def main() -> None:
    torch.set_num_threads(1)
    rows = [row for variant in VARIANTS for row in measure_noise(variant)]
    table = markdown_table(pd.DataFrame(rows))
    (FOLDER / "noise.md").write_text(PAGE.format(draws=DRAWS, steps=STEPS, table=table), "utf-8")


if __name__ == "__main__":
    main()
