"""Stacked seeds: each member follows its lone training, resumes alone, or is refused.

In float32, members leave their lone trainings by rounding. In float64 all that is left is 1e-11, so
those tests show that both compute the same.
"""

from dataclasses import replace
from math import isfinite

import numpy as np
import pytest
import torch
from helpers import CPU, same, split, steps, through_a_file, training_setup
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganbench.data.base import IMAGE, BatchLoader, to_unit_range
from ganbench.extend import FrozenNetwork
from ganbench.gan.build import Incompatible
from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks.base import Trick, TrickList
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.sampling import draw_samples_of_task
from ganbench.training.stackable import PLAIN_TRICKS, TRICKS_WITH_REPLACED_CALLS
from ganbench.training.stacked import StackedTrainer, stacking_incompatibility
from ganbench.training.trainer import Trainer

SEEDS = (0, 1, 2)
BUDGET = Budget("generator_turns", 100)
# settings with which a trick acts within a few steps, and networks that it fits
ACTIVE = {
    "ada": "ada(kimg=0.1)",
    "consistency": "consistency(fakes=1.0)",
    "ema": "ema(decay=0.9, ramp=0.5)",
    "gradient_clipping": "gradient_clipping(norm=0.1)",
    "lecam": "lecam(start=3)",
    "orthogonal_regularization": "orthogonal_regularization(of='both')",
    "past_discriminators": "past_discriminators(every=2)",
    "r1": "r1(every=2)",
    "spectral_norm": "spectral_norm(generator=True)",
}
DCGAN, CONDITIONAL = {"text": "dcgan(width=4)"}, {"text": "cdcgan(width=4, norm='none')"}
HOMES = {  # where a trick can act; gan(width=8) is that of the others
    "ada": DCGAN,
    "consistency": DCGAN,
    "diffaugment": DCGAN,
    "frequency_separation": DCGAN,
    "horizontal_flipping": DCGAN,
    "label_interpolation": CONDITIONAL,
    "logit_centering": {"loss": "relativistic"},
    "mismatch": CONDITIONAL,
    "transport_pull": {"latent": 64},  # the size of digits
}


def member_parts(seed, text, data="digits", tricks=(), dtype=torch.float32, **kwargs):
    setup = training_setup(text, data, tricks, seed=seed, **kwargs)
    setup.task.to(dtype), setup.trick.to(dtype)
    train = {k: replace(v, images=to_unit_range(v.images)) for k, v in split(data).train.items()}
    train = {k: replace(v, images=v.images.to(dtype)) for k, v in train.items()}
    streams = RngStreams(seed, CPU)
    return setup, BatchLoader(train, setup.hyperparameters.batch, streams), streams


def lone(*args, **kwargs):
    return [Trainer(*member_parts(seed, *args, **kwargs), BUDGET) for seed in SEEDS]


def stacked(*args, **kwargs):
    parts = zip(*(member_parts(seed, *args, **kwargs) for seed in SEEDS), strict=True)
    return StackedTrainer(*parts, BUDGET)


def curve_distance(training, trainers, count):
    """Returns the largest difference of a term over all steps and members."""
    largest = 0.0
    for _ in range(count):
        (together,) = steps(training, 1)
        for trainer, terms in zip(trainers, together, strict=True):
            (own,) = steps(trainer, 1)
            assert own.keys() == terms.keys()
            largest = max(largest, *(abs(own[k] - terms[k]) for k in own))
    return largest


def weight_distance(training, trainers):
    """Returns the largest difference of a weight or buffer over all members."""
    largest = 0.0
    for number, trainer in enumerate(trainers):
        ours, theirs = training.member_state(number), trainer.state_dict()
        for part in ("game", "trick"):
            assert ours[part].keys() == theirs[part].keys()
            gaps = [(ours[part][k] - x).abs().max().item() for k, x in theirs[part].items()]
            largest = max([largest, *gaps])
    return largest


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("text", "data"), [("gan(width=8)", "digits"), ("dcgan(width=4)", "digits")]
)
def test_members_follow_their_lone_trainings(text, data):
    training, trainers = stacked(text, data), lone(text, data)
    assert curve_distance(training, trainers, 50) < 1e-5
    assert weight_distance(training, trainers) < 1e-5


