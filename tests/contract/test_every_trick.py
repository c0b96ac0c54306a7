"""What every trick promises, whatever it does: to train or to object, to resume, to leave others alone."""

import itertools
from functools import cache

import pytest
import torch
from helpers import (
    BATCH,
    LATENT,
    same,
    split,
    steps,
    through_a_file,
    trainer,
    training_setup,
    weights,
)
from trick_cases import HOME, TRICK, at_home, every_trick, objected, trains_or_objects

from ganbench.data.base import IMAGE
from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant

SETUPS = [
    ("gan(width=8)", "digits"),
    ("dcgan(width=4)", "digits"),
    ("gan(width=8)", "ring"),
    ("began(width=4, code=8)", "digits"),
]
every_setup = pytest.mark.parametrize(("text", "data"), SETUPS)


@every_setup
@pytest.mark.parametrize("loss", LOSSES.entries)
def test_every_loss_trains_without_tricks(text, data, loss):
    assert trains_or_objects(text, data, (), loss) == "trained"


@every_setup
@every_trick
def test_a_trick_trains_under_every_loss_or_says_why_not(name, text, data):
    for loss in LOSSES.entries:
        trains_or_objects(text, data, (TRICK[name],), loss)


GAMES_OF_LABELS = [
    "cdcgan(width=4, norm='layer')",  # penalties object to batch norm
    "acgan(width=4, norm='layer')",
    "infogan(width=4, norm='layer')",
]
RESIDUAL = ["projection(width=8)", "sagan(width=4)", "biggan(width=4)", "cr3gan(width=4)"]
# A balance of errors, packs and pools of images with labels each, and what asks for styles or networks that grow.
FOREIGN = ("equilibrium", "image_pool", "pacgan", "path_length", "progressive_growing")


@pytest.mark.parametrize(
    "text", [*GAMES_OF_LABELS, *(pytest.param(t, marks=pytest.mark.slow) for t in RESIDUAL)]
)
@every_trick
def test_a_trick_trains_in_a_conditional_game_or_says_why_not(name, text):
    endings = {
        loss: trains_or_objects(text, "digits", (TRICK[name],), loss)
        for loss in ("non_saturating", "relativistic")
    }
    foreign = name in FOREIGN or (name == "spectral_norm" and "r3gan" in text)
    assert ("trained" in endings.values()) is not foreign


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "acgan(width=4)", "infogan(width=4)"])
@pytest.mark.parametrize("trick", [None, "ema", "unrolled(turns=1, order=1)"])
def test_a_resumed_conditional_training_repeats_the_unbroken_one(text, trick):
    unbroken, resumed = (trainer(text, tricks=(trick,) if trick else ()) for _ in range(2))
    steps(unbroken, 2)
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    assert steps(unbroken, 2) == steps(resumed, 2)
    assert same(weights(unbroken.task), weights(resumed.task))


@every_trick
def test_a_trick_trains_somewhere(name):
    setups = [*SETUPS, ("dcgan(width=4, norm='layer')", "digits"), ("stylegan(width=4)", "digits")]
    tried = itertools.product(setups, ("non_saturating", "wasserstein"))
    endings = [trains_or_objects(*setup, (TRICK[name],), loss) for setup, loss in tried]
    assert "trained" in endings


@pytest.mark.parametrize(
    ("text", "data", "loss"),
    [
        ("gan(width=8)", "digits", "non_saturating"),
        ("dcgan(width=4)", "digits", "hinge"),
        ("dcgan(width=4, norm='layer')", "digits", "wasserstein"),  # penalties object to batch norm
        ("gan2d(width=8)", "ring", "relativistic"),
    ],
)
@every_trick
def test_two_tricks_train_together_or_say_why_not(name, text, data, loss):
    for other in TRICK:
        if name < other:
            trains_or_objects(text, data, (TRICK[other], TRICK[name]), loss)


@cache
def left_behind(*tricks):
    """All weights after a few steps, or the objection."""
    try:
        made = trainer(tricks=tricks, discriminator_lr=0.02)  # soon sure of the reals
    except Incompatible as objection:
        return objected(objection)
    steps(made, 5)
    return weights(made.task), weights(made.sampling_generators())


