"""Protocols: what a number means, and that torch-fidelity's are that library's own numbers."""

import math

import pytest
import torch
import torch_fidelity
from helpers import CPU
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.data.base import IMAGE
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.protocols import PROTOCOLS, protocol_label
from ganbench.registry import SpecError

METRICS = ("fid", "kid_subsets(subset_size=300)", "is", "precision", "recall")
OWN = "torch_fidelity(extractor='own')"


class Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.images[number]


class Digits(FeatureExtractorBase):
    """The classifier of digits, as torch-fidelity asks an extractor to be."""

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


def fakes():
    """Held-out digits that somebody has drawn over."""
    images = Evaluator("digits", CPU).split.held_out[IMAGE].images.clone()
    images[:, :, 3, 3] = 255
    return images


@pytest.fixture(scope="module")
def the_librarys():
    """What torch-fidelity says of the same images by itself, from end to end."""
    torch_fidelity.register_feature_extractor("ganbench-digits", Digits)
    reference = Evaluator("digits", CPU).reference
    return torch_fidelity.calculate_metrics(
        input1=Images(fakes()),
        input2=Images(reference),
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


def test_the_protocol_torch_fidelity_gives_that_librarys_numbers(the_librarys):
    evaluator = Evaluator("digits", CPU, OWN)
    found = evaluator.measure_feature_set(evaluator.extract(fakes()), METRICS)
    keys = [
        torch_fidelity.KEY_METRIC_FID,
        torch_fidelity.KEY_METRIC_KID_MEAN,
        torch_fidelity.KEY_METRIC_ISC_MEAN,
        torch_fidelity.KEY_METRIC_PRECISION,
        torch_fidelity.KEY_METRIC_RECALL,
    ]
    for metric, key in zip(METRICS, keys, strict=True):
        assert found[metric].value == pytest.approx(the_librarys[key], rel=1e-7), metric
        assert found[metric].standard_error is None  # its spreads are none


def test_our_own_estimators_agree_with_it_on_the_same_images(the_librarys):
    evaluator = Evaluator("digits", CPU)
    found = evaluator.measure_feature_set(evaluator.extract(fakes()), METRICS)
    fid = the_librarys[torch_fidelity.KEY_METRIC_FID]
    assert found["fid"].value == pytest.approx(fid, rel=1e-4)  # its means are of float32
    assert found["precision"].value == pytest.approx(
        the_librarys[torch_fidelity.KEY_METRIC_PRECISION], abs=2 / 600
    )
    assert all(reading.standard_error for m, reading in found.items() if m != "recall")


def test_what_torch_fidelity_has_not_or_cannot_is_told_in_a_sentence():
    evaluator = Evaluator("digits", CPU, OWN)
    found = evaluator.measure_feature_set(
        evaluator.extract(fakes()), ("density", "kid", "precision(k=700)")
    )
    assert found["density"] == "torch-fidelity has no density"
    assert found["kid"] == "torch-fidelity's subsets of 1000 need as many examples on each side"
    assert "neighbour 700 needs more than 700" in found["precision(k=700)"]
    points = Evaluator("ring", CPU, OWN)
    broken = points.measure_feature_set(points.extract(torch.full((50, 2), math.nan)), ("fid",))
    assert "not finite" in broken["fid"]


def test_a_protocol_is_known_by_all_that_decides_its_numbers():
    specs = ["ganbench", "ganbench(fakes=500)", "ganbench(reals=500)", "ganbench(seed=1)", OWN]
    specs += ["ganbench(extractor='identity')"]
    known = {Evaluator("digits", CPU, spec).protocol.id for spec in specs}
    assert len(known) == len(specs)
    own = "ganbench(extractor=\"classifier(of='digits')\")"
    assert Evaluator("digits", CPU, own).protocol == Evaluator("digits", CPU).protocol


def test_counts_are_those_that_the_protocol_asks_for():
    evaluator = Evaluator("digits", CPU, "ganbench(fakes=300, reals=500)")
    assert len(evaluator.real_features) == evaluator.protocol.real == 500
    assert len(evaluator.held_out_features) == evaluator.protocol.fake == 300
    assert isinstance(evaluator.measure_floor(("fid",))["fid"], Measurement)


def test_a_floor_needs_as_many_held_out_examples_as_there_are_fakes():
    evaluator = Evaluator("digits", CPU, "ganbench(fakes=5000)")
    assert evaluator.measure_floor(("fid",)) == {
        "fid": "5000 held-out examples are needed, and there are 600"
    }
    assert evaluator.expected_floors(("fid",))["fid"] > 0


def test_an_extractor_of_other_data_is_refused_in_a_sentence():
    with pytest.raises(SpecError, match="cannot process ring"):
        _ = Evaluator("ring", CPU, "ganbench(extractor=\"classifier(of='digits')\")").protocol


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("torchfidelity", "did you mean 'torch_fidelity'"),
        ("ganbench(fakes=1)", "fakes must be at least 2"),
        ("ganbench(extractor='inceptoin')", "did you mean 'inception'"),
        ("ganbench(fake=5)", "did you mean 'fakes'"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        protocol_label(text)


def test_the_library_is_written_with_its_hyphen_too():
    assert protocol_label("torch-fidelity") == "torch_fidelity"
    assert protocol_label("torch-fidelity(fakes=50)") == "torch_fidelity(fakes=50)"
    assert set(PROTOCOLS) == {"ganbench", "torch_fidelity"}