def test_points_follow_but_for_idle_biases():
    training, trainers = stacked("gan2d(width=8)", "ring"), lone("gan2d(width=8)", "ring")
    assert curve_distance(training, trainers, 50) < 1e-5
    # Batch norm removes the biases before it: their gradient is rounding, which Adam scales up.
    idle = [f"generators.image.{layer}.bias" for layer in (0, 3, 6, 9)]
    for number, trainer in enumerate(trainers):
        state = training.member_state(number)["game"]
        for name, own in trainer.task.state_dict().items():
            if name not in idle and "running_mean" not in name:
                torch.testing.assert_close(state[name], own, rtol=0, atol=1e-5)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_stacks(loss, float64):
    kwargs = {"loss": loss, "dtype": torch.float64}
    for text, data in (("gan2d(width=8)", "ring"), ("dcgan(width=4)", "digits")):
        training, trainers = stacked(text, data, **kwargs), lone(text, data, **kwargs)
        assert curve_distance(training, trainers, 10) < 1e-9
        assert weight_distance(training, trainers) < 1e-9


@pytest.mark.parametrize(
    "name", sorted((PLAIN_TRICKS | TRICKS_WITH_REPLACED_CALLS) - {"equilibrium", "ada"})
)
def test_every_trick_stacks(name, float64):
    home = {"text": "gan(width=8)", "tricks": (ACTIVE.get(name, name),), **HOMES.get(name, {})}
    training, trainers = (make(dtype=torch.float64, **home) for make in (stacked, lone))
    assert curve_distance(training, trainers, 8) < 1e-9
    assert weight_distance(training, trainers) < 1e-9


@pytest.mark.parametrize(
    ("text", "trick", "loss"),
    [
        ("dcgan(width=4)", "ada(kimg=0.1)", "non_saturating"),  # ADA needs float32
        ("began(width=4)", "equilibrium", "wasserstein"),
    ],
)
def test_tricks_on_images_stack_in_float32(text, trick, loss):
    args = (text, "digits", (trick,))
    training, trainers = stacked(*args, loss=loss), lone(*args, loss=loss)
    assert curve_distance(training, trainers, 8) < 1e-5


@pytest.mark.parametrize(
    "tricks", [("r1", "r2", "gradient_penalty", "ema"), ("instance_noise", "dragan")]
)
def test_tricks_stack_together(tricks, float64):
    args, kwargs = ("dcgan(width=4, norm='layer')", "digits", tricks), {"dtype": torch.float64}
    training, trainers = stacked(*args, **kwargs), lone(*args, **kwargs)
    assert curve_distance(training, trainers, 8) < 1e-9
    assert weight_distance(training, trainers) < 1e-9


@pytest.mark.parametrize(
    "text", ["cdcgan(width=4)", "acgan(width=4)", "infogan(width=4)", "sngan(width=8)"]
)
def test_labels_codes_and_residual_blocks_stack(text, float64):
    training = stacked(text, dtype=torch.float64)
    assert curve_distance(training, lone(text, dtype=torch.float64), 5) < 1e-9


def test_optimizer_turns_and_decay_match(float64):
    plan = {"optimizer": "rmsprop", "discriminator_turns": 3, "decay": 0.0}
    kwargs = {**plan, "dtype": torch.float64}
    training, trainers = stacked("gan(width=8)", **kwargs), lone("gan(width=8)", **kwargs)
    assert curve_distance(training, trainers, 8) < 1e-9
    assert weight_distance(training, trainers) < 1e-9
    assert training.spent.images == trainers[0].spent.images
    rates = [o.param_groups[0]["lr"] for o in training.optimizers.values()]
    assert rates == [o.param_groups[0]["lr"] for o in trainers[0].optimizers.values()]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_member_resumes_alone(optimizer):
    kwargs = {"tricks": ("ema",), "optimizer": optimizer}
    training = stacked("dcgan(width=4)", **kwargs)
    steps(training, 4)
    state = through_a_file(training.member_state(1))
    trainer = lone("dcgan(width=4)", **kwargs)[1]
    assert state.keys() == trainer.state_dict().keys()
    trainer.load_state_dict(state)
    assert (trainer.step, trainer.spent.images) == (4, training.spent.images)
    for _ in range(4):
        (together,), (own,) = steps(training, 1), steps(trainer, 1)
        assert own == pytest.approx(together[1], rel=1e-5, abs=1e-6)


def test_lone_states_continue_stacked():
    training, trainers = stacked("gan(width=8)"), lone("gan(width=8)")
    for trainer in trainers:
        steps(trainer, 3)
    training.load_member_states([through_a_file(t.state_dict()) for t in trainers])
    assert training.step == 3
    assert curve_distance(training, trainers, 5) < 1e-5


def test_saved_stack_resumes_exactly():
    first, second = stacked("dcgan(width=4)"), stacked("dcgan(width=4)")
    steps(first, 3)
    second.load_member_states([through_a_file(first.member_state(i)) for i in range(len(SEEDS))])
    assert steps(first, 3) == steps(second, 3)
    assert same(first.member_state(2)["game"], second.member_state(2)["game"])


