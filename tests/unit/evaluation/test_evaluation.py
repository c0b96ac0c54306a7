"""`ganbench eval`: scores of any images equal those of torch-fidelity and of trials."""

import json
import shutil
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
from typer.testing import CliRunner

from ganbench.cli import app
from ganbench.data.base import IMAGE
from ganbench.data.fashion_mnist import DEBIAN_PACKAGE_FOLDER
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation import pipeline
from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import lpips
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.extractors.classifier import Classifier
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.options import EvaluationOptions
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.registry import SpecError, registry

TRIAL_METRICS = ("fid", "kid", "is", "precision", "recall", "modes", "copying", "ms_ssim(pairs=50)")
DIGITS_CLASSIFIER = "classifier(of='digits')"
FEATURE_WIDTH = 16


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


def held_out_images() -> torch.Tensor:
    return split("digits").held_out[IMAGE].images


def write_images(folder: Path, images) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(np.asarray(image).squeeze()).save(folder / f"{number:04}.png")
    return folder


@pytest.fixture
def folders(tmp_path):
    """Returns two folders of 150 noise images each, of different brightness."""
    random, sides = np.random.default_rng(0), []
    for bright in (110, 140):
        levels = random.normal(bright, 30, (150, 1, 1, 3)) + random.normal(0, 15, (150, 8, 8, 3))
        sides.append(levels.clip(0, 255).astype(np.uint8))
    return [
        write_images(tmp_path / name, side)
        for name, side in zip(("fake", "real"), sides, strict=True)
    ]


# Against torch-fidelity and trials


