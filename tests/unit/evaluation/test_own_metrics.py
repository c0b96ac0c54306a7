"""Metrics of local files: impossible values have a reason, and wrong types are refused."""

import textwrap

import pytest
import torch

from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.local_files import forget_local_files, resolve_beside, trust_local_files
from ganbench.registry import PluginError, SpecError

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


SUITE = """\
schema = 1
name = "mine"
data = ["digits"]
metrics = ["fid", "mine.py:Mine"]
seeds = 1
points = 1
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge"]
[budget.cpu]
generator_turns = 3
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


def test_direction_has_no_default(tmp_path):
    source = METRIC.replace('        direction = "{direction}"\n', "")
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(source.format(returned="Measurement(0.5)", transform="none"))
    )
    trust_local_files()
    side = FeatureSet(torch.eye(4))
    with (
        resolve_beside(tmp_path),
        pytest.raises(SpecError, match="direction must be 'lower' or 'higher', it is not declared"),
    ):
        MeasurementRules().measure_or_reason("mine.py:Mine", side, side)
    forget_local_files()


@pytest.mark.parametrize(
    "returned",
    ["0.5", "None", "torch.tensor(0.5)", "Measurement(torch.tensor(0.5))", "Measurement(True)"],
)
def test_wrong_type_is_refused(measure, returned):
    with pytest.raises(
        PluginError, match=r"^metric mine.py:Mine: compute returned .*float\(value\)"
    ):
        measure(returned)


@pytest.mark.parametrize("error", ["nan", "inf", "-1.0"])
def test_impossible_error_has_a_reason(measure, error):
    assert measure(f"Measurement(0.5, float('{error}'))") == (
        f"metric mine.py:Mine: the standard error is {error}; return None if it is unknown"
    )


def test_reasons_of_own_metrics_keep_the_others(tmp_path, ganbench):
    """NaN for fakes is a reason beside FID; a wrong type ends the run before any training."""
    source = METRIC.format(
        returned="Measurement(float('nan') if fake.images.float().std() < 1e9 else 0.5)",
        transform="none",
        direction="lower",
    )
    (tmp_path / "mine.py").write_text(textwrap.dedent(source))
    (tmp_path / "mine.toml").write_text(SUITE)
    assert ganbench("run", "mine.toml", "--trust", "--workers", "1")[0] == 0
    reason = "metric mine.py:Mine: compute returned nan; raise MetricNotApplicable with the reason"
    scores = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert any(reason in text and '"fid"' in text and '"value"' in text for text in scores)
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(METRIC.format(returned="0.5", transform="none", direction="lower"))
    )
    code, _, error = ganbench("run", "mine.toml", "--trust", "--workers", "1")
    assert (code, "metric mine.py:Mine: compute returned 0.5" in error) == (2, True)
