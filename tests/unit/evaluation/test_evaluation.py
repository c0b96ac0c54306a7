"""`ganbench eval`: the numbers of torch-fidelity and of our own trials, from anybody's images."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import seeded_inception
import torch
import torch_fidelity
from helpers import CPU, split
from PIL import Image
from torch import nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench import registry as spec
from ganbench.data.base import IMAGE
from ganbench.data.fashion_mnist import DEBIAN_PACKAGE_FOLDER
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation import pipeline
from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import lpips
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.metrics import METRICS as PARTS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.protocols.base import MeasurementRules

METRICS = ("fid", "kid", "is", "precision", "recall", "modes", "copying", "ms_ssim(pairs=50)")
DIGITS = "classifier(of='digits')"
WIDTH = 16


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


def held_out() -> torch.Tensor:
    return split("digits").held_out[IMAGE].images


def written(place: Path, images) -> Path:
    place.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(np.asarray(image).squeeze()).save(place / f"{number:04}.png")
    return place


@pytest.fixture
def folders(tmp_path):
    """Noise about colours of two brightnesses, 150 images each."""
    random, sides = np.random.default_rng(0), []
    for bright in (110, 140):
        levels = random.normal(bright, 30, (150, 1, 1, 3)) + random.normal(0, 15, (150, 8, 8, 3))
        sides.append(levels.clip(0, 255).astype(np.uint8))
    return [
        written(tmp_path / name, side) for name, side in zip(("fake", "real"), sides, strict=True)
    ]


# The numbers of others


class Both(nn.Module):
    """Features and logits of an image, the same for this package's and for torch-fidelity's loop."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * WIDTH, 10)
        nn.init.normal_(self.linear.weight, std=1.0, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        features = nn.functional.adaptive_avg_pool2d(x.float() / 255, 4).flatten(1)
        return features, self.linear(features)


class Ours(Extractor):
    tells_the_datas_classes = False

    def __init__(self):
        super().__init__()
        self.both = Both()

    def forward(self, x):
        return self.both(x)


class Theirs(FeatureExtractorBase):
    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.both = Both()

    def forward(self, x):
        features, logits = self.both(x)
        return tuple({"features": features, "logits": logits}[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list():
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"


@pytest.fixture
def tiny(monkeypatch):
    torch_fidelity.register_feature_extractor("tiny", Theirs)
    entries = {"tiny": "test_evaluation:Ours"}
    monkeypatch.setattr(
        spec, "entry_points_of", lambda group: entries if "extractors" in group else {}
    )
    yield "tiny"
    del torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["tiny"]


THEIRS = {
    "fid": "frechet_inception_distance",
    "is": "inception_score_mean",
    "kid_subsets(subset_size=50)": "kernel_inception_distance_mean",
    "precision": "precision",
    "recall": "recall",
}


@pytest.mark.parametrize("protocol", ["ganbench", "torch-fidelity"])
def test_two_folders_score_what_torch_fidelity_says(protocol, folders, tiny):
    theirs = torch_fidelity.calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), feature_extractor=tiny, cuda=False, cache=False,
        verbose=False, save_cpu_ram=True, fid=True, isc=True, kid=True, prc=True, kid_subset_size=50,
    )  # fmt: skip
    ours = evaluate(*folders, extractor=tiny, metrics=list(THEIRS), protocol=protocol)
    for metric, key in THEIRS.items():
        assert ours[metric] == pytest.approx(theirs[key], rel=1e-6, abs=1e-6), metric


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_folders_score_what_torch_fidelitys_command_says_with_inception(
    folders, tmp_path, ganbench
):
    """With weights drawn from a seed, for want of the published ones: the format is the same."""
    few = [
        written(tmp_path / f.name / "few", [Image.open(p) for p in sorted(f.glob("*"))[:20]])
        for f in folders
    ]
    weights = seeded_inception.write(tmp_path / "seeded.pth")
    command = ["--cpu", "--json", "--silent", "--fid", "--isc", "--prc", "--kid", "--kid-subset-size", 10, "--no-cache",
               "--feature-extractor", "inception-v3-compat", "--feature-extractor-weights-path", weights,
               "--save-cpu-ram", "--batch-size", 20, "--input1", few[0], "--input2", few[1]]  # fmt: skip
    program = (
        "import torch; torch.set_num_threads(1); from torch_fidelity.fidelity import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, *map(str, command)],
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(told.stdout[told.stdout.index("{") :])
    metrics = ",".join(THEIRS).replace("50", "10")
    # Of fewer images than features the root of a product of covariances has zeros that theirs finds in noise.
    for protocol, near in (("torch-fidelity", 1e-6), ("ganbench", 2e-5)):
        code, out, _ = ganbench(
            *("eval", *few, "--metrics", metrics, "--protocol", protocol, "--batch", 20),
            *("--inception-weights", weights, "--no-floor", "--device", "cpu", "--json"),
        )
        assert code == 0
        values = {
            row["metric"].replace("10", "50"): row["value"] for row in json.loads(out)["metrics"]
        }
        for metric, key in THEIRS.items():
            assert values[metric] == pytest.approx(theirs[key], abs=near), (protocol, metric)


def test_images_score_what_those_of_a_trial_would(tmp_path):
    """Of digits as files against the set by its name: values, errors, floors and expectations of a yardstick."""
    fakes = held_out().flip(3)
    evaluator = Evaluator("digits", CPU)
    readings = evaluator.measure_feature_set(evaluator.extract(fakes), METRICS)
    floors, expected = evaluator.measure_floor(METRICS), evaluator.expected_floors(METRICS)
    found = evaluate(
        written(tmp_path / "x", fakes.numpy()), "digits", metrics=METRICS, batch=500, workers=0
    )
    for row in found.rows:
        assert row.value == pytest.approx(readings[row.metric].value, rel=1e-5)
        assert row.standard_error == pytest.approx(readings[row.metric].standard_error, rel=1e-3)
        assert row.floor == pytest.approx(floors[row.metric].value, rel=1e-5)
        theory = expected[row.metric]
        assert row.expected == (theory if theory is None else pytest.approx(theory, rel=1e-5))
    assert found.terms.extractor == DIGITS


def test_features_that_were_extracted_before_score_the_same(tmp_path, folders, tiny):
    before = evaluate(*folders, extractor=tiny, metrics="fid,kid,is")
    network = Both()
    paths = []
    for place in folders:
        images = torch.stack(
            [torch.from_numpy(np.array(Image.open(p))) for p in sorted(place.glob("*"))]
        )
        features, logits = network(images.permute(0, 3, 1, 2))
        paths.append(tmp_path / f"{place.name}.npz")
        np.savez(paths[-1], features=features.detach(), logits=logits.detach())
    given = evaluate(*paths, metrics="fid,kid,is")
    mixed = evaluate(paths[0], folders[1], extractor=tiny, metrics="fid,kid,is")
    for metric in ("fid", "kid", "is"):
        assert given[metric] == pytest.approx(before[metric], rel=1e-5)
        assert mixed[metric] == pytest.approx(before[metric], rel=1e-5)
    assert given.terms.extractor == "identity, features as given"


def test_points_are_measured_against_the_law_that_they_should_follow():
    points = split("ring").held_out[IMAGE].images.numpy()
    found = evaluate(points, "ring", metrics="fid,modes,high_quality")
    assert found["modes"] == 8
    assert found["high_quality"] > 0.98


# Floors, draws and the cache


def test_without_held_out_data_the_floor_is_of_halves_of_the_reals(folders, tiny):
    found = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    fid, kid = found.rows
    assert "75 of the reals in the place of the fakes, against 75 others" in found.floor
    assert 0 < fid.floor < fid.value
    assert abs(kid.floor) < 3 * kid.floor_standard_error
    assert evaluate(*folders, extractor=tiny, metrics="fid", floor=False).rows[0].floor is None


def test_what_is_held_out_can_be_named(folders, tiny):
    found = evaluate(*folders, extractor=tiny, metrics="fid,copying", held_out=folders[1])
    assert found.rows[0].floor == pytest.approx(0, abs=1e-9)
    assert found["copying"] == 0  # no fake is nearer to the reals than they are to themselves


def test_reals_are_extracted_once_and_their_floors_measured_once(folders, tiny, monkeypatch):
    first = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    looked, measured = [], []
    monkeypatch.setattr(Ours, "forward", lambda self, x: looked.append(len(x)) or self.both(x))
    measure = MeasurementRules.measure_metric
    count_measured = lambda *a: measured.append(a) or measure(*a)  # noqa: E731
    monkeypatch.setattr(MeasurementRules, "measure_metric", count_measured)
    images = np.zeros((20, 8, 8, 3), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None]
    evaluate(images, folders[1], extractor=tiny, metrics="fid,kid", reals=150)
    assert sum(looked) == 20
    again = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    assert again.as_dict() == first.as_dict()
    assert len(measured) == 2 + 2 + 2  # of the second one floors of 20 fakes, too


def test_a_count_draws_images_by_the_seed(folders, tiny):
    def value(seed):
        return evaluate(*folders, extractor=tiny, metrics="fid", count=100, seed=seed, floor=False)

    one, again, other = value(0), value(0), value(1)
    assert one["fid"] == again["fid"] != other["fid"]
    assert one.terms.fakes == 100
    assert one.terms.id == other.terms.id != evaluate(*folders, extractor=tiny).terms.id


def test_a_generator_makes_as_many_images_as_there_are_reals(folders, tiny):
    def noise(count, seed):
        return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

    assert evaluate(noise, folders[1], extractor=tiny, metrics="kid").terms.fakes == 150
    with pytest.raises(Unreadable, match="say how many by --count"):
        evaluate(folders[0], noise, extractor=tiny)


def test_a_generator_of_latents_has_paths(folders):
    """Straight ones under a linear generator, which are four times as long, squared, if it is twice as steep."""

    def linear(steepness):
        def make(latents):
            return steepness * latents.view(-1, 3, 8, 8)

        metrics = "ppl(interpolation='lerp', pairs=200)"
        settings = {"extractor": "identity", "latent": [192], "value_range": "-1,1", "floor": False}
        return evaluate(make, folders[1], metrics=metrics, **settings)[metrics]

    assert linear(0.2) == pytest.approx(4 * linear(0.1), rel=1e-3)
    found = evaluate(*folders, extractor="identity", metrics="ppl,kid", floor=False)
    assert "needs the generator itself" in found.rows[0].reason


class Squared(nn.Module):
    def forward(self, x, y):
        return (x - y).flatten(1).square().sum(1)


@pytest.mark.parametrize("size", [None, 8])
def test_paths_are_measured_by_lpips_too(size, folders, tmp_path, monkeypatch):
    metric = "ppl(interpolation='lerp', pairs=200, distance='lpips')"
    settings = {"extractor": "identity", "latent": [192], "value_range": "-1,1", "floor": False}

    def found(steepness):
        def make(latents):
            return steepness * latents.view(-1, 3, 8, 8)

        return evaluate(make, folders[1], metrics=(metric, "kid"), size=size, **settings)

    for place in ("GANBENCH_DATA", "TORCH_HOME"):
        monkeypatch.setenv(place, str(tmp_path / "none"))
    assert "lpips's weights are not on this machine" in found(0.1).rows[0].reason
    monkeypatch.setattr(lpips, "LPIPS", Squared)
    assert found(0.2)[metric] == pytest.approx(4 * found(0.1)[metric], rel=1e-3)


def test_metrics_of_images_see_those_that_were_extracted(folders, tiny):
    before = evaluate(*folders, extractor=tiny, metrics="ms_ssim", floor=False)
    (folders[0] / "0100x.png").write_bytes(b"no image")
    found = evaluate(*folders, extractor=tiny, metrics="ms_ssim", floor=False, skip_unreadable=True)
    assert found["ms_ssim"] == before["ms_ssim"]
    assert found.terms.fakes == 150
    Image.new("RGB", (9, 9)).save(folders[0] / "other.png")
    found = evaluate(
        *folders, extractor=tiny, metrics="fid,ms_ssim", floor=False, skip_unreadable=True
    )
    assert "needs images" in found.rows[1].reason


def test_too_few_that_can_be_read_are_told(tmp_path, folders, tiny):
    few = written(tmp_path / "few", [Image.open(p) for p in sorted(folders[0].glob("*"))[:10]])
    next(iter(few.glob("*"))).write_bytes(b"no image")
    with pytest.raises(Unreadable, match="holds 9 images that can be read: no metric"):
        evaluate(few, folders[1], extractor=tiny, metrics="fid", skip_unreadable=True)


def test_what_a_classifier_learns_of_fakes_is_measured_against_a_data_set(tmp_path):
    """As a yardstick measures it: fakes of a folder by the classes that are told, of a data set by its own."""
    fakes, measured = held_out().flip(3), Evaluator("digits", CPU)
    metrics = [
        "cas(labels='told')",
        "cas(labels='told', on='features')",
        "augmentation(labels='told')",
    ]
    expected = measured.measure_feature_set(measured.extract(fakes), tuple(metrics))
    floors = measured.measure_floor(tuple(metrics))
    place = written(tmp_path / "x", fakes.numpy())
    found = evaluate(place, "digits", metrics=[*metrics, "cas"], batch=500)
    for metric, row in zip(metrics, found.rows, strict=False):
        label = PARTS.label(metric)
        assert row.value == pytest.approx(expected[label].value, abs=2e-3)
        assert row.floor == pytest.approx(floors[label].value, abs=2e-3)
    assert "labels='told' takes" in found.rows[-1].reason
    own = evaluate("digits:held_out", "digits", metrics="cas,gan_test,class_accuracy", batch=500)
    floors = measured.measure_floor(tuple(row.metric for row in own.rows))
    for row in own.rows:
        assert row.floor == pytest.approx(floors[row.metric].value, abs=2e-3)
    assert own["gan_test"] == own.rows[1].floor  # the same fakes
    few = evaluate("digits:held_out", "digits", metrics="gan_test", count=100, reals=500)
    assert few["gan_test"] > 0.9


@pytest.mark.skipif(not DEBIAN_PACKAGE_FOLDER.exists(), reason="Fashion-MNIST is not installed")
def test_a_classifier_learns_of_no_other_classes_or_sizes(tmp_path, tiny):
    place = written(tmp_path / "x", held_out()[:50].numpy())
    other = evaluate(
        place, "digits", metrics="cas(labels='told')", extractor="classifier(of='fashion_mnist')", size=32
    )  # fmt: skip
    assert "needs an extractor that tells the classes of reals" in other.rows[0].reason
    sizes = evaluate(
        "fashion_mnist:held_out", "digits", metrics="gan_test", extractor=tiny, floor=False, count=50
    )  # fmt: skip
    assert "one size" in sizes.rows[0].reason


def test_the_same_images_are_told(folders, tiny):
    found = evaluate(folders[0], folders[0], extractor=tiny, metrics="fid")
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert "the same images" in found.notes[-1]
    Image.open(next(folders[1].glob("*"))).save(folders[0] / "copy.bmp")
    found = evaluate(*folders, extractor=tiny, metrics="fid")
    assert "1 of the fakes are images of the reals, pixel by pixel" in found.notes


# What it says


def test_terms_name_all_that_a_number_depends_on(folders, tiny):
    found = evaluate(*folders, extractor=tiny, metrics="fid")
    sized = evaluate(*folders, extractor=tiny, metrics="fid", size=8)
    assert "tiny, 150 fakes against 150 reals" in str(found.terms)
    assert "8x8 by Lanczos" in str(sized.terms)
    assert found.terms.id != sized.terms.id
    other = evaluate(folders[0], folders[1], extractor=tiny, metrics="kid")
    assert found.terms == other.terms


def test_a_value_is_asked_for_by_its_name(folders, tiny):
    found = evaluate(
        *folders, extractor=tiny, metrics="fid, kid_subsets(subset_size=50,subsets=10), modes"
    )
    assert found["fid"] == found.rows[0].value
    assert isinstance(found["kid_subsets(subsets=10, subset_size=50)"], float)
    with pytest.raises(MetricNotApplicable, match="tells others apart"):
        found["modes"]
    with pytest.raises(KeyError):
        found["recall"]
    assert "lower is better" in found.table()


def test_the_package_offers_it_whatever_else_is_imported():
    offers = "callable(ganbench.evaluate) and callable(ganbench.load)"
    program = f"import ganbench, ganbench.experiments.runner; assert {offers}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_command_answers_in_json_alone_and_in_a_table(ganbench, folders, tmp_path):
    images = written(tmp_path / "x", held_out()[:40].numpy())
    command = ("eval", images, "digits", "--metrics", "fid,kid", "--device", "cpu")
    code, out, err = ganbench(*command, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["metric"] for row in told["metrics"]] == ["fid", "kid"]
    assert told["protocol"]["fakes"] == 40
    code, out, _ = ganbench(*command)
    assert code == 0
    assert f"[{told['protocol']['id']}]" in out
    assert "± SE" in out


def test_who_has_no_weights_is_told_where_they_are_and_what_needs_none(
    ganbench, folders, tmp_path, monkeypatch
):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code, out, err = ganbench("eval", *folders)
    assert (code, out) == (2, "")
    assert "run `ganbench download inception`" in err
    assert "Or measure without a download: --extractor efficientnet_lite0" in err
    code, _, err = ganbench("eval", *folders, "--extractor", "inception")
    assert code == 2
    assert "efficientnet" not in err


def test_an_interruption_says_how_to_go_on(ganbench, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "extract_source_features", stop)
    code, out, err = ganbench("eval", written(tmp_path / "x", held_out()[:40].numpy()), "digits")
    assert (code, out) == (130, "")
    assert "Stopped; what was extracted is kept. To go on: ganbench eval" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--latent", "8x"], "--latent is a shape as 128 or 512x1x1, not '8x'"),
        (["--range", "0..1"], "--range is one of auto, 0,1, -1,1, 0,255, not '0..1'"),
        (["--size", "2"], "--size must lie in [8, 1024], not 2"),
        (["--device", "tpu"], "device tpu is not on this machine"),
        (["--metrics", ","], "name a metric: fid"),
    ],
)
def test_an_option_that_cannot_be_is_told(ganbench, options, told):
    code, out, err = ganbench("eval", "digits", "digits", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(told)
