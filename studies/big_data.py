"""Data larger than memory: packing, resident memory, waiting for batches, and speed where data fit.

    .venv/bin/python studies/big_data.py --work FOLDER --out results/performance/big_data.md

The stages run in turn, and those that are done are not repeated: `write` makes tar archives of random
images, `pack` decodes them (a stopped one continues), `memory` reads an epoch from the disk in a process
of its own, `pace` times the waiting for batches beside a step of 20 ms, `speed` compares the loader with
the one before, `disk` times small steps with data on disk and in memory, and `kills` kills conversions
at random times. `--clean` deletes the images. At full size the disk needs 12 GB.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from gpu_stages.timing import median_interval
from PIL import Image
from torch import Tensor

from ganbench.counts import format_bytes
from ganbench.data import DATA, packing
from ganbench.data.base import IMAGE, Batch, BatchLoader, Examples
from ganbench.data.folder import Folder
from ganbench.data.mapped_file import MappedFile
from ganbench.data.packing import PackReport
from ganbench.files import read_json, write_json
from ganbench.gan.build import build_training
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
STAGES = ("write", "pack", "memory", "pace", "speed", "disk", "kills")
SHARD_IMAGES = 10_000
SIDE, PACE_SIDE = 32, 64
BATCH = 64
HELD_OUT = 0.01  # of a million: the 10,000 that a measurement generates
SAMPLES = 60  # of the memory curve
STEP_SECONDS = 0.02
KILLING_SECONDS = 120.0
ROUNDS = 15


@dataclass(frozen=True)
class Study:
    """The options, and the file of results."""

    work: Path
    images: int
    pace_images: int
    pace_batches: int
    steps: int
    kill_seconds: float

    @property
    def results_path(self) -> Path:
        return self.work / "big_data.json"

    @property
    def tars(self) -> Path:
        return self.work / "tars"

    @property
    def cache(self) -> Path:
        return self.work / "cache"

    def read_results(self) -> dict[str, Any]:
        return read_json(self.results_path) or {}

    def add_result(self, stage: str, result: Mapping[str, Any]) -> None:
        load = {"load": os.getloadavg()[0]}
        write_json(self.results_path, self.read_results() | {stage: {**result, **load}})

    def make_data(self) -> Folder:
        return Folder(path=str(self.tars), size=SIDE, held_out=HELD_OUT, labelled=True)


# Memory of this process


def read_status() -> dict[str, int]:
    """Returns the resident bytes of this process: its own, and those of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("RssAnon", "RssFile")))
    return {name: int(text.split()[0]) * 1024 for name, text in fields.items()}


class MemoryCurve:
    """Samples the resident memory in a thread: seconds, own bytes and mapped bytes."""

    def __init__(self, seconds: float):
        self.seconds, self.samples, self.is_over = seconds, [], threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.is_over.wait(self.seconds):
            self.add()

    def add(self) -> None:
        status = read_status()
        seconds = round(time.monotonic() - self.began, 2)
        self.samples.append((seconds, status["RssAnon"], status["RssFile"]))

    def finish(self) -> list[tuple[float, int, int]]:
        self.is_over.set()
        self.thread.join()
        self.add()
        return self.samples


# Writing and packing


def write_stage(study: Study) -> None:
    """Writes shards of random bitmaps with labels; a shard that is complete is not written again."""
    study.tars.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for first in range(0, study.images, SHARD_IMAGES):
        path = study.tars / f"random-{first // SHARD_IMAGES:05}.tar"
        if not path.exists():
            write_shard(path, range(first, min(first + SHARD_IMAGES, study.images)))
    size = sum(path.stat().st_size for path in study.tars.iterdir())
    study.add_result("write", {"seconds": time.monotonic() - began, "bytes": size})


def write_shard(path: Path, numbers: range) -> None:
    random = np.random.default_rng(numbers[0])
    beside = path.with_suffix(".partial")
    with tarfile.open(beside, "w") as archive:
        for number in numbers:
            pixels = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8).tobytes()
            add_file(archive, f"{number:08}.bmp", bitmap_header() + pixels)
            add_file(archive, f"{number:08}.cls", b"%d" % (number % 10))
    os.replace(beside, path)


