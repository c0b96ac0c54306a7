"""Graphed training, with graphs that re-run their function: the numbers of eager training."""

import pytest
import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader
from ganbench.gan.build import build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.tricks.base import Trick
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.graphs import GraphedTrainer, lookahead_reason
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
RATES = Hyperparameters(batch=8, generator_lr=2**-12, discriminator_lr=2**-11)  # exact in float32
STEPS = 24


class RerunGraph:
    """A graph for the CPU: its replay runs the captured function again."""

    def __init__(self):
        self.generators = []

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def capture(self, function):
        self.function, self.values = function, None
        return self

    def replay(self):
        self.values = self.function()

    def clone(self):
        return self.values


class Rerun(GraphedTrainer):
    """Re-runs a captured turn with the state that the capture had."""

    def replay(self, captured, turn):
        self.start_tricks(self.make_context(turn))
        self.seed_turn(captured.addresses, turn)
        self.streams.drawn.clear()
        self.streams.is_capturing[0] = True
        captured.names.clear()
        captured.graph.replay()
        self.streams.is_capturing[0] = False
        return captured.read_log()


def make_trainer(kind, tricks, data="digits", network="dcgan(norm='none',width=8)", **settings):
    recipe = Recipe("", network, tricks=tuple(tricks), hyperparameters=RATES)
    streams = RngStreams(3, CPU)
    source = DATA.make(data)
    setup = build_training(recipe, source, streams)
    loader = BatchLoader(source.load().train, RATES.batch, streams)
    return kind(setup, loader, streams, Budget("generator_turns", STEPS), **settings)


def train(trainer):
    for _ in range(STEPS):
        trainer.train_step()
    return trainer, trainer.flush()


@pytest.mark.parametrize(
    "tricks",
    [
        [],
        ["r1(every=2)"],
        ["ada", "ema"],
        ["ema(ramp=0.05)"],
        ["instance_noise(until=0.5)", "label_flipping"],
        ["image_pool(size=16)"],
        ["lecam(start=7)", "past_discriminators(every=5)"],
        ["past_discriminators(every=1,keep=2)"],
        ["top_k(until=0.5)", "spectral_norm", "horizontal_flipping"],
        ["adversarial_gradient_normalization", "representation_alignment", "transport_pull"],
    ],
    ids=str,
)
def test_graphed_turns_train_equally(tricks):
    eager, terms = train(make_trainer(Trainer, tricks))
    graphed, same = train(make_trainer(Rerun, tricks, make_graph=RerunGraph))
    assert graphed.captured
    assert not graphed.eager_reason
    assert same == pytest.approx(terms, rel=1e-6)
    for a, b in zip(eager.task.parameters(), graphed.task.parameters(), strict=True):
        assert torch.equal(a, b)


def test_graphs_take_the_snapshots_of_eager_turns():
    tricks, networks = ["post_hoc_ema(snapshots=2)"], "mlp(width=8)"
    eager, _ = train(make_trainer(Trainer, tricks, network=networks))
    graphed, _ = train(make_trainer(Rerun, tricks, network=networks, make_graph=RerunGraph))
    assert graphed.captured
    ours, theirs = (x.trick.state_dict() for x in (eager, graphed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_moving_queue_is_not_captured():
    graphed, _ = train(make_trainer(Rerun, ["fd_loss"], make_graph=RerunGraph))
    assert graphed.eager_reason.startswith("fd_loss reads the step")


def test_lazy_penalties_have_two_graphs():
    trainer, _ = train(make_trainer(Rerun, ["r1(every=2)"], make_graph=RerunGraph))
    assert sorted(map(str, trainer.captured)) == [
        "('discriminator', (False,))",
        "('discriminator', (True,))",
        "('generator', (False,))",
        "('generator', (True,))",
    ]


class Clocked(Trick):
    def discriminator_terms(self, pair):
        yield "clocked", self.context.step * pair.real_score.mean()


def test_undeclared_step_reader_runs_eagerly(monkeypatch):
    monkeypatch.setattr("ganbench.gan.tricks.drift.Drift", Clocked)
    trainer = make_trainer(Rerun, ["drift"], make_graph=RerunGraph)
    train(trainer)
    assert trainer.eager_reason == "drift reads the step or the progress, and has no graph_key"
    assert not any(side == "discriminator" for side, _ in trainer.captured)


def test_lookahead_cannot_be_captured():
    trainer = make_trainer(Trainer, ["unrolled(turns=1)"])
    assert lookahead_reason(trainer.trick).startswith("unrolled takes steps and reverts them")


class Refusing(RerunGraph):
    def capture(self, function):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")


def test_failed_capture_trains_eagerly():
    _, terms = train(make_trainer(Trainer, ["ada"]))
    graphed, same = train(make_trainer(Rerun, ["ada"], make_graph=Refusing))
    assert graphed.eager_reason == "CUDA error: operation not permitted when stream is capturing"
    assert same == pytest.approx(terms, rel=1e-6)
