"""Speed and memory of the metric engine beside torch-fidelity's.

By default 2,000 examples of 512 features, in under two minutes. With `--full-size` 10,000 examples of
Inception's 2,048 features, and the memory of 50,000, in about ten minutes.

Both sides have two threads, begin with extracted features, and know the reals from before, as a run does
from its second measurement on. Both find the same values, or else the comparison is void.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ganbench.evaluation.metrics import METRICS, frechet
from ganbench.evaluation.metrics.base import compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet

CLASSES = 1008
GIGABYTE = 2**30
FOUR = ("fid", "kid_subsets", "is", "precision", "recall")
SHARES = ("precision", "recall")
ALL_SHARES = (*SHARES, "density", "coverage")
LIBRARIES = ("torch_fidelity", "ganbench")


@dataclass(frozen=True)
class Sizes:
    count: int  # examples a side
    width: int  # features
    pairs_count: int  # examples a side of the benchmark of memory
    gigabytes: float  # the most that its process may take
    rounds: int


QUICK, FULL = Sizes(2000, 512, 6000, 1.0, 2), Sizes(10_000, 2048, 50_000, 2.0, 3)


@pytest.fixture(scope="module")
def sizes(request):
    return FULL if request.config.getoption("--full-size") else QUICK


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fake(sizes):
    return rectified(sizes, 1, 0.02)


@pytest.fixture(scope="module")
def real(sizes, fake):
    """The reference after a first measurement."""
    found = rectified(sizes, 2)
    measured(fake, found, (*FOUR, *ALL_SHARES))
    return found


@pytest.fixture(scope="module")
def seen():
    """The first value that anybody found of each name."""
    return {}


def rectified(sizes, seed, shift=0.0):
    """Normals of unequal scales without what is below zero, as Inception's features are."""
    random = torch.Generator().manual_seed(seed)
    scales = torch.linspace(0.5, 1.5, sizes.width)
    x = torch.randn(sizes.count, sizes.width, generator=random) * scales + shift
    return FeatureSet(x.relu_(), torch.randn(sizes.count, CLASSES, generator=random))


def measured(fake, real, metrics):
    """By fakes of which nothing is known yet."""
    fresh = FeatureSet(fake.features, fake.logits)
    compute_pairwise_statistics(map(METRICS.make, metrics), fresh, real)
    return {name: METRICS.make(name)(fresh, real).value for name in metrics}


def torch_fidelitys(fake, real, statistics):
    shares = prc_features_to_metric(fake.features, real.features, verbose=False)
    kid = kid_features_to_metric(fake.features, real.features, verbose=False)
    return {
        "fid": matrix_step(fid_features_to_statistics(fake.features), statistics),
        "kid_subsets": kid["kernel_inception_distance_mean"],
        "is": isc_features_to_metric(fake.logits)["inception_score_mean"],
        "precision": shares["precision"],
        "recall": shares["recall"],
    }


def matrix_step(ours, theirs):
    return fid_statistics_to_metric(ours, theirs, verbose=False)["frechet_inception_distance"]


def agree(seen, found, sizes):
    """With whatever was seen before. torch-fidelity has single precision for means and kernels."""
    for name, value in found.items():
        slack = {"abs": 2 / sizes.count} if name in SHARES else {"rel": 1e-5, "abs": 1e-6}
        assert value == pytest.approx(seen.setdefault(name, value), **slack)


@pytest.mark.timeout(1800)
@pytest.mark.benchmark(group="FID, KID of 100 x 1000, IS, precision and recall of new fakes")
@pytest.mark.parametrize("library", LIBRARIES)
def test_seconds_of_the_usual_metrics(benchmark, fake, real, seen, sizes, library):
    """Ours come with standard errors."""
    if library == "ganbench":
        found = benchmark.pedantic(measured, (fake, real, FOUR), rounds=sizes.rounds)
    else:
        statistics = fid_features_to_statistics(real.features)
        found = benchmark.pedantic(torch_fidelitys, (fake, real, statistics), rounds=sizes.rounds)
    agree(seen, found, sizes)


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="FID of means and covariances")
@pytest.mark.parametrize("library", [*LIBRARIES, "ganbench with eigenvectors"])
def test_seconds_of_fids_matrix_step(benchmark, fake, real, seen, sizes, library):
    """The standard error needs eigenvectors; a jackknife's twenty values do not."""
    if library == "torch_fidelity":
        sides = [fid_features_to_statistics(side.features) for side in (fake, real)]
        found = benchmark.pedantic(matrix_step, sides, rounds=3)
    elif library == "ganbench":
        known = frechet.cached_moments(fake), real
        found = benchmark.pedantic(frechet.distance_by_spectrum, known, rounds=5)
    else:
        found = benchmark.pedantic(distance_of_known_moments, (fake, real), rounds=5)
    agree(seen, {"fid": found}, sizes)


def distance_of_known_moments(fake, real):
    known = frechet.cached_moments(fake)
    fresh = FeatureSet(fake.features)
    fresh.cache.put("moments", {"mean": known.mean, "scatter": known.scatter})
    return frechet.frechet_distance(fresh, real)


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="what density and coverage cost beside precision and recall")
@pytest.mark.parametrize("metrics", [SHARES, ALL_SHARES], ids=["two", "four"])
def test_seconds_of_metrics_of_neighbours(benchmark, fake, real, seen, sizes, metrics):
    found = benchmark.pedantic(measured, (fake, real, metrics), rounds=3)
    agree(seen, {name: found[name] for name in SHARES}, sizes)


MEASURES_MANY = """
import json, sys, torch
from ganbench.devices import peak_memory
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet

def features(seed, count=int(sys.argv[1]), width=int(sys.argv[2])):
    random, found = torch.Generator().manual_seed(seed), torch.empty(count, width)
    for block in found.split(1000):
        block.normal_(0.4, 0.5, generator=random).relu_()
    return FeatureSet(found)

torch.set_num_threads(2)
device = torch.device("cpu")
fake, real = features(1), features(2)
before = peak_memory(device)
metrics = ("fid", "kid", "precision", "recall", "density", "coverage")
compute_pairwise_statistics(map(METRICS.make, metrics), fake, real)
values = {name: METRICS.make(name)(fake, real).value for name in metrics}
print(json.dumps({"before": before, "peak": peak_memory(device), "values": values}))
"""


@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="all pairs of fakes and reals")
def test_memory_of_all_pairs(benchmark, sizes):
    """In a process of its own. Two sets of 50,000 features are 0.8 GB; all their pairs would be 10."""
    counts = (str(sizes.pairs_count), str(sizes.width))
    told = benchmark.pedantic(of_a_fresh_process, (MEASURES_MANY, *counts), rounds=1)
    gigabytes = {name: told[name] / GIGABYTE for name in ("before", "peak")}
    benchmark.extra_info.update(gigabytes, **told["values"])
    assert np.isfinite(list(told["values"].values())).all()
    assert gigabytes["peak"] < sizes.gigabytes


def of_a_fresh_process(program, *arguments):
    command = [sys.executable, "-c", program, *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
