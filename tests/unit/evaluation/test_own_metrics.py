"""Metrics of local files: impossible values have a reason, and wrong types are refused."""

import textwrap

import pytest
import torch

from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.local_files import forget_local_files, resolve_beside, trust_local_files
from ganbench.registry import SpecError

METRIC = """
    import torch
    from dataclasses import dataclass
    from ganbench.extend import Measurement, Metric

    @dataclass(frozen=True)
    class Mine(Metric):
        direction = "{direction}"
        transform = "{transform}"

        def compute(self, fake, real):
            return {returned}
"""


@pytest.fixture
def measure(tmp_path):
    """Measures equal samples by a metric of a local file."""
    trust_local_files()

    def measured(returned: str, transform: str = "none", direction: str = "lower"):
        source = METRIC.format(returned=returned, transform=transform, direction=direction)
        (tmp_path / "mine.py").write_text(textwrap.dedent(source))
        side = FeatureSet(torch.eye(4))
        with resolve_beside(tmp_path):
            return MeasurementRules().measure_or_reason("mine.py:Mine", side, side)

    yield measured
    forget_local_files()


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        ("log", -0.92),
        ("log", float("nan")),
        ("logit", 1.5),
        ("logit", -0.1),
        ("none", float("inf")),
    ],
)
def test_impossible_value_has_a_reason(measure, transform, value):
    reason = measure(f"Measurement(float('{value}'))", transform)
    assert reason.startswith(f"metric mine.py:Mine: compute returned {value}")
    assert (repr(transform) in reason) == (abs(value) < 2)


@pytest.mark.parametrize(
    ("transform", "value"),
    [("log", 0.0), ("logit", 0.0), ("logit", 1.0), ("logit", 1 + 1e-15), ("none", -0.5)],
)
def test_values_at_the_ends_of_a_scale_are_possible(measure, transform, value):
    assert measure(f"Measurement({value!r})", transform) == Measurement(value)


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ({"direction": "down"}, "direction must be 'lower' or 'higher', not 'down'"),
        ({"transform": "sqrt"}, "transform must be 'log', 'logit' or 'none', not 'sqrt'"),
    ],
)
def test_wrong_declaration_is_refused_at_once(measure, declaration, sentence):
    with pytest.raises(SpecError, match=f"^metric mine.py:Mine: {sentence}$"):
        measure("Measurement(0.5)", **declaration)
