"""Damaged stores: every command that reads a store names the damaged file and exits with 2."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save

from ganbench.experiments.outcomes import check_trial_files, distinct_items, read_plan_status
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import CHECKPOINT_NAMES, Store, read_plan
from ganbench.experiments.trial import read_trial
from ganbench.files import CorruptFile, read_json, write_json

pytestmark = pytest.mark.heavy

COMMANDS = {
    "report": ("report", "small"),
    "status": ("status", "small"),
    "show": ("show", "small", "gan"),
    "watch": ("watch", "small"),
    "compare": ("compare", "small", "small"),
    "measure": ("measure", "small", "--metrics", "kid"),
}
TORN = {
    "empty": "",
    "torn": '{"outcome": "do',
    "zeros": "\0" * 40,
    "list": "[]",
    "NaN": '{"a": NaN}',
}
FILES = ("result", "spec", "curve", "scores", "floor")


@pytest.fixture
def results(small_run, tmp_path):
    """A copy of the store of a finished run, beside its suite."""
    shutil.copytree(small_run, tmp_path / "results")
    shutil.copy(small_run.parent / "small.toml", tmp_path)
    return tmp_path / "results"


def paths_of(results, number=0):
    """Returns the files of a trained trial, and the floor of its data, by name."""
    plan, store = read_json(results / "small" / "plan.json"), Store(results)
    item = [item for item in plan["trials"] if item["role"] == "trial"][number]
    folder = store.trial_folder(item["trial"])
    return {
        "result": folder.result_path,
        "spec": folder.spec_path,
        "curve": folder.curve_path,
        "scores": folder.scores_path(item["protocol"], "last"),
        "floor": store.floor_path(item["protocol"]),
        "plan": results / "small" / "plan.json",
    }


def read_tables(results):
    folder = results / "small"
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_status(results):
    """Reads every file of the store."""
    plan, store = read_plan(results / "small"), Store(results)
    check_trial_files(plan, store)
    return read_plan_status(plan, store)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("name", ["result", "scores", "plan"])
def test_command_names_the_damaged_file(ganbench, results, command, name):
    path, before = paths_of(results)[name], read_tables(results)
    path.write_text('{"a": 1}')
    code, out, err = ganbench(*command, "--results", results)
    assert (code, out) == (2, "")
    assert f"{path} is damaged" in err
    assert "delete" in err
    assert "internal error" not in err
    tables = read_tables(results) | ({path: before[path]} if name == "plan" else {})
    assert tables == before


def test_run_refuses_damage_before_it_trains(ganbench, results):
    path = paths_of(results)["curve"]
    path.write_text('{"a": 1}')
    arguments = ("--results", results, "--workers", 0, "--device", "cpu", "--stale", "reuse")
    code, _, err = ganbench("run", results.parent / "small.toml", *arguments)
    assert code == 2
    assert f"{path} is damaged (losses: is missing): delete the trial's folder" in err


@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
@pytest.mark.parametrize("name", FILES)
def test_torn_file_is_named(results, name, content):
    path = paths_of(results)[name]
    path.write_text(content)
    with pytest.raises(CorruptFile, match=f"{path} is damaged"):
        read_status(results)


@pytest.mark.parametrize("name", FILES)
def test_file_of_another_shape_is_named(results, name):
    path = paths_of(results)[name]
    for key, value in read_json(path).items():
        if key not in ("schema", "reason", "step") and value != {}:
            content = read_json(path)
            path.write_text(json.dumps(content | {key: 3}))
            with pytest.raises(CorruptFile, match=f"{path} is damaged"):
                read_status(results)
            path.write_text(json.dumps(content))
    read_status(results)


@pytest.mark.parametrize("name", ["result", "spec"])
def test_file_of_another_trial_is_named(results, name):
    path, other = paths_of(results)[name], paths_of(results, 1)[name]
    path.write_bytes(other.read_bytes())
    with pytest.raises(CorruptFile, match=f"it is of trial {other.parent.name}"):
        read_status(results)


@pytest.mark.parametrize("name", ["scores", "floor"])
def test_scores_of_another_protocol_are_named(results, name):
    path, other = paths_of(results)[name], paths_of(results, -1)[name]
    path.write_bytes(other.read_bytes())
    with pytest.raises(CorruptFile, match="it is of another protocol"):
        read_status(results)


@pytest.mark.parametrize("name", FILES)
def test_folder_of_a_files_name_is_named(results, name):
    path = paths_of(results)[name]
    path.unlink()
    path.mkdir()
    with pytest.raises(CorruptFile, match=f"{path} is damaged \\(Is a directory\\)"):
        read_status(results)


def test_all_damaged_files_are_named_at_once(results):
    paths = [paths_of(results, number)["result"] for number in (0, 1)]
    for path in paths:
        path.write_text("{")
    with pytest.raises(CorruptFile) as error:
        read_status(results)
    assert [str(path) in str(error.value) for path in paths] == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.pop("trials"),
        lambda plan: plan.update(suite="../elsewhere"),
        lambda plan: plan["trials"][0].update(trial="../../etc"),
        lambda plan: plan["trials"][0].pop("objection"),
        lambda plan: plan["protocols"].clear(),
        lambda plan: plan["metrics"]["fid"].clear(),
        lambda plan: plan.update(analysis={}),
    ],
)
def test_plan_of_another_shape_is_named(results, change):
    path = paths_of(results)["plan"]
    plan = read_json(path)
    change(plan)
    path.write_text(json.dumps(plan))
    with pytest.raises(CorruptFile, match=f"{path} is damaged.*`ganbench run` writes it again"):
        read_plan(results / "small")


def test_store_without_damage_is_read(results):
    plan = read_plan(results / "small")
    assert read_status(results).outcomes == {"done": len(distinct_items(plan))}
    folder = Store(results).trial_folder(plan["trials"][0]["trial"])
    assert all(folder.read_scores(plan["trials"][0]["protocol"], c) for c in CHECKPOINT_NAMES)
    assert folder.read_spec()["id"] == folder.read_result()["id"] == plan["trials"][0]["trial"]


# Files of trainings


FOREIGN = {
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: (path / "inside").mkdir(parents=True),
    "other": lambda path: torch.save({"model": {"weight": torch.ones(3)}}, path),
    "list": lambda path: torch.save([1, 2], path),
    "shape": lambda path: torch.save({"trainer": 3, "losses": 3, "scores": 3, "made_by": 3}, path),
    "arrays": lambda path: np.savez(path.open("wb"), a=np.ones(3)),
}


@pytest.fixture
def one_trial(results):
    plan, store = read_plan(results / "small"), Store(results)
    item = next(item for item in plan["trials"] if item["role"] == "trial")
    return read_trial(store, item["trial"]), store.trial_folder(item["trial"])


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_foreign_checkpoint_starts_the_trial_again(results, one_trial, make):
    trial, folder = one_trial
    before = folder.generator_path("last").read_bytes()
    folder.delete_results()
    make(folder.checkpoint_path)
    assert run_trial(trial, Store(results), ("fid",), lambda: False) == "done"
    assert folder.generator_path("last").read_bytes() == before
    assert not folder.checkpoint_path.exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda spec: {}, "id: is missing"),
        (lambda spec: {**spec, "identity": {**spec["identity"], "seed": 99}}, "has another id"),
    ],
)
def test_trial_is_not_rebuilt_from_a_damaged_spec(results, one_trial, change, why):
    trial, folder = one_trial
    write_json(folder.spec_path, change(read_json(folder.spec_path)))
    with pytest.raises(CorruptFile, match=f"{why}.*delete the trial's folder"):
        read_trial(Store(results), trial.id)


@pytest.mark.parametrize("harm", ["torn", "of another network"])
def test_damaged_generator_is_named(results, one_trial, harm):
    trial, folder = one_trial
    path = folder.generator_path("best")
    content = {"torn": path.read_bytes()[:50], "of another network": save({"a": torch.ones(3)})}
    path.write_bytes(content[harm])
    assert run_trial(trial, Store(results), ("kid",), lambda: False) == "failed"
    reason = folder.attempts()[-1].read_end()["reason"]
    assert f"{path} is damaged" in reason
    assert "delete the trial's folder, and `ganbench run` trains it again" in reason
