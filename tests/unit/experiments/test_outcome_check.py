"""Outcomes without data, and protocols without sources, are refused before any training."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.metrics import METRICS
from ganbench.experiments import outcome_check
from ganbench.experiments.outcome_check import reason_against
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.remeasure import MeasureRequest, requested_plan
from ganbench.experiments.suite_errors import SuiteError
from ganbench.experiments.suite_loader import load_suite

SUITE = """\
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid", "acd", "high_quality"]
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
images = 640
"""
MANY = "ganbench(fakes=5000)"
DATA = ("digits", "ring", "moving_digits", "captioned_digits")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return path


@pytest.mark.parametrize("command", ["plan", "run"])
def test_outcome_without_data_is_refused(ganbench, path, command):
    code, _, err = ganbench(command, path, "-o", "analysis.outcome=acd", "--device", "cpu")
    assert code == 2
    assert err.splitlines() == [
        "no data set of this suite has the outcome acd:",
        "digits: needs clips, not images",
    ]
    assert not Path("results/trials").exists()


def test_outcome_of_other_tasks_is_refused(ganbench, path):
    changes = ("-o", "analysis.outcome=psnr", "-o", "metrics=['psnr']")
    code, _, err = ganbench("plan", path, *changes, "--device", "cpu")
    assert code == 2
    assert "digits: needs the true output for each fake, which is unknown here" in err


@pytest.mark.parametrize(
    ("data", "variant"),
    [
        ("restyled_digits", "cyclegan(width=8, blocks=2, downs=1, strided=1)"),
        ("digits", "srgan(width=8)"),
    ],
)
def test_more_fakes_than_sources_are_refused(ganbench, path, data, variant):
    changes = (f"data=['{data}']", f"grid.0.variants=['{variant}']", "metrics=['fid']")
    options = [part for change in (*changes, f"protocol={MANY}") for part in ("-o", change)]
    code, _, err = ganbench("plan", path, *options, "--device", "cpu")
    assert code == 2
    assert err.splitlines() == [
        f"protocol {MANY}: translators and restorers have one fake per held-out example:",
        f"{data}: 600 held-out examples, so write fakes=600 or fewer",
    ]


@pytest.mark.parametrize(("task", "sources"), [("contrastive", 400), ("cycle", 121)])
def test_one_way_translators_have_the_sources_of_their_own_domain(monkeypatch, task, sources):
    split = SimpleNamespace(held_out={"a": range(400), "b": range(121)})
    monkeypatch.setattr(outcome_check, "evaluator_for", lambda *_: SimpleNamespace(split=split))
    assert outcome_check.count_sources({"photos": [task]}, "cpu", MANY) == {"photos": sources}


def test_measuring_again_refuses_more_fakes_than_sources(path):
    suite = load_suite(path, ["grid.0.variants=['srgan(width=8)']"])
    trials = [item.trial for item in plan_trials(suite, "cpu", "cpu")]
    with pytest.raises(SuiteError, match="digits: 600 held-out examples, so write fakes=600"):
        requested_plan({"metrics": {}}, trials, MeasureRequest(MANY))


def test_generators_of_latents_may_have_more_fakes_than_sources(path):
    """The translator is incompatible with these data, and not trained."""
    variants = "grid.0.variants=['gan(width=8)', 'cyclegan(width=8)']"
    plan = plan_trials(load_suite(path, [f"protocol={MANY}", variants]), "cpu", "cpu")
    assert {bool(item.incompatibility) for item in plan} == {True, False}


def test_metric_without_any_data_set_has_a_note(ganbench, path):
    changes = ("-o", "metrics=['fid', 'fvd', 'psnr', 'high_quality']")
    code, out, _ = ganbench("plan", path, *changes, "--device", "cpu", "--no-estimate")
    assert code == 0
    assert "note: fvd has no value: needs clips, not images" in out
    assert "note: psnr has no value: needs the true output for each fake" in out
    _, out, _ = ganbench("plan", path, *changes, "-o", "data=['digits', 'ring']", "--device", "cpu")
    assert "high_quality has no value" not in out


def test_data_set_without_the_outcome_has_a_note(ganbench, path):
    changes = ("-o", "analysis.outcome=high_quality", "-o", "data=['digits', 'ring']")
    code, out, _ = ganbench("plan", path, *changes, "--device", "cpu", "--no-estimate")
    notes = [line for line in out.splitlines() if "no effects" in line]
    sentence = "note: digits: no effects on high_quality, which needs points of a known mixture"
    assert (code, notes) == (0, [sentence])


@pytest.mark.parametrize("data", DATA)
def test_reasons_agree_with_measured_floors(data):
    evaluator = evaluator_for(data, "cpu")
    reasons = {METRICS.label(name): reason_against(name, evaluator) for name in METRICS}
    refused = {name: reason for name, reason in reasons.items() if reason}
    assert {"acd", "high_quality"} & refused.keys()
    assert "fid" not in refused
    floors = evaluator.measure_floor(tuple(refused))
    assert floors == refused


def test_shipped_outcomes_have_data(monkeypatch):
    """Suites whose data are at hand plan trials, so that their outcomes have values."""
    names = ("bench", "modes", "text", "video", "motion", "prediction", "translation", "inpainting")
    for name in names:
        suite = load_suite(Path(__file__).parents[3] / "suites" / f"{name}.toml")
        try:
            assert plan_trials(suite, "cpu", "cpu")
        except SuiteError as error:
            pytest.fail(f"{name}: {error}")
