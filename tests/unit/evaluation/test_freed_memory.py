"""Freed memory is kept for the next blocks, then returned to the system; values do not change."""

import resource
from pathlib import Path

import pytest
import torch

from ganbench.evaluation import freed_memory
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import extract_features
from ganbench.evaluation.freed_memory import has_glibc, keep_freed_memory

FLOATS = 2**24  # 64 MB, above glibc's largest threshold

needs_glibc = pytest.mark.skipif(not has_glibc(), reason="needs the GNU C library")


def count_page_faults(blocks: int) -> int:
    """Returns the faults of a number of blocks, each freed before the next one."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        torch.ones(FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@needs_glibc
def test_only_the_first_blocks_cost_page_faults():
    before = count_page_faults(4)
    with keep_freed_memory():
        count_page_faults(16)  # alignment may cut the first ones, so that they do not fit again
        assert count_page_faults(4) < before / 10


@needs_glibc
def test_memory_is_returned_at_the_end():
    before = resident_bytes()
    with keep_freed_memory():
        torch.ones(FLOATS)
        assert resident_bytes() - before > 2 * FLOATS
    assert resident_bytes() - before < 2 * FLOATS


@needs_glibc
def test_memory_is_returned_after_an_error():
    before = resident_bytes()
    with pytest.raises(ZeroDivisionError), keep_freed_memory():
        torch.ones(FLOATS).mean().item() / 0
    assert resident_bytes() - before < 2 * FLOATS


@pytest.mark.parametrize("glibc", [True, False])
def test_features_have_the_same_bits(monkeypatch, glibc):
    monkeypatch.setattr(freed_memory, "has_glibc", lambda: glibc and has_glibc())
    extractor = EXTRACTORS.make("classifier(of='digits')")
    images = torch.rand(600, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = extract_features(extractor, images).features
    with torch.no_grad():
        expected = torch.cat([extractor(part)[0] for part in images.split(500)])
    assert torch.equal(found, expected)
