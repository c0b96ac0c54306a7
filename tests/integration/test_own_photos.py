"""Photos of a new user: from a folder to a leaderboard without any download."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import ganbench as package
from ganbench.evaluation.evaluator import load_split, make_evaluator

SUITE = """
schema = 1
name = "mine"
data = ["folder(path='photos', size=16{settings})"]
metrics = ["fid"]
{protocol}
seeds = 1
points = 2
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge"]
[grid.tricks]
chains = [[], ["ema"]]
[budget.cpu]
images = 640
"""
EQUAL_COUNTS = "so compare it only at equal counts"
EXTRACTORS = ("identity", "efficientnet_lite0")


def draw_photo(seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (2, 3))
    photo = Image.new("RGB", (24, 20), tuple(map(int, colours[0])))
    corner = random.integers(0, 12, 2)
    box = (int(corner[0]), int(corner[1]), int(corner[0]) + 8, int(corner[1]) + 8)
    ImageDraw.Draw(photo).ellipse(box, fill=tuple(map(int, colours[1])))
    return photo


@pytest.fixture(autouse=True)
def no_cached_data():
    """Each test has another folder of the same name."""
    make_evaluator.cache_clear()
    load_split.cache_clear()


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(150):
        draw_photo(number).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """Hides downloaded weights of this machine."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def write_suite(folder: Path, extractor: str = "", settings: str = "") -> Path:
    protocol = f"protocol = \"ganbench(extractor='{extractor}')\"" if extractor else ""
    path = folder / "mine.toml"
    path.write_text(SUITE.format(protocol=protocol, settings=settings))
    return path


@pytest.mark.parametrize(
    "extractor", ["identity", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)]
)
def test_photos_end_in_a_leaderboard(ganbench, photos, tmp_path, no_weights, extractor):
    if extractor == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite_pytorch")
    suite = write_suite(tmp_path, extractor)
    code, out, err = ganbench("plan", suite, "--device", "cpu")
    assert (code, err) == (0, "")
    assert "2 cells" in out
    assert out.count(EQUAL_COUNTS) == 1
    code, out, err = ganbench("run", suite, "--workers", 0, "--device", "cpu")
    assert (code, err) == (0, "")
    frame = package.load("results/mine")
    trials = frame[(frame["role"] == "trial") & (frame["metric"] == "fid")]
    assert set(trials["outcome"]) == {"done"}
    assert trials.loc[trials["kind"] == "quality", "value"].notna().all()
    assert set(frame["protocol"].dropna()) == set(trials["protocol"].dropna())
    assert (trials["kind"] == "curve").sum() == 2 * 2  # cells, points
    assert f"FID is mostly bias, {EQUAL_COUNTS}" in out
    assert Path("results/mine/leaderboard.md").read_text().count(EQUAL_COUNTS) == 1
    assert Path("results/mine/report.html").read_text().count(EQUAL_COUNTS) == 1


def test_results_name_photos_as_the_suite_does(ganbench, photos, tmp_path, no_weights, monkeypatch):
    suite = write_suite(tmp_path, "identity")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for results, path in (("far", suite), ("near", Path("mine.toml"))):
        words = ("--workers", 0, "--device", "cpu", "--results", tmp_path / results)
        assert ganbench("run", path, *words)[::2] == (0, "")
        monkeypatch.chdir(tmp_path)
        assert len(list(Path(results, "mine", "figures").glob("real-folder_path__photos_*"))) == 1
    frames = [package.load(f"{results}/mine") for results in ("far", "near")]
    assert {data for frame in frames for data in frame["data"]} == {
        "folder(path='photos', size=16)"
    }
    assert set(frames[0]["protocol"].dropna()) == set(frames[1]["protocol"].dropna())
    code, out, err = ganbench("compare", "far/mine", "near/mine")
    assert (code, err) == (0, "")
    assert "2 identical" in out
    monkeypatch.chdir(tmp_path / "elsewhere")
    words = ("mine", "--results", tmp_path / "far", "--pictures", 2, "--catches", 0)
    assert ganbench("study", "make", *words)[::2] == (0, "")


def test_moved_store_finds_its_photos(ganbench, photos, tmp_path, no_weights, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    photos.rename(old / "photos")
    monkeypatch.chdir(old)
    run = ("run", write_suite(old, "identity"), "--workers", 0, "--device", "cpu")
    assert ganbench(*run)[::2] == (0, "")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(old, new)  # the old store stays, as this process may have local files from it
    shutil.rmtree(old / "photos")
    for words in (("samples", "mine", "ema"), ("measure", "mine", "--metrics", "kid")):
        assert ganbench(*words, "--results", new / "results")[::2] == (0, "")


def test_methods_are_checked_under_the_protocol_of_the_suite(
    ganbench, photos, tmp_path, no_weights
):
    code, out, err = ganbench("check", write_suite(tmp_path, "identity"))
    assert (code, err) == (0, "")
    assert ": 0 faults." in out


@pytest.mark.parametrize("line", ["plan --device cpu", "run --device cpu", "check"])
def test_missing_weights_are_refused_with_remedies(ganbench, photos, tmp_path, no_weights, line):
    code, out, err = ganbench(*line.split(), write_suite(tmp_path))
    assert code == 2
    assert "done" not in out
    assert "ganbench download inception" in err
    assert "efficientnet_lite0" in err
    assert "--extractor" not in err  # a suite has it in its protocol
    assert not (tmp_path / "results" / "mine" / "plan.json").exists()


def test_broken_files_are_refused_without_other_remedies(ganbench, photos, tmp_path):
    (photos / "a.png").write_bytes(b"")
    (photos / "b.png").write_bytes(b"")
    code, _, err = ganbench("plan", write_suite(tmp_path, "identity"), "--device", "cpu")
    assert code == 2
    assert err.startswith("2 of 152 images cannot be read: ")
    assert err.endswith("skip_unreadable=true leaves them out\n")


def test_skipped_files_are_noted(ganbench, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"")
    suite = write_suite(tmp_path, "identity", ", skip_unreadable=true")
    code, out, _ = ganbench("plan", suite, "--device", "cpu", "--no-estimate", "--json")
    assert code == 0
    note, bias = json.loads(out)["notes"]
    assert EQUAL_COUNTS in bias
    assert "1 of 151 images left out: " in note
    assert "broken.png is empty" in note
    code, out, _ = ganbench("run", suite, "--workers", 0, "--device", "cpu")
    assert code == 0
    assert "note: folder(" in out


def test_trials_of_other_extractors_are_others(photos, tmp_path, monkeypatch):
    from ganbench.experiments.plan import plan_trials
    from ganbench.experiments.suite_loader import load_suite

    monkeypatch.chdir(tmp_path)
    ids = []
    for extractor in EXTRACTORS:
        plan = plan_trials(load_suite(write_suite(tmp_path, extractor)), "cpu", "cpu")
        ids.append({item.trial.id for item in plan})
    assert not ids[0] & ids[1]
