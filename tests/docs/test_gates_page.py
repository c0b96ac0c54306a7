"""The faults of the study of gates can still be planted."""

from pathlib import Path

import pytest
from gate_faults import all_faults

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [fault.name for fault in all_faults()])
def test_fault_can_be_planted(name):
    (fault,) = (fault for fault in all_faults() if fault.name == name)
    sources = [(ROOT / edit.path).read_text(encoding="utf-8") for edit in fault.edits]
    counts = [text.count(edit.old) for text, edit in zip(sources, fault.edits, strict=True)]
    assert counts == [1] * len(fault.edits)
    assert len(fault.sentence.split()) <= 25
