"""Losses against their closed forms."""

import math
from dataclasses import replace

import pytest
import torch

from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import TargetedLoss

LN2 = math.log(2)
every_loss = pytest.mark.parametrize("name", LOSSES.entries)
TARGETED_LOSSES = [name for name in LOSSES.entries if issubclass(LOSSES.load(name), TargetedLoss)]


def make_loss(name, **targets):
    return replace(LOSSES.make(name), **targets)


def full(value, n=5):
    return torch.full((n,), float(value), dtype=torch.float64, requires_grad=True)


def generator_gradient(name, at):
    """Returns d loss / d score for one generated image."""
    fake = full(at, 1)
    make_loss(name).generator_loss(fake, full(0.0, 1)).backward()
    return fake.grad.item()


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("non_saturating", 2 * LN2, LN2),
        ("minimax", 2 * LN2, -LN2),
        ("least_squares", 0.5, 0.5),
        ("hinge", 2.0, 0.0),
        ("wasserstein", 0.0, 0.0),
        ("relativistic", LN2, LN2),
        ("relativistic_average", 2 * LN2, 2 * LN2),
    ],
)
def test_losses_at_score_0(name, discriminator, generator):
    loss = make_loss(name)
    assert loss.discriminator_loss(full(0), full(0)).item() == pytest.approx(discriminator)
    assert loss.generator_loss(full(0), full(0)).item() == pytest.approx(generator)


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
def test_cross_entropies_equal_negative_log_likelihood(name):
    real, fake = torch.tensor([[1.5, -2.0], [0.3, -7.0]], dtype=torch.float64)
    real_probability, fake_probability = (
        [1 / (1 + math.exp(-s)) for s in (1.5, -2.0)],
        [1 / (1 + math.exp(-s)) for s in (0.3, -7.0)],
    )
    value = make_loss(name).discriminator_loss(real, fake).item()
    expected = (
        -sum(map(math.log, real_probability)) / 2
        - sum(math.log(1 - p) for p in fake_probability) / 2
    )
    assert value == pytest.approx(expected, rel=1e-12)
    expected = {
        "non_saturating": -sum(map(math.log, fake_probability)) / 2,
        "minimax": sum(math.log(1 - p) for p in fake_probability) / 2,
    }
    assert make_loss(name).generator_loss(fake, None).item() == pytest.approx(
        expected[name], rel=1e-12
    )


def test_minimax_is_zero_sum_in_generated_scores():
    fake = torch.linspace(-5, 5, 11).double()
    loss, real = make_loss("minimax"), torch.full((11,), 1e4).double()  # real scores with zero loss
    assert loss.generator_loss(fake, None).item() == pytest.approx(
        -loss.discriminator_loss(real, fake).item()
    )


@every_loss
def test_generator_raises_generated_scores(name):
    for at in (-3.0, -0.5, 0.0, 0.5):
        assert generator_gradient(name, at) < 0


@every_loss
def test_discriminator_separates_real_and_generated_scores(name):
    real, fake = full(0.25), full(0.25)
    make_loss(name).discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


def test_only_minimax_saturates_at_low_scores():
    assert generator_gradient("minimax", -20) == pytest.approx(0, abs=1e-8)
    assert generator_gradient("non_saturating", -20) == pytest.approx(-1, abs=1e-8)
    assert generator_gradient("minimax", 0) == generator_gradient("non_saturating", 0) == -0.5


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
@pytest.mark.parametrize("target", [0.6, 0.9])
def test_smoothed_target_is_optimal_at_its_logit(name, target):
    best = full(math.log(target / (1 - target)))
    loss = make_loss(name, real_target=target)
    value = loss.discriminator_loss(best, full(-1e4))  # generated scores with zero loss
    value.backward()
    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    assert value.item() == pytest.approx(entropy)
    assert best.grad.abs().max() < 1e-7  # the target is a float32
    fake = full(math.log(0.1 / 0.9))
    make_loss(name, fake_target=0.1).discriminator_loss(full(1e4), fake).backward()
    assert fake.grad.abs().max() < 1e-7


def test_least_squares_is_zero_at_its_targets():
    assert make_loss("least_squares").discriminator_loss(full(1), full(0)).item() == 0
    assert (
        make_loss("least_squares", real_target=0.9).discriminator_loss(full(0.9), full(0)).item()
        == 0
    )
    assert make_loss("least_squares").discriminator_loss(full(3), full(-1)).item() == pytest.approx(
        (4 + 1) / 2
    )
    assert make_loss("least_squares").generator_loss(full(1), None).item() == 0
    assert generator_gradient("least_squares", 3) > 0  # the optimum is 1


