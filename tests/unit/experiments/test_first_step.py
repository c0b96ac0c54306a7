"""Wrong values of own parts end a run before its trainings, with part, value and line."""

import re

import pytest
import torch
from helpers import trainer
from variant_cases import every_variant, home_data, variant_spec

from ganbench.data import DATA
from ganbench.experiments import watched_returns
from ganbench.experiments.executors.inline import Inline
from ganbench.experiments.first_step import try_first_steps
from ganbench.experiments.lost_weights import lost_weights, recorded_draws
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.runner import RunRequest, prepare_run
from ganbench.experiments.suite_loader import load_suite
from ganbench.gan.build import build_training
from ganbench.gan.losses import LOSSES
from ganbench.gan.variants import resolve_variant
from ganbench.local_files import VARIABLE, forget_local_files
from ganbench.registry import PluginError
from ganbench.rng import RngStreams

CPU = torch.device("cpu")
SUITE = """\
schema = 1
name = "mine"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 1
[[grid]]
variants = ["{variant}"]
losses = ["{loss}"]
[grid.tricks]
chains = [[{trick}]]
[budget.cpu]
generator_turns = 2
"""
SOURCE = """\
from dataclasses import dataclass
import torch
from torch import nn
from ganbench.extend import *
from ganbench.gan.losses.hinge import Hinge
from ganbench.gan.networks.mlp import MLP

class Padded(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, latents):
        return nn.functional.pad(self.inner(latents), (0, 1, 0, 1))

class TwoScores(Head):
    def forward(self, features, label=None):
        return features[:, :2]

"""
NETWORK = """\
@dataclass(frozen=True)
class Mine(MLP):
    def {}:
        return {}

mine = Recipe("Mine.", network="my_parts.py:Mine(width=8)")
"""
LOSS = "@dataclass(frozen=True)\nclass Mine(Hinge):\n    def {}:\n        return {}\n"
TRICK = "class Mine(Trick):\n    def {}:\n        {}\n"
ARMS = {  # of a suite whose own part is of this kind
    NETWORK: {"variant": "my_parts.py:mine", "loss": "hinge", "trick": ""},
    LOSS: {"variant": "gan(width=8)", "loss": "my_parts.py:Mine", "trick": ""},
    TRICK: {"variant": "gan(width=8)", "loss": "hinge", "trick": "'my_parts.py:Mine'"},
}


@pytest.fixture
def suite_of(tmp_path, monkeypatch):
    """Loads a suite that names a part of this form, with a hook and its body."""
    monkeypatch.setenv(VARIABLE, "")

    def load(form, hook, body):
        (tmp_path / "my_parts.py").write_text(SOURCE + form.format(hook, body))
        (tmp_path / "mine.toml").write_text(SUITE.format(**ARMS[form]))
        return load_suite(tmp_path / "mine.toml", trust=True)

    yield load
    forget_local_files()


# form, hook, body, what it returned, what is expected
WRONG_VALUES = [
    (
        NETWORK,
        "build_generator(self, latent, shape)",
        "Padded(super().build_generator(latent, shape))",
        "the generator of build_generator returned a tensor of shape [64, 1, 9, 9]",
        "a tensor of shape [64, 1, 8, 8] (line 13 of my_parts.py)",
    ),
    (
        NETWORK,
        "build_generator(self, latent, shape)",
        "None",
        "build_generator returned None",
        "a torch.nn.Module (line 22 of my_parts.py)",
    ),
    (
        NETWORK,
        "build_head(self, width, bias=True)",
        "TwoScores(width)",
        "the head of build_discriminator returned a tensor of shape [64, 2]",
        "a tensor of shape [64], or maps of shape [64, 1, height, width] (line 17 of my_parts.py)",
    ),
    (
        NETWORK,
        "build_discriminator(self, shape)",
        "nn.Linear(64, 1)",
        "build_discriminator returned a value of type Linear",
        "a ganbench.extend.Discriminator",
    ),
    (
        LOSS,
        "discriminator_loss(self, real, fake)",
        "fake - real",
        "discriminator_loss returned a tensor of shape [64]",
        "a scalar tensor, of shape [] (line 22 of my_parts.py)",
    ),
    (LOSS, "discriminator_loss(self, real, fake)", "None", "returned None", "a scalar tensor"),
    (
        LOSS,
        "generator_loss(self, fake, real)",
        "fake.sum().item()",
        "generator_loss returned a value of type float",
        "a scalar tensor",
    ),
    (
        TRICK,
        "transform_pair(self, pair)",
        "pass",
        "transform_pair returned None",
        "a value of type AdversarialBatch (line 21 of my_parts.py)",
    ),
    (
        TRICK,
        "generator_terms(self, pair)",
        "return pair.fake_score.mean()",
        "generator_terms returned a tensor of shape []",
        "pairs of a name and a scalar tensor",
    ),
    (
        TRICK,
        "generator_terms(self, pair)",
        "yield 'extra', pair.fake_score",
        "the term 'extra' returned a tensor of shape [64]",
        "a scalar tensor",
    ),
    (
        TRICK,
        "transform_discriminator_input(self, x, role)",
        "return x[1:]",
        "returned a tensor of shape [63, 1, 8, 8]",
        "a tensor of 64 rows, or of 64 / m rows",
    ),
    (
        TRICK,
        "configure_hyperparameters(self, hyperparameters)",
        "pass",
        "configure_hyperparameters returned None",
        "a value of type Hyperparameters",
    ),
    (
        TRICK,
        "transform_sampling_generators(self, generators)",
        "return list(generators)",
        "returned a value of type list",
        "a value of type ModuleDict",
    ),
]


