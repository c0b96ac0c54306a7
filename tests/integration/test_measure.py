"""`ganbench measure` and `ganbench floor`: further numbers from what was trained, without training."""

import json

import pytest
import torch
from helpers import CPU

import ganbench
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import MixedProtocols, refuse_mixed_protocols
from ganbench.evaluation.evaluator import Evaluator
from ganbench.files import read_json, write_json

SUITE = """
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid"]
seeds = 2
points = 1
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge", "wasserstein"]
[grid.tricks]
design = "one_at_a_time"
of = ["label_smoothing"]
[budget.cpu]
images = 640
"""
SLOW = ["--workers", 0]


@pytest.fixture
def ran(ganbench, tmp_path):
    """The program, in a folder where a suite has run."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    code, _, errors = ganbench("run", "tiny.toml", *SLOW, "--device", "cpu")
    assert code == 0, errors
    return ganbench


def trained(root):
    return {p: p.stat().st_mtime_ns for p in root.glob("results/trials/*/*/result.json")}


def quality(folder):
    frame = ganbench.load(folder)
    return frame[frame["kind"] == "quality"]


def test_further_metrics_join_the_table_and_nothing_is_trained_again(ran, tmp_path):
    before, old = trained(tmp_path), quality("results/tiny")
    code, said, errors = ran("measure", "tiny", "--metrics", "coverage,modes(share=0.5)", *SLOW)
    assert code == 0, errors
    assert "6 trials measured" in said
    new = quality("results/tiny")
    assert set(new["metric"]) == {"fid", "coverage", "modes(share=0.5)"}
    fid = new[new["metric"] == "fid"]["value"]
    assert fid.dropna().tolist() == old["value"].dropna().tolist()
    done = new[new["outcome"] == "done"]
    assert done[["value", "floor"]].notna().all(axis=None)
    assert trained(tmp_path) == before
    assert "6 kept" in ran("measure", "tiny", *SLOW)[1]


def test_another_protocol_has_tables_of_its_own(ran, tmp_path):
    before = trained(tmp_path)
    protocol = "torch-fidelity(extractor='own')"
    code, said, errors = ran("measure", "tiny", "--protocol", protocol, "--json", *SLOW)
    assert code == 0, errors
    assert json.loads(said)["suite"] == "tiny-torch-fidelity-extractor-own"
    theirs = quality("results/tiny-torch-fidelity-extractor-own")
    ours = quality("results/tiny")
    assert not set(ours["protocol"]) & set(theirs["protocol"])
    here, there = (
        f.set_index(["role", "trial", "seed", "checkpoint"])["value"] for f in (ours, theirs)
    )
    assert here.dropna().sub(there.dropna()).abs().div(here.dropna()).max() < 1e-4
    assert trained(tmp_path) == before


def test_more_fakes_than_are_held_out_can_be_asked_for(ran):
    code, _, errors = ran("measure", "tiny", "--protocol", "ganbench(fakes=1300)", *SLOW)
    assert code == 0, errors
    found = quality("results/tiny-ganbench-fakes-1300")
    assert set(found["fakes"]) == {1300}
    trials = found[found["outcome"].eq("done") & found["role"].ne("floor")]
    assert trials["value"].notna().all()
    floor = found[found["role"] == "floor"].iloc[0]
    assert floor["reason"] == "1300 held-out examples are needed, and there are 600"
    assert floor["expected_floor"] > 0


def test_other_latents_give_other_samples_of_the_same_generator(ran):
    ran("measure", "tiny", "--protocol", "ganbench(seed=1)", *SLOW)
    one, other = quality("results/tiny"), quality("results/tiny-ganbench-seed-1")
    trials = one["outcome"].eq("done") & one["role"].eq("trial")
    assert (one[trials]["value"].to_numpy() != other[trials]["value"].to_numpy()).all()
    error = one[trials]["standard_error"].to_numpy(dtype=float)
    gap = (one[trials]["value"] - other[trials]["value"]).abs().to_numpy(dtype=float)
    assert (gap < 6 * error).all()


def test_a_table_refuses_numbers_of_different_protocols(ran):
    ran("measure", "tiny", "--protocol", "ganbench(seed=1)", *SLOW)
    one, other = (ganbench.load(f"results/tiny{part}") for part in ("", "-ganbench-seed-1"))
    both = one.copy()
    both.loc[both["seed"] == 1, "protocol"] = other["protocol"].dropna().iloc[0]
    with pytest.raises(
        MixedProtocols, match=r"fid of digits was measured by different protocols, \w+ \(v"
    ):
        leaderboard(both)
    aged = one.copy()
    aged.loc[aged["seed"] == 1, "metric_version"] = 99
    with pytest.raises(MixedProtocols, match="their values are not comparable"):
        refuse_mixed_protocols(aged)
    assert len(refuse_mixed_protocols(one)) == len(one)


def test_a_value_of_another_version_of_a_metric_is_not_shown(ran, tmp_path):
    path = next(tmp_path.glob("results/trials/*/*/evaluations/*-last.json"))
    content = read_json(path)
    content["metrics"]["fid"] |= {"version": 0, "value": 123456.0}
    write_json(path, content)
    ran("report", "tiny")
    assert 123456.0 not in quality("results/tiny")["value"].tolist()
    assert "1 trials measured, 5 kept" in ran("measure", "tiny", *SLOW)[1]
    assert quality("results/tiny").query("outcome == 'done'")["value"].notna().all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["nothing"], "has no run with saved generators to measure"),
        (["tiny", "--metrics", "fidd"], "did you mean 'fid'"),
        (["tiny", "--metrics", "recall(k=0)"], "k must be at least 1"),
        (["tiny", "--protocol", "torchfidelity"], "did you mean 'torch_fidelity'"),
        (["tiny", "--protocol", "torch-fidelity"], "inception's weights are not on this machine"),
    ],
)
def test_what_cannot_be_measured_is_told_with_exit_code_2(
    ran, options, told, monkeypatch, tmp_path
):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code, _, errors = ran("measure", *options, *SLOW)
    assert (code, "Traceback" in errors) == (2, False)
    assert told in " ".join(errors.split())


def test_data_that_changed_since_are_refused(ran, tmp_path):
    for path in tmp_path.glob("results/trials/*/*/spec.json"):
        content = read_json(path)
        content["trial"]["fingerprint"] = "0" * 64
        write_json(path, content)
    code, _, errors = ran("measure", "tiny", *SLOW)
    assert code == 2
    assert "digits has changed since the trials were trained on it" in errors


def test_a_sampler_that_is_gone_fails_its_trial_alone(ran, tmp_path):
    next(tmp_path.glob("results/trials/*/*/samplers/last.safetensors")).unlink()
    code, _, errors = ran("measure", "tiny", "--metrics", "recall", *SLOW)
    assert code == 4
    assert errors.count("failed: ") == 1
    assert quality("results/tiny").query("metric == 'recall'")["value"].notna().sum() >= 10


def test_the_floor_says_what_held_out_data_score_and_what_theory_expects(ganbench):
    code, said, _ = ganbench("floor", "digits", "--metrics", "fid,kid,high_quality", "--json")
    assert code == 0
    found = {row["metric"]: row for row in json.loads(said)["floors"]}
    torch.set_num_threads(1)
    evaluator = Evaluator("digits", CPU).measure_floor(("fid",))["fid"]
    assert found["fid"]["value"] == evaluator.value
    assert found["fid"]["standard_error"] == evaluator.standard_error
    assert found["kid"]["expected"] == 0
    assert found["high_quality"]["reason"] == "needs points of a known mixture"
    code, said, _ = ganbench("floor", "ring")
    assert code == 0
    assert "by theory" not in said
    assert "high_quality" in said
    assert ganbench("floor", "diggits")[0] == 2


def test_a_suite_may_name_its_protocol(ganbench, tmp_path):
    text = SUITE.replace("seeds = 2", 'seeds = 1\nprotocol = "ganbench(fakes=300)"')
    (tmp_path / "mine.toml").write_text(text)
    code, _, errors = ganbench("run", "mine.toml", "--workers", 1, "--device", "cpu")
    assert code == 0, errors
    found = quality("results/tiny")
    assert set(found["fakes"]) == {300}
    assert found[found["outcome"] == "done"]["value"].notna().all()
    (tmp_path / "wrong.toml").write_text(text.replace("fakes=300", "fake=300"))
    code, _, errors = ganbench("run", "wrong.toml", *SLOW)
    assert (code, "did you mean 'fakes'" in errors) == (2, True)
