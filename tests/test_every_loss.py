"""Losses against their closed forms."""

import math
from dataclasses import replace

import pytest
import torch

from ganbench.losses import LOSSES
from ganbench.losses.base import Targeted

LN2 = math.log(2)
every_loss = pytest.mark.parametrize("name", LOSSES.entries)
targeted = [name for name in LOSSES.entries if issubclass(LOSSES.load(name), Targeted)]


def of(name, **seams):
    return replace(LOSSES.make(name), **seams)


def full(value, n=5):
    return torch.full((n,), float(value), dtype=torch.float64, requires_grad=True)


def generator_slope(name, at):
    """d loss / d score of one fake."""
    fake = full(at, 1)
    of(name).generator(fake, full(0.0, 1)).backward()
    return fake.grad.item()


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("non_saturating", 2 * LN2, LN2),
        ("minimax", 2 * LN2, -LN2),
        ("least_squares", 0.5, 0.5),
        ("hinge", 2.0, 0.0),
        ("wasserstein", 0.0, 0.0),
    ],
)
def test_values_at_score_0(name, discriminator, generator):
    loss = of(name)
    assert loss.discriminator(full(0), full(0)).item() == pytest.approx(discriminator)
    assert loss.generator(full(0), full(0)).item() == pytest.approx(generator)


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
def test_cross_entropies_are_minus_the_log_likelihood(name):
    real, fake = torch.tensor([[1.5, -2.0], [0.3, -7.0]], dtype=torch.float64)
    likely, fooled = (
        [1 / (1 + math.exp(-s)) for s in (1.5, -2.0)],
        [1 / (1 + math.exp(-s)) for s in (0.3, -7.0)],
    )
    found = of(name).discriminator(real, fake).item()
    expected = -sum(map(math.log, likely)) / 2 - sum(math.log(1 - p) for p in fooled) / 2
    assert found == pytest.approx(expected, rel=1e-12)
    expected = {
        "non_saturating": -sum(map(math.log, fooled)) / 2,
        "minimax": sum(math.log(1 - p) for p in fooled) / 2,
    }
    assert of(name).generator(fake, None).item() == pytest.approx(expected[name], rel=1e-12)


def test_minimax_is_a_zero_sum_game_in_the_fakes():
    fake = torch.linspace(-5, 5, 11).double()
    loss, real = of("minimax"), torch.full((11,), 1e4).double()  # reals that cost nothing
    assert loss.generator(fake, None).item() == pytest.approx(
        -loss.discriminator(real, fake).item()
    )


@every_loss
def test_the_generator_pushes_scores_of_fakes_up(name):
    for at in (-3.0, -0.5, 0.0, 0.5):
        assert generator_slope(name, at) < 0


@every_loss
def test_the_discriminator_pushes_reals_up_and_fakes_down(name):
    real, fake = full(0.25), full(0.25)
    of(name).discriminator(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


def test_minimax_saturates_at_bad_fakes_and_non_saturating_does_not():
    assert generator_slope("minimax", -20) == pytest.approx(0, abs=1e-8)
    assert generator_slope("non_saturating", -20) == pytest.approx(-1, abs=1e-8)
    assert generator_slope("minimax", 0) == generator_slope("non_saturating", 0) == -0.5


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
@pytest.mark.parametrize("target", [0.6, 0.9])
def test_a_smoothed_target_is_best_met_at_its_logit(name, target):
    best = full(math.log(target / (1 - target)))
    loss = of(name, real_target=target)
    value = loss.discriminator(best, full(-1e4))  # fakes that cost nothing
    value.backward()
    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    assert value.item() == pytest.approx(entropy)
    assert best.grad.abs().max() < 1e-7  # the target is a float32
    fake = full(math.log(0.1 / 0.9))
    of(name, fake_target=0.1).discriminator(full(1e4), fake).backward()
    assert fake.grad.abs().max() < 1e-7


def test_least_squares_is_zero_at_its_targets():
    assert of("least_squares").discriminator(full(1), full(0)).item() == 0
    assert of("least_squares", real_target=0.9).discriminator(full(0.9), full(0)).item() == 0
    assert of("least_squares").discriminator(full(3), full(-1)).item() == pytest.approx((4 + 1) / 2)
    assert of("least_squares").generator(full(1), None).item() == 0
    assert generator_slope("least_squares", 3) > 0  # it draws to 1, not beyond


def test_hinge_asks_for_no_more_than_the_margin():
    real, fake = full(1.5), full(-1.5)
    value = of("hinge").discriminator(real, fake)
    value.backward()
    assert value.item() == real.grad.abs().max() == fake.grad.abs().max() == 0
    assert of("hinge").discriminator(full(0.25), full(-0.5)).item() == pytest.approx(0.75 + 0.5)


def test_wasserstein_is_the_difference_of_means():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 0.0])
    assert of("wasserstein").discriminator(real, fake).item() == 0.5
    assert of("wasserstein").generator(fake, None).item() == -2.5


@every_loss
def test_terms_stay_finite_at_huge_scores(name):
    loss = of(name)
    for at in (-1e4, 1e4):
        scores = torch.full((4,), at)
        assert loss.discriminator(scores, -scores).isfinite()
        assert loss.generator(scores, scores).isfinite()


@every_loss
def test_maps_of_scores_weigh_like_their_scores(name):
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 3, 2, 2, generator=random)
    loss = of(name)
    flat = loss.discriminator(real.flatten(), fake.flatten())
    assert loss.discriminator(real, fake).shape == ()
    assert loss.discriminator(real, fake).item() == pytest.approx(flat.item(), rel=1e-6)


@pytest.mark.parametrize("name", targeted)
def test_targets_may_differ_from_example_to_example(name):
    real = torch.tensor([0.3, -0.2])
    each = [
        of(name, real_target=t).discriminator(real[i : i + 1], real[:1])
        for i, t in ((0, 0.9), (1, 0.7))
    ]
    both = of(name, real_target=torch.tensor([0.9, 0.7])).discriminator(real, real[:1].expand(2))
    assert both.item() == pytest.approx(sum(each).item() / 2, rel=1e-6)


def test_three_losses_have_targets():
    assert sorted(targeted) == ["least_squares", "minimax", "non_saturating"]
