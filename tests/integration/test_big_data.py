"""Data larger than memory, through the program: killed conversions, two processes, equal results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganbench.data.folder import Folder
from ganbench.data.packed_images import open_pack

COUNT = 240
PACK = """
import sys, time
from ganbench.data import packing
from ganbench.data.folder import Folder
packing.BUCKET_BYTES, packing.MAX_BLOCK_IMAGES, packing.SECONDS_PER_COMMIT = 6000, 8, 0
class Slow(packing.PackReport):
    def show(self, phase, done, total):
        time.sleep(0.02)
print(Folder(path=sys.argv[1], size=8, labelled=True).pack(Slow()).folder)
"""
SUITE = """\
schema = 1
name = "big"
data = ["folder(path={path!r}, size=8, channels=1)"]
metrics = ["fid"]
seeds = 1
points = 1
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
generator_turns = 30
"""


@pytest.fixture
def photos(tmp_path) -> Path:
    """240 images of 9x9 pixels in two classes."""
    root = tmp_path / "photos"
    for number in range(COUNT):
        path = root / ("cats", "dogs")[number % 2] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def start_packing(photos: Path, cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "GANBENCH_CACHE": str(cache)}
    command = [sys.executable, "-c", PACK, str(photos)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **streams)


def finish(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip(), err


def wait_until(reached, process: subprocess.Popen) -> None:
    while not reached() and process.poll() is None:
        time.sleep(0.002)


def partial_files(cache: Path, pattern: str) -> list[Path]:
    return list(cache.glob(f"packed/*.partial/{pattern}"))


def records_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in partial_files(cache, "records.bin"))


def pack_content(folder: str | Path) -> dict[str, object]:
    packed = open_pack(Path(folder), thorough=True)
    return {
        "images": packed.meta["content"],
        "labels": packed.labels.tolist(),
        "numbers": packed.numbers.tolist(),
        "classes": packed.classes,
    }


@pytest.mark.heavy
def test_killed_packing_continues_with_equal_bytes(photos, tmp_path, monkeypatch):
    """Kills three times while images are decoded, and once while they are placed."""
    unbroken, _ = finish(start_packing(photos, tmp_path / "unbroken"))
    cache, done = tmp_path / "killed", [0]
    for _ in range(3):
        process, before = start_packing(photos, cache), records_bytes(cache)
        wait_until(lambda least=before: records_bytes(cache) > least, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        done.append(records_bytes(cache))
    assert done == sorted(set(done))  # every process added images
    process = start_packing(photos, cache)
    wait_until(lambda: partial_files(cache, "images"), process)
    wait_until(lambda: len(partial_files(cache, "bucket-*")) < 6, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert partial_files(cache, "images")
    folder, sentences = finish(start_packing(photos, cache))
    assert f"{COUNT} are done" in sentences
    assert pack_content(folder) == pack_content(unbroken)
    monkeypatch.setenv("GANBENCH_CACHE", str(cache))
    packed = Folder(path=str(photos), size=8, labelled=True).load().compute_fingerprint()
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "none"))
    assert Folder(path=str(photos), size=8, labelled=True).load().fingerprint() == packed


@pytest.mark.heavy
def test_two_processes_pack_once(photos, tmp_path):
    cache = tmp_path / "cache"
    processes = [start_packing(photos, cache) for _ in range(2)]
    ends = [finish(process) for process in processes]
    assert ends[0][0] == ends[1][0]
    assert sum("packing 240 images" in sentences for _, sentences in ends) == 1
    unbroken, _ = finish(start_packing(photos, tmp_path / "unbroken"))
    assert pack_content(ends[0][0]) == pack_content(unbroken)


@pytest.mark.heavy
def test_waiting_process_continues_after_a_kill(photos, tmp_path):
    cache = tmp_path / "cache"
    first = start_packing(photos, cache)
    wait_until(lambda: records_bytes(cache) > 0, first)
    second = start_packing(photos, cache)
    wait_until(lambda: records_bytes(cache) > 20 * 53, first)
    first.kill()
    first.wait()
    folder, sentences = finish(second)
    assert " are done" in sentences
    assert open_pack(Path(folder), thorough=True)


def read_results(results: Path) -> dict[str, dict[str, object]]:
    """Returns losses, scores and values of each trial, by its id."""
    contents = {}
    for path in sorted(results.glob("trials/*/*/curve.json")):
        values = [json.loads(p.read_text()) for p in sorted(path.parent.glob("evaluations/*"))]
        curve = json.loads(path.read_text())
        for row in curve["scores"]:
            row.pop("seconds")
        contents[path.parent.name] = {"curve": curve, "values": values}
    return contents


@pytest.mark.heavy
def test_trials_on_disk_equal_those_in_memory(ganbench, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "extractor", "identity")
    (tmp_path / "big.toml").write_text(SUITE.format(path=str(photos)))
    results = []
    for memory in ("1GB", "1kB"):
        monkeypatch.setenv("GANBENCH_DATA_MEMORY", memory)
        monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / memory))
        clear_caches()
        run = ("run", "big.toml", "--workers", 0, "--device", "cpu", "--results", memory)
        code, _, err = ganbench(*run)
        assert code == 0
        assert ("packing 240 images as 1x8x8" in err) == (memory == "1kB")
        results.append(read_results(tmp_path / memory))
    assert len(results[0]) > 1
    assert results[0] == results[1]


def clear_caches() -> None:
    from ganbench.evaluation.evaluator import load_split, make_evaluator

    make_evaluator.cache_clear()
    load_split.cache_clear()


def test_pack_command_prepares_a_run(ganbench, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    code, out, err = ganbench("pack", photos, "--size", 8)
    assert code == 0
    assert "packing 240 images as 3x8x8. This takes 46.1 kB" in err
    assert out.startswith("240 images of 3x8x8 are packed: 46.1 kB in ")
    code, out, err = ganbench("pack", f"folder(path='{photos}', size=8)", "--check")
    assert (code, err) == (0, "")
    assert "are intact" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "there is no folder nowhere"),
        (("photos", "--size", 4), "size must be in [8, 1024], not 4"),
        (("photos", "--channels", 2), "channels must be 1 or 3, not 2"),
        (("folder(pth='photos')",), "has no setting 'pth'; did you mean 'path'?"),
        (("folder(path='photos')", "--size", 64), "--size is an option of a path: write it in"),
        (("folder(path='photos')", "--channels", 1), "--channels is an option of a path"),
        (
            ("folder(path='photos')", "--skip-unreadable"),
            "--skip-unreadable is an option of a path",
        ),
    ],
)
def test_pack_refuses_with_a_sentence(ganbench, photos, arguments, message):
    code, out, err = ganbench("pack", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