def bitmap_header() -> bytes:
    """Returns the header of a bitmap of SIDE x SIDE pixels of 24 bits."""
    size = 3 * SIDE * SIDE
    info = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, size, 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + size, 0, 0, 54) + info


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, BytesIO(content))


def pack_stage(study: Study) -> None:
    """Packs the shards by the program, which is killed again and again and then continues."""
    command = [sys.executable, "-m", "ganbench", "pack", str(study.tars), "--size", str(SIDE)]
    began, kills, code = time.monotonic(), 0, None
    while code is None:
        process = subprocess.Popen(command, env=environment_of(study))
        try:
            code = process.wait(study.kill_seconds or None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    if code:
        raise SystemExit(code)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    seconds = time.monotonic() - began
    study.add_result("pack", {"seconds": seconds, "kills": kills, "peak": peak})


def environment_of(study: Study) -> dict[str, str]:
    return {**os.environ, "GANBENCH_CACHE": str(study.cache), "GANBENCH_DATA_MEMORY": "100MB"}


# Resident memory


def memory_stage(study: Study) -> None:
    """Reads one epoch in a process with the data on disk, and in one with the data in memory."""
    found = {}
    for name, limit in (("disk", "100MB"), ("memory", "100GB")):
        environment = environment_of(study) | {"GANBENCH_DATA_MEMORY": limit}
        command = [sys.executable, __file__, *sys.argv[1:], "--stage", "epoch"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found[name] = json.loads(run.stdout.splitlines()[-1])
    assert found["disk"]["checksum"] == found["memory"]["checksum"]
    study.add_result("memory", found)


def epoch_stage(study: Study) -> None:
    """Loads the data, and reads all batches of an epoch; prints times and the memory curve."""
    torch.set_num_threads(1)
    begin, first = time.monotonic(), read_status()
    split = study.make_data().load()
    fingerprint, loaded = split.fingerprint(), time.monotonic() - begin
    loader = BatchLoader(split.train, BATCH, RngStreams(0, CPU))
    steps = study.steps or len(split.train[IMAGE]) // BATCH
    curve, checksum, began = MemoryCurve(0.25), 0.0, time.monotonic()
    for number in range(steps):
        batch = loader.batches(number)[IMAGE]
        checksum += float(batch.images[:, 0, 0, 0].sum()) + float(batch.labels.sum())  # type: ignore[union-attr]
    seconds, samples = time.monotonic() - began, curve.finish()
    kept = samples[:: max(1, len(samples) // SAMPLES)] + samples[-1:]
    print(
        json.dumps(
            {
                "steps": steps,
                "load_seconds": loaded,
                "batch_ms": 1000 * seconds / steps,
                "fingerprint": fingerprint,
                "checksum": checksum,
                "imports": first,
                "curve": kept,
                "peak": max(own + mapped for _, own, mapped in samples),
            }
        )
    )


# Waiting beside a step


def pace_stage(study: Study) -> None:
    """Times the waiting for batches of 64x64 images: a sleeping and a computing step, cold and warm."""
    torch.set_num_threads(1)
    path = write_pace_file(study)
    found = {}
    for step_name, step in (("sleeping", sleep_step), ("computing", compute_step)):
        for state in ("in memory", "cold file", "warm file"):
            if state == "cold file":
                drop_from_page_cache(path)
            examples = load_pace_examples(path, study, state)
            found[f"{step_name}, {state}"] = measure_waiting(examples, study, step)
    study.add_result("pace", found | {"bytes": path.stat().st_size})
    path.unlink()


def write_pace_file(study: Study) -> Path:
    path, random = study.work / "pace.uint8", np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(0, study.pace_images, 1000):
            file.write(random.bytes(1000 * 3 * PACE_SIDE**2))
        file.flush()
        os.fsync(file.fileno())
    return path


def drop_from_page_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sleep_step(images: Tensor) -> None:
    """Takes 20 ms, as a step on a GPU does for the host."""
    time.sleep(STEP_SECONDS)


def compute_step(images: Tensor) -> None:
    """Computes for 20 ms on this core: convolutions, as a step on a CPU."""
    end, weight = time.perf_counter() + STEP_SECONDS, torch.ones(8, 3, 3, 3)
    while time.perf_counter() < end:
        torch.nn.functional.conv2d(images[:4], weight)


def load_pace_examples(path: Path, study: Study, state: str) -> Examples:
    """Returns the images of the file, or a tenth of them in memory."""
    file = MappedFile(path, (study.pace_images, 3, PACE_SIDE, PACE_SIDE))
    if state == "in memory":
        return Examples(file.as_tensor()[: study.pace_images // 10].clone())
    return Examples(file.as_tensor(), file=file)


def measure_waiting(
    examples: Examples, study: Study, step: Callable[[Tensor], None]
) -> dict[str, float]:
    loader, waits = BatchLoader({IMAGE: examples}, BATCH, RngStreams(0, CPU)), []
    loader.batches(0)
    began = time.perf_counter()
    for number in range(1, study.pace_batches):
        asked = time.perf_counter()
        batch = loader.batches(number)[IMAGE]
        waits.append(1000 * (time.perf_counter() - asked))
        step(batch.images)
    total = 1000 * (time.perf_counter() - began) / len(waits)
    quantiles = np.quantile(waits, (0.5, 0.95, 0.99, 1))
    names = ("median", "p95", "p99", "max")
    return dict(zip(names, quantiles.tolist(), strict=True)) | {
        "mean": float(np.mean(waits)),
        "step": total,
        "without": measure_without_loader(loader.batches(1)[IMAGE].images, study, step),
    }


def measure_without_loader(images: Tensor, study: Study, step: Callable[[Tensor], None]) -> float:
    """Returns the milliseconds of a step that has its images already."""
    times = []
    for _ in range(min(100, study.pace_batches)):
        began = time.perf_counter()
        step(images)
        times.append(1000 * (time.perf_counter() - began))
    return float(median(times))


# Speed where data fit


class PreviousLoader(BatchLoader):
    """The loader of commit 610f846: all examples on the device, batches gathered by index."""

    def __init__(self, examples: Mapping[str, Examples], size: int, streams: RngStreams):
        super().__init__(examples, size, streams)
        self.examples = {k: v.to(streams.device) for k, v in examples.items()}

    def batches(self, number: int) -> dict[str, Batch]:
        if self.latest is None or self.latest[0] != number:
            self.latest = number, self.gather_on_device(self.batch_indices(number))
        return self.latest[1]


def speed_stage(study: Study) -> None:
    """Compares batches alone, and whole steps, of both loaders: CPU time, in blocks A B B A."""
    torch.set_num_threads(1)
    found = {}
    for data in ("digits", "stacked_digits"):
        train = DATA.make(data).load().train
        steps = [batch_step(kind(train, BATCH, RngStreams(0, CPU))) for kind in LOADERS]
        found[f"batches, {data}"] = compare(*steps, count=2000)
    for variant, data in (("gan", "digits"), ("gan2d(width=32)", "ring")):
        train = DATA.make(data).load().train
        steps = [training_step(variant, data, train, kind) for kind in LOADERS]
        found[f"{variant}, {data}"] = compare(*steps, count=60)
    study.add_result("speed", found)


def disk_stage(study: Study) -> None:
    """Compares whole steps with digits on disk and in memory: time by the clock."""
    torch.set_num_threads(1)
    train, path = DATA.make("digits").load().train, study.work / "digits.uint8"
    path.write_bytes(train[IMAGE].images.numpy().tobytes())
    file = MappedFile(path, train[IMAGE].images.shape)
    on_disk = {IMAGE: Examples(file.as_tensor(), train[IMAGE].labels, file=file)}
    found = {}
    for variant in ("gan", "dcgan(width=16)"):
        steps = [training_step(variant, "digits", own, BatchLoader) for own in (train, on_disk)]
        found[f"{variant}, digits"] = compare(*steps, count=60, clock=time.perf_counter)
    study.add_result("disk", found)


LOADERS = (PreviousLoader, BatchLoader)


def batch_step(loader: Any) -> Callable[[], None]:
    numbers = iter(range(10**9))
    return lambda: loader.batches(next(numbers))


def training_step(
    variant: str, data: str, train: Mapping[str, Examples], kind: Any
) -> Callable[[], None]:
    streams = RngStreams(0, CPU)
    setup = build_training(resolve_variant(variant), DATA.make(data), streams)
    loader = kind(train, setup.hyperparameters.batch, streams)
    trainer = Trainer(setup, loader, streams, Budget("generator_turns", 10**6))

    def step() -> None:
        trainer.train_step()
        if trainer.step % 50 == 0:
            trainer.flush()

    return step


def compare(
    before: Callable[[], None],
    after: Callable[[], None],
    count: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Any]:
    """Returns the ratio of times, after divided by before, and both medians in milliseconds."""
    for step in (before, after):
        time_block(step, count, clock)
    ratios, times = [], ([], [])
    for _ in range(ROUNDS):
        a, b, c, d = (time_block(step, count, clock) for step in (before, after, after, before))
        ratios.append((b + c) / (a + d))
        times[0].extend((a, d))
        times[1].extend((b, c))
    ratio, low, high = median_interval(ratios)
    return {
        "ratio": ratio,
        "low": low,
        "high": high,
        "before": median(times[0]),
        "after": median(times[1]),
    }


def time_block(step: Callable[[], None], count: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(count):
        step()
    return 1000 * (clock() - began) / count


# Kills at random times


class SlowReport(PackReport):
    """Prints nothing, and slows the conversion of few images down."""

    def announce(self, text: str) -> None:
        pass

    def show(self, phase: str, done: int, total: int) -> None:
        time.sleep(0.001)


def kills_stage(study: Study) -> None:
    """Kills conversions at random times until they end, and compares with images in memory."""
    torch.set_num_threads(1)
    packing.BUCKET_BYTES, packing.MAX_BLOCK_IMAGES, packing.SECONDS_PER_COMMIT = 5000, 8, 0
    data, random = write_photos(study), np.random.default_rng(0)
    with cache_at(study.work / "no pack"):
        expected = data.load().fingerprint()
    kills: Counter[str] = Counter()
    conversions, end = 0, time.monotonic() + KILLING_SECONDS
    while time.monotonic() < end:
        folder = study.work / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        with cache_at(folder):
            while (phase := pack_until_killed(data, random.uniform(0, 0.6))) is not None:
                kills[phase] += 1
            assert data.load().compute_fingerprint() == expected
        conversions += 1
    study.add_result("kills", {"conversions": conversions, **kills})


def write_photos(study: Study) -> Folder:
    """Writes 400 images with copies and a broken one, in three classes."""
    root = study.work / "photos"
    for number in range(400):
        path = root / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number % 380).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (root / "class0" / "broken.png").write_bytes(b"no image")
    return Folder(path=str(root), size=8, labelled=True, skip_unreadable=True)


@contextmanager
def cache_at(folder: Path) -> Iterator[None]:
    before, os.environ["GANBENCH_CACHE"] = os.environ["GANBENCH_CACHE"], str(folder)
    try:
        yield
    finally:
        os.environ["GANBENCH_CACHE"] = before


def pack_until_killed(data: Folder, seconds: float) -> str | None:
    """Packs in a process that is killed after some seconds; returns its phase, None if it ended."""
    process = os.fork()
    if process == 0:
        try:
            data.pack(SlowReport())
            os._exit(0)
        finally:  # an error must not go on with the study of the parent
            os._exit(1)
    time.sleep(seconds)
    ended, status = os.waitpid(process, os.WNOHANG)
    if ended:
        assert status == 0
        return None
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    partial = next(Path(os.environ["GANBENCH_CACHE"]).glob("packed/*.partial"), None)
    if partial is None:
        return "before or after"
    return "placing" if (partial / packing.IMAGES_NAME).exists() else "decoding"


# The page


def describe_machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    version = torch.__version__.partition("+")[0]
    kind = platform.machine()
    return {"cpus": os.cpu_count(), "memory": memory, "kind": kind, "torch": version}


def render_page(found: dict[str, Any]) -> str:
    machine = found["machine"]
    parts = [
        "# Data larger than memory\n",
        f"Machine: {machine['cpus']} CPU cores, {format_bytes(machine['memory'])} of memory, "
        f"{machine['kind']}, torch {machine['torch']}. One thread computes. "
        "Load: the mean number of busy processes of the whole machine in the minute before a stage ended, this "
        "study's included. All values are in [big_data.json](big_data.json).\n",
        "```bash\n.venv/bin/python studies/big_data.py --work /tmp/big --out results/performance/big_data.md\n```\n",
        *(
            render(found)
            for render in (
                render_pack,
                render_memory,
                render_pace,
                render_speed,
                render_disk,
                render_kills,
            )
        ),
    ]
    return "\n".join(part for part in parts if part)


def render_pack(found: dict[str, Any]) -> str:
    if "pack" not in found:
        return ""
    write, pack, images = found["write"], found["pack"], found["images"]
    rate = images / pack["seconds"]
    return (
        f"## Packing\n\n{images:,} random bitmaps of {SIDE}x{SIDE} in tar archives "
        f"({format_bytes(write['bytes'])}), by `ganbench pack`:\n\n"
        "| seconds | images per second | kills | peak memory | load |\n| --- | --- | --- | --- | --- |\n"
        f"| {pack['seconds']:.0f} | {rate:,.0f} | {pack['kills']} | {format_bytes(pack['peak'])} | "
        f"{pack['load']:.1f} |\n\nAfter each kill (SIGKILL), the same command continued. "
        "The peak is that of names and labels, which training does not load.\n"
    )


def render_memory(found: dict[str, Any]) -> str:
    if "memory" not in found:
        return ""
    rows = [
        f"| {name} | {run['load_seconds']:.1f} | {run['batch_ms']:.2f} | "
        f"{format_bytes(run['curve'][0][1])} | {format_bytes(run['curve'][-1][1])} | "
        f"{format_bytes(max(mapped for _, _, mapped in run['curve']))} | {format_bytes(run['peak'])} |"
        for name, run in found["memory"].items()
        if name != "load"
    ]
    disk = found["memory"]["disk"]
    curve = "\n".join(
        f"| {seconds:.1f} | {own / 1e6:.0f} | {mapped / 1e6:.0f} |"
        for seconds, own, mapped in disk["curve"][:: max(1, len(disk["curve"]) // 20)]
    )
    return (
        f"## Resident memory\n\nOne epoch of {disk['steps']:,} batches of {BATCH}, with labels. Both runs have the "
        f"same fingerprint and the same sum of values. Load {found['memory']['load']:.1f}.\n\n"
        "| data in | load, s | batch, ms | own memory, begin | end | mapped pages, at most | peak |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        "The memory curve with the data on disk, in MB. Mapped pages are those of the program's libraries, "
        "and of the data if they stayed.\n\n"
        f"| second | own memory | mapped pages |\n| --- | --- | --- |\n{curve}\n"
    )


def render_pace(found: dict[str, Any]) -> str:
    if "pace" not in found:
        return ""
    rows = [
        f"| {name} | {run['without']:.2f} | {run['step']:.2f} | "
        + " | ".join(f"{run[key]:.2f}" for key in ("median", "mean", "p95", "p99", "max"))
        + " |"
        for name, run in found["pace"].items()
        if isinstance(run, dict)
    ]
    return (
        f"## Waiting for batches\n\nBatches of {BATCH} images of {PACE_SIDE}x{PACE_SIDE} from a file of "
        f"{format_bytes(found['pace']['bytes'])}, beside a step of {1000 * STEP_SECONDS:.0f} ms. A cold file is not in "
        "the system's cache. Milliseconds; waiting includes the conversion to float. "
        f"Load {found['pace']['load']:.1f}.\n\n"
        "| step | step alone | step with loader | waiting: median | mean | 95 % | 99 % | most |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def render_speed(found: dict[str, Any]) -> str:
    if "speed" not in found:
        return ""
    return (
        "## Speed where data fit\n\nTime of the loader divided by that of the one before, of commit "
        f"610f846: CPU time in {ROUNDS} rounds A B B A. Load {found['speed']['load']:.1f}.\n\n"
        + render_ratios(found["speed"], "before", "after")
    )


def render_disk(found: dict[str, Any]) -> str:
    if "disk" not in found:
        return ""
    return (
        "## Small steps with data on disk\n\nTime of a step with its data on disk divided by that with data in "
        f"memory: time by the clock in {ROUNDS} rounds A B B A. Load {found['disk']['load']:.1f}.\n\n"
        + render_ratios(found["disk"], "memory", "disk")
    )


def render_kills(found: dict[str, Any]) -> str:
    if "kills" not in found:
        return ""
    kills = {k: n for k, n in found["kills"].items() if k not in ("load", "conversions")}
    return (
        f"## Kills at random times\n\n{found['kills']['conversions']} conversions of 401 images were killed (SIGKILL) "
        "and continued until they ended. All have the fingerprint of the images in memory.\n\n"
        f"| {' | '.join(kills)} |\n|{' --- |' * len(kills)}\n| {' | '.join(map(str, kills.values()))} |\n"
    )


def render_ratios(runs: dict[str, Any], before: str, after: str) -> str:
    lines = [f"| work | ratio | 95 % interval | {before}, ms | {after}, ms |", "|" + " --- |" * 5]
    for name, run in runs.items():
        if isinstance(run, dict):
            lines.append(
                f"| {name} | {run['ratio']:.3f} | {run['low']:.3f} to {run['high']:.3f} | "
                f"{run['before']:.4f} | {run['after']:.4f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for images and results")
    parser.add_argument("--out", type=Path, help="page to write; the values go beside it")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--pace-images", type=int, default=200_000)
    parser.add_argument("--pace-batches", type=int, default=500)
    parser.add_argument(
        "--steps", type=int, default=0, help="batches of the memory curve; 0: an epoch"
    )
    parser.add_argument("--kill-seconds", type=float, default=100, help="between kills; 0: none")
    parser.add_argument("--stage", choices=[*STAGES, "epoch"], help="run this stage alone, again")
    parser.add_argument("--clean", action="store_true", help="delete the images at the end")
    args = parser.parse_args()
    sizes = (args.images, args.pace_images, args.pace_batches, args.steps, args.kill_seconds)
    study = Study(args.work, *sizes)
    study.work.mkdir(parents=True, exist_ok=True)
    os.environ["GANBENCH_CACHE"] = str(study.cache)
    stages = {
        "write": write_stage,
        "pack": pack_stage,
        "memory": memory_stage,
        "pace": pace_stage,
        "speed": speed_stage,
        "disk": disk_stage,
        "kills": kills_stage,
        "epoch": epoch_stage,
    }
    for name in [args.stage] if args.stage else STAGES:
        if args.stage or name not in study.read_results():
            stages[name](study)
    if args.stage == "epoch":
        return
    facts = {"images": study.images, "machine": describe_machine()}
    write_json(study.results_path, study.read_results() | facts)
    if args.out:
        args.out.write_text(render_page(study.read_results()), encoding="utf-8")
        shutil.copy(study.results_path, args.out.with_suffix(".json"))
    if args.clean:
        for folder in (study.tars, study.cache):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
