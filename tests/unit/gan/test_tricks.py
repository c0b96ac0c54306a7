"""The evidence for each trick, in closed form."""

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
from ganbench.gan.build import Incompatible
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import TrickList
from ganbench.gan.tricks.minibatch_discrimination import KernelCloseness
from ganbench.rng import RngStreams, StepContext

POINTS = 3  # numbers an example of the hand-made batches has


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Slope(Head):
    """score = slope . x"""

    def __init__(self, slope: torch.Tensor):
        super().__init__(len(slope), bias=False)
        self.linear.weight.data = slope[None].clone()


def adversarial_batch(
    slope: torch.Tensor, *tricks: str, body: nn.Module | None = None, progress=0.0
) -> AdversarialBatch:
    """Six reals and six fakes before a linear discriminator, as on a discriminator's turn."""
    chain = TrickList({text.split("(")[0]: TRICKS.make(text) for text in tricks})
    chain.begin_step(StepContext(RngStreams(0, CPU), step=0, turn=0, progress=progress))
    judge = Discriminator(body or nn.Flatten(), (len(slope),), Slope(slope))
    real, fake = random(6, POINTS, seed=1), random(6, POINTS, seed=2)
    made = (
        AdversarialBatch(IMAGE, IMAGE, nn.Identity(), judge, fake, real, fake)
        .with_discriminator_input(chain.transform_discriminator_input)
        .with_leaves()
    )
    made.__dict__["chain"] = chain
    return made


def terms(of: AdversarialBatch, side: str = "discriminator") -> dict[str, torch.Tensor]:
    return dict(getattr(of.__dict__["chain"], f"{side}_terms")(of))


SLOPE = torch.tensor([0.6, -0.8, 2.0])  # squared norm 5
PACKED = torch.cat([SLOPE, 2 * SLOPE])  # of two examples that are judged as one: 25


@pytest.mark.parametrize(("slope", "packing"), [(SLOPE, ()), (PACKED, ("pacgan",))])
@pytest.mark.parametrize(("weight", "every"), [(10, 1), (3, 4)])
def test_r1_is_half_the_squared_slope_at_the_reals(slope, packing, weight, every):
    made = adversarial_batch(slope, f"r1(weight={weight}, every={every})", *packing)
    expected = every * weight / 2 * slope.square().sum().item()
    assert terms(made)["r1"].item() == pytest.approx(expected, rel=1e-5)


