"""Components from another package's entry points work like built-in ones."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ganbench.gan.tricks import TRICKS
from ganbench.registry import SpecError, explain_error, plugin_parts

pytestmark = pytest.mark.heavy

PROGRAM = Path(sys.executable).parent / "ganbench"

TRICK = '''"""Coin (nobody, 2026): scores of fakes are halved."""

from ganbench.extend import Trick


class Coin(Trick):
    def __init__(self, weight: float = 0.5):
        super().__init__()
        self.weight = weight

    def generator_terms(self, pair):
        yield "coin", self.weight * pair.fake_score.square().mean()
'''

RECIPE = """from ganbench.extend import Recipe

TINY = Recipe("The smallest GAN.", "mlp(width=8)", tricks=("coin",))
"""

SUITE = """
schema = 1
name = "plugin"
data = ["digits"]
metrics = ["fid"]
seeds = 1
[[grid]]
variants = ["tiny"]
[[grid]]
variants = ["gan(width=8)"]
[grid.tricks]
chains = [["coin(weight=2)"]]
[budget.cpu]
images = 640
"""

ENTRY_POINTS = """
[ganbench.tricks]
coin = coinpack.coin:Coin
[ganbench.variants]
tiny = coinpack.variants:TINY
"""


@pytest.fixture
def plugin_folder(tmp_path):
    """Creates an installed package with a trick and a variant."""
    package, metadata = tmp_path / "coinpack", tmp_path / "coinpack-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "coin.py").write_text(TRICK)
    (package / "variants.py").write_text(RECIPE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: coinpack\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "plugin.toml").write_text(SUITE)
    return tmp_path


def ganbench_json(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    completed = subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def test_plugin_is_listed_and_trains_in_workers(plugin_folder):
    (coin,) = [
        t
        for t in ganbench_json(plugin_folder, "list", "tricks", "--json")["tricks"]
        if "coin" in t["spec"]
    ]
    assert coin == {
        "spec": "coin(weight=0.5)",
        "about": "Coin (nobody, 2026): scores of fakes are halved.",
    }
    run = ganbench_json(
        plugin_folder, "run", "plugin.toml", "--workers", "2", "--device", "cpu", "--json"
    )
    assert run["outcomes"] == {"done": 4}  # two cells and their untrained baselines


# Plugins with bugs

BUGS = {  # source of a trick, and a piece of the message with the line
    "reads_key": (
        "class Bug(Trick):\n    def __init__(self, weight: float = 1):\n        {}['gone']\n",
        "KeyError: 'gone' (line 5 of {file})",
    ),
    "no_super": (
        "class Bug(Trick):\n    def __init__(self, weight: float = 1):\n        self.w = weight\n",
        "Bug.__init__ must call super().__init__() (line 3 of {file})",
    ),
    "module_before_super": (
        "import torch\nclass Bug(Trick):\n    def __init__(self):\n        self.w = torch.nn.Linear(1, 1)\n",
        "cannot assign module before Module.__init__() call (line 6 of {file})",
    ),
    "parses_arguments": (
        "import argparse\np = argparse.ArgumentParser(); p.add_argument('--x', required=True)\n"
        "p.parse_args()\nclass Bug(Trick): pass\n",
        "SystemExit: 2 (line 5 of {file})",
    ),
    "exits_with_one": ("raise SystemExit(1)\n", "SystemExit: 1 (line 3 of {file})"),
    "exits_with_zero": ("raise SystemExit(0)\n", "SystemExit: 0 (line 3 of {file})"),
    "needs_module": (
        "import surely_missing\n",
        "ModuleNotFoundError: No module named 'surely_missing' (line 3 of {file})",
    ),
    "is_no_python": ("class Bug(Trick:\n", "(line 3 of {file})"),
    "lacks_class": ("class Other(Trick): pass\n", "has no attribute 'Bug' (entry point"),
    "is_function": ("def Bug(): return Trick()\n", "is not a class (entry point"),
    "has_no_base": ("class Bug: pass\n", "is no trick: derive it from Trick (line 3 of {file})"),
    "has_unknown_type": (
        "class Bug(Trick):\n    def __init__(self, weight: 'Flot' = 1): pass\n",
        "NameError: name 'Flot' is not defined (line 3 of {file})",
    ),
    "breaks_in_setup": (
        "class Bug(Trick):\n    def setup(self, task, config):\n        [][1]\n",
        "IndexError: list index out of range (line 5 of {file})",
    ),
    "exits_in_hook": (
        "class Bug(Trick):\n    def configure_network(self, network):\n        raise SystemExit\n",
        "SystemExit (line 5 of {file})",
    ),
    "raises_own_kind": (
        "class Stop(BaseException): pass\nclass Bug(Trick):\n    def __init__(self): raise Stop('x')\n",
        "Stop: x (line 5 of {file})",
    ),
}
ENDINGS = {  # bodies of a hook in training
    "exits_with_three": "import sys; sys.exit(3)",
    "exits_without_code": "import sys; sys.exit()",
    "misses_key": "{}['gone']",
    "kills_worker": "import os; os._exit(0)",
}
BUG_SUITE = """
schema = 1
name = "{name}"
data = ["digits"]
metrics = ["fid"]
seeds = 1
[[grid]]
variants = ["gan(width=8)"]
[grid.tricks]
chains = [[], ["{name}"]]
[budget.cpu]
images = 640
"""


def write_plugin(folder, sources):
    """Writes an installed package with one module for each trick, and a suite for each."""
    package, metadata = folder / "bugpack", folder / "bug_pack-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    lines = ["[ganbench.tricks]"]
    for name, source in sources.items():
        text = f'"""{name}."""\nfrom ganbench.extend import Trick\n{source}'
        (package / f"{name}.py").write_text(text)
        lines.append(f"{name} = bugpack.{name}:Bug")
        (folder / f"{name}.toml").write_text(BUG_SUITE.format(name=name))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bug-pack\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


COMMON_BUGS = ("exits_in_hook", "is_no_python", "lacks_class", "needs_module", "no_super")


@pytest.fixture(scope="module")
def bug_folder(tmp_path_factory):
    hook = "class Bug(Trick):\n    def generator_terms(self, pair):\n        {}\n        yield\n"
    sources = {name: source for name, (source, _) in BUGS.items()}
    sources |= {name: hook.replace("{}", body, 1) for name, body in ENDINGS.items()}
    sources["prints"] = (
        "import os\nprint('at import')\nos.system('echo child')\nclass Bug(Trick):\n"
        "    def begin_step(self, context): print('in a step ±')\n"
    )
    return write_plugin(tmp_path_factory.mktemp("bugs"), sources)


def run_with_bugs(folder, *arguments, **environment):
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize(
    "name",
    [name if name in COMMON_BUGS else pytest.param(name, marks=pytest.mark.slow) for name in BUGS],
)
def test_bug_of_plugin_is_named_by_plan(bug_folder, name):
    completed = run_with_bugs(bug_folder, "plan", f"{name}.toml", "--no-estimate")
    file = bug_folder / "bugpack" / f"{name}.py"
    *_, sentence = completed.stderr.strip().splitlines()
    assert sentence.startswith(f"trick {name} of package bug-pack failed: ")
    assert BUGS[name][1].replace("{file}", str(file)) in sentence
    assert sentence.endswith("correct the package, or remove it: pip uninstall bug-pack")
    assert completed.returncode == 2


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "kills_worker" else pytest.mark.slow) for n in ENDINGS],
)
def test_bug_in_training_costs_its_trial(bug_folder, name):
    line = ["run", f"{name}.toml", "--workers", "2", "--device", "cpu", "--json"]
    completed = run_with_bugs(bug_folder, *line)
    assert completed.returncode == 4, completed.stderr
    outcomes = json.loads(completed.stdout)["outcomes"]  # other tests trained the other trials
    assert outcomes.pop("failed") == 1
    assert set(outcomes) <= {"done"}


def test_exit_in_training_without_workers_costs_its_trial(bug_folder):
    line = ["run", "exits_with_three.toml", "--workers", "0", "--device", "cpu"]
    completed = run_with_bugs(bug_folder, *line)
    assert completed.returncode == 4, completed.stderr
    assert "SystemExit: 3" in completed.stderr


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_json_stands_alone_beside_plugin_prints(bug_folder, workers):
    line = ["run", "prints.toml", "--workers", workers, "--device", "cpu", "--json"]
    completed = run_with_bugs(bug_folder, *line, "--results", workers, PYTHONIOENCODING="ascii")
    assert completed.returncode == 0, completed.stderr
    assert set(json.loads(completed.stdout)["outcomes"]) == {"done"}


def test_broken_plugins_are_listed(bug_folder):
    completed = run_with_bugs(bug_folder, "list", "tricks", "--json")
    specs = [entry["spec"] for entry in json.loads(completed.stdout)["tricks"]]
    assert {"is_no_python", "lacks_class", "parses_arguments"} <= set(specs)


def test_check_watches_the_parts_of_a_package(tmp_path):
    source = (
        "from torch import nn\nclass Bug(Trick):\n    def transform_generator(self, generator):\n"
        "        generator.gate = nn.Linear(2, 2)\n        nn.init.zeros_(generator.gate.weight)\n"
        "        return generator\n"
    )
    completed = run_with_bugs(write_plugin(tmp_path, {"gate": source}), "check", "bug-pack")
    assert completed.returncode == 1, completed.stderr
    assert "trick gate: transform_generator sets weights (gate.weight)" in completed.stdout
    assert f"(line 5 of {tmp_path / 'bugpack' / 'gate.py'})" in completed.stdout


def test_value_error_of_plugin_is_a_setting_error(tmp_path, monkeypatch):
    source = "class Bug(Trick):\n    def __init__(self, weight: float = 1): raise ValueError('too big')\n"
    monkeypatch.syspath_prepend(write_plugin(tmp_path, {"too_big": source}))
    monkeypatch.setattr(
        "ganbench.registry.registry.entry_points_of",
        lambda group: {"too_big": "bugpack.too_big:Bug"},
    )
    with pytest.raises(SpecError, match="trick too_big: too big"):
        TRICKS.make("too_big")


def test_error_of_hook_is_explained_with_its_line(tmp_path, monkeypatch):
    source = "class Bug(Trick):\n    def begin_step(self, context): {}['gone']\n"
    monkeypatch.syspath_prepend(write_plugin(tmp_path, {"late_bug": source}))
    monkeypatch.delitem(sys.modules, "bugpack", raising=False)
    plugin_parts.cache_clear()
    trick = import_module("bugpack.late_bug").Bug()
    with pytest.raises(KeyError) as raised:
        trick.begin_step(None)
    sentence = explain_error(raised.value)
    plugin_parts.cache_clear()
    file = tmp_path / "bugpack" / "late_bug.py"
    assert (
        f"trick late_bug of package bug-pack failed: KeyError: 'gone' (line 4 of {file})"
        in sentence
    )
    assert explain_error(ValueError("odd\nlines")) == "ValueError: odd lines"