@every_trick
def test_a_trick_does_something_beside_every_other(name):
    for other in TRICK.values():
        both = left_behind(*sorted((TRICK[name], other))) if other != TRICK[name] else "objected"
        assert both == "objected" or not same(both, left_behind(other)), other


def test_all_tricks_at_once_train():
    chosen = TRICK | {
        "unrolled": "unrolled(turns=1, order=1)",
        "feature_matching": "feature_matching(adversarial=1)",
    }
    tricks = tuple(chosen[name] for name in TRICK if name not in HOME)
    assert trains_or_objects("gan(width=8)", "digits", tricks, "non_saturating") == "trained"


def test_objections_are_those_that_the_papers_give():
    def objects(text, trick, loss="non_saturating"):
        return trains_or_objects(text, "digits", (trick,), loss) == "objected"

    assert objects("dcgan(width=4)", "r1")
    assert objects("dcgan(width=4)", "gradient_penalty")
    assert not objects("dcgan(width=4, norm='layer')", "gradient_penalty")
    assert objects("gan(width=8)", "label_smoothing", "hinge")
    assert objects("gan(width=8)", "label_smoothing", "wasserstein")
    assert objects("gan(width=8)", "pacgan(pack=3)")  # of a batch of 8
    with pytest.raises(Incompatible, match="has r1 already"):
        trainer(tricks=("r1", "r1(weight=1)"))
    with pytest.raises(Incompatible, match="r1 already"):
        trainer(tricks=("r1", "ema", "r1"))


@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4, norm='layer')"])
@every_trick
def test_a_resumed_training_repeats_the_unbroken_one_bit_for_bit(name, text):
    plan = {"tricks": (TRICK[name],), "discriminator_turns": 2, "decay": 0.2}
    plan |= at_home(name, text)
    unbroken = trainer(**plan)
    steps(unbroken, 2)
    state = through_a_file(unbroken.state_dict())
    logs = steps(unbroken, 2)
    torch.manual_seed(999)  # what another process would have
    resumed = trainer(seed=0, **plan)
    resumed.load_state_dict(state)
    assert steps(resumed, 2) == logs
    ours, theirs = unbroken.state_dict(), resumed.state_dict()
    for state in (ours, theirs):
        state["spent"].pop("seconds")
    assert same(ours, theirs)
    assert same(
        unbroken.sampling_generators().state_dict(), resumed.sampling_generators().state_dict()
    )


def test_the_comparison_of_states_sees_a_difference():
    one, other = trainer(), trainer()
    assert same(one.task.state_dict(), other.task.state_dict())
    steps(one, 1), steps(other, 2)
    assert not same(one.state_dict(), other.state_dict())


def test_another_seed_is_another_training():
    assert steps(trainer(seed=0), 1) != steps(trainer(seed=1), 1)


@every_trick
@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4, norm='layer')"])
def test_a_trick_leaves_initial_weights_as_they_were(name, text):
    home = at_home(name, text)
    plain, tricked = (weights(training_setup(tricks=t, **home).task) for t in ((), (TRICK[name],)))
    if name == "spectral_norm":
        tricked = {
            k.replace("parametrizations.weight.original", "weight"): v for k, v in tricked.items()
        }
    agree = {k for k in plain if k in tricked and plain[k].shape == tricked[k].shape}
    # a bias belongs to its weight: where that has another shape, it is another layer
    sibling = {k: k.replace(".bias", ".weight") for k in plain}
    shared = [k for k in agree if sibling[k] in agree or sibling[k] not in plain]
    assert all(k in shared for k in plain if k.startswith("generators"))
    norms = {k for k in plain if "norm" in k}  # that spectral norm takes away
    assert (
        len(shared) >= len(set(plain) - norms) - 3
    )  # a layer that grew, or moved into another head
    levels = {k for k in plain if k.endswith("_extra_state")}  # how far networks have grown
    assert all(torch.equal(plain[k], tricked[k]) for k in set(shared) - levels)


class Overheard:
    """What a game was played with, recorded on the way."""

    def __init__(self, trainer):
        self.latents, self.reals, play = [], [], trainer.task.make_pairs

        def heard(batches, random):
            pairs = play(batches, random)
            self.latents += [pair.source for pair in pairs]
            self.reals += [batches[IMAGE].index]
            return pairs

        trainer.task.make_pairs = heard


