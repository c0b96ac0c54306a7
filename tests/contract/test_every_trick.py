"""Contract of tricks: train or explain why not, resume, and leave other streams unchanged."""

import csv
import itertools
from functools import cache

import pytest
import torch
from compatibility import PAIR_TABLE, pair_rows
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
from trick_cases import (
    PAIR_SETUPS,
    SINGLE_SETUPS,
    TOGETHER,
    TRICK_SPECS,
    assert_outcomes_of_table,
    at_home,
    every_trick,
    outcome_of_incompatibility,
    training_outcome,
)

from ganbench.data.base import IMAGE
from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant

pytestmark = pytest.mark.heavy

SETUPS = [setup[:2] for setup in SINGLE_SETUPS[:4]]  # without translation
every_setup = pytest.mark.parametrize(("text", "data"), SETUPS)


@every_setup
@pytest.mark.parametrize("loss", LOSSES.entries)
def test_every_loss_trains_without_tricks(text, data, loss):
    assert training_outcome(text, data, (), loss) == "trained"


@every_setup
@every_trick
def test_trick_trains_with_the_losses_of_the_table(name, text, data):
    assert_outcomes_of_table(name, text, data, LOSSES.entries)


LABEL_TASKS = [
    "cdcgan(width=4, norm='layer')",  # penalties are incompatible with batch norm
    "acgan(width=4, norm='layer')",
    "infogan(width=4, norm='layer')",
]
RESIDUAL_VARIANTS = ["projection(width=8)", "sagan(width=4)", "biggan(width=4)", "cr3gan(width=4)"]
# These need reconstruction errors, images without labels, styles, growing networks or many latents.
EXCLUDED = (
    *("equilibrium", "image_pool", "pacgan", "path_length", "progressive_growing"),
    "transport_pull",
)
OF_LABELS = ("label_interpolation", "matching_penalty", "mismatch")


def is_excluded(name, text):
    """Returns whether a trick cannot act on a conditional variant."""
    if name in OF_LABELS and text.startswith(("acgan", "infogan")):
        return True  # their scores are of images alone
    if name == "post_hoc_ema":
        return "r3gan" not in text  # the other generators have batch norm
    if name == "label_interpolation":
        return text in RESIDUAL_VARIANTS  # every block has its own codes of labels
    return name in EXCLUDED or (name == "spectral_norm" and "r3gan" in text)


@pytest.mark.parametrize(
    "text", [*LABEL_TASKS, *(pytest.param(t, marks=pytest.mark.slow) for t in RESIDUAL_VARIANTS)]
)
@every_trick
def test_trick_trains_in_conditional_tasks_unless_excluded(name, text):
    outcomes = {
        loss: training_outcome(text, "digits", (TRICK_SPECS[name],), loss)
        for loss in ("non_saturating", "relativistic")
    }
    assert ("trained" in outcomes.values()) is not is_excluded(name, text)


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "acgan(width=4)", "infogan(width=4)"])
@pytest.mark.parametrize("trick", [None, "ema", "unrolled(turns=1, order=1)"])
def test_resumed_conditional_training_gives_same_bits(text, trick):
    unbroken, resumed = (trainer(text, tricks=(trick,) if trick else ()) for _ in range(2))
    steps(unbroken, 2)
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    assert steps(unbroken, 2) == steps(resumed, 2)
    assert same(weights(unbroken.task), weights(resumed.task))


@every_trick
def test_trick_trains_in_some_setup(name):
    others = ("dcgan(width=4, norm='layer')", "stylegan(width=4)", "cdcgan(width=4, norm='layer')")
    setups = [*SETUPS, *((text, "digits") for text in others)]
    attempts = itertools.product(setups, ("non_saturating", "wasserstein"))
    outcomes = [training_outcome(*setup, (TRICK_SPECS[name],), loss) for setup, loss in attempts]
    home = {"loss": "non_saturating", **at_home(name)}
    outcomes.append(training_outcome(data="digits", tricks=(TRICK_SPECS[name],), **home))
    assert "trained" in outcomes


@pytest.mark.parametrize(("text", "data", "loss"), PAIR_SETUPS)
@every_trick
def test_two_tricks_train_unless_incompatible(name, text, data, loss):
    for other in TRICK_SPECS:
        if name < other:
            outcome = training_outcome(text, data, (TRICK_SPECS[other], TRICK_SPECS[name]), loss)
            assert outcome == expected_outcome(text, name, other), other


@pytest.mark.parametrize("setup", PAIR_SETUPS)
def test_table_of_pairs_is_that_of_the_code(setup):
    with PAIR_TABLE.open(encoding="utf-8") as file:
        rows = [tuple(row) for row in csv.reader(file) if row[0] == setup[0]]
    assert rows == list(pair_rows(*setup))


