"""Stabilizers of 2025 and 2026 against their closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, same, steps, trainer, weights
from torch import nn

from ganbench.data.base import IMAGE
from ganbench.evaluation.metrics import frechet
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.gan.build import Incompatible
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.fd_loss import frechet_distance, moments
from ganbench.gan.tricks.frozen_classifier import FrozenClassifier
from ganbench.gan.tricks.post_hoc_ema import exponent_of
from ganbench.registry import SpecError
from ganbench.rng import RngStreams, StepContext


def generator_step(number: int, progress: float = 0.0) -> StepContext:
    return StepContext(RngStreams(0, CPU), number, -1, progress)


def trick_of(training):
    (trick,) = training.trick
    return trick


@pytest.mark.parametrize("loss", ["relativistic", "relativistic_average"])
def test_scores_are_centered(loss):
    """Only the training with the trick forgets a constant in the bias of the head."""
    means = {}
    for tricks in ((), ("logit_centering(weight=1)",)):
        training = trainer(loss=loss, tricks=tricks, discriminator_lr=0.02)
        with torch.no_grad():
            training.task.discriminators[IMAGE].head.linear.bias.fill_(2.0)
        last = steps(training, 60)[-1]
        means[tricks] = last["real_score"] + last["fake_score"]
    plain, centered = means.values()
    assert abs(centered) < 0.5
    assert abs(plain) > 2 * abs(centered)


@pytest.mark.parametrize("loss", ["hinge", "least_squares", "minimax", "non_saturating"])
def test_losses_with_targets_reject_centering(loss):
    with pytest.raises(Incompatible, match="targets for scores"):
        trainer(loss=loss, tricks=("logit_centering",))


def test_fakes_have_gradients_of_known_norm_and_the_same_direction():
    trick = trick_of(trainer(tricks=("adversarial_gradient_normalization(decay=0.75)",)))
    slopes = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    average = None
    for number, scale in enumerate((1.0, 1.0, 10.0)):
        trick.begin_step(generator_step(number))
        fake = torch.zeros_like(slopes, requires_grad=True)
        shown = trick.transform_discriminator_input(fake, f"{IMAGE}/fake")
        (scale * slopes * shown).sum().backward()
        now = slopes.numel() * float((scale * slopes).square().sum())
        average = now if average is None else 0.75 * average + 0.25 * now
        torch.testing.assert_close(fake.grad, scale * slopes / average**0.5)
        if number < 2:
            assert fake.grad.norm().item() == pytest.approx(slopes.numel() ** -0.5, rel=1e-5)


@pytest.mark.parametrize("others", [(), ("past_discriminators(every=1)",)])
def test_scale_of_the_loss_changes_nothing(others):
    """A power of two scales floats without rounding, so the bits are equal."""

    def trained(scale, tricks):
        training = trainer(tricks=(*others, *tricks))
        training.plain_loss = replace(training.plain_loss, generator_weight=scale)
        steps(training, 4)
        return weights(training.task)

    tricks = ("adversarial_gradient_normalization",)
    assert same(trained(1.0, tricks), trained(1024.0, tricks))
    assert not same(trained(1.0, ()), trained(1024.0, ()))


def test_reals_and_discriminator_steps_are_not_normalized():
    trick = trick_of(trainer(tricks=("adversarial_gradient_normalization",)))
    x = torch.ones(4, 1, 8, 8, requires_grad=True)
    trick.begin_step(generator_step(0))
    assert trick.transform_discriminator_input(x, f"{IMAGE}/real") is x
    trick.begin_step(replace(generator_step(0), turn=0))
    assert trick.transform_discriminator_input(x, f"{IMAGE}/fake") is x


@pytest.mark.parametrize("text", ["gan(width=8)", "cdcgan(width=4)", "infogan(width=4)"])
def test_pull_is_the_mean_squared_distance_to_the_latents(text):
    training = trainer(text, tricks=("transport_pull(weight=0.3)",), latent=64)
    (pair,) = training.make_pairs(0, -1)
    gaps = (pair.fake.flatten(1) - pair.source[:, :64]).detach().double()
    terms = dict(training.trick.generator_terms(pair))
    assert terms["transport_pull"].item() == pytest.approx(0.3 * gaps.square().mean().item())


def test_weight_of_the_pull_falls_along_a_cosine():
    trick = trick_of(trainer(tricks=("transport_pull(weight=0.2, end=0.1)",), latent=64))
    expected = {0.0: 0.2, 1 / 3: 0.175, 0.5: 0.15, 2 / 3: 0.125, 1.0: 0.1}
    for progress, weight in expected.items():
        trick.begin_step(generator_step(0, progress))
        assert trick.current.item() == pytest.approx(weight)


def test_pull_needs_latents_of_the_size_of_the_data():
    with pytest.raises(Incompatible, match="an example has 64 numbers and 16 latents"):
        trainer(tricks=("transport_pull",), latent=16)
    with pytest.raises(Incompatible, match="translates images"):
        trainer("srgan(width=4)", tricks=("transport_pull",))


def test_pulled_generator_moves_latents_less():
    """At the end of two equal trainings on points, the pulled one has the shorter transport."""
    distances = []
    for tricks in ((), ("transport_pull(weight=2, end=2)",)):
        training = trainer("gan2d(width=8)", "ring", tricks, latent=2, generator_lr=0.01)
        steps(training, 100)
        (pair,) = training.make_pairs(0, -1)
        distances.append((pair.fake - pair.source).square().mean().item())
    assert distances[1] < 0.5 * distances[0]


def test_aligned_features_agree_with_the_classifier():
    """The linear map and the features learn from the term, and the teacher stays frozen."""
    training = trainer(tricks=("representation_alignment",), discriminator_lr=0.01)
    before = weights(trick_of(training).teacher)
    logs = steps(training, 40)
    assert logs[-1]["representation_alignment"] < 0.5 * logs[0]["representation_alignment"]
    assert same(weights(trick_of(training).teacher), before)


def test_alignment_rejects_other_images_and_unshipped_teachers(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    with pytest.raises(
        Incompatible, match="needs images of digits, of shape 1x8x8, and discriminators score 2"
    ):
        trainer("gan2d(width=8)", "ring", ("representation_alignment",))
    with pytest.raises(Incompatible, match="of shape 1x32x32"):
        trainer(tricks=("representation_alignment(of='mnist')",))
    with pytest.raises(Incompatible, match="pacgan packs several"):
        trainer(tricks=("representation_alignment", "pacgan"))
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        TRICKS.make("representation_alignment(of='digit')")
    with pytest.raises(SpecError, match="ring has no labels"):
        TRICKS.make("representation_alignment(of='ring')")


def features(count: int, seed: int) -> torch.Tensor:
    """Returns correlated features, of which two are dead as those of a classifier may be."""
    random = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 6, generator=random) @ torch.randn(6, 6, generator=random)
    return torch.cat([mixed + seed, torch.zeros(count, 2)], 1).double()


@pytest.mark.parametrize(("fakes", "reals"), [(50, 40), (4, 40), (40, 4)])
def test_distance_is_that_of_the_metric(fakes, reals):
    fake, real = features(fakes, 1), features(reals, 2)
    ours = frechet_distance(moments(fake), moments(real)).item()
    metric = frechet.frechet_distance(FeatureSet(fake), FeatureSet(real))
    assert ours == pytest.approx(metric, rel=1e-5)


def test_gradient_of_the_distance_is_its_slope():
    fake, real = features(30, 1).requires_grad_(), features(20, 2)
    reals = moments(real)
    frechet_distance(moments(fake), reals).backward()
    direction = features(30, 3)
    ahead, behind = (
        frechet_distance(moments(fake.detach() + step * direction), reals) for step in (1e-5, -1e-5)
    )
    slope = (ahead - behind).item() / 2e-5
    assert (fake.grad * direction).sum().item() == pytest.approx(slope, rel=1e-4)


def test_equal_sets_have_no_distance_and_no_gradient():
    fake = features(30, 1).requires_grad_()
    distance = frechet_distance(moments(fake), moments(fake.detach()))
    distance.backward()
    assert abs(distance.item()) < 1e-6
    assert fake.grad.abs().max() < 1e-6


class Recorder(nn.Module):
    """A teacher whose features are the pixels, and that keeps all of them."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, x):
        self.shown.append(x.detach().flatten(1))
        return x.flatten(1)