class TinyNetwork(nn.Module):
    """Network with features and logits, shared by the ganbench and torch-fidelity extractors."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * FEATURE_WIDTH, 10)
        nn.init.normal_(self.linear.weight, std=1.0, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        features = nn.functional.adaptive_avg_pool2d(x.float() / 255, 4).flatten(1)
        return features, self.linear(features)


class TinyExtractor(Extractor):
    def __init__(self):
        super().__init__()
        self.network = TinyNetwork()

    def predicts_classes_of(self, data):
        return False

    def forward(self, x):
        return self.network(x)


class TorchFidelityExtractor(FeatureExtractorBase):
    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.network = TinyNetwork()

    def forward(self, x):
        features, logits = self.network(x)
        return tuple({"features": features, "logits": logits}[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list():
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"


@pytest.fixture
def tiny(monkeypatch):
    torch_fidelity.register_feature_extractor("tiny", TorchFidelityExtractor)
    entries = {"tiny": "test_evaluation:TinyExtractor"}
    monkeypatch.setattr(
        registry, "entry_points_of", lambda group: entries if "extractors" in group else {}
    )
    yield "tiny"
    del torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["tiny"]


TORCH_FIDELITY_KEYS = {
    "fid": "frechet_inception_distance",
    "is": "inception_score_mean",
    "kid_subsets(subset_size=50)": "kernel_inception_distance_mean",
    "precision": "precision",
    "recall": "recall",
}


@pytest.mark.parametrize("protocol", ["ganbench", "torch-fidelity"])
def test_folder_scores_equal_torch_fidelity(protocol, folders, tiny):
    expected = torch_fidelity.calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), feature_extractor=tiny, cuda=False, cache=False,
        verbose=False, save_cpu_ram=True, fid=True, isc=True, kid=True, prc=True, kid_subset_size=50,
    )  # fmt: skip
    scores = evaluate(
        *folders, extractor=tiny, metrics=list(TORCH_FIDELITY_KEYS), protocol=protocol
    )
    for metric, key in TORCH_FIDELITY_KEYS.items():
        assert scores[metric] == pytest.approx(expected[key], rel=1e-6, abs=1e-6), metric


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_inception_scores_equal_torch_fidelity_command(folders, tmp_path, ganbench):
    """Weights are random, in the format of the published ones."""
    subsets = [
        write_images(
            tmp_path / folder.name / "few",
            [Image.open(path) for path in sorted(folder.glob("*"))[:20]],
        )
        for folder in folders
    ]
    weights = seeded_inception.write(tmp_path / "seeded.pth")
    command = ["--cpu", "--json", "--silent", "--fid", "--isc", "--prc", "--kid", "--kid-subset-size", 10, "--no-cache",
               "--feature-extractor", "inception-v3-compat", "--feature-extractor-weights-path", weights,
               "--save-cpu-ram", "--batch-size", 20, "--input1", subsets[0], "--input2", subsets[1]]  # fmt: skip
    program = (
        "import torch; torch.set_num_threads(1); from torch_fidelity.fidelity import main; main()"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, command)],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = json.loads(process.stdout[process.stdout.index("{") :])
    metrics = ",".join(TORCH_FIDELITY_KEYS).replace("50", "10")
    # With fewer images than features, torch-fidelity's matrix square root turns exact zeros into noise.
    for protocol, tolerance in (("torch-fidelity", 1e-6), ("ganbench", 2e-5)):
        code, out, _ = ganbench(
            *("eval", *subsets, "--metrics", metrics, "--protocol", protocol, "--batch", 20),
            *("--inception-weights", weights, "--no-floor", "--device", "cpu", "--json"),
        )
        assert code == 0
        values = {
            row["metric"].replace("10", "50"): row["value"] for row in json.loads(out)["metrics"]
        }
        for metric, key in TORCH_FIDELITY_KEYS.items():
            assert values[metric] == pytest.approx(expected[key], abs=tolerance), (protocol, metric)


def test_image_files_score_like_trial_samples(tmp_path):
    """Digits as files give the values, errors and floors that an `Evaluator` gives."""
    fakes = held_out_images().flip(3)
    evaluator = Evaluator("digits", CPU)
    readings = evaluator.measure_feature_set(evaluator.extract(fakes), TRIAL_METRICS)
    floors, expected_floors = (
        evaluator.measure_floor(TRIAL_METRICS),
        evaluator.expected_floors(TRIAL_METRICS),
    )
    evaluation = evaluate(
        write_images(tmp_path / "x", fakes.numpy()),
        "digits",
        metrics=TRIAL_METRICS,
        batch=500,
        workers=0,
    )
    for row in evaluation.rows:
        assert row.value == pytest.approx(readings[row.metric].value, rel=1e-5)
        assert row.standard_error == pytest.approx(readings[row.metric].standard_error, rel=1e-3)
        assert row.floor == pytest.approx(floors[row.metric].value, rel=1e-5)
        expected_floor = expected_floors[row.metric]
        assert row.expected == (
            expected_floor if expected_floor is None else pytest.approx(expected_floor, rel=1e-5)
        )
    assert evaluation.terms.extractor == DIGITS_CLASSIFIER


def test_saved_features_score_like_their_images(tmp_path, folders, tiny):
    of_images = evaluate(*folders, extractor=tiny, metrics="fid,kid,is")
    network = TinyNetwork()
    paths = []
    for folder in folders:
        images = torch.stack(
            [torch.from_numpy(np.array(Image.open(path))) for path in sorted(folder.glob("*"))]
        )
        features, logits = network(images.permute(0, 3, 1, 2))
        paths.append(tmp_path / f"{folder.name}.npz")
        np.savez(paths[-1], features=features.detach(), logits=logits.detach())
    of_features = evaluate(*paths, metrics="fid,kid,is")
    mixed = evaluate(paths[0], folders[1], extractor=tiny, metrics="fid,kid,is")
    for metric in ("fid", "kid", "is"):
        assert of_features[metric] == pytest.approx(of_images[metric], rel=1e-5)
        assert mixed[metric] == pytest.approx(of_images[metric], rel=1e-5)
    assert of_features.terms.extractor == "identity, features as given"
    assert of_images.terms.id != mixed.terms.id
    (note,) = [note for note in mixed.notes if "as given" in note]
    assert note.startswith("fakes are features as given: values are comparable if")


def test_points_are_scored_against_their_distribution():
    points = split("ring").held_out[IMAGE].images.numpy()
    evaluation = evaluate(points, "ring", metrics="fid,modes,high_quality")
    assert evaluation["modes"] == 8
    assert evaluation["high_quality"] > 0.98


# Floors, draws and the cache


def test_default_floor_compares_halves_of_reals(folders, tiny):
    evaluation = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    fid, kid = evaluation.rows
    assert "75 of the reals instead of the fakes, against 75 others" in evaluation.floor
    assert 0 < fid.floor < fid.value
    assert abs(kid.floor) < 3 * kid.floor_standard_error
    assert evaluate(*folders, extractor=tiny, metrics="fid", floor=False).rows[0].floor is None


def test_held_out_source_sets_the_floor(folders, tiny):
    evaluation = evaluate(*folders, extractor=tiny, metrics="fid,copying", held_out=folders[1])
    assert evaluation.rows[0].floor == pytest.approx(0, abs=1e-9)
    assert evaluation["copying"] == 0  # no fake is nearer to the reals than the held-out images are


def test_floor_of_many_held_out_images_is_that_of_random_ones():
    """The files of a folder are often ordered by class."""
    random = np.random.default_rng(0)
    reals, fakes = random.integers(0, 256, (2, 150, 8, 8, 3), dtype=np.uint8)
    held_out = np.concatenate([reals // 4, reals])  # the first half is dark
    options = {"extractor": "identity", "metrics": "kid", "held_out": held_out}
    (row,) = evaluate(fakes, reals, **options).rows
    (all_images,) = evaluate(np.concatenate([fakes, fakes]), reals, **options).rows
    assert row.floor == pytest.approx(all_images.floor, rel=0.3)


def test_real_features_and_floors_are_cached(folders, tiny, monkeypatch):
    first = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    batch_sizes, measure_calls = [], []
    monkeypatch.setattr(
        TinyExtractor, "forward", lambda self, x: batch_sizes.append(len(x)) or self.network(x)
    )
    measure = MeasurementRules.measure_metric
    count_measured = lambda *arguments: measure_calls.append(arguments) or measure(*arguments)  # noqa: E731
    monkeypatch.setattr(MeasurementRules, "measure_metric", count_measured)
    images = np.zeros((20, 8, 8, 3), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None]
    evaluate(images, folders[1], extractor=tiny, metrics="fid,kid", reals=150)
    assert sum(batch_sizes) == 20
    again = evaluate(*folders, extractor=tiny, metrics="fid,kid")
    assert again.as_dict() == first.as_dict()
    assert (
        len(measure_calls) == 2 + 2 + 2
    )  # the second evaluation also measures floors for 20 fakes


def test_seed_selects_images_for_count(folders, tiny):
    def value(seed):
        return evaluate(*folders, extractor=tiny, metrics="fid", count=100, seed=seed, floor=False)

    one, again, other = value(0), value(0), value(1)
    assert one["fid"] == again["fid"] != other["fid"]
    assert one.terms.fakes == 100
    assert one.terms.id == other.terms.id != evaluate(*folders, extractor=tiny).terms.id


def test_generator_makes_as_many_images_as_reals(folders, tiny):
    def noise(count, seed):
        return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

    assert evaluate(noise, folders[1], extractor=tiny, metrics="kid").terms.fakes == 150
    with pytest.raises(Unreadable, match="set the number of images with --count"):
        evaluate(folders[0], noise, extractor=tiny)


def test_latent_generator_gives_path_length(folders):
    """A linear generator that is twice as steep has four times the squared path length."""

    def path_length(steepness):
        def generator(latents):
            return steepness * latents.view(-1, 3, 8, 8)

        metrics = "ppl(interpolation='lerp', pairs=200)"
        settings = {"extractor": "identity", "latent": [192], "value_range": "-1,1", "floor": False}
        return evaluate(generator, folders[1], metrics=metrics, **settings)[metrics]

    assert path_length(0.2) == pytest.approx(4 * path_length(0.1), rel=1e-3)
    evaluation = evaluate(*folders, extractor="identity", metrics="ppl,kid", floor=False)
    assert "needs the generator, but" in evaluation.rows[0].reason


class SquaredDistance(nn.Module):
    def forward(self, x, y):
        return (x - y).flatten(1).square().sum(1)


@pytest.mark.parametrize("size", [None, 8])
def test_path_length_supports_lpips(size, folders, tmp_path, monkeypatch):
    metric = "ppl(interpolation='lerp', pairs=200, distance='lpips')"
    settings = {"extractor": "identity", "latent": [192], "value_range": "-1,1", "floor": False}

    def score(steepness):
        def generator(latents):
            return steepness * latents.view(-1, 3, 8, 8)

        return evaluate(generator, folders[1], metrics=(metric, "kid"), size=size, **settings)

    for variable in ("GANBENCH_DATA", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    assert "lpips's weights are not on this machine" in score(0.1).rows[0].reason
    monkeypatch.setattr(lpips, "LPIPS", SquaredDistance)
    assert score(0.2)[metric] == pytest.approx(4 * score(0.1)[metric], rel=1e-3)


def test_image_metrics_skip_unreadable_images(folders, tiny):
    readable = evaluate(*folders, extractor=tiny, metrics="ms_ssim", floor=False)
    (folders[0] / "0100x.png").write_bytes(b"no image")
    evaluation = evaluate(
        *folders, extractor=tiny, metrics="ms_ssim", floor=False, skip_unreadable=True
    )
    assert evaluation["ms_ssim"] == readable["ms_ssim"]
    assert evaluation.terms.fakes == 150
    Image.new("RGB", (9, 9)).save(folders[0] / "other.png")
    evaluation = evaluate(
        *folders, extractor=tiny, metrics="fid,ms_ssim", floor=False, skip_unreadable=True
    )
    assert "needs images" in evaluation.rows[1].reason


def test_too_few_readable_images_raise_unreadable(tmp_path, folders, tiny):
    few = write_images(tmp_path / "few", [Image.open(p) for p in sorted(folders[0].glob("*"))[:10]])
    next(iter(few.glob("*"))).write_bytes(b"no image")
    with pytest.raises(
        Unreadable, match="holds 9 images that can be read: metrics need at least 10"
    ):
        evaluate(few, folders[1], extractor=tiny, metrics="fid", skip_unreadable=True)


def test_classifier_metrics_equal_trial_values(tmp_path):
    """Fakes of a folder use predicted classes; those of a data set use its labels."""
    fakes, evaluator = held_out_images().flip(3), Evaluator("digits", CPU)
    metrics = [
        "cas(labels='told')",
        "cas(labels='told', on='features')",
        "augmentation(labels='told')",
    ]
    expected = evaluator.measure_feature_set(evaluator.extract(fakes), tuple(metrics))
    floors = evaluator.measure_floor(tuple(metrics))
    folder = write_images(tmp_path / "x", fakes.numpy())
    evaluation = evaluate(folder, "digits", metrics=[*metrics, "cas"], batch=500)
    for metric, row in zip(metrics, evaluation.rows, strict=False):
        label = METRICS.label(metric)
        assert row.value == pytest.approx(expected[label].value, abs=2e-3)
        assert row.floor == pytest.approx(floors[label].value, abs=2e-3)
    assert "labels='told' uses" in evaluation.rows[-1].reason
    held_out = evaluate(
        "digits:held_out", "digits", metrics="cas,gan_test,class_accuracy", batch=500
    )
    floors = evaluator.measure_floor(tuple(row.metric for row in held_out.rows))
    for row in held_out.rows:
        assert row.floor == pytest.approx(floors[row.metric].value, abs=2e-3)
    assert held_out["gan_test"] == held_out.rows[1].floor  # both use the same fakes
    few = evaluate("digits:held_out", "digits", metrics="gan_test", count=100, reals=500)
    assert few["gan_test"] > 0.9


@pytest.mark.skipif(not DEBIAN_PACKAGE_FOLDER.exists(), reason="Fashion-MNIST is not installed")
def test_classifier_metrics_reject_other_classes_or_sizes(tmp_path, tiny, monkeypatch):
    folder = write_images(tmp_path / "x", held_out_images()[:50].numpy())
    other = {"extractor": "classifier(of='fashion_mnist')", "size": 32}
    other_classes = evaluate(folder, "digits", metrics="cas(labels='told')", **other)
    assert "needs the data's own classes as modes" in other_classes.rows[0].reason
    monkeypatch.setattr(Classifier, "predicts_classes_of", lambda self, data: True)  # it claims so
    other_classes = evaluate(folder, "digits", metrics="cas(labels='told')", **other)
    assert "needs an extractor that predicts the classes of reals" in other_classes.rows[0].reason
    other_sizes = evaluate(
        "fashion_mnist:held_out", "digits", metrics="gan_test", extractor=tiny, floor=False, count=50
    )  # fmt: skip
    assert "one size" in other_sizes.rows[0].reason


def test_copies_of_real_images_are_noted(folders, tiny):
    evaluation = evaluate(folders[0], folders[0], extractor=tiny, metrics="fid")
    assert evaluation["fid"] == pytest.approx(0, abs=1e-6)
    assert "the same images" in evaluation.notes[-1]
    Image.open(next(folders[1].glob("*"))).save(folders[0] / "copy.bmp")
    evaluation = evaluate(*folders, extractor=tiny, metrics="fid")
    assert "1 of the fakes has the same pixels as one of the reals" in evaluation.notes


def test_copies_within_fakes_are_counted_and_noted(folders, tiny):
    plain = evaluate(*folders, extractor=tiny, metrics="fid")
    first = next(folders[0].glob("*"))
    for number in range(2):
        shutil.copy(first, folders[0] / f"copy{number}{first.suffix}")
    evaluation = evaluate(*folders, extractor=tiny, metrics="fid")
    assert (plain.copies, evaluation.copies) == (0, 2)
    assert f"fakes: 2 of {evaluation.terms.fakes} are copies of others" in evaluation.notes
    assert evaluation.as_dict().keys() == plain.as_dict().keys()


# Output


def test_terms_describe_the_measurement(folders, tiny):
    original = evaluate(*folders, extractor=tiny, metrics="fid")
    resized = evaluate(*folders, extractor=tiny, metrics="fid", size=8)
    assert "tiny, 150 fakes against 150 reals" in str(original.terms)
    assert "8x8 by Lanczos" in str(resized.terms)
    assert original.terms.id != resized.terms.id
    same_sources = evaluate(folders[0], folders[1], extractor=tiny, metrics="kid")
    assert original.terms == same_sources.terms


def test_values_are_indexed_by_metric_name(folders, tiny):
    evaluation = evaluate(
        *folders, extractor=tiny, metrics="fid, kid_subsets(subset_size=50,subsets=10), modes"
    )
    assert evaluation["fid"] == evaluation.rows[0].value
    assert isinstance(evaluation["kid_subsets(subsets=10, subset_size=50)"], float)
    with pytest.raises(MetricNotApplicable, match="predicts other classes"):
        evaluation["modes"]
    with pytest.raises(KeyError):
        evaluation["recall"]
    assert evaluation.as_dict()["metrics"][0]["features"] == "tiny"
    assert "FID (tiny) cannot be compared with published FIDs" in evaluation.table()
    assert "FID (tiny) ↓" in evaluation.table()


def test_package_exports_evaluate_and_load():
    offers = "callable(ganbench.evaluate) and callable(ganbench.load)"
    program = f"import ganbench, ganbench.experiments.runner; assert {offers}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_eval_prints_json_or_table(ganbench, folders, tmp_path):
    images = write_images(tmp_path / "x", held_out_images()[:40].numpy())
    command = ("eval", images, "digits", "--metrics", "fid,kid", "--device", "cpu")
    code, out, err = ganbench(*command, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["metric"] for row in answer["metrics"]] == ["fid", "kid"]
    assert answer["protocol"]["fakes"] == 40
    code, out, _ = ganbench(*command)
    assert code == 0
    assert f"[{answer['protocol']['id']}]" in out
    assert "± SE" in out


def test_table_explains_blanks_by_theory(ganbench, tmp_path):
    images = write_images(tmp_path / "x", held_out_images()[:40].numpy())
    command = ("eval", images, "digits", "--device", "cpu", "--metrics")
    assert "Blank by theory: no formula fits" in ganbench(*command, "kid,precision")[1]
    assert "Blank by theory" not in ganbench(*command, "kid")[1]


def test_missing_weights_message_names_download_and_alternative(
    ganbench, folders, tmp_path, monkeypatch
):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code, out, err = ganbench("eval", *folders)
    assert (code, out) == (2, "")
    assert err.splitlines()[1:] == [
        "  download:  ganbench download inception",
        "  file:      --inception-weights FILE or GANBENCH_INCEPTION=FILE",
        "  other:     --extractor efficientnet_lite0, no download",
    ]


def test_interruption_prints_resume_command(ganbench, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "extract_source_features", stop)
    code, out, err = ganbench(
        "eval", write_images(tmp_path / "x", held_out_images()[:40].numpy()), "digits"
    )
    assert (code, out) == (130, "")
    assert "Stopped. Extracted features are kept. To resume: ganbench eval" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latent", "8x"], "--latent must be a shape such as 128 or 512x1x1, not '8x'"),
        (["--range", "0..1"], "--range must be one of auto, 0,1, -1,1, 0,255, not '0..1'"),
        (["--size", "2"], "--size must be in [8, 1024], not 2"),
        (["--device", "tpu"], "device tpu is not on this machine"),
        (["--metrics", ","], "name a metric: fid"),
    ],
)
def test_invalid_option_prints_one_line_error(ganbench, options, message):
    code, out, err = ganbench("eval", "digits", "digits", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(message)


@pytest.mark.parametrize("name", ["count", "reals"])
def test_few_images_are_refused_with_the_minimum(name):
    EvaluationOptions(**{name: 10})
    with pytest.raises(SpecError, match=rf"^--{name} must be at least 10, not 9: metrics compare"):
        EvaluationOptions(**{name: 9})


@pytest.mark.parametrize("command", ["eval", "fid"])
def test_a_small_count_is_refused_before_weights_are_missed(tmp_path, command):
    result = CliRunner().invoke(app, [command, str(tmp_path), str(tmp_path), "--count", "5"])
    assert result.exit_code == 2
    assert "--count must be at least 10, not 5: metrics compare" in result.output
