"""Faults of own data sets are named before any training, and by `ganbench check`."""

import math
import textwrap

import pytest
import torch

from ganbench.ci.methods.contracts.check_parts import check_file
from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, Split
from ganbench.evaluation.data_faults import find_data_faults
from ganbench.evaluation.evaluator import load_split
from ganbench.local_files import forget_local_files, resolve_beside, trust_local_files
from ganbench.registry import SpecError

FLOAT_IMAGES = """
    import torch
    from dataclasses import dataclass, field
    from ganbench.extend import *

    @dataclass(frozen=True)
    class Mine(Data):
        shapes: dict = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 8)})

        def load(self):
            random = torch.Generator().manual_seed(0)
            sides = [{IMAGE: Examples(torch.rand(9, 1, 8, 8, generator=random))} for _ in range(2)]
            return Split(*sides)
"""
SENTENCE = "train examples are torch.float32, and images are torch.uint8"


def faults_of(shape, images, labels=None, classes=0):
    data = Data()
    object.__setattr__(data, "shapes", {IMAGE: shape})
    object.__setattr__(data, "classes", classes)
    examples = {IMAGE: Examples(images, labels)}
    return [
        fault for fault in find_data_faults(data, Split(examples, examples)) if "train" in fault
    ]


POINTS = torch.tensor([[0.0, 1.0], [math.nan, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("shape", "images", "labels", "sentence"),
    [
        ((1, 8, 8), torch.rand(3, 1, 8, 8), None, SENTENCE),
        ((2,), torch.ones(3, 2, dtype=torch.uint8), None, "uint8, and points are torch.float32"),
        ((2,), POINTS, None, "1 of 3 train examples are not finite"),
        ((3,), POINTS, None, "have the shape (2,), and declared is (3,)"),
        ((2,), POINTS[:0], None, "there are no train examples"),
        ((2,), POINTS[2:], torch.tensor([2]), "train labels lie in 2 to 2, of 2 classes"),
        ((2,), POINTS[2:], torch.tensor([1.0]), "expected torch.int64 [1]"),
        ((2,), POINTS[2:], torch.tensor([]).long(), "torch.int64 [0], expected torch.int64 [1]"),
        ((2,), POINTS[2:], torch.tensor([1]), ""),
    ],
)
def test_each_fault_is_named(shape, images, labels, sentence):
    faults = faults_of(shape, images, labels, classes=0 if labels is None else 2)
    assert sentence in "".join(faults)
    assert len(faults) == bool(sentence)


@pytest.mark.parametrize("sides", [("train", "held-out"), ("held-out",)])
def test_declared_classes_need_labels_on_both_sides(sides):
    data, points = Data(), POINTS[2:]
    object.__setattr__(data, "shapes", {IMAGE: (2,)})
    object.__setattr__(data, "classes", 3)
    split = Split(
        *(
            {IMAGE: Examples(points, None if side in sides else torch.tensor([1]))}
            for side in ("train", "held-out")
        )
    )
    faults = [fault.partition(":")[0] for fault in find_data_faults(data, split)]
    assert faults == [
        f"classes = 3 is declared, and {side} examples have no labels" for side in sides
    ]


class Translated(Data):
    """Two domains whose translations are declared as known."""

    has_targets = True


@pytest.mark.parametrize(
    ("truth", "sentence"),
    [
        (None, "has_targets is declared, and train examples have no truth"),
        (
            torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
            "train examples have 2 targets, and they are 3",
        ),
        (torch.zeros(3, 1, 4, 4, dtype=torch.uint8), "train targets have the shape (1, 4, 4)"),
        (torch.zeros(3, 1, 8, 8), "train targets are torch.float32"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), ""),
    ],
)
def test_each_fault_of_declared_targets_is_named(truth, sentence):
    data, images = Translated(), torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    object.__setattr__(data, "shapes", dict.fromkeys("ab", (1, 8, 8)))
    examples = {"a": Examples(images, truth=truth), "b": Examples(images)}
    faults = [f for f in find_data_faults(data, Split(examples, examples)) if "held-out" not in f]
    assert sentence in "".join(faults)
    assert len(faults) == bool(sentence)


def test_runs_and_checks_refuse_float_images(tmp_path):
    trust_local_files()
    (tmp_path / "mine.py").write_text(textwrap.dedent(FLOAT_IMAGES))
    with (
        resolve_beside(tmp_path),
        pytest.raises(SpecError, match=f"data set mine.py:Mine: {SENTENCE}"),
    ):
        load_split(DATA.label("mine.py:Mine"))
    assert SENTENCE in [fault.sentence for fault in check_file(tmp_path / "mine.py").faults]
    forget_local_files()
