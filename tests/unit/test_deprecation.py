"""Names of the last release: each still works, and says what it is called now.

`tests/last_release` holds the package that the last release's manual showed, as it stood there.
"""

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from helpers import CPU

from ganbench.deprecation import GanbenchDeprecationWarning, install_renamed_modules
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.metrics.base import Metric
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.experiments.trial import STORED_NAMES
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Head
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks.base import Task
from ganbench.gan.tricks.base import Trick
from ganbench.renamed import MODULES, NAMES
from ganbench.rng import RngStreams, StepContext

LAST_RELEASE = Path(__file__).parents[1] / "last_release"
PROGRAM = Path(sys.executable).parent / "ganbench"
BASES = (Trick, Loss, Network, Head, Task, Metric, Extractor, MeasurementRules)
HOOKS = [(base, old, new) for base in BASES for old, new in base.renamed_hooks.items()]
IDS = [f"{base.__name__}.{old}" for base, old, _ in HOOKS]


def answer(self, *given):
    return "theirs"


def renamed(old):
    return pytest.warns(GanbenchDeprecationWarning, match=rf"\b{old} is now")


@pytest.mark.parametrize(("base", "old", "new"), HOOKS, ids=IDS)
def test_an_override_by_an_old_name_is_called_under_the_new_one(base, old, new):
    with renamed(old):
        plugin = type("Plugin", (base,), {old: answer})
    assert getattr(plugin, new) is answer


@pytest.mark.parametrize(("base", "old", "new"), HOOKS, ids=IDS)
def test_an_old_name_reaches_the_hook_of_the_next_class_up(base, old, new):
    parent = type("Parent", (base,), {new: answer})
    plugin = type("Plugin", (parent,), {})
    with renamed(old):
        assert getattr(super(plugin, plugin), old) is answer


def test_an_override_that_calls_the_next_one_by_its_old_name_does_not_call_itself():
    class Theirs(Trick):
        def incompatibility(self, config):
            return "from above"

    with renamed("objection"):

        class Mine(Theirs):
            def objection(self, blueprint):
                return super().objection(blueprint)

    with renamed("objection"):
        assert Mine().incompatibility(None) == "from above"


def test_a_flag_by_an_old_name_counts_too():
    with renamed("paired"):
        plugin = type("Plugin", (Loss,), {"paired": True})
    assert plugin.needs_real_scores is True


def test_a_new_name_wins_beside_an_old_one_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plugin = type("Plugin", (Trick,), {"objection": None, "incompatibility": answer})
    assert plugin.incompatibility is answer


@pytest.mark.parametrize("module", sorted(MODULES))
def test_an_old_module_is_there(module):
    install_renamed_modules()
    assert importlib.import_module(module).__name__ in (module, MODULES[module])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_old_name_of_a_module_is_there(name):
    module, _, attribute = name.partition(":")
    new_module, _, new = NAMES[name].partition(":")
    with renamed(attribute):
        found = getattr(importlib.import_module(module), attribute)
    assert found is getattr(importlib.import_module(new_module), new)


def test_what_extensions_may_import_is_named_by_its_public_place():
    with pytest.warns(GanbenchDeprecationWarning, match=r"is now ganbench\.extend\.Metric;"):
        assert importlib.import_module("ganbench.metrics.base").Metric is Metric


def test_a_module_that_never_was_is_missed():
    with pytest.raises(ModuleNotFoundError, match=r"metrics\.fod"):
        importlib.import_module("ganbench.metrics.fod")
    with pytest.raises(AttributeError, match="fod"):
        importlib.import_module("ganbench.metrics.base").fod  # noqa: B018


def test_objects_that_hooks_are_given_answer_to_old_names():
    network, loss = NETWORKS.make("mlp"), LOSSES.make("hinge")
    config = BuildConfig("unconditional", network, loss, Hyperparameters(), {}, 0, ())
    with renamed("plan"):
        assert config.plan is config.hyperparameters
    with renamed("game"):
        assert config.game == config.task
    trick, context = Trick(), StepContext(RngStreams(0, CPU), 1, 0, 0.0)
    with renamed("moment"):
        trick.moment = context
    assert trick.context is context


def test_a_recipe_takes_old_arguments_and_is_stored_by_them():
    new = Recipe("About.", "mlp(width=8)", task="conditional")
    with renamed(r"Recipe\(game=\.\.\.\)"):
        old = Recipe("About.", "mlp(width=8)", game="conditional")
    assert old == new
    assert STORED_NAMES == {"hyperparameters": "plan", "task": "game"}


@pytest.fixture
def installed(tmp_path):
    """The last release's example package, as an installer leaves it."""
    about = tmp_path / "gan_parts-1.0.dist-info"
    shutil.copytree(LAST_RELEASE, tmp_path, dirs_exist_ok=True)
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gan-parts\nVersion: 1.0\n")
    groups = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        f"[{group}]\n{name} = {place}\n"
        for group in groups
        for name, place in groups[group].items()
    ]
    (about / "entry_points.txt").write_text("".join(lines))
    return tmp_path


def test_a_package_of_the_last_release_trains_and_is_told_the_new_names(installed):
    ran = subprocess.run(
        [PROGRAM, "run", "parts.toml", "--device", "cpu", "--workers", "2"],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "14 trials trained" in ran.stdout
    for line in (
        "ganbench.games.unconditional.Unconditional is now ganbench.extend.Unconditional;",
        "Shallow.generator is now build_generator;",
        "EnergyDistance.measure is now compute;",
        "Recipe(game=...) is now task=...;",
    ):
        assert line in ran.stderr
