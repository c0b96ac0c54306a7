"""Inception-v3 and FID on the device against torch-fidelity, with seeded random weights.

Both get the same images and weights, in float32 without TF32. The published weights are not needed.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import seeded_inception
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

import ganbench
from ganbench.devices import full_precision, set_tf32, usable_cpus
from ganbench.evaluation.extractors import EXTRACTORS

from .base import Job, Row
from .timing import choose_block_length, measure_seconds, median_interval, repeat

COUNT, TINY_COUNT = 3000, 12  # images of each side
SIDE, BATCH, TINY_BATCH = 32, 250, 6
BLOCKS, TINY_BLOCKS = 9, 3
TOLERANCE = 1e-3  # relative, of FID
FID = "frechet_inception_distance"


class Images(Dataset[Tensor]):
    """Uint8 images [N, C, H, W] as torch-fidelity reads them."""

    def __init__(self, images: Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Tensor:
        return self.images[number]


def measure(job: Job) -> Iterator[Row]:
    torch.set_num_threads(usable_cpus())
    set_tf32(False)
    weights = seeded_inception.write(job.folder / "inception.pth")
    os.environ |= {"GANBENCH_INCEPTION": str(weights), "GANBENCH_CACHE": str(job.folder / "cache")}
    count = TINY_COUNT if job.tiny else COUNT
    fake, real = draw_images(count, 0.9, 1), draw_images(count, 1.0, 2)
    yield from measure_extractor(job, fake)
    batch = TINY_BATCH if job.tiny else BATCH
    ours, seconds = timed(partial(fid_of_ganbench, job, fake, real, batch))
    yield Row("FID, ganbench", ours)
    yield Row("FID, ganbench: images", 2 * count / seconds, "images/s", note=f"{seconds:.1f} s")
    theirs, seconds = timed(partial(fid_of_fidelity, job, fake, real, batch, weights))
    yield Row("FID, torch-fidelity", theirs)
    yield Row(
        "FID, torch-fidelity: images", 2 * count / seconds, "images/s", note=f"{seconds:.1f} s"
    )
    difference = abs(ours - theirs) / abs(theirs)
    verdict = "passed" if difference <= TOLERANCE else "FAILED"
    yield Row("FID: relative difference", difference, note=f"{verdict} at {TOLERANCE:g}")


def draw_images(count: int, contrast: float, seed: int) -> Tensor:
    """Draws smooth random images, uint8 [count, 3, 32, 32]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    images = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear")
    return ((images - 0.5) * contrast + 0.5).mul(255).round().to(torch.uint8)


def measure_extractor(job: Job, images: Tensor) -> Iterator[Row]:
    """Yields the rate of the network alone, on images that are on the device."""
    batch = TINY_BATCH if job.tiny else BATCH
    extractor = EXTRACTORS.make("inception").to(job.device).eval()
    on_device = images[:batch].to(job.device)

    def extract() -> None:
        with torch.inference_mode(), full_precision():
            extractor(on_device)

    repeat(extract, 1 if job.tiny else 5)
    length = choose_block_length(measure_seconds(extract, job.device), 1, 0 if job.tiny else 0.1)
    count = TINY_BLOCKS if job.tiny else BLOCKS
    blocks = [measure_seconds(partial(repeat, extract, length), job.device) for _ in range(count)]
    middle, low, high = median_interval([length * len(on_device) / seconds for seconds in blocks])
    yield Row("Inception alone: images", middle, "images/s", low, high, f"batches of {batch}")


def timed(work: Callable[[], float]) -> tuple[float, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def fid_of_ganbench(job: Job, fake: Tensor, real: Tensor, batch: int) -> float:
    options = {"extractor": "inception", "metrics": "fid", "protocol": "torch-fidelity"}
    evaluation = ganbench.evaluate(
        fake.numpy(), real.numpy(), device=job.device.type, batch=batch, floor=False, **options
    )
    return float(evaluation["fid"])


def fid_of_fidelity(job: Job, fake: Tensor, real: Tensor, batch: int, weights: Path) -> float:
    metrics = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        cuda=job.device.type == "cuda",
        batch_size=batch,
        fid=True,
        feature_extractor_weights_path=str(weights),
        cache=False,
        verbose=False,
    )
    return float(metrics[FID])
