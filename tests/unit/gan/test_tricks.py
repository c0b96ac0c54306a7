"""Tricks against their closed forms."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import BATCH, CPU, same, split, steps, trainer, training_setup, weights
from torch import nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import TrickList
from ganbench.gan.tricks.minibatch_discrimination import KernelCloseness
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams, StepContext

DIMENSIONS = 3  # numbers per example in the hand-made batches


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class LinearHead(Head):
    """The linear score = weights . x."""

    def __init__(self, weights: torch.Tensor):
        super().__init__(len(weights), bias=False)
        self.linear.weight.data = weights[None].clone()


def adversarial_batch(
    weights: torch.Tensor, *tricks: str, body: nn.Module | None = None, progress=0.0
) -> AdversarialBatch:
    """Returns six real and six generated points with a linear discriminator and tricks."""
    chain = TrickList({text.split("(")[0]: TRICKS.make(text) for text in tricks})
    chain.begin_step(StepContext(RngStreams(0, CPU), step=0, turn=0, progress=progress))
    discriminator = Discriminator(body or nn.Flatten(), (len(weights),), LinearHead(weights))
    real, fake = random(6, DIMENSIONS, seed=1), random(6, DIMENSIONS, seed=2)
    batch = (
        AdversarialBatch(IMAGE, IMAGE, nn.Identity(), discriminator, fake, real, fake)
        .with_discriminator_input(chain.transform_discriminator_input)
        .with_leaves()
    )
    batch.__dict__["chain"] = chain
    return batch


def terms(batch: AdversarialBatch, side: str = "discriminator") -> dict[str, torch.Tensor]:
    return dict(getattr(batch.__dict__["chain"], f"{side}_terms")(batch))


WEIGHTS = torch.tensor([0.6, -0.8, 2.0])  # squared norm 5
PACKED_WEIGHTS = torch.cat([WEIGHTS, 2 * WEIGHTS])  # two examples in one pack: squared norm 25


@pytest.mark.parametrize(("gradient", "packing"), [(WEIGHTS, ()), (PACKED_WEIGHTS, ("pacgan",))])
@pytest.mark.parametrize(("weight", "every"), [(10, 1), (3, 4)])
def test_r1_is_half_squared_gradient_norm(gradient, packing, weight, every):
    batch = adversarial_batch(gradient, f"r1(weight={weight}, every={every})", *packing)
    expected = every * weight / 2 * gradient.square().sum().item()
    assert terms(batch)["r1"].item() == pytest.approx(expected, rel=1e-5)


def test_r1_is_taken_at_real_images():
    batch = adversarial_batch(WEIGHTS, "r1(weight=2)", body=nn.Softplus())
    gradients = torch.sigmoid(batch.real.detach()) * WEIGHTS
    assert terms(batch)["r1"].item() == pytest.approx(
        gradients.square().sum(1).mean().item(), rel=1e-5
    )


@pytest.mark.parametrize("trick", ["r1", "gradient_penalty(target=0)"])
def test_penalty_shrinks_discriminator_gradient(trick):
    batch = adversarial_batch(WEIGHTS, trick)
    (term,) = terms(batch).values()
    (gradient,) = torch.autograd.grad(term, batch.discriminator.head.linear.weight)
    weight = 5.0 if trick == "r1" else 10.0
    torch.testing.assert_close(gradient[0], 2 * weight * WEIGHTS)


@pytest.mark.parametrize(("gradient", "packing"), [(WEIGHTS, ()), (PACKED_WEIGHTS, ("pacgan",))])
@pytest.mark.parametrize("target", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_is_squared_excess_norm(gradient, packing, target, one_sided):
    text = f"gradient_penalty(target={target}, one_sided={one_sided})"
    excess = gradient.norm().item() - target
    excess = max(0.0, excess) if one_sided else excess
    penalty = terms(adversarial_batch(gradient, text, *packing))["gradient_penalty"].item()
    assert penalty == pytest.approx(10 * excess**2, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("weight", [10, 3])
def test_r2_is_taken_at_generated_images(weight):
    batch = adversarial_batch(WEIGHTS, f"r2(weight={weight})", body=nn.Softplus())
    gradients = torch.sigmoid(batch.fake.detach()) * WEIGHTS
    expected = weight / 2 * gradients.square().sum(1).mean().item()
    assert terms(batch)["r2"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("gradient", "packing"), [(WEIGHTS, ()), (PACKED_WEIGHTS, ("pacgan",))])
def test_dragan_penalizes_gradient_norm_away_from_1(gradient, packing):
    penalty = terms(adversarial_batch(gradient, "dragan", *packing))["dragan"].item()
    assert penalty == pytest.approx(10 * (gradient.norm().item() - 1) ** 2, rel=1e-4)


def test_dragan_points_are_near_real_images():
    batch, inputs = adversarial_batch(WEIGHTS, "dragan(spread=0.5)"), []
    batch.discriminator.body.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    terms(batch)
    offsets = (inputs[0] - batch.real).detach()
    largest = 0.5 * batch.real.std().item()
    assert 0 <= offsets.min() < offsets.max() <= largest
    sizes = offsets.max(1).values
    assert sizes.max() > 2 * sizes.min()  # offsets differ between examples


def test_gradient_penalty_interpolates_real_and_generated():
    batch, inputs = adversarial_batch(WEIGHTS, "gradient_penalty"), []
    batch.discriminator.body.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    terms(batch)
    (between,) = inputs
    mix = (between - batch.real) / (batch.fake - batch.real)
    assert mix.std(1).max() < 1e-3  # one number per example
    assert 0 <= mix.min() < mix.max() <= 1
    assert mix.mean(1).std() > 0.05  # which differs between examples


def test_spectral_norm_of_each_layer_is_1():
    for text in ("gan(width=8)", "dcgan(width=4)"):
        setup = training_setup(text, tricks=("spectral_norm(iterations=20)",))
        discriminator, real = setup.task.discriminators[IMAGE], random(BATCH, 1, 8, 8)
        for _ in range(20):
            discriminator(real)
        layers = [m for m in discriminator.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        assert len(layers) == 3
        for layer in layers:
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert norm == pytest.approx(1, abs=1e-3)


def test_spectral_norm_replaces_discriminator_batch_norm():
    def kinds(side, *tricks):
        return [
            type(m)
            for m in getattr(training_setup("dcgan(width=4)", tricks=tricks).task, side).modules()
        ]

    assert kinds("generators", "spectral_norm") == kinds("generators")
    assert nn.BatchNorm2d in kinds("discriminators")
    assert nn.BatchNorm2d not in kinds("discriminators", "spectral_norm")
    assert nn.BatchNorm2d in kinds("discriminators", "spectral_norm(keep_norm=true)")


def test_penalty_rejects_remaining_batch_norm():
    steps(trainer("dcgan(width=4)", tricks=("spectral_norm", "r1")), 1)
    with pytest.raises(ValueError, match="R1 needs scores"):
        trainer("dcgan(width=4)", tricks=("spectral_norm(keep_norm=true)", "r1"))


def test_feature_matching_compares_only_feature_means():
    body = nn.Tanh()
    value = terms(adversarial_batch(WEIGHTS, "feature_matching(weight=3)", body=body), "generator")[
        "feature_matching"
    ]
    batch = adversarial_batch(WEIGHTS, "feature_matching(weight=3)", body=body)
    difference = batch.real.tanh().mean(0) - batch.fake.tanh().mean(0)
    assert value.item() == pytest.approx(3 * difference.square().sum().item(), rel=1e-5)
    for side in ("real", "fake"):
        other = adversarial_batch(WEIGHTS, "feature_matching(weight=3)", body=body)
        object.__setattr__(other, side, getattr(other, side)[torch.randperm(6)])
        shuffled = terms(other, "generator")["feature_matching"].item()
        assert shuffled == pytest.approx(value.item(), rel=1e-5)
    assert terms(batch) == {}  # no discriminator term


@pytest.mark.parametrize("name", LOSSES.entries)
def test_feature_matching_replaces_adversarial_term(name):
    batch, plain = adversarial_batch(WEIGHTS), LOSSES.make(name)
    assert TRICKS.make("feature_matching").transform_loss(plain, batch).generator_weight == 0
    assert (
        TRICKS.make("feature_matching(adversarial=0.5)")
        .transform_loss(plain, batch)
        .generator_weight
        == 0.5
    )
    matching = trainer(tricks=("feature_matching",), loss=name)
    assert steps(matching, 1)[0]["generator"] == 0


def test_kernel_closeness_equals_double_loop():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        closeness = KernelCloseness(4, kernels=3, depth=2)
    features = random(5, 4)
    project = closeness.project.detach().numpy()
    m = np.einsum("nw,wkd->nkd", features.numpy(), project)
    expected = np.zeros((5, 3))
    for i in range(5):
        for j in range(5):
            if i != j:
                expected[i] += np.exp(-np.abs(m[i] - m[j]).sum(1))
    np.testing.assert_allclose(closeness(features).detach(), expected, rtol=1e-4, atol=1e-6)


def test_minibatch_discrimination_detects_copies():
    discriminator = training_setup(tricks=("minibatch_discrimination",)).task.discriminators[IMAGE]
    assert isinstance(discriminator.head.aside, KernelCloseness)
    apart = random(BATCH, 1, 8, 8)
    copies = apart[:1].expand(BATCH, -1, -1, -1)
    torch.testing.assert_close(
        discriminator.head.aside(discriminator.features(copies)),
        torch.full((BATCH, 100), BATCH - 1.0),
    )
    assert discriminator.head.aside(discriminator.features(apart)).mean() < BATCH - 1.5
    assert (discriminator(copies)[0] - discriminator(apart)[0]).abs() > 1e-3
    plain = training_setup().task.discriminators[IMAGE]
    torch.testing.assert_close(plain(copies)[0], plain(apart)[0])


@pytest.mark.parametrize("trick", ["minibatch_std", "minibatch_discrimination"])
@pytest.mark.parametrize(
    ("batch", "others", "sentence"),
    [
        (1, (), "a batch of 1 has only one"),
        (4, ("pacgan(pack=4)",), "a batch of 4 in packs of 4 has only one"),
    ],
)
def test_single_examples_cannot_be_compared(trick, batch, others, sentence):
    with pytest.raises(Incompatible, match=f"compares the examples of a batch, and {sentence}"):
        training_setup(tricks=(trick, *others), batch=batch)


@pytest.mark.parametrize("trick", ["minibatch_std", "minibatch_discrimination"])
def test_two_examples_can_be_compared(trick):
    steps(trainer(tricks=(trick,), batch=2), 1)


def test_batch_norm_of_one_vector_is_incompatible():
    recipe = resolve_variant("gan(width=8, norm='batch')")
    plan = replace(recipe.hyperparameters, batch=1)
    with pytest.raises(Incompatible, match="needs a batch of at least 2, and this one has 1"):
        check_recipe(replace(recipe, hyperparameters=plan), "digits")


def test_minibatch_discrimination_widens_head():
    discriminator = training_setup(
        tricks=("minibatch_discrimination(kernels=7)",)
    ).task.discriminators[IMAGE]
    plain = training_setup().task.discriminators[IMAGE]
    assert discriminator.head.head.linear.in_features == plain.head.linear.in_features + 7


@pytest.mark.parametrize("name", ["non_saturating", "minimax", "least_squares"])
def test_label_smoothing_moves_only_real_target(name):
    smooth = TRICKS.make("label_smoothing(real=0.8)").transform_loss(
        LOSSES.make(name), adversarial_batch(WEIGHTS)
    )
    assert (smooth.real_target, smooth.fake_target) == (0.8, 0.0)
    score = random(50)
    assert torch.equal(
        smooth.generator_loss(score, None), LOSSES.make(name).generator_loss(score, None)
    )
    best = 0.8 if name == "least_squares" else float(torch.tensor(0.8).logit())
    around = [
        smooth.discriminator_loss(torch.tensor([best + off]), score[:1]) for off in (-0.1, 0, 0.1)
    ]
    assert around[1] < min(around[0], around[2])


def test_two_sided_smoothing_moves_both_targets():
    smooth = TRICKS.make("label_smoothing(fake=0.2)").transform_loss(
        LOSSES.make("least_squares"), adversarial_batch(WEIGHTS)
    )
    at_rest = smooth.discriminator_loss(torch.full((3,), 0.9), torch.full((3,), 0.2))
    assert at_rest.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_label_flipping_swaps_declared_share(share):
    batch = adversarial_batch(WEIGHTS, f"label_flipping(share={share})")
    flipped = batch.__dict__["chain"].transform_loss(LOSSES.make("least_squares"), batch)
    zeros, ones = torch.zeros(20_000), torch.ones(20_000)
    # Scores at their own targets cost half the share of swapped ones, on each side.
    assert flipped.discriminator_loss(ones, zeros).item() == pytest.approx(share, abs=0.01)
    assert flipped.discriminator_loss(zeros, ones).item() == pytest.approx(1 - share, abs=0.01)


def test_label_flipping_swaps_smoothed_discriminator_targets():
    batch = adversarial_batch(WEIGHTS, "label_flipping(share=0.3)", "label_smoothing(real=0.7)")
    loss = batch.__dict__["chain"].transform_loss(LOSSES.make("least_squares"), batch)
    score = random(50)
    assert torch.equal(
        loss.generator_loss(score, None), LOSSES.make("least_squares").generator_loss(score, None)
    )
    at_rest = loss.discriminator_loss(torch.full((9999,), 0.7), torch.full((9999,), 0.0)).item()
    assert at_rest == pytest.approx(0.3 * 0.7**2, rel=0.05)  # both sides, halved


@pytest.mark.parametrize(
    ("progress", "kept"), [(0.0, 8), (0.25, 6), (0.5, 4), (1.0, 4)]
)  # 8 * 0.5^0.5 = 5.7, rounded up
def test_top_k_trains_generator_on_best_images(progress, kept):
    batch = adversarial_batch(WEIGHTS, "top_k(least=0.5, until=0.5)", progress=progress)
    loss = batch.__dict__["chain"].transform_loss(LOSSES.make("wasserstein"), batch)
    score = random(8).requires_grad_()
    loss.generator_loss(score, None).backward()
    best = score.detach().argsort(descending=True)[:kept]
    expected = torch.zeros(8).index_fill(0, best, -1 / kept)
    torch.testing.assert_close(score.grad, expected)
    assert loss.discriminator_loss(score, score).item() == 0  # the discriminator uses all scores


def test_top_k_keeps_relativistic_pairs():
    batch = adversarial_batch(WEIGHTS, "top_k(least=0.5, until=0.1)", progress=1.0)
    loss = batch.__dict__["chain"].transform_loss(LOSSES.make("relativistic"), batch)
    assert loss.needs_real_scores
    fake, real = torch.tensor([3.0, 9.0, 1.0, 7.0]), torch.tensor([0.0, 2.0, 5.0, 4.0])
    expected = torch.nn.functional.softplus(torch.tensor([2.0 - 9.0, 4.0 - 7.0])).mean()
    assert loss.generator_loss(fake, real).item() == pytest.approx(expected.item())


def test_past_discriminators_are_latest_snapshots():
    training = trainer(tricks=("past_discriminators(keep=2, every=2)",))
    past = []
    for _ in range(7):
        steps(training, 1)
        past.append(weights(training.task.discriminators[IMAGE]))
    (trick,) = training.trick
    third, second = (weights(snapshot[IMAGE]) for snapshot in trick.snapshots)
    assert same(third, past[6])  # instead of the first
    assert same(second, past[4])


def test_past_discriminators_average_their_losses():
    training = trainer(tricks=("past_discriminators(keep=3, every=1)",))
    steps(training, 2)
    training.discriminator_step()
    pairs = training.task.make_pairs(training.loader.batches(2), training.begin_step(-1))
    (trick,), task, fake = training.trick, training.task, pairs[0].fake
    discriminators = [task.discriminators[IMAGE], *(s[IMAGE] for s in trick.snapshots[:2])]
    loss = trick.transform_loss(LOSSES.make("non_saturating"), pairs[0])
    expected = [
        torch.nn.functional.softplus(-discriminator(fake)).mean()
        for discriminator in discriminators
    ]
    generator_loss = loss.generator_loss(pairs[0].fake_score, None)
    assert generator_loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-6)
    assert len({round(value.item(), 6) for value in expected}) == 3  # three different losses


def test_began_energy_is_reconstruction_error():
    discriminator = training_setup(
        "began(width=4, code=8)", loss="wasserstein"
    ).task.discriminators[IMAGE]
    images = split("digits").train[IMAGE].make_batch(torch.arange(5)).images
    reconstructed = discriminator.body.decoder(discriminator.body.encoder(images))
    expected = -(images - reconstructed).abs().flatten(1).mean(1)
    torch.testing.assert_close(discriminator(images), expected)


def test_equilibrium_updates_weight_as_published():
    training = trainer(
        "began(width=4, code=8)", tricks=("equilibrium(gamma=0.5, rate=0.1)",), loss="wasserstein"
    )
    weight, (trick,) = 0.0, training.trick
    for log in (steps(training, 1)[0] for _ in range(6)):
        real, fake = -log["real_score"], -log["fake_score"]
        assert log["discriminator"] == pytest.approx(real - weight * fake, rel=1e-4)
        assert log["generator"] > 0  # the reconstruction error of generated images
        weight = min(1.0, max(0.0, weight + 0.1 * (0.5 * real - fake)))
        assert trick.weights[IMAGE].item() == pytest.approx(weight, abs=1e-6)


def test_weight_clipping_bounds_weights():
    training = trainer(tricks=("weight_clipping(limit=0.02)",))
    steps(training, 1)
    largest = [p.abs().max().item() for p in training.task.discriminators.parameters()]
    assert max(largest) == pytest.approx(0.02)
    assert max(p.abs().max().item() for p in training.task.generators.parameters()) > 0.1


def test_ema_equals_closed_form():
    training, decay = trainer(tricks=("ema(decay=0.8)",)), 0.8
    past = [weights(training.task.generators)]
    for _ in range(4):
        steps(training, 1)
        past.append(weights(training.task.generators))
    for name, average in training.sampling_generators().state_dict().items():
        expected = decay**4 * past[0][name]
        for n in range(1, 5):
            expected = expected + (1 - decay) * decay ** (4 - n) * past[n][name]
        torch.testing.assert_close(average, expected, rtol=1e-5, atol=1e-7)
    assert not same(weights(training.sampling_generators()), past[-1])


def test_ramped_ema_half_life_grows_with_steps():
    training = trainer(tricks=("ema(decay=0.9, ramp=0.5)",))
    expected = weights(training.task.generators)
    kept = [0.5 ** (1 / (0.5 * n)) for n in range(1, 21)]  # 0.9 is reached after 13 steps
    assert kept[12] < 0.9 < kept[13]
    for decay in kept:
        steps(training, 1)
        for name, now in training.task.generators.state_dict().items():
            expected[name].lerp_(now, 1 - min(decay, 0.9))
    for name, average in training.sampling_generators().state_dict().items():
        torch.testing.assert_close(average, expected[name])


def test_ema_changes_samples_only():
    plain, averaged = trainer("dcgan(width=4)"), trainer("dcgan(width=4)", tricks=("ema",))
    assert steps(plain, 2) == steps(averaged, 2)
    assert same(weights(plain.task), weights(averaged.task))
    assert plain.sampling_generators() is plain.task.generators
    averaged_state, plain_state = (
        averaged.sampling_generators().state_dict(),
        plain.task.generators.state_dict(),
    )
    assert averaged_state.keys() == plain_state.keys()  # one structure for both


def test_ema_recomputes_batch_norm_statistics():
    training, recorded = trainer("dcgan(width=4)", tricks=("ema(decay=0.9)",)), []
    steps(training, 2)
    make_pairs, expected = training.task.make_pairs, deepcopy(training.sampling_generators())
    training.task.make_pairs = lambda *args: recorded.append(make_pairs(*args)) or recorded[-1]
    steps(training, 1)
    with torch.no_grad():
        for parameter, averaged in zip(
            expected.parameters(), training.sampling_generators().parameters(), strict=True
        ):
            parameter.copy_(averaged)
        expected[IMAGE](recorded[-1][0].source)  # the generator step
    assert same(weights(training.sampling_generators()), weights(expected))
    live = weights(training.task.generators)
    assert not any(torch.equal(live[k], v) for k, v in weights(expected).items() if "mean" in k)


@pytest.mark.parametrize("other", ["past_discriminators(every=1)", "historical_averaging"])
def test_remembered_discriminators_are_clipped(other):
    training = trainer(tricks=(other, "weight_clipping(limit=0.01)"), discriminator_lr=0.02)
    steps(training, 40)
    remembered = [
        v for k, v in training.trick.state_dict().items() if "discriminators" in k or "snap" in k
    ]
    at_first = 0.5 / 40 if other == "historical_averaging" else 0  # the initial weights count once
    assert 0 < max(v.abs().max().item() for v in remembered if v.ndim) <= 0.01 + at_first


def test_each_discriminator_picks_its_top_k():
    training = trainer(tricks=("past_discriminators(every=1)", "top_k(least=0.25, until=0.01)"))
    steps(training, 3), training.discriminator_step()
    pairs = training.task.make_pairs(training.loader.batches(3), training.begin_step(-1))
    loss = training.trick.transform_loss(LOSSES.make("wasserstein"), pairs[0])
    discriminators = [pairs[0], *loss.past]
    best = [pair.fake_score.topk(2).values.mean() for pair in discriminators]
    generator_loss = loss.generator_loss(pairs[0].fake_score, None).item()
    assert generator_loss == pytest.approx(-torch.stack(best).mean().item(), rel=1e-5)
    assert len(discriminators) == 4


@pytest.mark.parametrize("other", ["top_k", "past_discriminators"])
def test_feature_matching_rejects_tricks_without_effect(other):
    with pytest.raises(Incompatible, match="would change nothing"):
        training_setup(tricks=("feature_matching", other))
    training_setup(tricks=("feature_matching(adversarial=1)", other))


def test_historical_averaging_is_distance_to_past_mean():
    training = trainer(tricks=("historical_averaging(weight=2)",))
    sides = {"discriminator": training.task.discriminators, "generator": training.task.generators}
    past = {side: [] for side in sides}
    for _ in range(4):
        for side, module in sides.items():
            past[side].append([p.detach().double().numpy().copy() for p in module.parameters()])
        log = steps(training, 1)[0]
        for side in sides:
            means = [np.mean(values, axis=0) for values in zip(*past[side], strict=True)]
            now = past[side][-1]
            distance = sum(((a - b) ** 2).sum() for a, b in zip(means, now, strict=True))
            assert log[f"{side}_history"] == pytest.approx(2 * distance, rel=1e-3, abs=1e-9)
    assert log["generator_history"] > 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4)"])
def test_unrolling_changes_generator_and_restores_discriminator(text, order):
    plain, unrolled = trainer(text), trainer(text, tricks=(f"unrolled(turns=3, order={order})",))
    plain.discriminator_step()
    expected = weights(plain.task.discriminators)
    moments = plain.optimizers["discriminator"].state_dict()
    moments_before = {
        name: value.clone()
        for n, state in moments["state"].items()
        for name, value in ((f"{n}.{key}", value) for key, value in state.items())
    }
    plain.generator_step()
    unrolled.train_step()
    assert same(weights(unrolled.task.discriminators), expected)  # batch norm's statistics included
    moments_after = unrolled.optimizers["discriminator"].state_dict()["state"]
    assert same(
        {f"{n}.{key}": v for n, state in moments_after.items() for key, v in state.items()},
        moments_before,
    )
    assert not same(weights(unrolled.task.generators), weights(plain.task.generators))


def test_unrolling_uses_discriminator_of_later_steps():
    """The generator uses the discriminator after so many further steps."""
    unrolled, plain = trainer(tricks=("unrolled(turns=2, order=1)",)), trainer()
    for _ in range(3):
        plain.discriminator_step()
    plain.generator_step()
    unrolled.train_step()
    assert same(weights(unrolled.task.generators), weights(plain.task.generators))


@pytest.mark.parametrize("order", [1, 2])
def test_unrolling_restores_other_tricks(order):
    tricks = ("historical_averaging", "spectral_norm", "lecam(start=1)")
    plain, unrolled = (
        trainer(tricks=(*tricks, *more)) for more in ((), (f"unrolled(turns=4, order={order})",))
    )
    plain.train_step(), unrolled.train_step()
    past, anchors = (
        [v for t in (plain, unrolled) for k, v in t.trick.state_dict().items() if k.endswith(name)]
        for name in ("discriminators.image.count", "anchors")
    )
    assert past[0] == past[1] == 2
    assert torch.equal(anchors[0], anchors[1])
    assert anchors[0].any()


def smooth(layers):
    """Returns the layers with smooth activations, so that second derivatives are not zero."""
    return nn.Sequential(*(nn.Softplus() if isinstance(m, nn.LeakyReLU) else m for m in layers))


def in_float64(training):
    """Converts networks and data to float64 for finite differences of the loss."""
    training.task.double()
    make_pairs = training.task.make_pairs

    def make_double_pairs(batches, random):
        batches = {k: replace(b, images=b.images.double()) for k, b in batches.items()}
        with pytest.MonkeyPatch.context() as patch:
            randn = torch.randn
            patch.setattr(torch, "randn", lambda *a, **k: randn(*a, **k).double())
            return make_pairs(batches, random)

    training.task.make_pairs = make_double_pairs
    return training


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
@pytest.mark.parametrize("tricks", [(), ("r1",), ("gradient_penalty(weight=1)",), ("pacgan",)])
def test_unrolling_follows_gradient_of_unrolled_loss(loss, tricks):
    """The surrogate loss of Metz et al. depends on the generator through later steps, too."""

    def unrolled_loss(order, along=None, length=0.0):
        chain = (*tricks, f"unrolled(turns=3, order={order})")
        training = in_float64(trainer(tricks=chain, loss=loss, discriminator_lr=0.01))
        discriminator = training.task.discriminators[IMAGE]
        discriminator.body = smooth(discriminator.body)
        training.discriminator_step()
        parameters = training.sides["generator"]
        for parameter, direction in zip(parameters, along or (), strict=False):
            parameter.data += length * direction
        with training.trick.lookahead(training):
            log = training.generator_step()
        return log["generator"].item(), [p.grad for p in parameters]

    value, gradients = unrolled_loss(2)
    first_order_value, first_order_gradients = unrolled_loss(1)
    # the differentiable Adam equals torch's
    assert value == pytest.approx(first_order_value, rel=1e-6)
    along = [random(*p.shape, seed=5).double() for p in gradients]
    above, below = (unrolled_loss(2, along, length)[0] for length in (1e-5, -1e-5))
    measured = (above - below) / 2e-5
    second_order, first_order = (
        sum((g * a).sum().item() for g, a in zip(order, along, strict=True))
        for order in (gradients, first_order_gradients)
    )
    assert second_order == pytest.approx(measured, rel=1e-4)
    assert first_order != pytest.approx(measured, rel=1e-2)


def test_unrolling_rejects_unsupported_updates():
    unsupported = ("weight_clipping", "gradient_clipping")
    for other, settings in (
        *((name, {}) for name in unsupported),
        ("ttur", {"optimizer": "rmsprop"}),
    ):
        with pytest.raises(Incompatible, match="unrolling of order 2"):
            training_setup(tricks=("unrolled", other), **settings)
        training_setup(tricks=("unrolled(order=1)", other), **settings)


def test_gradient_clipping_bounds_norm_keeps_direction():
    plain, clipped = (
        trainer(loss="wasserstein"),
        trainer(loss="wasserstein", tricks=("gradient_clipping(norm=0.01)",)),
    )
    plain.discriminator_step(), clipped.discriminator_step()
    clipped_gradient, plain_gradient = (
        torch.cat([p.grad.flatten() for p in t.task.discriminators.parameters()])
        for t in (clipped, plain)
    )
    assert plain_gradient.norm() > 0.02
    assert clipped_gradient.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.dot(clipped_gradient, plain_gradient) / (
        clipped_gradient.norm() * plain_gradient.norm()
    ) == pytest.approx(1, abs=1e-5)
    loose = trainer(loss="wasserstein", tricks=("gradient_clipping(norm=1000)",))
    assert steps(loose, 2) == steps(trainer(loss="wasserstein"), 2)


def test_ttur_multiplies_discriminator_learning_rate():
    training = trainer(tricks=("ttur(ratio=4)",), generator_lr=1e-4, discriminator_lr=1e-3)
    steps(training, 1)
    rates = {side: o.param_groups[0]["lr"] for side, o in training.optimizers.items()}
    assert rates == {"generator": 1e-4, "discriminator": pytest.approx(4e-4)}


@pytest.mark.parametrize(
    ("progress", "std"), [(0.0, 0.5), (0.2, 0.375), (0.4, 0.25), (0.8, 0), (1.0, 0)]
)
def test_instance_noise_fades_to_zero(progress, std):
    noise = TRICKS.make("instance_noise(std=0.5, until=0.8)")
    noise.begin_step(StepContext(RngStreams(0, CPU), 3, 0, progress))
    added = noise.transform_discriminator_input(torch.ones(200, 200), "real") - 1
    assert added.std().item() == pytest.approx(std, rel=0.02)
    assert added.mean().item() == pytest.approx(0, abs=0.01)
    if std == 0:
        assert (added == 0).all()


def test_instance_noise_changes_per_turn_and_step():
    noise, noises = TRICKS.make("instance_noise"), []
    for step, turn in ((0, 0), (0, 1), (1, 0), (0, 0)):
        noise.begin_step(StepContext(RngStreams(0, CPU), step, turn, 0))
        noises.append(noise.transform_discriminator_input(torch.zeros(9), "real"))
    assert torch.equal(noises[0], noises[3])
    assert not any(torch.equal(noises[0], other) for other in noises[1:3])


def test_pacgan_stacks_images_as_channels():
    images = split("digits").train[IMAGE].make_batch(torch.arange(6)).images
    packed = TRICKS.make("pacgan(pack=3)").transform_discriminator_input(images, "real")
    assert packed.shape == (2, 3, 8, 8)
    assert all(torch.equal(packed[i, j], images[3 * i + j, 0]) for i in range(2) for j in range(3))


@pytest.mark.parametrize(("text", "data"), [("gan(width=8)", "ring"), ("dcgan(width=4)", "digits")])
def test_pacgan_discriminator_scores_whole_packs(text, data):
    setup = training_setup(text, data, tricks=("pacgan(pack=4)",))
    real = split(data).train[IMAGE].make_batch(torch.arange(8)).images
    discriminator = setup.task.discriminators[IMAGE]
    assert discriminator(setup.trick.transform_discriminator_input(real, "image/real")).shape == (
        2,
    )
    first = next(m for m in discriminator.modules() if isinstance(m, nn.Linear | nn.Conv2d)).weight
    plain = next(
        m
        for m in training_setup(text, data).task.discriminators[IMAGE].modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
    )
    assert first.shape[1] == 4 * plain.weight.shape[1]


def test_packed_images_have_independent_noise():
    """Noise is added before packing."""
    batch = adversarial_batch(PACKED_WEIGHTS, "pacgan", "instance_noise(std=1)")
    transform: Callable = batch.discriminator_input
    noise = (transform(torch.zeros(6, DIMENSIONS), "image/real")).reshape(6, DIMENSIONS)
    assert len({tuple(row.tolist()) for row in noise}) == 6


@pytest.mark.parametrize(
    "text",
    [
        *(
            "r1(weight=0)",
            "r1(every=0)",
            "gradient_penalty(weight=-1)",
            "gradient_penalty(target=-1)",
        ),
        *(
            "spectral_norm(iterations=0)",
            "feature_matching(weight=0)",
            "ema(decay=1)",
            "ema(decay=-0.1)",
            "ema(ramp=2)",
        ),
        *(
            "minibatch_discrimination(kernels=0)",
            "minibatch_discrimination(kernels=1e6)",
            "label_smoothing(real=1)",
            "label_smoothing(real=0.5)",
        ),
        *("weight_clipping(limit=0)", "historical_averaging(weight=0)", "unrolled(turns=0)"),
        *(
            "gradient_clipping(norm=0)",
            "ttur(ratio=0)",
            "instance_noise(std=0)",
            "instance_noise(until=2)",
        ),
        *("pacgan(pack=1)", "r2(weight=0)", "r2(every=0)", "dragan(weight=0)", "dragan(spread=0)"),
        *("label_flipping(share=0)", "label_flipping(share=0.5)", "label_smoothing(fake=0.5)"),
        *("top_k(least=1)", "top_k(until=0)", "equilibrium(gamma=0)", "equilibrium(rate=0)"),
        *("past_discriminators(keep=0)", "past_discriminators(every=0)"),
    ],
)
def test_invalid_setting_raises_value_error(text):
    with pytest.raises(ValueError, match=r"(must|at least|not|above|in)") as raised:
        TRICKS.make(text)
    assert len(str(raised.value).split()) > 4
