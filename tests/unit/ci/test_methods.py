"""Checks of methods: silent for the methods as they are, and a name for each planted fault."""

from copy import deepcopy
from dataclasses import replace
from functools import cached_property

import pytest
import torch
from verdict_schema import read_verdict

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.methods import measuring
from ganbench.ci.methods.base import MethodReport
from ganbench.ci.methods.cells import CheckedCell
from ganbench.ci.methods.losses import FORMS
from ganbench.ci.methods.metrics import METRIC_CHECKS
from ganbench.ci.methods.run_checks import cells_of_plan, check_methods
from ganbench.ci.quality.verdict import GateVerdict
from ganbench.data.base import BatchLoader
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors.classifier import Classifier
from ganbench.evaluation.metrics.recall import Recall
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_files import find_suite_file
from ganbench.experiments.suite_loader import load_suite
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.hinge import Hinge
from ganbench.gan.networks.dcgan import DCGAN
from ganbench.gan.networks.discriminator import Head, ProjectionHead
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.gan.tricks.ema import EMA
from ganbench.gan.tricks.label_smoothing import LabelSmoothing
from ganbench.gan.tricks.spectral_norm import SpectralNorm
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training import trainer as trainer_module
from ganbench.training.trainer import Trainer

PLAIN = "gan(width=8)"
SMALL_BATCH_NORM = "dcgan(width=4)"


def make_cell(variant=PLAIN, loss="", tricks=()) -> CheckedCell:
    recipe = resolve_variant(variant)
    recipe = replace(recipe, loss=loss or recipe.loss, tricks=(*recipe.tricks, *tricks))
    return CheckedCell("cell", recipe, "digits")


def faulty_methods(cell: CheckedCell, *metrics: str) -> set[str]:
    return {fault.method for fault in check_methods([cell], metrics).faults}


def test_report_without_checks_is_no_pass():
    report = MethodReport([], [])
    assert (report.verdict, report.verdict.exit_code) == (CommandVerdict.CANNOT_DECIDE, 3)


@pytest.mark.parametrize(
    "name",
    [
        *("gate", "smoke", "modes"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("zoo", "zoo_modern", "tricks")),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("translation", "inpainting", "bench")),
    ],
)
def test_shipped_suites_have_no_fault(name):
    suite = load_suite(find_suite_file(name))
    report = check_methods(cells_of_plan(plan_trials(suite, "cpu", "cpu")), suite.metrics)
    assert report.faults == []
    assert len(report.checked) > 20


@pytest.mark.parametrize("loss", FORMS)
def test_every_loss_has_its_form(loss):
    assert set(FORMS) == set(LOSSES.entries)
    assert faulty_methods(make_cell(loss=loss)) == set()


def test_gradients_of_tricks_do_not_reach_the_optimizers(monkeypatch):
    monkeypatch.setattr(
        EMA,
        "transform_gradients",
        lambda self, side, parameters: [p.grad.zero_() for p in parameters],
    )
    assert faulty_methods(make_cell(tricks=("ema",))) == set()


# Planted faults


def smooth_fakes(self, loss, pair):
    return replace(loss, real_target=self.real, fake_target=1 - self.real)


def skip_first_layer(self, network, kinds):
    layers = [m for m in network.modules() if isinstance(m, kinds) and not m.weight.is_meta]
    for layer in layers[1:]:
        torch.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=self.iterations)


def share_batch_statistics(pair):
    features = pair.features(torch.cat([pair.real, pair.fake]), "real", pair.real_label)
    return features[: len(pair.real)]


def plant_double_rate(patch):
    usual = Trainer.learning_rate
    patch.setattr(Trainer, "learning_rate", lambda self, side: 2 * usual(self, side))


def plant_wrong_betas(patch):
    def make(hyperparameters, side, parameters):
        return torch.optim.Adam(parameters, getattr(hyperparameters, f"{side}_lr"))

    patch.setattr(trainer_module, "make_optimizer", make)


