"""Speed and memory of extraction beside torch-fidelity's loop and clean-fid's, on the same images and the same network.

Inception with weights drawn from a seed, 32x32 PNG files, as many threads as there are CPUs. Features must
agree, or else the comparison is void. clean-fid resizes by another rule and with another network, so its
loop is given this one.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset
from torch_fidelity.utils import prepare_input_from_descriptor as prepared

from ganbench.devices import usable_cpus
from ganbench.evaluation.extractor_runner import ExtractorRunner
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.feature_extraction import extract_source_features
from ganbench.evaluation.inputs.base import Frame
from ganbench.evaluation.inputs.image_folder import FolderSource

sys.path.insert(0, str(Path(__file__).parents[1]))
import seeded_inception

COUNT, SIDE, BATCH = 50, 32, 25
LARGE = 1024  # pixels a side, of which decoding takes about as long as a small network
MEGABYTE = 2**20


@pytest.fixture(scope="module", autouse=True)
def all_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cpus())
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return seeded_inception.write(tmp_path_factory.mktemp("weights") / "seeded.pth")


def written(place: Path, count: int, side: int, suffix: str = "png") -> Path:
    place.mkdir()
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        image.save(place / f"{number:05}.{suffix}")
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("images") / "x", COUNT, SIDE)


@pytest.fixture(scope="module")
def seen():
    """The first features that anybody found."""
    return {}


def agree(seen, found):
    first = seen.setdefault("features", found)
    torch.testing.assert_close(found, first, rtol=1e-4, atol=1e-5)


@pytest.mark.timeout(1800)
@pytest.mark.benchmark(group=f"Inception's features of {COUNT} PNG files")
@pytest.mark.parametrize("library", ["torch_fidelity", "clean_fid", "ganbench"])
def test_seconds_of_extraction(benchmark, folder, weights, seen, library, monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_INCEPTION", str(weights))
    extract = {"torch_fidelity": torch_fidelitys, "clean_fid": clean_fids, "ganbench": ours}[
        library
    ]
    run = extract(folder, weights, monkeypatch, tmp_path)
    agree(seen, benchmark.pedantic(run, rounds=2))
    benchmark.extra_info["images per second"] = COUNT / benchmark.stats.stats.min


def torch_fidelitys(folder, weights, monkeypatch, tmp_path):
    network = create_feature_extractor(
        "inception-v3-compat", ["2048"], cuda=False, verbose=False,
        feature_extractor_weights_path=str(weights),
    )  # fmt: skip
    files = prepared({"input": str(folder)}, verbose=False)
    return lambda: get_featuresdict_from_dataset(files, network, BATCH, False, False, False)["2048"]


def clean_fids(folder, weights, monkeypatch, tmp_path):
    """Its files, loader and loop, of which none resizes in this mode; the network is the one that all have."""
    fid = pytest.importorskip("cleanfid.fid", reason="clean-fid is not installed")
    network = EXTRACTORS.make("inception")

    def look(batch):
        return network(batch.round().to(torch.uint8))[0]

    files = sorted(map(str, folder.glob("*")))
    settings = {
        "num_workers": min(4, 2 * usable_cpus()),
        "batch_size": BATCH,
        "mode": "legacy_tensorflow",
    }
    return lambda: torch.from_numpy(
        fid.get_files_features(files, look, device=torch.device("cpu"), verbose=False, **settings)
    )


def ours(folder, weights, monkeypatch, tmp_path):
    runner = ExtractorRunner(
        EXTRACTORS.make("inception"),
        "inception",
        torch.device("cpu"),
        Frame(),
        BATCH,
        usable_cpus(),
    )
    source = FolderSource(str(folder))
    places = iter(tmp_path / str(number) for number in range(10))

    def run():
        monkeypatch.setenv("GANBENCH_CACHE", str(next(places)))  # nothing is known
        return extract_source_features(
            source, range(len(source)), runner, lambda done, total: None
        ).features

    return run


EXTRACTS = """
import json, resource, sys, torch
from ganbench.evaluation import freed_memory
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import extract_features