def test_queue_holds_the_last_fakes_and_moments_are_of_all_reals():
    training = trainer(tricks=("fd_loss(queue=24)",))
    trick = trick_of(training)
    trick.teacher = Recorder()
    steps(training, 5)
    reals, fakes = (torch.cat(trick.teacher.shown[side::2]) for side in (0, 1))
    assert same(*(x.unique(dim=0) for x in (trick.queues[0], fakes[-24:])))
    mean, covariance = moments(reals)
    assert torch.allclose(trick.means[0].double(), mean, atol=1e-6)
    assert torch.allclose(trick.scatters[0].double() / (len(reals) - 1), covariance, atol=1e-5)


def test_loss_lowers_the_distance_of_fresh_samples():
    distances = []
    for tricks in ((), ("fd_loss(queue=128)",)):
        training = trainer("gan(width=32)", tricks=tricks, batch=64, latent=32, generator_lr=2e-3)
        steps(training, 60)
        (pair,) = training.make_pairs(60, -1)
        teacher = FrozenClassifier("digits")
        sides = (moments(teacher(images)) for images in (pair.fake, pair.real))
        distances.append(frechet_distance(*sides).item())
    assert distances[1] < 0.7 * distances[0]


def test_adversarial_share_is_kept_or_replaced():
    kept, replaced = (
        steps(trainer(tricks=(f"fd_loss(adversarial={share})",)), 1)[0] for share in (1, 0)
    )
    assert kept["generator"] > 0
    assert replaced["generator"] == 0
    with pytest.raises(Incompatible, match="top_k would change nothing"):
        trainer(tricks=("fd_loss(adversarial=0)", "top_k"))
    with pytest.raises(Incompatible, match="a queue of 4 has no place for 8"):
        trainer(tricks=("fd_loss(queue=4)",))


