"""Reference cache: real statistics are computed once, and corrupt files are recomputed."""

import platform
import subprocess

import pytest
import torch
from helpers import CPU

from ganbench.data.paths import cache_root
from ganbench.evaluation import evaluator as evaluator_module
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics.feature_set import Cache, FeatureSet
from ganbench.evaluation.reference_cache import DiskCache, cache_folder_of
from ganbench.training.sampling import GeneratedSamples

METRICS = ("fid", "kid", "precision", "recall", "coverage", "modes")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def measure_noise():
    evaluator = Evaluator("digits", CPU)
    noise = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return evaluator.measure(GeneratedSamples(noise), METRICS) | {
        "floor": evaluator.measure_floor(METRICS)
    }


def test_cached_statistics_are_reused_without_change(cache, monkeypatch):
    first = measure_noise()
    files = {path: path.stat().st_mtime_ns for path in cache_root().rglob("*.safetensors")}
    assert {"extracted", "moments", "factor"} <= {path.stem for path in files}

    def extract_fakes_only(extractor, images):
        assert len(images) in (1, 300), "the real side was extracted again"
        return original(extractor, images)

    original = evaluator_module.extract_features
    monkeypatch.setattr(evaluator_module, "extract_features", extract_fakes_only)
    assert measure_noise() == first
    assert {p: p.stat().st_mtime_ns for p in cache_root().rglob("*.safetensors")} == files


def test_corrupt_file_is_recomputed(cache):
    first = measure_noise()
    for path in cache_root().rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert measure_noise() == first


def test_unwritable_cache_gives_same_values(cache):
    cache.write_text("a file where the folder would be")
    assert measure_noise() == measure_noise()


def test_every_protocol_has_its_cache_folder(cache):
    specs = ["ganbench", "ganbench(reals=500)", "ganbench(extractor='identity')"]
    for spec in specs:
        assert len(Evaluator("digits", CPU, spec).real_features)
    assert len(list(cache.iterdir())) == len(specs)
    identity = {"data": "a", "count": 1}
    assert cache_folder_of(identity) == cache_folder_of({"count": 1, "data": "a"})
    assert cache_folder_of(identity) != cache_folder_of({"data": "b", "count": 1})


def test_only_named_entries_are_written_to_disk(tmp_path):
    cache, other = (DiskCache(tmp_path, CPU) for _ in range(2))
    entry = {"rows": torch.arange(3.0)}
    cache.put("Neighbours(k=3)", entry)
    cache.put(("a pair", cache), entry)
    assert torch.equal(other.get("Neighbours(k=3)")["rows"], entry["rows"])
    assert other.get(("a pair", cache)) is None
    assert other.get("../../outside") is None
    other.put("../../outside", entry)
    assert len(list(tmp_path.iterdir())) == 2


def test_file_of_a_killed_process_is_swept(tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    left = tmp_path / f".moments.safetensors.{process.pid}@{platform.node()}"
    left.write_bytes(b"x")
    DiskCache(tmp_path, CPU).put("moments", {"rows": torch.ones(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["moments.safetensors"]


def test_invalid_file_name_stays_in_memory(tmp_path):
    cache = DiskCache(tmp_path, CPU)
    cache.put("x" * 500, {"rows": torch.ones(1)})
    assert cache.get("x" * 500)
    assert DiskCache(tmp_path, CPU).get("x" * 500) is None


def test_feature_set_computes_cached_value_once():
    feature_set, calls = FeatureSet(torch.zeros(2, 2)), []
    for _ in range(2):
        feature_set.cached("a", lambda: calls.append(1) or {})
    assert calls == [1]
    assert isinstance(feature_set.cache, Cache)
