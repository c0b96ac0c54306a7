"""Schema versions of the store's files: newer ones are refused, older ones are read."""

import json
import shutil

import pytest

from ganbench.experiments.outcomes import check_trial_files, read_plan_status
from ganbench.experiments.store import Store, read_plan
from ganbench.files import CorruptFile, read_json
from ganbench.records import NewerSchema

pytestmark = pytest.mark.heavy  # a small run
NAMES = ("result", "curve", "scores", "floor", "spec", "plan")


@pytest.fixture
def results(small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "results")
    return tmp_path / "results"


def path_of(results, name):
    store, plan = Store(results), read_json(results / "small" / "plan.json")
    item = next(item for item in plan["trials"] if item["role"] == "trial")
    folder = store.trial_folder(item["trial"])
    return {
        "result": folder.result_path,
        "curve": folder.curve_path,
        "spec": folder.spec_path,
        "scores": folder.scores_path(item["protocol"], "last"),
        "floor": store.floor_path(item["protocol"]),
        "plan": results / "small" / "plan.json",
    }[name]


def write_schema(path, number):
    content = read_json(path)
    (content["identity"] if path.name == "spec.json" else content)["schema"] = number
    path.write_text(json.dumps(content))


def read_all(results):
    check_trial_files(read_plan(results / "small"), Store(results))


@pytest.mark.parametrize("name", NAMES)
def test_newer_file_is_refused(results, name):
    path = path_of(results, name)
    write_schema(path, 2)
    with pytest.raises(NewerSchema) as error:
        read_all(results)
    expected = f"{path} has schema 2, and this ganbench reads schemas up to 1: upgrade ganbench"
    assert str(error.value) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", ["2", None, True, 1.5])
def test_schema_is_a_whole_number(results, name, number):
    path = path_of(results, name)
    write_schema(path, number)
    with pytest.raises(CorruptFile, match=f"{path} is damaged"):
        read_all(results)


@pytest.mark.parametrize("name", ["result", "curve", "scores", "floor", "plan"])
def test_file_without_schema_is_read(results, name):
    path = path_of(results, name)
    content = read_json(path)
    content.pop("schema", None)
    path.write_text(json.dumps(content))
    read_all(results)
    status = read_plan_status(read_plan(results / "small"), Store(results))
    assert status.outcomes == {"done": status.trials}


@pytest.mark.parametrize("command", ["status", "report", "show", "watch"])
def test_command_refuses_a_newer_result(ganbench, results, command):
    write_schema(path_of(results, "result"), 7)
    words = ("gan",) if command == "show" else ()
    code, out, err = ganbench(command, "small", *words, "--results", results)
    assert (code, out) == (2, "")
    assert "has schema 7, and this ganbench reads schemas up to 1: upgrade ganbench" in err