@pytest.mark.parametrize(("form", "hook", "body", "returned", "expected"), WRONG_VALUES)
def test_a_wrong_value_ends_the_run_before_it_trains(
    suite_of, tmp_path, form, hook, body, returned, expected
):
    suite = suite_of(form, hook, body)
    with pytest.raises(PluginError) as error:
        prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / "results"))
    assert " my_parts.py:Mine: " in str(error.value)
    assert f"{returned}, expected {expected}" in str(error.value)
    assert error.value.exit_code == 2
    assert not (tmp_path / "results" / "mine" / "plan.json").exists()


LOST_WEIGHTS = """\
def zero(module):
    nn.init.zeros_(module.weight.data)  # as many published networks do
    return module

@dataclass(frozen=True)
class Mine(MLP):
    {initialize}
    def build_{side}(self, {arguments}):
        network = super().build_{side}({arguments})
        {change}
        return network

mine = Recipe("Mine.", network="my_parts.py:Mine(width=8)")
"""
BUILDERS = {"generator": "latent, shape", "discriminator": "shape"}
CHANGES = {
    "zeros": "network.apply(lambda m: zero(m) if isinstance(m, nn.Linear) else m)",
    "file": "network.load_state_dict({k: v + 1 for k, v in network.state_dict().items()})",
}


def write_network(tmp_path, side, change, initialize=""):
    source = LOST_WEIGHTS.format(
        side=side, arguments=BUILDERS[side], change=change, initialize=initialize
    )
    (tmp_path / "my_parts.py").write_text(SOURCE + source)
    (tmp_path / "mine.toml").write_text(SUITE.format(**ARMS[NETWORK]))


@pytest.mark.parametrize("side", BUILDERS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_weights_that_a_training_would_lose_are_refused(side, change, tmp_path, ganbench):
    write_network(tmp_path, side, change)
    for command in ("plan", "run"):
        code, _, err = ganbench(command, tmp_path / "mine.toml", "--trust", "--device", "cpu")
        sentence = f"network my_parts.py:Mine: build_{side} sets weights ("
        assert (code, sentence in err, "anew: set them in `initialize" in err) == (2, True, True)


@pytest.mark.parametrize("side", BUILDERS)
def test_weights_that_initialize_keeps_are_trained(side, tmp_path, suite_of):
    suite_of(LOSS, "discriminator_loss(self, real, fake)", "fake.mean()")  # trusts the file
    write_network(tmp_path, side, CHANGES["zeros"], "def initialize(self, module): pass")
    suite = load_suite(tmp_path / "mine.toml", trust=True)
    (trial,) = [each.trial for each in plan_trials(suite, "cpu", "cpu")][:1]
    with watched_returns.watched_returns([trial.recipe]):
        setup = build_training(trial.recipe, DATA.make("digits"), RngStreams(0, CPU))
    networks = {"generator": setup.task.generators, "discriminator": setup.task.discriminators}
    layers = [m for m in networks[side].modules() if type(m) is torch.nn.Linear]
    assert layers
    assert not any(layer.weight.any() for layer in layers)


OWN_LAYER = """\
class Scaled(nn.Linear):
    def reset_parameters(self, std=2.0):
        nn.init.normal_(self.weight, 0, std)
        nn.init.zeros_(self.bias)

@dataclass(frozen=True)
class Mine(MLP):
    def build_generator(self, latent, shape):
        layer = Scaled(latent, latent)
        layer.reset_parameters(std=3.0)
        return nn.Sequential(layer, nn.MultiheadAttention(8, 2), super().build_generator(latent, shape))
"""


def test_layers_that_draw_their_own_weights_are_accepted():
    namespace = {}
    exec(SOURCE + OWN_LAYER, namespace)
    with recorded_draws() as drawn:
        network = namespace["Mine"](width=8).build_generator(4, (1, 8, 8))
    assert lost_weights(network, drawn) == []
    network[0].reset_parameters()
    assert lost_weights(network, drawn) == ["0.weight"]


def test_lazy_layers_are_refused_by_name(tmp_path, ganbench):
    write_network(tmp_path, "generator", "network = nn.Sequential(nn.LazyLinear(8), network)")
    for command in ("plan", "run"):
        code, _, err = ganbench(command, tmp_path / "mine.toml", "--trust", "--device", "cpu")
        sentence = "build_generator returns lazy layers (0.weight, 0.bias), whose weights have no"
        assert (code, sentence in err) == (2, True)


def test_weights_of_a_tricks_layer_are_refused(suite_of, tmp_path):
    body = "gate = nn.Linear(8, 8); nn.init.zeros_(gate.weight); generator.gate = gate; return generator"
    suite = suite_of(TRICK, "transform_generator(self, generator)", body)
    expected = r"sets weights \(gate.weight\).*a class with `reset_parameters`.*line 21 of my_parts"
    with pytest.raises(PluginError, match=expected):
        prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / "results"))