def test_hinge_is_zero_beyond_margin():
    real, fake = full(1.5), full(-1.5)
    value = make_loss("hinge").discriminator_loss(real, fake)
    value.backward()
    assert value.item() == real.grad.abs().max() == fake.grad.abs().max() == 0
    assert make_loss("hinge").discriminator_loss(full(0.25), full(-0.5)).item() == pytest.approx(
        0.75 + 0.5
    )


def test_wasserstein_is_difference_of_means():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 0.0])
    assert make_loss("wasserstein").discriminator_loss(real, fake).item() == 0.5
    assert make_loss("wasserstein").generator_loss(fake, None).item() == -2.5


@pytest.mark.parametrize("name", ["relativistic", "relativistic_average"])
def test_relativistic_losses_depend_on_differences_only(name):
    real, fake = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)).double()
    loss = make_loss(name)
    assert loss.needs_real_scores
    for side in (loss.discriminator_loss, loss.generator_loss):
        assert side(real + 40, fake + 40).item() == pytest.approx(side(real, fake).item())
    assert loss.generator_loss(fake, real).item() == pytest.approx(
        loss.discriminator_loss(fake, real).item()
    )


def test_relativistic_losses_equal_their_formulas():
    real, fake = [0.5, -1.0, 2.0], [0.1, 0.7, -3.0]

    def nll(x):
        return math.log1p(math.exp(-x))

    pairs = sum(nll(r - f) for r, f in zip(real, fake, strict=True)) / 3
    mean_real, mean_fake = sum(real) / 3, sum(fake) / 3
    average = sum(nll(r - mean_fake) for r in real) / 3 + sum(nll(mean_real - f) for f in fake) / 3
    scores = torch.tensor([real, fake], dtype=torch.float64)
    assert make_loss("relativistic").discriminator_loss(*scores).item() == pytest.approx(pairs)
    assert make_loss("relativistic_average").discriminator_loss(*scores).item() == pytest.approx(
        average
    )


REAL_COUNTS = torch.tensor([6, 3, 1])  # ten examples on three atoms
FAKE_COUNTS = torch.tensor([1, 2, 7])


def published_divergence(name):
    """Returns the optimal discriminator's loss according to the papers."""
    pairs = [
        (r / 10, f / 10) for r, f in zip(REAL_COUNTS.tolist(), FAKE_COUNTS.tolist(), strict=True)
    ]
    if name == "hinge":  # Lim and Ye, 2017: twice the overlap
        return 2 * sum(min(r, f) for r, f in pairs)
    if name == "least_squares":  # Mao et al., 2017, with targets 1 and 0
        return sum(r * f / (r + f) for r, f in pairs) / 2
    kl = sum(r * math.log(2 * r / (r + f)) + f * math.log(2 * f / (r + f)) for r, f in pairs)
    return 2 * LN2 - kl  # Goodfellow et al., 2014, theorem 1: 2 log 2 - 2 JS


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "least_squares", "hinge"])
def test_optimal_discriminator_loss_equals_divergence(name):
    scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([scores], 0.02)
    for _ in range(600):
        optimizer.zero_grad()
        value = make_loss(name).discriminator_loss(
            scores.repeat_interleave(REAL_COUNTS), scores.repeat_interleave(FAKE_COUNTS)
        )
        value.backward()
        optimizer.step()
    assert value.item() == pytest.approx(published_divergence(name), abs=2e-3)


@every_loss
def test_losses_stay_finite_at_huge_scores(name):
    loss = make_loss(name)
    for at in (-1e4, 1e4):
        scores = torch.full((4,), at)
        assert loss.discriminator_loss(scores, -scores).isfinite()
        assert loss.generator_loss(scores, scores).isfinite()


@every_loss
def test_score_maps_equal_flattened_scores(name):
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 3, 2, 2, generator=random)
    loss = make_loss(name)
    flat = loss.discriminator_loss(real.flatten(), fake.flatten())
    assert loss.discriminator_loss(real, fake).shape == ()
    assert loss.discriminator_loss(real, fake).item() == pytest.approx(flat.item(), rel=1e-6)


@pytest.mark.parametrize("name", TARGETED_LOSSES)
def test_targets_can_differ_per_example(name):
    real = torch.tensor([0.3, -0.2])
    each = [
        make_loss(name, real_target=t).discriminator_loss(real[i : i + 1], real[:1])
        for i, t in ((0, 0.9), (1, 0.7))
    ]
    both = make_loss(name, real_target=torch.tensor([0.9, 0.7])).discriminator_loss(
        real, real[:1].expand(2)
    )
    assert both.item() == pytest.approx(sum(each).item() / 2, rel=1e-6)


def test_three_losses_have_targets():
    assert sorted(TARGETED_LOSSES) == ["least_squares", "minimax", "non_saturating"]
