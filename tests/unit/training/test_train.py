"""The trainer: whose turn moves whom, what it spends, and how it ends."""

import pytest
import torch
from helpers import BATCH, same, steps, trainer, weights

from ganbench.data.base import IMAGE
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.training.budget import Budget, Spent
from ganbench.training.trainer import Diverged

both = pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4)"])


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@both
def test_a_generator_turn_moves_generators_alone(text):
    made = trainer(text)
    before = parameters(made.task.discriminators), parameters(made.task.generators)
    made.generator_step()
    assert same(parameters(made.task.discriminators), before[0])
    assert all(p.grad is None for p in made.task.discriminators.parameters())
    after = parameters(made.task.generators)
    assert not any(torch.equal(after[name], before[1][name]) for name in after if "weight" in name)


@both
def test_a_discriminator_turn_moves_discriminators_alone(text):
    made = trainer(text)
    before = parameters(made.task.discriminators), parameters(made.task.generators)
    made.discriminator_step()
    assert same(parameters(made.task.generators), before[1])
    assert all(p.grad is None for p in made.task.generators.parameters())
    after = parameters(made.task.discriminators)
    assert not any(torch.equal(after[name], before[0][name]) for name in after if "weight" in name)


@pytest.mark.parametrize("turns", [1, 3])
def test_a_step_spends_a_batch_a_discriminator_turn(turns):
    made = trainer(discriminator_turns=turns)
    steps(made, 2)
    spent = made.spent
    assert (spent.images, spent.discriminator_turns, spent.generator_turns) == (
        2 * turns * BATCH,
        2 * turns,
        2,
    )
    assert made.step == 2
    assert spent.seconds > 0


def test_turns_that_only_look_ahead_are_not_spent():
    made = trainer(tricks=("unrolled(turns=3)",))
    steps(made, 2)
    assert made.spent.images == 2 * BATCH


def test_every_discriminator_turn_has_another_batch():
    made, dealt = trainer(discriminator_turns=3), []
    batches = made.loader.batches
    made.loader.batches = lambda number: dealt.append(number) or batches(number)
    steps(made, 2)
    assert dealt == [0, 1, 2, 2, 3, 4, 5, 5]  # the generators meet the reals seen last


def test_every_turn_has_latents_of_its_own():
    made, given = trainer(discriminator_turns=2), []
    generator = made.task.generators[IMAGE]
    generator.register_forward_pre_hook(lambda _, latents: given.append(latents[0].clone()))
    steps(made, 2)
    assert len(given) == 6
    assert len({tuple(latents.flatten().tolist()) for latents in given}) == 6
    everything = torch.cat(given)
    assert everything.mean().abs() < 4 / everything.numel() ** 0.5
    assert everything.std().item() == pytest.approx(1, abs=0.2)


def test_a_planted_nan_is_a_divergence_with_its_step_and_its_terms():
    made = trainer()
    steps(made, 2)
    made.train_step()
    with torch.no_grad():
        next(made.task.generators.parameters()).fill_(torch.nan)
    made.train_step(), made.train_step()
    with pytest.raises(Diverged) as told:
        made.flush()
    assert told.value.step == 3  # counted from 0, the first that was not finite
    assert told.value.terms["generator"] != told.value.terms["generator"]
    assert str(told.value).startswith("step 3: ")
    assert "generator=nan" in str(told.value)


def test_a_flush_is_the_mean_of_the_terms_since_the_last():
    one, two = trainer(), trainer()
    apart = steps(one, 3)
    for _ in range(3):
        two.train_step()
    together = two.flush()
    assert together.keys() == apart[0].keys()
    for name, value in together.items():
        assert value == pytest.approx(sum(log[name] for log in apart) / 3)
    assert two.flush() == {}


def test_a_lazy_term_is_averaged_over_the_steps_that_had_it():
    made = trainer(tricks=("r1(every=2)",))
    logs = steps(made, 4)
    assert ["r1" in log for log in logs] == [True, False, True, False]
    again = trainer(tricks=("r1(every=2)",))
    for _ in range(4):
        again.train_step()
    assert again.flush()["r1"] == pytest.approx((logs[0]["r1"] + logs[2]["r1"]) / 2)