@pytest.mark.parametrize(("width", "factor"), [(8, 4.0), (32, 1.0), (64, 0.5)])
def test_rates_are_scaled_by_the_width(width, factor):
    plain, scaled = (
        trainer(f"gan(width={width})", tricks=tricks, discriminator_lr=1e-3)
        for tricks in ((), ("width_scaled_rates(reference=32)",))
    )
    for side in ("generator", "discriminator"):
        assert scaled.learning_rate(side) == pytest.approx(factor * plain.learning_rate(side))


def test_scaled_rates_keep_the_ratio_of_both_sides():
    tricks = ("width_scaled_rates(reference=32)", "ttur(ratio=4)")
    training = trainer(tricks=tricks, generator_lr=1e-4)
    assert training.learning_rate("generator") == pytest.approx(4e-4)
    assert training.learning_rate("discriminator") == pytest.approx(16e-4)


def power_averages(path, length):
    """Returns the average of a path of weights, [T, D] => [D], with weights as powers of the step."""
    steps = np.arange(1, len(path) + 1)
    shares = (steps / len(path)) ** (exponent_of(length) + 1)
    shares = np.diff(shares, prepend=0)  # the recursion keeps (t / T)^(γ + 1) of the first t steps
    return shares @ path


@pytest.mark.parametrize(
    ("length", "tolerance"), [(0.03, 0.06), (0.05, 1e-5), (0.07, 0.01), (0.1, 1e-5), (0.2, 0.02)]
)
def test_any_length_is_reconstructed_from_one_training(length, tolerance):
    """The weights take a random walk; the gap to the recursion is a share of that to the last."""
    training = trainer("gan(width=8)", tricks=("post_hoc_ema",))
    trick, generators = trick_of(training), training.task.generators
    size = sum(p.numel() for p in generators.parameters())
    path = np.random.default_rng(0).standard_normal((300, size)).cumsum(0)
    for number, now in enumerate(path):
        nn.utils.vector_to_parameters(torch.tensor(now).float(), generators.parameters())
        trick.begin_step(generator_step(number, progress=number / len(path)))
        trick.after_generator_step(training.task, [])
    assert len(trick.times) == 8
    average = trick.reconstruct(generators, length)
    ours = nn.utils.parameters_to_vector(average.parameters()).detach().double().numpy()
    expected = power_averages(path, length)
    spread = np.abs(expected - path[-1]).mean()
    assert np.abs(ours - expected).mean() < tolerance * spread


def test_samples_have_the_length_of_the_setting():
    training = trainer(tricks=("post_hoc_ema(length=0.05)",), generator_lr=0.01)
    steps(training, 6)
    trick, generators = trick_of(training), training.task.generators
    samples = training.sampling_generators()
    assert same(weights(samples), weights(trick.reconstruct(generators, 0.05)))
    assert not same(weights(samples), weights(trick.reconstruct(generators, 0.2)))
    assert not same(weights(samples), weights(generators))


def test_length_changes_no_bit_of_the_training():
    lengths = ("post_hoc_ema(length=0.05)",), ("post_hoc_ema(length=0.2)",), ()
    trained = []
    for tricks in lengths:
        training = trainer(tricks=tricks)
        steps(training, 3)
        trained.append(weights(training.task))
    assert same(trained[0], trained[1])
    assert same(trained[0], trained[2])


def test_averages_without_meaning_are_refused():
    with pytest.raises(Incompatible, match="statistics of batch norm"):
        trainer("dcgan(width=4)", tricks=("post_hoc_ema",))
    with pytest.raises(Incompatible, match="use one"):
        trainer(tricks=("ema", "post_hoc_ema"))
    with pytest.raises(SpecError, match=r"length must lie in \[0.03, 0.2\], not 0.3"):
        TRICKS.make("post_hoc_ema(length=0.3)")