def test_plan_names_a_part_whose_first_step_fails(suite_of, tmp_path, ganbench):
    suite_of(LOSS, "discriminator_loss(self, real, fake)", "fake.mean().detach()")
    for options in ([], ["--no-estimate"], ["--json"]):
        code, _, err = ganbench("plan", tmp_path / "mine.toml", "--trust", *options)
        assert (code, "loss my_parts.py:Mine: the first step on digits failed" in err) == (2, True)


def test_an_error_outside_of_the_file_names_the_part(suite_of, tmp_path):
    suite = suite_of(LOSS, "discriminator_loss(self, real, fake)", "fake.mean().detach()")
    with pytest.raises(
        PluginError, match=r"loss my_parts.py:Mine: the first step on digits failed"
    ):
        prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / "results"))


def test_an_error_within_the_file_names_its_line(suite_of, tmp_path):
    suite = suite_of(LOSS, "discriminator_loss(self, real, fake)", "fake.mine()")
    with pytest.raises(PluginError, match=r"no attribute 'mine' \(line 23 of my_parts.py\)"):
        prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / "results"))


def test_a_sound_part_trains_as_without_the_checks(suite_of, tmp_path, monkeypatch):
    suite = suite_of(LOSS, "discriminator_loss(self, real, fake)", "(fake - real).mean()")
    curves = []
    for name in ("checked", "unchecked"):
        run = prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / name))
        run.execute(Inline(), lambda *_: None)
        files = sorted((tmp_path / name / "trials").rglob("curve.json"))
        curves.append([re.sub(r'"seconds": .*', "", file.read_text()) for file in files])
        monkeypatch.setattr("ganbench.experiments.runner.try_first_steps", lambda trials: None)
    assert len(curves[0]) == 2
    assert curves[0] == curves[1]


def test_the_step_keeps_random_states_and_classes(suite_of):
    suite = suite_of(LOSS, "discriminator_loss(self, real, fake)", "(fake - real).mean()")
    trials = [item.trial for item in plan_trials(suite, "cpu", "cpu")]
    own = LOSSES.load("my_parts.py:Mine")
    methods = dict(vars(own))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    try_first_steps(trials)
    assert torch.equal(torch.get_rng_state(), before)
    assert dict(vars(own)) == methods


def test_shipped_parts_take_no_step(monkeypatch, tmp_path):
    (tmp_path / "plain.toml").write_text(
        SUITE.format(variant="gan(width=8)", loss="hinge", trick="")
    )
    trials = plan_trials(load_suite(tmp_path / "plain.toml"), "cpu", "cpu")
    monkeypatch.setattr(
        "ganbench.experiments.first_step.take_step", lambda trial: pytest.fail("it took a step")
    )
    try_first_steps(item.trial for item in trials)


@every_variant
def test_shipped_parts_return_what_is_expected(name, monkeypatch):
    monkeypatch.setattr(watched_returns, "is_local", lambda name: True)
    text, recipe = variant_spec(name), resolve_variant(variant_spec(name))
    with watched_returns.watched_returns([recipe]):
        step = trainer(text, home_data(name), recipe.tricks, loss=recipe.loss)
        step.train_step()
        step.sampling_generators()