def test_states_of_different_steps_are_refused():
    training, trainers = stacked("gan(width=8)"), lone("gan(width=8)")
    steps(trainers[0], 1)
    with pytest.raises(ValueError, match="all at the same step"):
        training.load_member_states([trainer.state_dict() for trainer in trainers])


def test_member_state_shares_no_memory():
    training = stacked("gan(width=8)")
    steps(training, 1)
    state = training.member_state(1)
    before = {name: tensor.clone() for name, tensor in state["game"].items()}
    steps(training, 1)
    assert same(before, state["game"])
    for tensor in state["game"].values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_sampling_generators_are_the_averages():
    training, trainers = (
        make("gan(width=8)", tricks=("ema(decay=0.5)",)) for make in (stacked, lone)
    )
    curve_distance(training, trainers, 5)
    for number, (trainer, member) in enumerate(zip(trainers, training.members, strict=True)):
        samples = [
            draw_samples_of_task(
                trainer.task, generators, split("digits").held_out, member.streams, "test", 16
            ).images
            for generators in (trainer.sampling_generators(), training.sampling_generators(number))
        ]
        torch.testing.assert_close(*samples, rtol=0, atol=1e-5)


def test_members_draw_their_own_seeds():
    training = stacked("gan(width=8)")
    inputs = training.draw_inputs(0, 0)
    images, latents = inputs[f"{IMAGE}/images"], inputs["latents"]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(latents[0], latents[1])
    trainer = lone("gan(width=8)")[2]
    assert torch.equal(images[2], trainer.loader.batches(0)[IMAGE].images)


def test_one_divergence_leaves_the_others():
    training, trainers = stacked("gan(width=8)"), lone("gan(width=8)")
    steps(training, 2)
    next(training.sampling_generators(1).parameters()).data.fill_(torch.nan)
    (terms,) = steps(training, 1)
    assert list(training.diverged) == [1]
    assert training.diverged[1].step == 2
    assert [all(map(isfinite, own.values())) for own in terms] == [True, False, True]
    (own,) = steps(trainers[2], 3)[2:]
    assert terms[2] == pytest.approx(own, rel=1e-5, abs=1e-6)


class HostReads(TorchDispatchMode):
    """Counts reads of a tensor's value by the host."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("tricks", [(), ("r1", "ema", "gradient_penalty")])
def test_steps_never_read_from_the_device(tricks):
    training = stacked("gan(width=8)", tricks=tricks)
    steps(training, 1)
    with HostReads() as reads:
        training.train_step()
        assert reads.count == 0
        training.flush()


@pytest.mark.parametrize(
    ("text", "data", "tricks", "reason"),
    [
        ("gan(width=8)", "digits", ("unrolled",), "takes steps and reverts them"),
        ("progan(width=4)", "digits", ("progressive_growing",), "changes the layers"),
        ("stylegan2(width=4)", "digits", ("path_length",), "path_length differentiates"),
        ("stylegan2(width=4)", "digits", (), "layers draw random numbers"),
        ("srgan(width=4)", "digits", (), "this task translates images"),
    ],
)
def test_reasons_against_stacking(text, data, tricks, reason):
    assert reason in stacking_incompatibility(training_setup(text, data, tricks))
    with pytest.raises(Incompatible, match=reason):
        stacked(text, data, tricks)


@pytest.mark.parametrize(
    "hidden", [torch.zeros(3), np.zeros(3), [torch.zeros(3)], {"a": (torch.zeros(3),)}]
)
def test_tensors_that_members_would_share_are_refused(hidden):
    """Members run on the modules of the first one, and its own tensors are in these."""
    setup = training_setup("gan(width=8)")
    setup.task.generators["image"].hidden = hidden
    expected = "generators.image.hidden holds values that are neither parameters nor buffers"
    assert stacking_incompatibility(setup) == expected


def test_frozen_networks_are_refused():
    setup = training_setup("gan(width=8)")
    setup.task.generators["image"].backbone = FrozenNetwork(nn.Linear(3, 3))
    assert "backbone.hidden holds values" in stacking_incompatibility(setup)


def test_unknown_tricks_are_refused():
    setup = training_setup("gan(width=8)")
    assert stacking_incompatibility(setup) is None
    unknown = type("MyTrick", (Trick,), {})()
    reason = stacking_incompatibility(replace(setup, trick=TrickList({"my_trick": unknown})))
    assert reason == "my_trick has not been tried with stacked members"


def test_budget_of_seconds_is_refused():
    parts = zip(*(member_parts(seed, "gan(width=8)") for seed in SEEDS), strict=True)
    with pytest.raises(Incompatible, match="budget of images or steps"):
        StackedTrainer(*parts, Budget("seconds", 10))


def test_time_is_shared_by_members():
    training = stacked("gan(width=8)")
    training.began -= 30
    training.flush()
    assert training.spent.seconds == pytest.approx(10, abs=2)