def plant_repeated_latents(patch):
    usual = Trainer.make_context
    patch.setattr(Trainer, "make_context", lambda self, turn: replace(usual(self, 0), step=0))


def plant_one_seed(patch):
    usual = Trainer.make_context

    def make_context(self, turn):
        context = usual(self, turn)
        return replace(context, streams=replace(context.streams, seed=0))

    patch.setattr(Trainer, "make_context", make_context)


def plant_stale_sampler(patch):
    usual = Trainer.__init__

    def begin(self, *arguments):
        usual(self, *arguments)
        self.first = deepcopy(self.task.generators)

    patch.setattr(Trainer, "__init__", begin)
    patch.setattr(Trainer, "sampling_generators", lambda self: self.first)


def plant_shared_statistics(patch):
    shared = cached_property(share_batch_statistics)
    shared.__set_name__(AdversarialBatch, "real_features")
    patch.setattr(AdversarialBatch, "real_features", shared)
    score = property(lambda pair: pair.discriminator.head(pair.real_features, pair.real_label))
    patch.setattr(AdversarialBatch, "real_score", score)


def plant_dropped_label(patch):
    patch.setattr(ProjectionHead, "forward", lambda self, x, label=None: Head.forward(self, x))


def plant_more_turns(patch):
    usual = Trainer.generator_step
    patch.setattr(Trainer, "generator_step", lambda self: (usual(self), usual(self))[1])


def plant_one_stream(patch):
    usual = RngStreams.turn_generator
    patch.setattr(
        RngStreams, "turn_generator", lambda self, _, step, turn: usual(self, "one", step, turn)
    )


