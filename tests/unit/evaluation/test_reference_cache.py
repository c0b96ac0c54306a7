"""Shelves: the real side is made once a machine, and damage or other content cost time only."""

import pytest
import torch
from helpers import CPU

from ganbench.data.paths import cache_root
from ganbench.evaluation import evaluator as yardstick
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics.feature_set import Cache, FeatureSet
from ganbench.evaluation.reference_cache import DiskCache, cache_folder_of
from ganbench.training.sampling import GeneratedSamples

METRICS = ("fid", "kid", "precision", "recall", "coverage", "modes")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def readings():
    evaluator = Evaluator("digits", CPU)
    noise = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return evaluator.measure(GeneratedSamples(noise), METRICS) | {
        "floor": evaluator.measure_floor(METRICS)
    }


def test_what_is_kept_is_never_computed_again_and_changes_no_number(cache, monkeypatch):
    first = readings()
    files = {path: path.stat().st_mtime_ns for path in cache_root().rglob("*.safetensors")}
    assert {"extracted", "moments", "factor"} <= {path.stem for path in files}

    def refuse(extractor, images):
        assert len(images) in (1, 300), "the real side was extracted again"
        return extracted(extractor, images)

    extracted = yardstick.extract_features
    monkeypatch.setattr(yardstick, "extract_features", refuse)
    assert readings() == first
    assert {p: p.stat().st_mtime_ns for p in cache_root().rglob("*.safetensors")} == files


def test_a_damaged_file_is_made_again(cache):
    first = readings()
    for path in cache_root().rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert readings() == first


def test_a_place_that_cannot_be_written_costs_time_only(cache):
    cache.write_text("a file where the folder would be")
    assert readings() == readings()


def test_other_content_extractors_or_counts_lie_in_other_folders(cache):
    specs = ["ganbench", "ganbench(reals=500)", "ganbench(extractor='identity')"]
    for spec in specs:
        assert len(Evaluator("digits", CPU, spec).real_features)
    assert len(list(cache.iterdir())) == len(specs)
    facts = {"data": "a", "count": 1}
    assert cache_folder_of(facts) == cache_folder_of({"count": 1, "data": "a"})
    assert cache_folder_of(facts) != cache_folder_of({"data": "b", "count": 1})


def test_only_what_has_a_name_outlives_the_process(tmp_path):
    cache, other = (DiskCache(tmp_path, CPU) for _ in range(2))
    made = {"rows": torch.arange(3.0)}
    cache.put("Neighbours(k=3)", made)
    cache.put(("a pair", cache), made)
    assert torch.equal(other.get("Neighbours(k=3)")["rows"], made["rows"])
    assert other.get(("a pair", cache)) is None
    assert other.get("../../outside") is None
    other.put("../../outside", made)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_a_files_name_costs_time_only(tmp_path):
    cache = DiskCache(tmp_path, CPU)
    cache.put("x" * 500, {"rows": torch.ones(1)})
    assert cache.get("x" * 500)
    assert DiskCache(tmp_path, CPU).get("x" * 500) is None


def test_a_sample_derives_once_and_a_copy_of_it_anew():
    sample, calls = FeatureSet(torch.zeros(2, 2)), []
    for _ in range(2):
        sample.cached("a", lambda: calls.append(1) or {})
    assert calls == [1]
    assert isinstance(sample.cache, Cache)