def expected_outcome(text, name, other):
    """Returns the outcome of a pair in the committed table, or the one that follows from both alone."""
    reasons = reasons_of_pairs(text)
    alone = reasons.get((name, "")) or reasons.get((other, ""))
    return "rejected" if reasons.get((name, other), alone) else "trained"


@cache
def reasons_of_pairs(text):
    """Returns the reasons of the committed table; a single trick has no other."""
    with PAIR_TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["trick"], row["other"]): row["reason"] for row in rows if row["variant"] == text}


@cache
def weights_after_training(*tricks):
    """Returns all weights after a few steps, or "rejected"."""
    try:
        training = trainer(tricks=tricks, discriminator_lr=0.02)  # separates real images early
    except Incompatible as error:
        return outcome_of_incompatibility(error)
    steps(training, 5)
    return weights(training.task), weights(training.sampling_generators())


@every_trick
def test_trick_changes_training_beside_every_other(name):
    for other in TRICK_SPECS.values():
        both = (
            weights_after_training(*sorted((TRICK_SPECS[name], other)))
            if other != TRICK_SPECS[name]
            else "rejected"
        )
        assert both == "rejected" or not same(both, weights_after_training(other)), other


def test_all_tricks_train_together():
    specs = TRICK_SPECS | {
        "unrolled": "unrolled(turns=1, order=1)",
        "feature_matching": "feature_matching(adversarial=1)",
    }
    tricks = tuple(specs[name] for name in TOGETHER)
    assert training_outcome("gan(width=8)", "digits", tricks, "non_saturating") == "trained"


def test_incompatibilities_match_the_papers():
    def is_incompatible(text, trick, loss="non_saturating"):
        return training_outcome(text, "digits", (trick,), loss) == "rejected"

    assert is_incompatible("dcgan(width=4)", "r1")
    assert is_incompatible("dcgan(width=4)", "gradient_penalty")
    assert not is_incompatible("dcgan(width=4, norm='layer')", "gradient_penalty")
    assert is_incompatible("gan(width=8)", "label_smoothing", "hinge")
    assert is_incompatible("gan(width=8)", "label_smoothing", "wasserstein")
    assert is_incompatible("gan(width=8)", "pacgan(pack=3)")  # does not divide a batch of 8
    with pytest.raises(Incompatible, match="has r1 already"):
        trainer(tricks=("r1", "r1(weight=1)"))
    with pytest.raises(Incompatible, match="r1 already"):
        trainer(tricks=("r1", "ema", "r1"))


@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4, norm='layer')"])
@every_trick
def test_resumed_training_gives_same_bits(name, text):
    settings = {"tricks": (TRICK_SPECS[name],), "discriminator_turns": 2, "decay": 0.2}
    settings |= at_home(name, text)
    unbroken = trainer(**settings)
    steps(unbroken, 2)
    state = through_a_file(unbroken.state_dict())
    logs = steps(unbroken, 2)
    torch.manual_seed(999)  # as in another process
    resumed = trainer(seed=0, **settings)
    resumed.load_state_dict(state)
    assert steps(resumed, 2) == logs
    unbroken_state, resumed_state = unbroken.state_dict(), resumed.state_dict()
    for state in (unbroken_state, resumed_state):
        state["spent"].pop("seconds")
    assert same(unbroken_state, resumed_state)
    assert same(
        unbroken.sampling_generators().state_dict(), resumed.sampling_generators().state_dict()
    )


def test_state_comparison_detects_differences():
    short, long = trainer(), trainer()
    assert same(short.task.state_dict(), long.task.state_dict())
    steps(short, 1), steps(long, 2)
    assert not same(short.state_dict(), long.state_dict())


def test_seed_changes_training():
    assert steps(trainer(seed=0), 1) != steps(trainer(seed=1), 1)


@every_trick
@pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4, norm='layer')"])
def test_trick_keeps_initial_weights(name, text):
    home = at_home(name, text)
    plain, tricked = (
        weights(training_setup(tricks=t, **home).task) for t in ((), (TRICK_SPECS[name],))
    )
    if name == "spectral_norm":
        tricked = {
            k.replace("parametrizations.weight.original", "weight"): v for k, v in tricked.items()
        }
    agree = {k for k in plain if k in tricked and plain[k].shape == tricked[k].shape}
    # if the weight has another shape, the bias belongs to another layer
    sibling = {k: k.replace(".bias", ".weight") for k in plain}
    shared = [k for k in agree if sibling[k] in agree or sibling[k] not in plain]
    assert all(k in shared for k in plain if k.startswith("generators"))
    norms = {k for k in plain if "norm" in k}  # removed by spectral norm
    assert (
        len(shared) >= len(set(plain) - norms) - 3
    )  # a layer was widened or moved into another head
    levels = {k for k in plain if k.endswith("_extra_state")}  # growth levels of networks
    assert all(torch.equal(plain[k], tricked[k]) for k in set(shared) - levels)