def test_r1_is_taken_at_the_reals_and_not_at_the_fakes():
    made = adversarial_batch(SLOPE, "r1(weight=2)", body=nn.Softplus())
    slopes = torch.sigmoid(made.real.detach()) * SLOPE
    assert terms(made)["r1"].item() == pytest.approx(slopes.square().sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("trick", ["r1", "gradient_penalty(target=0)"])
def test_a_penalty_teaches_the_discriminator_a_smaller_slope(trick):
    made = adversarial_batch(SLOPE, trick)
    (term,) = terms(made).values()
    (gradient,) = torch.autograd.grad(term, made.discriminator.head.linear.weight)
    weight = 5.0 if trick == "r1" else 10.0
    torch.testing.assert_close(gradient[0], 2 * weight * SLOPE)


@pytest.mark.parametrize(("slope", "packing"), [(SLOPE, ()), (PACKED, ("pacgan",))])
@pytest.mark.parametrize("target", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_is_the_squared_excess_of_the_slope(slope, packing, target, one_sided):
    text = f"gradient_penalty(target={target}, one_sided={one_sided})"
    excess = slope.norm().item() - target
    excess = max(0.0, excess) if one_sided else excess
    found = terms(adversarial_batch(slope, text, *packing))["gradient_penalty"].item()
    assert found == pytest.approx(10 * excess**2, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("weight", [10, 3])
def test_r2_is_half_the_squared_slope_at_the_fakes(weight):
    made = adversarial_batch(SLOPE, f"r2(weight={weight})", body=nn.Softplus())
    slopes = torch.sigmoid(made.fake.detach()) * SLOPE
    expected = weight / 2 * slopes.square().sum(1).mean().item()
    assert terms(made)["r2"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("slope", "packing"), [(SLOPE, ()), (PACKED, ("pacgan",))])
def test_dragan_is_the_squared_distance_of_the_slope_from_1(slope, packing):
    found = terms(adversarial_batch(slope, "dragan", *packing))["dragan"].item()
    assert found == pytest.approx(10 * (slope.norm().item() - 1) ** 2, rel=1e-4)


def test_dragan_looks_near_the_reals():
    made, shown = adversarial_batch(SLOPE, "dragan(spread=0.5)"), []
    made.discriminator.body.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    terms(made)
    away = (shown[0] - made.real).detach()
    largest = 0.5 * made.real.std().item()
    assert 0 <= away.min() < away.max() <= largest
    steps_of = away.max(1).values
    assert steps_of.max() > 2 * steps_of.min()  # each example goes its own way


def test_gradient_penalty_is_taken_between_a_real_and_its_fake():
    made, shown = adversarial_batch(SLOPE, "gradient_penalty"), []
    made.discriminator.body.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    terms(made)
    (between,) = shown
    mix = (between - made.real) / (made.fake - made.real)
    assert mix.std(1).max() < 1e-3  # one number an example
    assert 0 <= mix.min() < mix.max() <= 1
    assert mix.mean(1).std() > 0.05  # and not the same for all


def test_spectral_norm_gives_every_layer_norm_1():
    for text in ("gan(width=8)", "dcgan(width=4)"):
        made = training_setup(text, tricks=("spectral_norm(iterations=20)",))
        judge, real = made.task.discriminators[IMAGE], random(BATCH, 1, 8, 8)
        for _ in range(20):
            judge(real)
        layers = [m for m in judge.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        assert len(layers) == 3
        for layer in layers:
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert norm == pytest.approx(1, abs=1e-3)


def test_spectral_norm_leaves_the_generator_alone_and_takes_batch_norm_away():
    def kinds(side, *tricks):
        return [
            type(m)
            for m in getattr(training_setup("dcgan(width=4)", tricks=tricks).task, side).modules()
        ]

    assert kinds("generators", "spectral_norm") == kinds("generators")
    assert nn.BatchNorm2d in kinds("discriminators")
    assert nn.BatchNorm2d not in kinds("discriminators", "spectral_norm")
    assert nn.BatchNorm2d in kinds("discriminators", "spectral_norm(keep_norm=true)")


def test_a_penalty_objects_to_batch_norm_only_while_it_is_there():
    steps(trainer("dcgan(width=4)", tricks=("spectral_norm", "r1")), 1)
    with pytest.raises(ValueError, match="R1 needs scores"):
        trainer("dcgan(width=4)", tricks=("spectral_norm(keep_norm=true)", "r1"))


def test_feature_matching_compares_means_and_nothing_else():
    body = nn.Tanh()
    value = terms(adversarial_batch(SLOPE, "feature_matching(weight=3)", body=body), "generator")[
        "feature_matching"
    ]
    made = adversarial_batch(SLOPE, "feature_matching(weight=3)", body=body)
    gap = made.real.tanh().mean(0) - made.fake.tanh().mean(0)
    assert value.item() == pytest.approx(3 * gap.square().sum().item(), rel=1e-5)
    for side in ("real", "fake"):
        other = adversarial_batch(SLOPE, "feature_matching(weight=3)", body=body)
        object.__setattr__(other, side, getattr(other, side)[torch.randperm(6)])
        shuffled = terms(other, "generator")["feature_matching"].item()
        assert shuffled == pytest.approx(value.item(), rel=1e-5)
    assert terms(made) == {}  # the discriminator learns as before


@pytest.mark.parametrize("name", LOSSES.entries)
def test_feature_matching_takes_the_adversarial_terms_place(name):
    made, plain = adversarial_batch(SLOPE), LOSSES.make(name)
    assert TRICKS.make("feature_matching").transform_loss(plain, made).generator_weight == 0
    assert (
        TRICKS.make("feature_matching(adversarial=0.5)")
        .transform_loss(plain, made)
        .generator_weight
        == 0.5
    )
    matching = trainer(tricks=("feature_matching",), loss=name)
    assert steps(matching, 1)[0]["generator"] == 0


def test_closeness_is_the_double_loop_of_the_paper():
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


def test_minibatch_discrimination_sees_copies():
    judge = training_setup(tricks=("minibatch_discrimination",)).task.discriminators[IMAGE]
    assert isinstance(judge.head.aside, KernelCloseness)
    apart = random(BATCH, 1, 8, 8)
    copies = apart[:1].expand(BATCH, -1, -1, -1)
    torch.testing.assert_close(
        judge.head.aside(judge.features(copies)), torch.full((BATCH, 100), BATCH - 1.0)
    )
    assert judge.head.aside(judge.features(apart)).mean() < BATCH - 1.5
    assert (judge(copies)[0] - judge(apart)[0]).abs() > 1e-3
    plain = training_setup().task.discriminators[IMAGE]
    torch.testing.assert_close(plain(copies)[0], plain(apart)[0])


def test_the_head_beside_closeness_scores_as_many_features_more():
    judge = training_setup(tricks=("minibatch_discrimination(kernels=7)",)).task.discriminators[
        IMAGE
    ]
    plain = training_setup().task.discriminators[IMAGE]
    assert judge.head.head.linear.in_features == plain.head.linear.in_features + 7


@pytest.mark.parametrize("name", ["non_saturating", "minimax", "least_squares"])
def test_label_smoothing_moves_the_target_of_reals_alone(name):
    smooth = TRICKS.make("label_smoothing(real=0.8)").transform_loss(
        LOSSES.make(name), adversarial_batch(SLOPE)
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
        LOSSES.make("least_squares"), adversarial_batch(SLOPE)
    )
    at_rest = smooth.discriminator_loss(torch.full((3,), 0.9), torch.full((3,), 0.2))
    assert at_rest.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_label_flipping_swaps_the_declared_share_of_targets(share):
    made = adversarial_batch(SLOPE, f"label_flipping(share={share})")
    flipped = made.__dict__["chain"].transform_loss(LOSSES.make("least_squares"), made)
    zeros, ones = torch.zeros(20_000), torch.ones(20_000)
    # Scores at their own targets cost half the share of swapped ones, on each side.
    assert flipped.discriminator_loss(ones, zeros).item() == pytest.approx(share, abs=0.01)
    assert flipped.discriminator_loss(zeros, ones).item() == pytest.approx(1 - share, abs=0.01)


def test_label_flipping_swaps_smoothed_targets_and_spares_the_generator():
    made = adversarial_batch(SLOPE, "label_flipping(share=0.3)", "label_smoothing(real=0.7)")
    loss = made.__dict__["chain"].transform_loss(LOSSES.make("least_squares"), made)
    score = random(50)
    assert torch.equal(
        loss.generator_loss(score, None), LOSSES.make("least_squares").generator_loss(score, None)
    )
    at_rest = loss.discriminator_loss(torch.full((9999,), 0.7), torch.full((9999,), 0.0)).item()
    assert at_rest == pytest.approx(0.3 * 0.7**2, rel=0.05)  # both sides, halved


@pytest.mark.parametrize(
    ("progress", "kept"), [(0.0, 8), (0.25, 6), (0.5, 4), (1.0, 4)]
)  # 8 * 0.5^0.5 = 5.7, rounded up
def test_top_k_teaches_the_generator_by_its_best_fakes(progress, kept):
    made = adversarial_batch(SLOPE, "top_k(least=0.5, until=0.5)", progress=progress)
    loss = made.__dict__["chain"].transform_loss(LOSSES.make("wasserstein"), made)
    score = random(8).requires_grad_()
    loss.generator_loss(score, None).backward()
    best = score.detach().argsort(descending=True)[:kept]
    expected = torch.zeros(8).index_fill(0, best, -1 / kept)
    torch.testing.assert_close(score.grad, expected)
    assert loss.discriminator_loss(score, score).item() == 0  # which sees all of them


def test_top_k_keeps_the_pairs_of_relativistic_scores():
    made = adversarial_batch(SLOPE, "top_k(least=0.5, until=0.1)", progress=1.0)
    loss = made.__dict__["chain"].transform_loss(LOSSES.make("relativistic"), made)
    assert loss.needs_real_scores
    fake, real = torch.tensor([3.0, 9.0, 1.0, 7.0]), torch.tensor([0.0, 2.0, 5.0, 4.0])
    expected = torch.nn.functional.softplus(torch.tensor([2.0 - 9.0, 4.0 - 7.0])).mean()
    assert loss.generator_loss(fake, real).item() == pytest.approx(expected.item())


def test_past_discriminators_are_the_last_that_were_kept():
    made = trainer(tricks=("past_discriminators(keep=2, every=2)",))
    past = []
    for _ in range(7):
        steps(made, 1)
        past.append(weights(made.task.discriminators[IMAGE]))
    (trick,) = made.trick
    third, second = (weights(snapshot[IMAGE]) for snapshot in trick.snapshots)
    assert same(third, past[6])  # in the place of the first
    assert same(second, past[4])


def test_past_discriminators_vote_by_the_mean():
    made = trainer(tricks=("past_discriminators(keep=3, every=1)",))
    steps(made, 2)
    made.discriminator_step()
    pairs = made.task.make_pairs(made.loader.batches(2), made.begin_step(-1))
    (trick,), task, fake = made.trick, made.task, pairs[0].fake
    judges = [task.discriminators[IMAGE], *(s[IMAGE] for s in trick.snapshots[:2])]
    loss = trick.transform_loss(LOSSES.make("non_saturating"), pairs[0])
    expected = [torch.nn.functional.softplus(-judge(fake)).mean() for judge in judges]
    found = loss.generator_loss(pairs[0].fake_score, None)
    assert found.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-6)
    assert len({round(value.item(), 6) for value in expected}) == 3  # three opinions


def test_the_energy_of_an_image_is_its_reconstruction_error():
    judge = training_setup("began(width=4, code=8)", loss="wasserstein").task.discriminators[IMAGE]
    images = split("digits").train[IMAGE].make_batch(torch.arange(5)).images
    again = judge.body.decoder(judge.body.encoder(images))
    expected = -(images - again).abs().flatten(1).mean(1)
    torch.testing.assert_close(judge(images), expected)


def test_equilibrium_moves_the_weight_of_fakes_as_published():
    made = trainer(
        "began(width=4, code=8)", tricks=("equilibrium(gamma=0.5, rate=0.1)",), loss="wasserstein"
    )
    weight, (trick,) = 0.0, made.trick
    for log in (steps(made, 1)[0] for _ in range(6)):
        real, fake = -log["real_score"], -log["fake_score"]
        assert log["discriminator"] == pytest.approx(real - weight * fake, rel=1e-4)
        assert log["generator"] > 0  # the error of what it made
        weight = min(1.0, max(0.0, weight + 0.1 * (0.5 * real - fake)))
        assert trick.weights[IMAGE].item() == pytest.approx(weight, abs=1e-6)


def test_weight_clipping_keeps_weights_in_their_box():
    made = trainer(tricks=("weight_clipping(limit=0.02)",))
    steps(made, 1)
    largest = [p.abs().max().item() for p in made.task.discriminators.parameters()]
    assert max(largest) == pytest.approx(0.02)
    assert max(p.abs().max().item() for p in made.task.generators.parameters()) > 0.1


def test_ema_is_its_closed_form():
    made, decay = trainer(tricks=("ema(decay=0.8)",)), 0.8
    past = [weights(made.task.generators)]
    for _ in range(4):
        steps(made, 1)
        past.append(weights(made.task.generators))
    for name, average in made.sampling_generators().state_dict().items():
        expected = decay**4 * past[0][name]
        for n in range(1, 5):
            expected = expected + (1 - decay) * decay ** (4 - n) * past[n][name]
        torch.testing.assert_close(average, expected, rtol=1e-5, atol=1e-7)
    assert not same(weights(made.sampling_generators()), past[-1])


def test_a_ramped_ema_keeps_half_of_what_is_older_than_a_share_of_the_steps():
    made = trainer(tricks=("ema(decay=0.9, ramp=0.5)",))
    expected = weights(made.task.generators)
    kept = [0.5 ** (1 / (0.5 * n)) for n in range(1, 21)]  # 0.9 is reached after 13 steps
    assert kept[12] < 0.9 < kept[13]
    for decay in kept:
        steps(made, 1)
        for name, now in made.task.generators.state_dict().items():
            expected[name].lerp_(now, 1 - min(decay, 0.9))
    for name, average in made.sampling_generators().state_dict().items():
        torch.testing.assert_close(average, expected[name])


def test_ema_changes_samples_and_not_training():
    plain, averaged = trainer("dcgan(width=4)"), trainer("dcgan(width=4)", tricks=("ema",))
    assert steps(plain, 2) == steps(averaged, 2)
    assert same(weights(plain.task), weights(averaged.task))
    assert plain.sampling_generators() is plain.task.generators
    ours, theirs = averaged.sampling_generators().state_dict(), plain.task.generators.state_dict()
    assert ours.keys() == theirs.keys()  # one structure: a sampler is loaded as a generator


def test_an_average_counts_batch_norms_statistics_by_itself():
    made, played = trainer("dcgan(width=4)", tricks=("ema(decay=0.9)",)), []
    steps(made, 2)
    play, expected = made.task.make_pairs, deepcopy(made.sampling_generators())
    made.task.make_pairs = lambda *given: played.append(play(*given)) or played[-1]
    steps(made, 1)
    with torch.no_grad():
        for ours, theirs in zip(
            expected.parameters(), made.sampling_generators().parameters(), strict=True
        ):
            ours.copy_(theirs)
        expected[IMAGE](played[-1][0].source)  # of the generators' turn
    assert same(weights(made.sampling_generators()), weights(expected))
    live = weights(made.task.generators)
    assert not any(torch.equal(live[k], v) for k, v in weights(expected).items() if "mean" in k)


@pytest.mark.parametrize("other", ["past_discriminators(every=1)", "historical_averaging"])
def test_what_remembers_discriminators_sees_them_clipped(other):
    made = trainer(tricks=(other, "weight_clipping(limit=0.01)"), discriminator_lr=0.02)
    steps(made, 40)
    remembered = [
        v for k, v in made.trick.state_dict().items() if "discriminators" in k or "snap" in k
    ]
    at_first = 0.5 / 40 if other == "historical_averaging" else 0  # the initial weights count once
    assert 0 < max(v.abs().max().item() for v in remembered if v.ndim) <= 0.01 + at_first


def test_each_judge_picks_the_fakes_that_it_likes_best():
    made = trainer(tricks=("past_discriminators(every=1)", "top_k(least=0.25, until=0.01)"))
    steps(made, 3), made.discriminator_step()
    pairs = made.task.make_pairs(made.loader.batches(3), made.begin_step(-1))
    loss = made.trick.transform_loss(LOSSES.make("wasserstein"), pairs[0])
    judges = [pairs[0], *loss.past]
    best = [pair.fake_score.topk(2).values.mean() for pair in judges]
    found = loss.generator_loss(pairs[0].fake_score, None).item()
    assert found == pytest.approx(-torch.stack(best).mean().item(), rel=1e-5)
    assert len(judges) == 4


@pytest.mark.parametrize("other", ["top_k", "past_discriminators"])
def test_feature_matching_objects_to_what_would_change_nothing(other):
    with pytest.raises(Incompatible, match="would change nothing"):
        training_setup(tricks=("feature_matching", other))
    training_setup(tricks=("feature_matching(adversarial=1)", other))


def test_historical_averaging_is_the_distance_to_the_mean_of_the_past():
    made = trainer(tricks=("historical_averaging(weight=2)",))
    sides = {"discriminator": made.task.discriminators, "generator": made.task.generators}
    past = {side: [] for side in sides}
    for _ in range(4):
        for side, module in sides.items():
            past[side].append([p.detach().double().numpy().copy() for p in module.parameters()])
        log = steps(made, 1)[0]
        for side in sides:
            means = [np.mean(values, axis=0) for values in zip(*past[side], strict=True)]
            now = past[side][-1]
            distance = sum(((a - b) ** 2).sum() for a, b in zip(means, now, strict=True))
            assert log[f"{side}_history"] == pytest.approx(2 * distance, rel=1e-3, abs=1e-9)
    assert log["generator_history"] > 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4)"])
def test_unrolling_moves_the_generator_elsewhere_and_puts_the_discriminator_back(text, order):
    plain, ahead = trainer(text), trainer(text, tricks=(f"unrolled(turns=3, order={order})",))
    plain.discriminator_step()
    expected = weights(plain.task.discriminators)
    moments = plain.optimizers["discriminator"].state_dict()
    kept = {
        name: value.clone()
        for n, state in moments["state"].items()
        for name, value in ((f"{n}.{key}", value) for key, value in state.items())
    }
    plain.generator_step()
    ahead.train_step()
    assert same(weights(ahead.task.discriminators), expected)  # batch norm's statistics included
    found = ahead.optimizers["discriminator"].state_dict()["state"]
    assert same({f"{n}.{key}": v for n, state in found.items() for key, v in state.items()}, kept)
    assert not same(weights(ahead.task.generators), weights(plain.task.generators))


def test_unrolling_answers_the_discriminator_of_the_turns_to_come():
    """The generators meet the discriminator that so many further turns make."""
    ahead, plain = trainer(tricks=("unrolled(turns=2, order=1)",)), trainer()
    for _ in range(3):
        plain.discriminator_step()
    plain.generator_step()
    ahead.train_step()
    assert same(weights(ahead.task.generators), weights(plain.task.generators))


@pytest.mark.parametrize("order", [1, 2])
def test_unrolling_restores_the_other_tricks_too(order):
    tricks = ("historical_averaging", "spectral_norm", "lecam(start=1)")
    one, many = (
        trainer(tricks=(*tricks, *more)) for more in ((), (f"unrolled(turns=4, order={order})",))
    )
    one.train_step(), many.train_step()
    past, anchors = (
        [v for t in (one, many) for k, v in t.trick.state_dict().items() if k.endswith(name)]
        for name in ("discriminators.image.count", "anchors")
    )
    assert past[0] == past[1] == 2
    assert torch.equal(anchors[0], anchors[1])
    assert anchors[0].any()


def bent(layers):
    """The same layers with smooth activations, so that second derivatives are nowhere zero."""
    return nn.Sequential(*(nn.Softplus() if isinstance(m, nn.LeakyReLU) else m for m in layers))


def in_doubles(made):
    """A trainer whose networks and data are float64, so that differences of losses are slopes."""
    made.task.double()
    play = made.task.make_pairs

    def doubled(batches, random):
        batches = {k: replace(b, images=b.images.double()) for k, b in batches.items()}
        with pytest.MonkeyPatch.context() as patch:
            randn = torch.randn
            patch.setattr(torch, "randn", lambda *a, **k: randn(*a, **k).double())
            return play(batches, random)

    made.task.make_pairs = doubled
    return made


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
@pytest.mark.parametrize("tricks", [(), ("r1",), ("gradient_penalty(weight=1)",), ("pacgan",)])
def test_unrolling_goes_down_the_slope_of_the_unrolled_loss(loss, tricks):
    """Metz's surrogate: the loss after the discriminator's answer, which depends on the generator too."""

    def unrolled_loss(order, along=None, length=0.0):
        chain = (*tricks, f"unrolled(turns=3, order={order})")
        made = in_doubles(trainer(tricks=chain, loss=loss, discriminator_lr=0.01))
        judge = made.task.discriminators[IMAGE]
        judge.body = bent(judge.body)
        made.discriminator_step()
        side = made.sides["generator"]
        for parameter, direction in zip(side, along or (), strict=False):
            parameter.data += length * direction
        with made.trick.lookahead(made):
            log = made.generator_step()
        return log["generator"].item(), [p.grad for p in side]

    value, slopes = unrolled_loss(2)
    as_given, first_order = unrolled_loss(1)
    assert value == pytest.approx(as_given, rel=1e-6)  # our Adam is torch's
    along = [random(*p.shape, seed=5).double() for p in slopes]
    above, below = (unrolled_loss(2, along, length)[0] for length in (1e-5, -1e-5))
    measured = (above - below) / 2e-5
    found, without = (
        sum((s * a).sum().item() for s, a in zip(side, along, strict=True))
        for side in (slopes, first_order)
    )
    assert found == pytest.approx(measured, rel=1e-4)
    assert without != pytest.approx(measured, rel=1e-2)


def test_unrolling_objects_to_what_it_cannot_run_through():
    foreign = ("weight_clipping", "gradient_clipping")
    for more, plan in (*((name, {}) for name in foreign), ("ttur", {"optimizer": "rmsprop"})):
        with pytest.raises(Incompatible, match="unrolling of order 2"):
            training_setup(tricks=("unrolled", more), **plan)
        training_setup(tricks=("unrolled(order=1)", more), **plan)


def test_gradient_clipping_bounds_the_norm_and_keeps_the_direction():
    plain, clipped = (
        trainer(loss="wasserstein"),
        trainer(loss="wasserstein", tricks=("gradient_clipping(norm=0.01)",)),
    )
    plain.discriminator_step(), clipped.discriminator_step()
    ours, theirs = (
        torch.cat([p.grad.flatten() for p in t.task.discriminators.parameters()])
        for t in (clipped, plain)
    )
    assert theirs.norm() > 0.02
    assert ours.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.dot(ours, theirs) / (ours.norm() * theirs.norm()) == pytest.approx(1, abs=1e-5)
    loose = trainer(loss="wasserstein", tricks=("gradient_clipping(norm=1000)",))
    assert steps(loose, 2) == steps(trainer(loss="wasserstein"), 2)


def test_ttur_makes_the_discriminator_so_many_times_faster():
    made = trainer(tricks=("ttur(ratio=4)",), generator_lr=1e-4, discriminator_lr=1e-3)
    steps(made, 1)
    rates = {side: o.param_groups[0]["lr"] for side, o in made.optimizers.items()}
    assert rates == {"generator": 1e-4, "discriminator": pytest.approx(4e-4)}


@pytest.mark.parametrize(
    ("progress", "std"), [(0.0, 0.5), (0.2, 0.375), (0.4, 0.25), (0.8, 0), (1.0, 0)]
)
def test_instance_noise_fades_to_nothing(progress, std):
    noise = TRICKS.make("instance_noise(std=0.5, until=0.8)")
    noise.begin_step(StepContext(RngStreams(0, CPU), 3, 0, progress))
    seen = noise.transform_discriminator_input(torch.ones(200, 200), "real") - 1
    assert seen.std().item() == pytest.approx(std, rel=0.02)
    assert seen.mean().item() == pytest.approx(0, abs=0.01)
    if std == 0:
        assert (seen == 0).all()


def test_instance_noise_is_new_every_turn_and_every_step():
    noise, seen = TRICKS.make("instance_noise"), []
    for step, turn in ((0, 0), (0, 1), (1, 0), (0, 0)):
        noise.begin_step(StepContext(RngStreams(0, CPU), step, turn, 0))
        seen.append(noise.transform_discriminator_input(torch.zeros(9), "real"))
    assert torch.equal(seen[0], seen[3])
    assert not any(torch.equal(seen[0], other) for other in seen[1:3])


def test_pacgan_shows_the_images_of_a_pack_as_channels():
    images = split("digits").train[IMAGE].make_batch(torch.arange(6)).images
    packed = TRICKS.make("pacgan(pack=3)").transform_discriminator_input(images, "real")
    assert packed.shape == (2, 3, 8, 8)
    assert all(torch.equal(packed[i, j], images[3 * i + j, 0]) for i in range(2) for j in range(3))


@pytest.mark.parametrize(("text", "data"), [("gan(width=8)", "ring"), ("dcgan(width=4)", "digits")])
def test_pacgans_discriminator_scores_a_pack_at_a_time(text, data):
    made = training_setup(text, data, tricks=("pacgan(pack=4)",))
    real = split(data).train[IMAGE].make_batch(torch.arange(8)).images
    judge = made.task.discriminators[IMAGE]
    assert judge(made.trick.transform_discriminator_input(real, "image/real")).shape == (2,)
    first = next(m for m in judge.modules() if isinstance(m, nn.Linear | nn.Conv2d)).weight
    plain = next(
        m
        for m in training_setup(text, data).task.discriminators[IMAGE].modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
    )
    assert first.shape[1] == 4 * plain.weight.shape[1]


def test_a_pack_is_noisy_image_by_image():
    """Noise comes before packing, so that each image of a pack has its own."""
    made = adversarial_batch(PACKED, "pacgan", "instance_noise(std=1)")
    view: Callable = made.discriminator_input
    noise = (view(torch.zeros(6, POINTS), "image/real")).reshape(6, POINTS)
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
def test_a_setting_without_meaning_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"(must|at least|not|above|in)") as told:
        TRICKS.make(text)
    assert len(str(told.value).split()) > 4
