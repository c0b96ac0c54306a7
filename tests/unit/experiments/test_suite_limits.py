"""Suites: limits of numbers, unusual files, and the sentences that help."""

import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganbench.experiments.cells import expand_cells
from ganbench.experiments.plan import cell_incompatibility, plan_record, plan_trials
from ganbench.experiments.suite import Suite
from ganbench.experiments.suite_errors import SuiteError
from ganbench.experiments.suite_limits import MAX_CELLS, MAX_SUITE_BYTES
from ganbench.experiments.suite_loader import load_suite

VALID_SUITE = """\
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid"]
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
images = 640
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(VALID_SUITE)
    return path


def refusal(path: Path, *overrides: str) -> str:
    """The error of a suite, without the folder and the override."""
    with pytest.raises(SuiteError) as error:
        load_suite(path, overrides)
    return str(error.value).replace(f"{path.parent}/", "").removeprefix(f"-o {overrides[-1:]}: ")


# Numbers


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("analysis.target=nan", "analysis.target: input should be a finite number, not nan"),
        ("analysis.target=inf", "analysis.target: input should be a finite number, not inf"),
        ("analysis.equivalence=nan", "analysis.equivalence: input should be less than 1"),
        ("grid.0.plan.lr=inf", "grid[0].plan.lr: input should be a finite number, not inf"),
        ("grid.0.plan.lr=1e9", "grid[0].plan.lr: plan: generator_lr must be above 0 and at most"),
        ("grid.0.plan.betas=[0.5, nan]", "grid[0].plan.betas[1]: input should be a finite number"),
        ("grid.0.plan.batch=100_000_000", "plan.batch: plan: batch must be at most 65,536, not"),
        ("grid.0.plan.latent=[9, 100_000]", "plan.latent: plan: latent must be at most 65,536"),
        ("grid.0.plan.discriminator_turns=9999", "discriminator_turns must be at most 1,000"),
        (f"budget.cpu.images=1{'0' * 30}", "less than or equal to 1000000000000, not 1000"),
        ("budget.cpu={generator_turns=99999999999}", "less than or equal to 10000000000"),
        ("budget.cpu={seconds=1e300}", "budget.cpu.seconds: input should be less than or equal"),
        ("limits.stall=0.0001 s", "limits.stall: '0.0001 s' must be at least 1 s"),
        (f"limits.wall=1{'0' * 400} h", "at most 8,760 h"),
        ("points=1001", "points: input should be less than or equal to 1000, not 1001"),
        ("seeds=10_001", "seeds: input should be less than or equal to 10000"),
        ("seeds=[-1]", "seeds[0]: input should be greater than or equal to 0, not -1"),
        ("gate.margins.fid=nan", "gate.margins.fid: input should be less than or equal to 1000"),
        ("gate={margins={fid=1}, false_alarms=1e-300}", "greater than or equal to 0.000001"),
        ('data=["ring(modes=1e8)"]', "there may be at most 10,000 modes, not 100,000,000"),
        ('data=["grid(side=101)"]', "there may be at most 10,000 modes, not 10,201"),
        ('data=["ring(std=1e200)"]', "radius, spacing and std may be at most 1e+06, not 1e+200"),
        ('grid.0.variants=["gan(width=1e12)"]', "width must be at most 1,000,000, not 1,000,000,0"),
        ('grid.0.variants=["r3gan(blocks=1e8)"]', "network r3gan: blocks must be at most 1,000"),
        ('grid.0.tricks.chains=[["unrolled(turns=1e8)"]]', "turns must be at most 1,000, not 100"),
        ('metrics=["fid", "ms_ssim(pairs=1e12)"]', "pairs must be at most 1,000,000, not 1,000"),
        ("protocol=ganbench(fakes=1e12)", "protocol ganbench: fakes must be at most 100,000,000"),
    ],
)
def test_senseless_numbers_are_refused(path, override, sentence):
    message = refusal(path, override)
    assert sentence in message
    assert "\n" not in message


@pytest.mark.parametrize("variant", ["gan(width=1_000_000)", "dcgan(width=30_000)"])
def test_huge_networks_are_incompatible(path, variant):
    loaded = load_suite(path, ['data=["digits"]', f'grid.0.variants=["{variant}"]'])
    (cell,) = expand_cells(loaded)[0]
    assert "weights, and at most 10,000,000,000 can be trained" in cell_incompatibility(cell)


def test_large_but_sensible_numbers_are_valid(path):
    overrides = ["budget.cpu.images=1_000_000_000", "limits.wall=2000 h", "analysis.target=1e6"]
    loaded = load_suite(path, [*overrides, "grid.0.plan={batch=2048, latent=512}"])
    assert loaded.budget["cpu"].images == 1_000_000_000
    assert loaded.analysis.target == 1e6


# Numbers of cells and trials

TRICKS = [
    "r1", "ema", "ttur", "instance_noise", "lecam", "top_k", "drift", "r2", "consistency", "dragan",
    "ada", "pacgan", "image_pool", "label_flipping", "label_smoothing", "spectral_norm", "unrolled",
]  # fmt: skip
RATES = [round(n * 1e-5, 5) for n in range(1, 401)]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [f"grid.0.plan={{lr={RATES[:250]}, batch={list(range(1, 401))}}}"],
            "100,000 combinations",
        ),
        ([f"grid.0.tricks={{design='full_factorial', of={TRICKS}}}"], "131,072 chains"),
        (
            [
                f"grid.0.tricks={{design='full_factorial', of={TRICKS[:10]}}}",
                f"grid.0.plan.lr={RATES}",
            ],
            "grid[0]: this grid has 409,600 cells, and a suite may have 10,000 cells: shorten its",
        ),
        ([f"grid.0.plan.lr={RATES}", "seeds=1000"], "400 cells with 1,000 seeds of budget.cpu"),
        (["grid.0.plan.batch=" + str(list(range(1, 2000)))], "at most 1000 items"),
    ],
    ids=["rates", "design", "grid", "trials", "list"],
)
def test_large_grids_report_their_count(path, overrides, sentence):
    """Their cells are counted, not listed, which would take longer than the time of a test."""
    assert sentence in refusal(path, *overrides)


def test_grids_together_have_the_limit(path):
    grids = [{"variants": ["gan"], "plan": {"lr": RATES, "batch": [8, 16]}} for _ in range(13)]
    content = dict(schema=1, name="x", data=["ring"], metrics=["fid"], grid=grids)
    with pytest.raises(ValueError, match=f"its grids have 10,400 cells.*{MAX_CELLS:,} cells"):
        Suite.model_validate({**content, "budget": {"cpu": {"images": 640}}})


# Files


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_devices_are_no_suites(name):
    sentence = "is a device or a pipe: name a .toml file"
    assert refusal(Path(name)) == f"{Path(name).name} {sentence}"


def test_pipes_are_no_suites(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").startswith("pipe is a device or a pipe: name")


def test_folders_are_no_suites(tmp_path):
    assert "is a folder: name a .toml file" in refusal(tmp_path)


def test_large_files_are_no_suites(path):
    path.write_text(VALID_SUITE + "#" * MAX_SUITE_BYTES)
    assert refusal(path) == "x.toml has 1,000,122 bytes, and such a file has at most 1,000,000"


@pytest.mark.parametrize("name", ["x" * 100_000, "a/" * 50_000, "x\0y"])
def test_strange_names_are_shortened(name):
    assert len(refusal(Path(name))) < 200


def test_byte_order_mark_is_skipped(path):
    path.write_bytes(b"\xef\xbb\xbf" + VALID_SUITE.encode())
    assert load_suite(path).name == "tiny"


def test_other_encodings_name_the_remedy(path):
    path.write_bytes(VALID_SUITE.encode("utf-16"))
    assert refusal(path) == "x.toml is not text in UTF-8 (byte 0): save it in this encoding"


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a." * 50_000 + "b = 1",
        "[" + "a." * 50_000 + "b]",
        "a = " + "{b=" * 2000 + "1" + "}" * 2000,
    ],
    ids=["lists", "dotted key", "dotted table", "tables"],
)
def test_deep_nesting_is_explained(path, text):
    path.write_text(text)
    assert refusal(path).endswith("nested too deeply: 4 levels suffice")


def test_many_errors_are_counted(path):
    path.write_text(
        VALID_SUITE + "[extra]\n[limits]\n" + "".join(f"k{i} = 1\n" for i in range(300))
    )
    *shown, last = refusal(path).splitlines()
    assert len(shown) == 50
    assert last == "x.toml: and 251 more errors"


def test_long_values_are_shortened(path):
    path.write_text(f"seeds = {[[[[[1] * 1000]]]]}\n{VALID_SUITE}")
    (line,) = refusal(path).splitlines()
    assert len(line) < 200


# Paths


@pytest.mark.parametrize(
    "data",
    [
        r'''"folder(path='C:\Users\me\photos')"''',
        r'''"folder(path='D:\photos')"''',
        r'''"folder(path='C:\\Users\\me')"''',
        r"""'folder(path="C:\Users\me")'""",
        r"""'folder(path="C:\new\table")'""",
    ],
)
def test_windows_paths_name_the_remedy(path, data):
    path.write_text(VALID_SUITE.replace('"ring"', data))
    message = refusal(path)
    assert message.startswith("x.toml")
    assert "a backslash begins an escape" in message
    assert "forward slashes" in message


def test_forward_slashes_are_read(path):
    path.write_text(VALID_SUITE.replace('"ring"', '''"folder(path='C:/Users/me')"'''))
    assert refusal(path).endswith("there is no folder C:/Users/me")


@pytest.mark.parametrize("path_of_images", ["~nobody-here/x", "x" * 900])
def test_impossible_paths_are_suite_errors(path, path_of_images):
    path.write_text(VALID_SUITE.replace("ring", f"folder(path='{path_of_images}')"))
    assert "data[0]: " in refusal(path)
    assert "cannot be read" in refusal(path)
    assert len(refusal(path)) < 300


def write_photos(folder: Path, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    random, numbers = np.random.default_rng(seed), count()
    for pixels in random.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8):
        Image.fromarray(pixels).save(folder / f"{next(numbers)}.png")


@pytest.fixture
def beside(tmp_path):
    """A suite on photos that lie beside its file."""
    write_photos(tmp_path / "suite" / "photos")
    file = tmp_path / "suite" / "own.toml"
    file.write_text(VALID_SUITE.replace('"ring"', "\"folder(path='photos', size=8)\""))
    return file


def test_one_folder_in_two_spellings_is_refused(beside, monkeypatch):
    monkeypatch.chdir(beside.parent)
    text = beside.read_text()
    again = "\"folder(path='photos', size=8)\", \"folder(path='./photos/', size=8)\""
    beside.write_text(text.replace("\"folder(path='photos', size=8)\"", again))
    assert "are the same: leave one of them out" in refusal(beside)


def test_paths_are_relative_to_the_suite(beside, monkeypatch):
    monkeypatch.chdir(beside.parents[1])
    for file in (beside, Path("suite/own.toml")):
        assert load_suite(file).data == [f"folder(path='{beside.parent}/./photos', size=8)"]


def test_unpaired_paths_are_relative_too(beside, monkeypatch):
    monkeypatch.chdir(beside.parents[1])
    beside.write_text(beside.read_text().replace("folder(", "unpaired("))
    assert load_suite(beside).data == [f"unpaired(path='{beside.parent}/./photos', size=8)"]


def test_paths_from_the_working_folder_stay(beside, monkeypatch):
    write_photos(beside.parents[1] / "photos", seed=1)
    monkeypatch.chdir(beside.parents[1])
    assert load_suite(beside).data == [f"folder(path='{beside.parents[1]}/./photos', size=8)"]


@pytest.mark.parametrize("middle", ["/", "/./"])
def test_absolute_paths_stay(beside, middle):
    path = f"{beside.parent}{middle}photos"
    beside.write_text(VALID_SUITE.replace("ring", f"folder(path='{path}', size=8)"))
    assert load_suite(beside).data == [f"folder(path='{beside.parent}/photos', size=8)"]


def test_place_of_a_suite_keeps_its_plan(beside, monkeypatch, tmp_path):
    shutil.copytree(beside.parent, tmp_path / "copies" / "suite")
    plans = []
    for file in (Path("own.toml"), beside, tmp_path / "copies" / "suite" / "own.toml"):
        monkeypatch.chdir(beside.parent if file.parent == Path() else tmp_path)
        suite = load_suite(file, ["protocol=\"ganbench(extractor='identity')\""])
        plans.append(plan_record(suite, "cpu", "cpu", plan_trials(suite, "cpu", "cpu")))
    assert plans[0] == plans[1] == plans[2]
    assert {item["data"] for item in plans[0]["trials"]} == {"folder(path='photos', size=8)"}


# Sentences that help


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ('grid.0.plan.lr=["a"]', "grid[0].plan.lr[0]: input should be a valid number, not 'a'"),
        ('grid.0.plan.betas=[0.5, "x"]', "grid[0].plan.betas[1]: input should be a valid number"),
        ("lr=1e-3", "-o lr=1e-3: lr: there is no such key; did you mean -o grid.0.plan.lr=...?"),
        ("plan.lr=1e-3", "plan: there is no such key; did you mean -o grid.0.plan.lr=...?"),
        ("grid.lr=1e-3", "there is no grid.lr to set; did you mean -o grid.0.plan.lr=...?"),
        ("images=3", "images: there is no such key; did you mean -o budget.cpu.images=...?"),
        ("grid.0.plan=1", "this is a table: write [grid.plan] with its keys (lr, generator_lr,"),
        ("limits=1", "this is a table: write [limits] with its keys (wall, stall) below, not 1"),
        ("budget=1", "this is a table: write [budget.cpu] with its keys (images, generator_turns"),
        ("budget={images=3}", "a budget belongs to a profile: write images in [budget.cpu]"),
        ("grid=1", "grid: this is a list of tables: write [[grid]], in double brackets"),
        ("data=ring", "data: this is a list: write ['ring']"),
        ("grid.0.plan.lr=[]", "it is empty: give at least one value (optional keys may be left"),
        ("grid.0.plan.betas=0.5", "betas: this is a pair of numbers: write [0.5, 0.999], not 0.5"),
        ("grid.0.plan.betas=[0.5]", "grid[0].plan.betas[1]: a pair needs two numbers"),
        (
            'grid.0.losses=["own(nonsense=3)"]',
            "'own' is the variant's own loss and has no settings",
        ),
        ('grid.0.variants=["gan(nonsense=3)"]', "variant gan has no setting 'nonsense'; there are"),
        ('grid.0.tricks.chains=[["zzz"]]', "'zzz'; `ganbench list tricks` shows all"),
        (
            'grid.0.variants=["zzz"]',
            "no variant is called 'zzz'; `ganbench list variants` shows all",
        ),
    ],
)
def test_error_has_the_remedy(path, override, sentence):
    message = refusal(path, override)
    assert sentence in message
    assert "\n" not in message


def test_misplaced_key_in_a_file_has_its_section(path):
    path.write_text(f"lr = 1e-3\n{VALID_SUITE}")
    assert refusal(path) == "x.toml:1: lr: there is no such key; did you mean lr in [grid.plan]?"


@pytest.mark.parametrize("line", [r'"\u001b[2Jx" = 1', r'seeds = "\u001b[2J"'])
def test_control_characters_are_escaped(path, line):
    path.write_text(f"{line}\n{VALID_SUITE}")
    message = refusal(path)
    assert r"\x1b[2J" in message
    assert "\x1b" not in message


def test_control_characters_of_about_are_escaped(path):
    path.write_text('about = "a\\u001b[31mb"\n' + VALID_SUITE)
    assert load_suite(path).about == r"a\x1b[31mb"


def test_module_runs_as_the_program():
    run = [sys.executable, "-m", "ganbench", "--version"]
    result = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.startswith("ganbench 0.")
