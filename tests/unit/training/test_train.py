"""The trainer: updates per step, budgets, schedules, divergence and optimizers."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from helpers import BATCH, same, steps, trainer, weights

from ganbench.data.base import IMAGE
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.training import trainer as trainer_module
from ganbench.training.budget import Budget, Spent
from ganbench.training.trainer import Diverged

every_architecture = pytest.mark.parametrize("text", ["gan(width=8)", "dcgan(width=4)"])


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@every_architecture
def test_generator_step_updates_generators_alone(text):
    training = trainer(text)
    before = parameters(training.task.discriminators), parameters(training.task.generators)
    training.generator_step()
    assert same(parameters(training.task.discriminators), before[0])
    assert all(p.grad is None for p in training.task.discriminators.parameters())
    after = parameters(training.task.generators)
    assert not any(torch.equal(after[name], before[1][name]) for name in after if "weight" in name)


@every_architecture
def test_discriminator_step_updates_discriminators_alone(text):
    training = trainer(text)
    before = parameters(training.task.discriminators), parameters(training.task.generators)
    training.discriminator_step()
    assert same(parameters(training.task.generators), before[1])
    assert all(p.grad is None for p in training.task.generators.parameters())
    after = parameters(training.task.discriminators)
    assert not any(torch.equal(after[name], before[0][name]) for name in after if "weight" in name)


@pytest.mark.parametrize("turns", [1, 3])
def test_each_discriminator_step_uses_one_batch(turns):
    training = trainer(discriminator_turns=turns)
    steps(training, 2)
    spent = training.spent
    assert (spent.images, spent.discriminator_turns, spent.generator_turns) == (
        2 * turns * BATCH,
        2 * turns,
        2,
    )
    assert training.step == 2
    assert spent.seconds > 0


def test_unrolled_steps_are_not_counted():
    training = trainer(tricks=("unrolled(turns=3)",))
    steps(training, 2)
    assert training.spent.images == 2 * BATCH


def test_every_discriminator_step_has_another_batch():
    training, batch_numbers = trainer(discriminator_turns=3), []
    batches = training.loader.batches
    training.loader.batches = lambda number: batch_numbers.append(number) or batches(number)
    steps(training, 2)
    assert batch_numbers == [0, 1, 2, 2, 3, 4, 5, 5]  # generator steps use the latest real batch


def test_every_step_draws_its_own_latents():
    training, inputs = trainer(discriminator_turns=2), []
    generator = training.task.generators[IMAGE]
    generator.register_forward_pre_hook(lambda _, latents: inputs.append(latents[0].clone()))
    steps(training, 2)
    assert len(inputs) == 6
    assert len({tuple(latents.flatten().tolist()) for latents in inputs}) == 6
    all_latents = torch.cat(inputs)
    assert all_latents.mean().abs() < 4 / all_latents.numel() ** 0.5
    assert all_latents.std().item() == pytest.approx(1, abs=0.2)


def test_nan_is_reported_with_step_and_terms():
    training = trainer()
    steps(training, 2)
    training.train_step()
    with torch.no_grad():
        next(training.task.generators.parameters()).fill_(torch.nan)
    training.train_step(), training.train_step()
    with pytest.raises(Diverged) as divergence:
        training.flush()
    assert divergence.value.step == 3  # the first non-finite step, counted from 0
    assert divergence.value.terms["generator"] != divergence.value.terms["generator"]
    assert str(divergence.value).startswith("step 3: ")
    assert "generator=nan" in str(divergence.value)


def test_flush_averages_terms_since_the_last():
    flushed_each_step, flushed_once = trainer(), trainer()
    separate = steps(flushed_each_step, 3)
    for _ in range(3):
        flushed_once.train_step()
    together = flushed_once.flush()
    assert together.keys() == separate[0].keys()
    for name, value in together.items():
        assert value == pytest.approx(sum(log[name] for log in separate) / 3)
    assert flushed_once.flush() == {}


def test_lazy_term_averages_over_its_steps():
    training = trainer(tricks=("r1(every=2)",))
    logs = steps(training, 4)
    assert ["r1" in log for log in logs] == [True, False, True, False]
    again = trainer(tricks=("r1(every=2)",))
    for _ in range(4):
        again.train_step()
    assert again.flush()["r1"] == pytest.approx((logs[0]["r1"] + logs[2]["r1"]) / 2)


def test_learning_rates_decay_linearly_to_zero():
    training = trainer(
        decay=0.5, budget=Budget("generator_turns", 8), generator_lr=1e-3, discriminator_lr=4e-3
    )
    rates = []
    for _ in range(8):
        training.train_step()
        rates.append([o.param_groups[0]["lr"] for o in training.optimizers.values()])
    factors = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]  # at the progress before each step
    assert rates == [[pytest.approx(4e-3 * f), pytest.approx(1e-3 * f)] for f in factors]
    assert Hyperparameters(decay=0.5).learning_rate_factor(1.0) == 0
    assert [Hyperparameters(decay=1).learning_rate_factor(p) for p in (0, 0.5, 1)] == [1, 1, 1]
    assert [Hyperparameters(decay=0).learning_rate_factor(p) for p in (0, 0.25, 1)] == [1, 0.75, 0]


@pytest.mark.parametrize(
    ("unit", "amount", "expected"),
    [("images", 40, 5), ("images", 41, 6), ("generator_turns", 3, 3), ("images", 0, 0)],
)
def test_budget_ends_at_its_amount(unit, amount, expected):
    training = trainer(budget=Budget(unit, amount))
    while training.progress < 1:
        training.train_step()
    assert training.step == expected


def test_image_budget_counts_all_discriminator_steps():
    training = trainer(budget=Budget("images", 6 * BATCH), discriminator_turns=3)
    while training.progress < 1:
        training.train_step()
    assert training.step == 2


def test_seconds_budget_ends_by_the_clock(monkeypatch):
    clock = count(step=10.0)  # seconds, at each call
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    training = trainer(budget=Budget("seconds", 1000))
    while training.progress < 1:
        steps(training, 1)
    assert training.spent.seconds == 1000
    assert 1 <= training.step <= 100


def test_progress_is_the_spent_budget_share():
    spent = Spent(images=30, discriminator_turns=9, generator_turns=3, seconds=2.0)
    shares = {"images": 0.3, "generator_turns": 0.03, "seconds": 0.02}
    assert {unit: Budget(unit, 100).progress(spent) for unit in shares} == shares
    for wrong in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="cannot be spent"):
            Budget("images", wrong)


def test_restarted_clock_excludes_earlier_time():
    training = trainer()
    training.began -= 100  # as if something took that long
    training.restart_clock()
    steps(training, 1)
    assert training.spent.seconds < 50


def test_gan_learns_the_ring():
    training = trainer(
        "gan(width=16)",
        "ring",
        batch=64,
        generator_lr=2e-3,
        discriminator_lr=2e-3,
        budget=Budget("generator_turns", 400),
    )
    latents = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    generator = training.task.generators[IMAGE]

    def distance_to_ring():
        with torch.no_grad():
            return (generator(latents).norm(dim=1) - 1).abs().mean().item()

    before = distance_to_ring()
    while training.progress < 1:
        training.train_step()
    training.flush()
    assert before > 0.8
    assert distance_to_ring() < 0.5


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_optimizers_use_the_configured_rates(optimizer):
    training = trainer(
        optimizer=optimizer, generator_lr=1e-3, discriminator_lr=2e-3, generator_betas=(0.1, 0.9)
    )
    assert type(training.optimizers["generator"]).__name__.lower() == optimizer
    rates = {side: o.param_groups[0]["lr"] for side, o in training.optimizers.items()}
    assert rates == {"generator": 1e-3, "discriminator": 2e-3}
    if optimizer == "adam":
        assert training.optimizers["generator"].param_groups[0]["betas"] == (0.1, 0.9)


def test_training_ignores_torch_global_generator():
    torch.manual_seed(1)
    first = trainer("dcgan(width=4)")
    logs = steps(first, 2)
    torch.manual_seed(2)
    second = trainer("dcgan(width=4)")
    torch.rand(7)
    assert steps(second, 2) == logs
    assert same(weights(first.task), weights(second.task))
