"""Own parts: mistakes are named with file and line, and plugins that measure have a version."""

import subprocess
import sys
from pathlib import Path

import pytest

from ganbench.evaluation.metrics import METRICS
from ganbench.registry import PartError, Registry

MODULE = """from dataclasses import dataclass


@dataclass(frozen=True)
class Coin:
    weight: float = 1.0
"""
MISTAKES = {  # text of the module: line and words of the error
    "def (:\n": (1, "SyntaxError"),
    "import no_such_package\n": (1, "no_such_package"),
    "\nfrom math import no_such_name\n": (2, "no_such_name"),
    MODULE.replace("float", "flot"): (6, "flot"),
    MODULE + "\n    def __post_init__(self):\n        {}['x']\n": (9, "KeyError: 'x'"),
}


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package of parts, whose registry names a trick."""
    folder = tmp_path / f"own_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").write_text('\nENTRIES = {\n    "coin": "coin:Coin",\n}\n')
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def registry_of(package: Path) -> Registry:
    return Registry("trick", package.name, "ganbench.none", {"coin": "coin:Coin"})


def mistake_of(package: Path) -> str:
    with pytest.raises(PartError) as mistake:
        registry_of(package).make("coin")
    assert mistake.value.exit_code == 2
    return str(mistake.value)


@pytest.mark.parametrize("text", MISTAKES)
def test_mistake_has_file_and_line(package, text):
    (package / "coin.py").write_text(text)
    line, words = MISTAKES[text]
    message = mistake_of(package)
    assert message.startswith("trick coin has a mistake: ")
    assert words in message
    assert f"(line {line} of {package / 'coin.py'})" in message


def test_wrong_class_name_has_a_suggestion(package):
    (package / "coin.py").write_text(MODULE.replace("Coin", "Coins"))
    message = mistake_of(package)
    assert f"{package / 'coin.py'} has no class 'Coin'" in message
    assert f"line 3 of {package / '__init__.py'} names it; did you mean 'Coins'?" in message


def test_missing_module_is_named(package):
    message = mistake_of(package)
    assert f"there is no module {package.name}.coin" in message
    assert f"line 3 of {package / '__init__.py'}" in message


def test_part_without_mistake_is_made(package):
    (package / "coin.py").write_text(MODULE)
    assert registry_of(package).make("coin(weight=2)").weight == 2


def test_internal_errors_have_file_and_line(tmp_path):
    code = "from ganbench import cli; cli.app = lambda: {}['x']; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "internal error: KeyError: 'x' (line 1 of <string>)" in done.stderr


# Versions of plugins

METRIC = """from ganbench.extend import Metric

from .factors import FACTOR


class Coin(Metric):
    version = 3
    direction = "lower"
"""


@pytest.fixture
def version_of_plugin(tmp_path, monkeypatch):
    """Writes a package with a metric, and returns the metric's version."""

    def version(package: str, factors: str, text: str = METRIC) -> int:
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "factors.py").write_text(factors)
        (folder / "coin.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(
            "ganbench.registry.registry.entry_points_of",
            lambda group: {"coin": f"{package}.coin:Coin"},
        )
        return METRICS.identity("coin")["version"]

    return version


def test_a_changed_plugin_measures_again(version_of_plugin):
    first = version_of_plugin("coins_a", "FACTOR = 1\n")
    assert version_of_plugin("coins_b", "FACTOR = 1  # a remark\n") == first
    assert version_of_plugin("coins_c", "FACTOR = 2\n") != first
    assert version_of_plugin("coins_d", "FACTOR = 1\n", METRIC + "    unit = 'm'\n") != first


def test_shipped_classes_keep_their_version(monkeypatch):
    shipped = {"coin": "ganbench.evaluation.metrics.fid:FID"}
    monkeypatch.setattr("ganbench.registry.registry.entry_points_of", lambda group: shipped)
    assert METRICS.identity("coin")["version"] == METRICS.identity("fid")["version"] == 1