class PairRecorder:
    """Records the latents and real indices that a task makes its pairs from."""

    def __init__(self, trainer):
        self.latents, self.reals, make_pairs = [], [], trainer.task.make_pairs

        def record_pairs(batches, random):
            pairs = make_pairs(batches, random)
            self.latents += [pair.source for pair in pairs]
            self.reals += [batches[IMAGE].index]
            return pairs

        trainer.task.make_pairs = record_pairs


@every_trick
def test_trick_keeps_latents_and_data_order(name):
    recorders = []
    for tricks in ((), (TRICK_SPECS[name],)):
        training = trainer(tricks=tricks, **at_home(name))
        recorders.append(PairRecorder(training))
        (
            steps(training, 1),
            training.begin_step(0),
            training.task.make_pairs(training.loader.batches(1), training.begin_step(0)),
        )
    plain, tricked = recorders
    if name == "unrolled":  # its lookahead lies between the first and the last step
        del tricked.latents[1:-2], tricked.reals[1:-2]
    assert same(plain.latents, tricked.latents)
    assert same(plain.reals, tricked.reals)


@pytest.mark.parametrize("other", ["gradient_penalty", "r1", "feature_matching"])
def test_instance_noise_is_independent_of_other_tricks(other):
    x = split("digits").train[IMAGE].make_batch(torch.arange(8)).images
    noises = []
    for tricks in ((), (other,)):
        training = trainer(tricks=("instance_noise(std=1)", *tricks))
        training.begin_step(0)
        if tricks:  # another input is transformed first
            training.trick.transform_discriminator_input(x, f"image/{other}")
        noises.append(
            [
                training.trick.transform_discriminator_input(x, role) - x
                for role in ("image/real", "image/fake")
            ]
        )
    assert same(*noises)
    assert not torch.equal(*noises[0])  # noise differs for real and generated images


@every_setup
def test_no_tricks_equal_plain_gan(text, data):
    """Compares two steps with the algorithm written out, with the trainer's random draws."""
    training, twin = trainer(text, data, loss="non_saturating"), training_setup(text, data).task
    discriminator, generator = twin.discriminators[IMAGE], twin.generators[IMAGE]
    optimizers = [
        torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999)) for m in (discriminator, generator)
    ]
    log_sigmoid = torch.nn.functional.logsigmoid
    for step in range(2):
        real = training.loader.batches(step)[IMAGE].images
        first, second = ([training.step, t] for t in (0, -1))
        latents = [torch.randn(8, 4, generator=training.begin_step(t)) for _, t in (first, second)]
        log = steps(training, 1)[0]
        with torch.no_grad():
            fake = generator(latents[0])
        loss = -log_sigmoid(discriminator(real)).mean() - log_sigmoid(-discriminator(fake)).mean()
        assert log["discriminator"] == pytest.approx(loss.item(), rel=1e-5)
        optimizers[0].zero_grad(), loss.backward(), optimizers[0].step()
        loss = -log_sigmoid(discriminator(generator(latents[1]))).mean()
        assert log["generator"] == pytest.approx(loss.item(), rel=1e-5)
        optimizers[1].zero_grad(), loss.backward(), optimizers[1].step()
    for parameter, expected in zip(training.task.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-3, atol=2e-5)


def test_trick_order_does_not_matter():
    tricks = [
        TRICK_SPECS[name]
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
        training = trainer(tricks=order)
        runs.append(
            (steps(training, 2), weights(training.task), weights(training.sampling_generators()))
        )
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


@every_trick
def test_check_recipe_agrees_with_build(name):
    """The check on the meta device must give the same result as the real build."""
    for (text, data), loss in itertools.product(SETUPS, ("hinge", "minimax")):
        plan = Hyperparameters(batch=BATCH, latent=LATENT)
        recipe = Recipe("", resolve_variant(text).network, loss, (TRICK_SPECS[name],), plan)
        outcomes = []
        for build in (
            lambda r=recipe, d=data: check_recipe(r, d),
            lambda t=text, d=data, o=loss: training_setup(t, d, (TRICK_SPECS[name],), o),
        ):
            try:
                build()
                outcomes.append("built")
            except Incompatible as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


def test_network_rejects_incompatible_data():
    with pytest.raises(Incompatible, match="dcgan makes images"):
        training_setup("dcgan", "ring")
    with pytest.raises(Incompatible, match="dcgan makes images"):
        check_recipe(resolve_variant("dcgan"), "ring")
