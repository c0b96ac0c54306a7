"""Names of the last release still work, and a warning names the new one.

`tests/last_release` holds the example package from the manual of the last release, unchanged.
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


def plugin_hook(self, *arguments):
    return "theirs"


def warns_renamed(old):
    return pytest.warns(GanbenchDeprecationWarning, match=rf"\b{old} is now")


@pytest.mark.parametrize(("base", "old", "new"), HOOKS, ids=IDS)
def test_old_override_is_called_by_new_name(base, old, new):
    with warns_renamed(old):
        plugin = type("Plugin", (base,), {old: plugin_hook})
    assert getattr(plugin, new) is plugin_hook


@pytest.mark.parametrize(("base", "old", "new"), HOOKS, ids=IDS)
def test_old_name_calls_parent_hook(base, old, new):
    parent = type("Parent", (base,), {new: plugin_hook})
    plugin = type("Plugin", (parent,), {})
    with warns_renamed(old):
        assert getattr(super(plugin, plugin), old) is plugin_hook


def test_super_call_by_old_name_reaches_parent():
    class Parent(Trick):
        def incompatibility(self, config):
            return "from above"

    with warns_renamed("objection"):

        class Child(Parent):
            def objection(self, blueprint):
                return super().objection(blueprint)

    with warns_renamed("objection"):
        assert Child().incompatibility(None) == "from above"


def test_old_flag_name_counts():
    with warns_renamed("paired"):
        plugin = type("Plugin", (Loss,), {"paired": True})
    assert plugin.needs_real_scores is True


def test_new_name_wins_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plugin = type("Plugin", (Trick,), {"objection": None, "incompatibility": plugin_hook})
    assert plugin.incompatibility is plugin_hook


@pytest.mark.parametrize("module", sorted(MODULES))
def test_old_module_imports(module):
    install_renamed_modules()
    assert importlib.import_module(module).__name__ in (module, MODULES[module])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_old_module_name_resolves(name):
    module, _, attribute = name.partition(":")
    new_module, _, new = NAMES[name].partition(":")
    with warns_renamed(attribute):
        value = getattr(importlib.import_module(module), attribute)
    assert value is getattr(importlib.import_module(new_module), new)


def test_old_import_names_its_public_replacement():
    with pytest.warns(GanbenchDeprecationWarning, match=r"is now ganbench\.extend\.Metric;"):
        assert importlib.import_module("ganbench.metrics.base").Metric is Metric


def test_unknown_old_module_raises():
    with pytest.raises(ModuleNotFoundError, match=r"metrics\.fod"):
        importlib.import_module("ganbench.metrics.fod")
    with pytest.raises(AttributeError, match="fod"):
        importlib.import_module("ganbench.metrics.base").fod  # noqa: B018


def test_hook_objects_accept_old_names():
    network, loss = NETWORKS.make("mlp"), LOSSES.make("hinge")
    config = BuildConfig("unconditional", network, loss, Hyperparameters(), {}, 0, ())
    with warns_renamed("plan"):
        assert config.plan is config.hyperparameters
    with warns_renamed("game"):
        assert config.game == config.task
    trick, context = Trick(), StepContext(RngStreams(0, CPU), 1, 0, 0.0)
    with warns_renamed("moment"):
        trick.moment = context
    assert trick.context is context


def test_recipe_takes_and_stores_old_arguments():
    new = Recipe("About.", "mlp(width=8)", task="conditional")
    with warns_renamed(r"Recipe\(game=\.\.\.\)"):
        old = Recipe("About.", "mlp(width=8)", game="conditional")
    assert old == new
    assert STORED_NAMES == {"hyperparameters": "plan", "task": "game"}


@pytest.fixture
def last_release_package(tmp_path):
    """The example package of the last release, as installed by pip."""
    metadata = tmp_path / "gan_parts-1.0.dist-info"
    shutil.copytree(LAST_RELEASE, tmp_path, dirs_exist_ok=True)
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gan-parts\nVersion: 1.0\n")
    groups = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        f"[{group}]\n{name} = {target}\n"
        for group in groups
        for name, target in groups[group].items()
    ]
    (metadata / "entry_points.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.heavy
def test_last_release_package_trains_with_warnings(last_release_package):
    result = subprocess.run(
        [PROGRAM, "run", "parts.toml", "--device", "cpu", "--workers", "2"],
        cwd=last_release_package,
        env={**os.environ, "PYTHONPATH": str(last_release_package)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "14 trials trained" in result.stdout
    for line in (
        "ganbench.games.unconditional.Unconditional is now ganbench.extend.Unconditional;",
        "Shallow.generator is now build_generator;",
        "EnergyDistance.measure is now compute;",
        "Recipe(game=...) is now task=...;",
    ):
        assert line in result.stderr
