"""Components from another package's entry points work like built-in ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
