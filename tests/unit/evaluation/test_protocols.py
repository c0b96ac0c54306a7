"""Protocols: identity, counts and floors; `torch_fidelity` equals that library's values."""

import math

import pytest
import torch
import torch_fidelity
from helpers import CPU
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.data.base import IMAGE
from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.protocols import PROTOCOLS, protocol_label
from ganbench.registry import SpecError

METRICS = ("fid", "kid_subsets(subset_size=300)", "is", "precision", "recall")
OWN_PROTOCOL = "torch_fidelity(extractor='own')"


class ImageDataset(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.images[number]


class DigitsExtractor(FeatureExtractorBase):
    """The classifier of digits as a torch-fidelity extractor."""

    def __init__(self, name, features_list, **ignored):
        super().__init__(name, features_list)
        self.network = Evaluator("digits", CPU).extractor

    @staticmethod
    def get_provided_features_list():
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 1, 8, 8, dtype=torch.uint8)

    def forward(self, images):
        features, logits = self.network(images)
        return tuple({"features": features, "logits": logits}[name] for name in self.features_list)


def fake_digits():
    """Returns held-out digits with one pixel set to white."""
    images = Evaluator("digits", CPU).split.held_out[IMAGE].images.clone()
    images[:, :, 3, 3] = 255
    return images


@pytest.fixture(scope="module")
def library_scores():
    """Returns the scores that torch-fidelity computes end to end for the same images."""
    torch_fidelity.register_feature_extractor("ganbench-digits", DigitsExtractor)
    reference = Evaluator("digits", CPU).reference
    return torch_fidelity.calculate_metrics(
        input1=ImageDataset(fake_digits()),
        input2=ImageDataset(reference),
        feature_extractor="ganbench-digits",
        fid=True,
        kid=True,
        isc=True,
        prc=True,
        kid_subset_size=300,
        cuda=False,
        verbose=False,
        cache=False,
        save_cpu_ram=True,
    )


def test_torch_fidelity_protocol_equals_the_library(library_scores):
    evaluator = Evaluator("digits", CPU, OWN_PROTOCOL)
    readings = evaluator.measure_feature_set(evaluator.extract(fake_digits()), METRICS)
    keys = [
        torch_fidelity.KEY_METRIC_FID,
        torch_fidelity.KEY_METRIC_KID_MEAN,
        torch_fidelity.KEY_METRIC_ISC_MEAN,
        torch_fidelity.KEY_METRIC_PRECISION,
        torch_fidelity.KEY_METRIC_RECALL,
    ]
    for metric, key in zip(METRICS, keys, strict=True):
        assert readings[metric].value == pytest.approx(library_scores[key], rel=1e-7), metric
        assert readings[metric].standard_error is None  # its spreads are not standard errors


def test_ganbench_estimators_agree_with_torch_fidelity(library_scores):
    evaluator = Evaluator("digits", CPU)
    readings = evaluator.measure_feature_set(evaluator.extract(fake_digits()), METRICS)
    fid = library_scores[torch_fidelity.KEY_METRIC_FID]
    assert readings["fid"].value == pytest.approx(fid, rel=1e-4)  # its means are in float32
    assert readings["precision"].value == pytest.approx(
        library_scores[torch_fidelity.KEY_METRIC_PRECISION], abs=2 / 600
    )
    assert all(reading.standard_error for m, reading in readings.items() if m != "recall")


def test_unsupported_torch_fidelity_metrics_give_reasons():
    evaluator = Evaluator("digits", CPU, OWN_PROTOCOL)
    readings = evaluator.measure_feature_set(
        evaluator.extract(fake_digits()), ("density", "kid", "precision(k=700)")
    )
    assert readings["density"] == "torch-fidelity has no density"
    assert readings["kid"] == "torch-fidelity's subsets of 1000 need as many examples on each side"
    assert "neighbour 700 needs more than 700" in readings["precision(k=700)"]
    points = Evaluator("ring", CPU, OWN_PROTOCOL)
    broken = points.measure_feature_set(points.extract(torch.full((50, 2), math.nan)), ("fid",))
    assert "not finite" in broken["fid"]


def test_protocol_id_depends_on_every_setting():
    specs = [
        "ganbench",
        "ganbench(fakes=500)",
        "ganbench(reals=500)",
        "ganbench(seed=1)",
        OWN_PROTOCOL,
    ]
    specs += ["ganbench(extractor='identity')"]
    ids = {Evaluator("digits", CPU, spec).protocol.id for spec in specs}
    assert len(ids) == len(specs)
    own = "ganbench(extractor=\"classifier(of='digits')\")"
    assert Evaluator("digits", CPU, own).protocol == Evaluator("digits", CPU).protocol


def test_protocol_sets_sample_counts():
    evaluator = Evaluator("digits", CPU, "ganbench(fakes=300, reals=500)")
    assert len(evaluator.real_features) == evaluator.protocol.real == 500
    assert len(evaluator.held_out_features) == evaluator.protocol.fake == 300
    assert isinstance(evaluator.measure_floor(("fid",))["fid"], Measurement)


def test_floor_needs_as_many_held_out_examples():
    evaluator = Evaluator("digits", CPU, "ganbench(fakes=5000)")
    assert evaluator.measure_floor(("fid",)) == {
        "fid": "5000 held-out examples are needed, and there are 600"
    }
    assert evaluator.expected_floors(("fid",))["fid"] > 0


def test_extractor_for_other_data_is_rejected():
    own = "ganbench(extractor=\"classifier(of='digits')\")"
    with pytest.raises(
        SpecError, match=r"ring: it needs examples of shape \[1, 8, 8\]; .* have \[2\]"
    ):
        _ = Evaluator("ring", CPU, own).protocol
    with pytest.raises(SpecError, match=r"stacked_digits: it needs 1 channel; the data have 3$"):
        _ = Evaluator("stacked_digits", CPU, own).protocol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torchfidelity", "did you mean 'torch_fidelity'"),
        ("ganbench(fakes=1)", "fakes must be at least 2"),
        ("ganbench(extractor='inceptoin')", "did you mean 'inception'"),
        ("ganbench(fake=5)", "did you mean 'fakes'"),
    ],
)
def test_invalid_protocol_raises_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        protocol_label(text)


def test_torch_fidelity_may_be_hyphenated():
    assert protocol_label("torch-fidelity") == "torch_fidelity"
    assert protocol_label("torch-fidelity(fakes=50)") == "torch_fidelity(fakes=50)"
    assert set(PROTOCOLS) == {"ganbench", "torch_fidelity"}


def test_equal_calls_share_one_evaluator():
    first = evaluator_for("digits", "cpu")
    assert evaluator_for("digits", "cpu", "ganbench") is first
    assert evaluator_for(data="digits", device="cpu") is first
