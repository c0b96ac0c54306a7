"""Source hashes: changed behaviour makes a stored trial stale, comments and paths do not."""

from dataclasses import replace

import pytest

from ganbench.experiments.provenance import hash_training_code
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import resolve_variant
from ganbench.registry import Registry
from ganbench.source_hash import hash_file, import_closure, normalize_source, path_of

SOURCE = '''"""Lazy penalties (nobody, 2026)."""

import math

from torch import nn

RATE = 4  # steps


class Lazy(nn.Module):
    """Every fourth step."""

    def acts(self, step: int) -> bool:
        """Says whether a step is one of those."""
        return step % RATE == 0  # as the paper has it


def root(x: float) -> float:
    return math.sqrt(x)
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# steps", "# steps, as in StyleGAN2"),
        ("  # as the paper has it", ""),
        ('"""Every fourth step."""', '"""Acts in each step of which RATE is a divisor."""'),
        ('"""Lazy penalties (nobody, 2026)."""\n\n', ""),
        ("import math\n\nfrom torch import nn\n", "from torch import nn\nimport math\n"),
        ("from torch import nn", "from torch.nn import modules as nn"),
        ("return step % RATE == 0", "return (step % RATE == 0)"),
    ],
)
def test_comments_imports_and_layout_keep_hash(old, new):
    assert old in SOURCE
    assert normalize_source(SOURCE.replace(old, new)) == normalize_source(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 4", "RATE = 5"),
        ("% RATE == 0", "% RATE == 1"),
        ("math.sqrt", "math.exp"),
        ("nn.Module", "nn.Identity"),
        ("    return math.sqrt(x)", "    math.sqrt(x)"),
    ],
)
def test_changed_behaviour_changes_hash(old, new):
    assert old in SOURCE
    assert normalize_source(SOURCE.replace(old, new)) != normalize_source(SOURCE)


def test_string_other_than_docstring_changes_hash():
    assert normalize_source("x = 'a'") != normalize_source("x = 'b'")


def test_file_name_does_not_change_hash(tmp_path):
    (tmp_path / "old.py").write_text(SOURCE)
    (tmp_path / "new.py").write_text(SOURCE.replace("# steps", "# how often"))
    assert hash_file(tmp_path / "old.py") == hash_file(tmp_path / "new.py")


def test_import_closure_is_transitive_without_packages():
    closure = import_closure(["ganbench.gan.tricks.r1"], ("ganbench.gan.",))
    assert "ganbench.gan.tricks.base" in closure
    assert "ganbench.gan.adversarial_batch" in closure
    assert "ganbench.gan.tricks" not in closure
    assert not any(module.startswith("ganbench.training") for module in closure)


@pytest.fixture
def move_r1(tmp_path, monkeypatch):
    """Moves R1 to a file of another name and folder, with one text replaced."""
    (tmp_path / "moved_tricks").mkdir()
    (tmp_path / "moved_tricks" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    text = path_of("ganbench.gan.tricks.r1").read_text()
    original = Registry.modules

    def move(name, old, new):
        assert old in text
        moved = text.replace(old, new, 1).replace("from .", "from ganbench.gan.tricks.")
        (tmp_path / "moved_tricks" / f"{name}.py").write_text(moved)
        modules = {**original(TRICKS), "r1": f"moved_tricks.{name}:R1"}
        choose = lambda registry: modules if registry is TRICKS else original(registry)  # noqa: E731
        monkeypatch.setattr(Registry, "modules", choose)

    return move


def training_hash(*tricks):
    recipe = replace(resolve_variant("gan(width=8)"), tricks=tricks)
    return hash_training_code(recipe, "digits")


def test_only_own_parts_make_a_trial_stale(move_r1):
    plain, with_r1 = training_hash(), training_hash("r1")
    move_r1("reworded", "penalizes the discriminator's gradient", "no slope where the reals are")
    assert training_hash("r1") == with_r1
    move_r1("wrong", "pair.real_score, pair.real", "pair.fake_score, pair.fake")
    assert training_hash("r1") != with_r1
    assert training_hash() == plain