def test_learning_rates_fall_linearly_from_the_decay_to_zero():
    made = trainer(
        decay=0.5, budget=Budget("generator_turns", 8), generator_lr=1e-3, discriminator_lr=4e-3
    )
    rates = []
    for _ in range(8):
        made.train_step()
        rates.append([o.param_groups[0]["lr"] for o in made.optimizers.values()])
    factors = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]  # at the progress that a step begins with
    assert rates == [[pytest.approx(4e-3 * f), pytest.approx(1e-3 * f)] for f in factors]
    assert Hyperparameters(decay=0.5).learning_rate_factor(1.0) == 0
    assert [Hyperparameters(decay=1).learning_rate_factor(p) for p in (0, 0.5, 1)] == [1, 1, 1]
    assert [Hyperparameters(decay=0).learning_rate_factor(p) for p in (0, 0.25, 1)] == [1, 0.75, 0]


@pytest.mark.parametrize(
    ("unit", "amount", "expected"),
    [("images", 40, 5), ("images", 41, 6), ("generator_turns", 3, 3), ("images", 0, 0)],
)
def test_a_budget_ends_where_it_says(unit, amount, expected):
    made = trainer(budget=Budget(unit, amount))
    while made.progress < 1:
        made.train_step()
    assert made.step == expected


def test_a_budget_of_images_counts_all_discriminator_turns():
    made = trainer(budget=Budget("images", 6 * BATCH), discriminator_turns=3)
    while made.progress < 1:
        made.train_step()
    assert made.step == 2


def test_a_budget_of_seconds_ends_by_the_clock():
    made = trainer(budget=Budget("seconds", 0.1))
    while made.progress < 1:
        steps(made, 1)
    assert 0.1 <= made.spent.seconds < 5
    assert made.step >= 1


def test_progress_is_the_share_of_the_budget_that_is_spent():
    spent = Spent(images=30, discriminator_turns=9, generator_turns=3, seconds=2.0)
    shares = {"images": 0.3, "generator_turns": 0.03, "seconds": 0.02}
    assert {unit: Budget(unit, 100).progress(spent) for unit in shares} == shares
    for wrong in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="cannot be spent"):
            Budget("images", wrong)


def test_the_clock_leaves_out_what_it_is_told_to():
    made = trainer()
    made.began -= 100  # as if something took that long
    made.restart_clock()
    steps(made, 1)
    assert made.spent.seconds < 50


def test_a_gan_learns_where_the_ring_is():
    made = trainer(
        "gan(width=16)",
        "ring",
        batch=64,
        generator_lr=2e-3,
        discriminator_lr=2e-3,
        budget=Budget("generator_turns", 400),
    )
    latents = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    generator = made.task.generators[IMAGE]

    def off():
        with torch.no_grad():
            return (generator(latents).norm(dim=1) - 1).abs().mean().item()

    before = off()
    while made.progress < 1:
        made.train_step()
    made.flush()
    assert before > 0.8
    assert off() < 0.5


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_the_optimizers_are_torchs_with_the_plans_rates(optimizer):
    made = trainer(
        optimizer=optimizer, generator_lr=1e-3, discriminator_lr=2e-3, generator_betas=(0.1, 0.9)
    )
    assert type(made.optimizers["generator"]).__name__.lower() == optimizer
    rates = {side: o.param_groups[0]["lr"] for side, o in made.optimizers.items()}
    assert rates == {"generator": 1e-3, "discriminator": 2e-3}
    if optimizer == "adam":
        assert made.optimizers["generator"].param_groups[0]["betas"] == (0.1, 0.9)


def test_training_does_not_depend_on_torchs_global_generator():
    torch.manual_seed(1)
    one = trainer("dcgan(width=4)")
    logs = steps(one, 2)
    torch.manual_seed(2)
    other = trainer("dcgan(width=4)")
    torch.rand(7)
    assert steps(other, 2) == logs
    assert same(weights(one.task), weights(other.task))