_, name, kept, count = sys.argv
torch.set_num_threads(1)
freed_memory.has_glibc = lambda: kept == "kept"
extractor = EXTRACTORS.make(name)
pixels = torch.randint(0, 256, (int(count), 3, 32, 32), generator=torch.Generator().manual_seed(0))
images = pixels / 127.5 - 1 if extractor.takes_floats else pixels.to(torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF)
found = extract_features(extractor, images).features
used = resource.getrusage(resource.RUSAGE_SELF)
seconds = {"kernel": used.ru_stime - before.ru_stime, "elsewhere": used.ru_utime - before.ru_utime}
peak, features = used.ru_maxrss / 1024, found.double().sum().item()
print(json.dumps({"CPU seconds": seconds, "peak MB": peak, "sum of features": features}))
"""


@pytest.mark.timeout(900)
@pytest.mark.benchmark(group="features of 100 images, with freed memory kept or returned")
@pytest.mark.parametrize("name", ["inception", "efficientnet_lite0"])
@pytest.mark.parametrize("kept", ["kept", "returned"])
def test_freed_memory_is_kept(benchmark, weights, monkeypatch, seen, name, kept):
    """In a process of its own, because a process that kept memory has other thresholds."""
    monkeypatch.setenv("GANBENCH_INCEPTION", str(weights))
    command = [sys.executable, "-c", EXTRACTS, name, kept, "100"]

    def run():
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    found = benchmark.pedantic(run, rounds=2)
    benchmark.extra_info.update(found)
    assert seen.setdefault(name, found["sum of features"]) == found["sum of features"]


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="a folder of which all is known: read, hashed, found")
def test_seconds_of_a_second_extraction(benchmark, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    source = FolderSource(str(written(tmp_path / "x", 2000, SIDE)))
    runner = ExtractorRunner(
        EXTRACTORS.make("identity"), "identity", torch.device("cpu"), Frame(), BATCH, usable_cpus()
    )

    def run():
        return extract_source_features(source, range(len(source)), runner, lambda done, total: None)

    run()
    assert benchmark.pedantic(run, rounds=3).cached_count == 2000


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="decoding beside a network that takes as long")
@pytest.mark.parametrize("workers", [0, 2])
def test_decoding_keeps_the_network_busy(benchmark, tmp_path, monkeypatch, workers):
    """What is decoded beside a network costs no time but that of the first batch."""
    source = FolderSource(str(written(tmp_path / "x", 60, LARGE, "jpg")))
    runner = ExtractorRunner(Waits(), "waits", torch.device("cpu"), Frame(), 5, workers)
    places = iter(tmp_path / str(number) for number in range(10))

    def run():
        monkeypatch.setenv("GANBENCH_CACHE", str(next(places)))
        return extract_source_features(source, range(len(source)), runner, lambda done, total: None)

    benchmark.pedantic(run, rounds=2)
    benchmark.extra_info["the network alone"] = 0.02 * 60


class Waits(Extractor):
    """A network that takes a while, as a GPU does: without holding a CPU."""

    def forward(self, x):
        time.sleep(0.02 * len(x))
        return x[:, :, 0, 0].float(), None


MEASURES = """
import json, sys, torch
from ganbench.evaluation.evaluate import evaluate
from ganbench.devices import peak_memory, reset_peak_memory

torch.set_num_threads(1)
cpu, (_, fake, real) = torch.device("cpu"), sys.argv
evaluate(fake, real, extractor="classifier(of='digits')", metrics="fid", size=8, floor=False, reals=20)
before = peak_memory(cpu)
found = evaluate(fake, real, extractor="classifier(of='digits')", metrics="fid", size=8, floor=False)
print(json.dumps({"before": before, "peak": peak_memory(cpu), "fakes": found.terms.fakes}))
"""


@pytest.mark.timeout(900)
@pytest.mark.benchmark(group="memory of folders of 256x256 images")
@pytest.mark.parametrize("count", [250, 2500])
def test_memory_is_flat_in_the_number_of_images(benchmark, tmp_path, monkeypatch, count):
    """In a process of its own. 2,500 such images are 490 MB as bytes."""
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    folders = [written(tmp_path / "fake", count, 256, "jpg"), written(tmp_path / "real", 100, 256)]

    def run():
        command = [sys.executable, "-c", MEASURES, *map(str, folders)]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    found = benchmark.pedantic(run, rounds=1)
    assert found["fakes"] == count
    megabytes = {name: found[name] / MEGABYTE for name in ("before", "peak")}
    benchmark.extra_info.update(megabytes)
    assert megabytes["peak"] - megabytes["before"] < 150