def plant_lost_examples(patch):
    usual = BatchLoader._example_index
    patch.setattr(
        BatchLoader,
        "_example_index",
        lambda self, domain, start, count: usual(self, domain, start, count * 99 // 100),
    )


def plant_uniform_latents(patch):
    usual = Unconditional.draw_latents

    def draw(self, count, random):
        return 12**0.5 * (torch.special.ndtr(usual(self, count, random)) - 0.5)  # of variance 1

    patch.setattr(Unconditional, "draw_latents", draw)


def plant_wide_weights(patch):
    usual = DCGAN.initialize

    def initialize(self, module):
        usual(self, module)
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data *= 1.5

    patch.setattr(DCGAN, "initialize", initialize)


def plant_lost_gradient(patch):
    usual = Hinge.generator_loss
    patch.setattr(Hinge, "generator_loss", lambda *a: usual(*a) / 2 + usual(*a).detach() / 2)


def plant_training_mode(patch):
    patch.setattr(torch.nn.ModuleDict, "eval", torch.nn.Module.train)


def plant_cut_levels(patch):
    patch.setattr(
        measuring, "to_uint8", lambda x: x.add(1).mul(127.5).clamp(0, 255).to(torch.uint8)
    )


def plant_half_precision(patch):
    usual = Classifier.forward

    def forward(self, x):
        features, logits = usual(self, x)
        return features.half().float(), logits

    patch.setattr(Classifier, "forward", forward)


def plant_wrong_split(patch):
    patch.setattr(Evaluator, "real_features", property(lambda self: self.held_out_features))


FAULTS = {
    "smoothing of fakes": (
        lambda patch: patch.setattr(LabelSmoothing, "transform_loss", smooth_fakes),
        {"loss": "non_saturating", "tricks": ("label_smoothing",)},
        "trick label_smoothing",
    ),
    "a layer without spectral norm": (
        lambda patch: patch.setattr(SpectralNorm, "normalize", skip_first_layer),
        {"variant": SMALL_BATCH_NORM, "tricks": ("spectral_norm",)},
        "trick spectral_norm",
    ),
    "one stream for all owners": (plant_one_stream, {}, "random streams"),
    "examples that are never shown": (plant_lost_examples, {}, "epochs"),
    "uniform latents": (plant_uniform_latents, {}, "latents"),
    "wide initial weights": (plant_wide_weights, {"variant": SMALL_BATCH_NORM}, "initial weights"),
    "half a gradient": (plant_lost_gradient, {"loss": "hinge"}, "dynamics"),
    "samples in training mode": (plant_training_mode, {}, "sampling"),
    "levels that are cut off": (plant_cut_levels, {}, "levels"),
    "features of half precision": (plant_half_precision, {}, "features"),
    "held-out reals": (plant_wrong_split, {}, "reference"),
    "a doubled rate": (plant_double_rate, {}, "optimizers"),
    "the usual betas": (plant_wrong_betas, {}, "optimizers"),
    "two generator steps": (plant_more_turns, {}, "discriminator steps"),
    "latents that repeat": (plant_repeated_latents, {}, "random streams"),
    "one seed for all": (plant_one_seed, {}, "random streams"),
    "old samples": (plant_stale_sampler, {}, "samples"),
    "shared batch norm": (plant_shared_statistics, {"variant": SMALL_BATCH_NORM}, "scores"),
    "a label that is not read": (
        plant_dropped_label,
        {"variant": "projection(width=4)"},
        "labels",
    ),
    "a wider margin": (
        lambda patch: patch.setattr(Hinge, "generator_loss", lambda self, fake, real: (1 - fake).mean()),
        {"loss": "hinge"},
        "loss hinge",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_named(name, monkeypatch):
    plant, cell, method = FAULTS[name]
    assert faulty_methods(make_cell(**cell)) == set()
    plant(monkeypatch)
    assert method in faulty_methods(make_cell(**cell))


def test_recall_of_another_neighbour_is_named(monkeypatch):
    usual = Recall.compute
    monkeypatch.setattr(
        Recall, "compute", lambda self, *sides: usual(replace(self, k=self.k + 1), *sides)
    )
    assert faulty_methods(make_cell(), "recall", *METRIC_CHECKS) == {"metric recall"}


def test_crash_of_a_part_is_no_fault(monkeypatch, ganbench):
    def crash(*_):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(Hinge, "generator_loss", crash)
    report = check_methods([make_cell(loss="hinge")], ())
    assert report.faults == []
    assert "cell: loss hinge: its check ended with ZeroDivisionError: no" in report.errors
    ended = sum(not each.error for each in report.checked)
    assert report.record().checked == ended < len(report.checked)
    assert f"{ended} checks of methods: 0 faults." in report.sentences()
    hinge = ("-o", "grid.0.losses=['hinge']", "-o", "data=['digits']")
    code, out, _ = ganbench("check", "smoke", *hinge)
    assert code == 3
    assert "Not compared: digits / dcgan(width=8) / hinge / " in out


# The gate and the command


def test_gate_regresses_by_a_fault(monkeypatch):
    monkeypatch.setattr(EMA, "after_generator_step", lambda *_: None)
    faulty = check_methods([make_cell(tricks=("ema(decay=0.5)",))], ())
    assert GateVerdict([], [], methods=faulty).exit_code == CommandVerdict.REGRESSED.exit_code
    sound = check_methods([make_cell()], ())
    assert GateVerdict([], [], methods=sound).exit_code == CommandVerdict.PASSED.exit_code
    assert any("Fault: cell: trick ema: " in line for line in faulty.sentences())


def test_command_names_cell_and_values(ganbench, monkeypatch):
    assert ganbench("check", "smoke", "-o", "data=['digits']")[0] == 0
    monkeypatch.setattr(LabelSmoothing, "transform_loss", smooth_fakes)
    code, out, _ = ganbench("check", "smoke", "--json")
    report = read_verdict(out)
    assert code == 1
    assert {fault["method"] for fault in report["faults"]} == {"trick label_smoothing"}
    assert "the discriminator's loss is " in report["faults"][0]["sentence"]
    assert "metric modes" in report["unchecked"]


def test_part_without_a_form_is_listed():
    report = check_methods([make_cell(tricks=("lecam",))], ("vendi",))
    assert report.unchecked == ["metric vendi"]