@every_trick
def test_a_trick_does_not_move_latents_or_the_order_of_data(name):
    heard = []
    for tricks in ((), (TRICK[name],)):
        made = trainer(tricks=tricks, **at_home(name))
        heard.append(Overheard(made))
        (
            steps(made, 1),
            made.begin_step(0),
            made.task.make_pairs(made.loader.batches(1), made.begin_step(0)),
        )
    plain, tricked = heard
    if name == "unrolled":  # which looks ahead between the first turn and the generators'
        del tricked.latents[1:-2], tricked.reals[1:-2]
    assert same(plain.latents, tricked.latents)
    assert same(plain.reals, tricked.reals)


@pytest.mark.parametrize("other", ["gradient_penalty", "r1", "feature_matching"])
def test_instance_noise_is_the_same_beside_another_trick(other):
    x = split("digits").train[IMAGE].make_batch(torch.arange(8)).images
    seen = []
    for tricks in ((), (other,)):
        made = trainer(tricks=("instance_noise(std=1)", *tricks))
        made.begin_step(0)
        if tricks:  # has something else shown before
            made.trick.transform_discriminator_input(x, f"image/{other}")
        seen.append(
            [
                made.trick.transform_discriminator_input(x, role) - x
                for role in ("image/real", "image/fake")
            ]
        )
    assert same(*seen)
    assert not torch.equal(*seen[0])  # reals and fakes have noise of their own


@every_setup
def test_the_empty_chain_is_the_plain_gan(text, data):
    """Two steps against the algorithm written out, with Adam and the trainer's own draws."""
    made, twin = trainer(text, data, loss="non_saturating"), training_setup(text, data).task
    real_side, fake_side = twin.discriminators[IMAGE], twin.generators[IMAGE]
    optimizers = [
        torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999)) for m in (real_side, fake_side)
    ]
    log_sigmoid = torch.nn.functional.logsigmoid
    for step in range(2):
        real = made.loader.batches(step)[IMAGE].images
        first, second = ([made.step, t] for t in (0, -1))
        latents = [torch.randn(8, 4, generator=made.begin_step(t)) for _, t in (first, second)]
        log = steps(made, 1)[0]
        with torch.no_grad():
            fake = fake_side(latents[0])
        loss = -log_sigmoid(real_side(real)).mean() - log_sigmoid(-real_side(fake)).mean()
        assert log["discriminator"] == pytest.approx(loss.item(), rel=1e-5)
        optimizers[0].zero_grad(), loss.backward(), optimizers[0].step()
        loss = -log_sigmoid(real_side(fake_side(latents[1]))).mean()
        assert log["generator"] == pytest.approx(loss.item(), rel=1e-5)
        optimizers[1].zero_grad(), loss.backward(), optimizers[1].step()
    for ours, theirs in zip(made.task.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5)


def test_the_order_in_which_tricks_are_listed_changes_nothing():
    tricks = [
        TRICK[name]
        for name in (
            "pacgan",
            "instance_noise",
            "spectral_norm",
            "minibatch_discrimination",
            "ema",
            "r1",
        )
    ]
    runs = []
    for order in (tricks, tricks[::-1], tricks[3:] + tricks[:3]):
        made = trainer(tricks=order)
        runs.append((steps(made, 2), weights(made.task), weights(made.sampling_generators())))
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


@every_trick
def test_checking_agrees_with_building(name):
    """What is checked on the meta device, before anything runs, is what then happens."""
    for (text, data), loss in itertools.product(SETUPS, ("hinge", "minimax")):
        plan = Hyperparameters(batch=BATCH, latent=LATENT)
        recipe = Recipe("", resolve_variant(text).network, loss, (TRICK[name],), plan)
        endings = []
        for attempt in (
            lambda r=recipe, d=data: check_recipe(r, d),
            lambda t=text, d=data, o=loss: training_setup(t, d, (TRICK[name],), o),
        ):
            try:
                attempt()
                endings.append("built")
            except Incompatible as objection:
                endings.append(str(objection))
        assert endings[0] == endings[1]


def test_a_network_that_cannot_be_built_for_the_data_objects():
    with pytest.raises(Incompatible, match="dcgan makes images"):
        training_setup("dcgan", "ring")
    with pytest.raises(Incompatible, match="dcgan makes images"):
        check_recipe(resolve_variant("dcgan"), "ring")
