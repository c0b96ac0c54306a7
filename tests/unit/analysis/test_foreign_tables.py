"""Tables of rows that pandas filtered, CSV files alone, and files of other programs."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fast_cases import first_cases
from typer.testing import CliRunner

import ganbench
from ganbench.analysis.read_table import UnusableTable
from ganbench.cli import app
from ganbench.files import write_json

PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "inpainting"


@pytest.fixture(scope="module")
def rows():
    return ganbench.load(PUBLISHED)


@pytest.fixture
def folder(tmp_path, rows):
    """A folder with the plan of published rows."""
    write_json(tmp_path / "plan.json", rows.attrs["plan"] | {"trials": []})
    return tmp_path


def report(folder):
    return CliRunner().invoke(app, ["report", str(folder), "--json"])


def plain_rows(rows):
    """Returns rows as `pandas.read_parquet` reads them, without the plan."""
    plain = rows.copy()
    plain.attrs = {}
    return plain


def test_csv_alone_equals_parquet(folder, rows):
    shutil.copy(PUBLISHED / "results.csv", folder)
    pd.testing.assert_frame_equal(ganbench.load(folder), rows)


def test_load_takes_a_table_file(folder, rows):
    for name in ("results.parquet", "results.csv"):
        shutil.copy(PUBLISHED / name, folder)
        pd.testing.assert_frame_equal(ganbench.load(folder / name), rows)


def test_compare_reads_the_table_that_is_named(folder, rows):
    """Not another one beside it."""
    shutil.copy(PUBLISHED / "results.parquet", folder)
    worse = rows.assign(value=rows["value"].where(rows["metric"].ne("fid"), 2 * rows["value"]))
    worse.to_csv(folder / "worse.csv", index=False)
    parts = (str(folder / "results.parquet"), str(folder / "worse.csv"))
    compared = CliRunner().invoke(app, ["compare", *parts, "--json"])
    assert compared.exit_code == 0, compared.output
    ratios = {
        round(c["change"], 6)
        for c in json.loads(compared.stdout)["comparisons"]
        if c["metric"] == "fid" and c["change"]
    }
    assert ratios == {2.0}


def test_rows_without_attributes_read_plan_beside_them(folder, rows):
    plain_rows(rows).to_parquet(folder / "results.parquet")
    loaded = ganbench.load(folder)
    pd.testing.assert_frame_equal(loaded, rows)
    assert loaded.attrs["plan"] == rows.attrs["plan"]


def test_rows_of_load_keep_their_plan_in_pandas(tmp_path, rows):
    rows[rows["seed"].isin([0])].to_parquet(tmp_path / "results.parquet")
    assert ganbench.load(tmp_path).attrs["plan"] == rows.attrs["plan"]


FILTERS = {
    "one seed": lambda rows: rows[rows["seed"].isin([0])],
    "trials only": lambda rows: rows[rows["role"] == "trial"],
    "qualities only": lambda rows: rows[rows["kind"] == "quality"],
    "last checkpoint": lambda rows: rows[rows["checkpoint"] == "last"],
    "other order": lambda rows: rows.sample(frac=1, random_state=0),
    "more columns": lambda rows: rows.assign(mine=1).reset_index(),
    "fewer columns": lambda rows: rows.drop(columns=["unit", "torch", "floor"]),
    "seeds as floats": lambda rows: rows.assign(seed=rows["seed"].astype("float64")),
    "seeds as texts": lambda rows: rows.assign(seed=rows["seed"].astype(str)).query(
        "seed != '<NA>'"
    ),
    "categories": lambda rows: rows.assign(data=rows["data"].astype("category")),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("form", first_cases(1, ["csv", "parquet"]))
def test_filtered_rows_have_a_report(folder, rows, name, form):
    frame = FILTERS[name](plain_rows(rows))
    if form == "csv":
        frame.to_csv(folder / "results.csv", index=False)
    else:
        frame.to_parquet(folder / "results.parquet")
    result = report(folder)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["leaderboard"]


def test_report_of_filtered_rows_keeps_values(folder, rows):
    kept = plain_rows(rows)[rows["seed"].isin([0])]
    kept.to_csv(folder / "results.csv", index=False)
    assert report(folder).exit_code == 0
    again = ganbench.load(folder)
    pd.testing.assert_series_equal(again["value"], kept["value"].reset_index(drop=True))


REFUSED = {
    "no plan": (lambda rows: rows, "copy plan.json of the run beside it"),
    "no rows": (lambda rows: rows[rows["seed"].isin([99])], "has no rows"),
    "no trials": (lambda rows: rows[rows["role"] == "floor"], "no trials"),
    "no outcome": (lambda rows: rows[rows["kind"] == "cost"], "the outcome of the suite"),
    "other columns": (lambda rows: pd.DataFrame({"a": [1]}), "it lacks the columns suite, outcome"),
    "texts as values": (lambda rows: rows.assign(value="x"), "column value has no double"),
    "broken seeds": (lambda rows: rows.assign(seed=0.5), "column seed has no int64"),
    "arms without tricks": (
        lambda rows: rows.assign(tricks=rows["tricks"].where(rows["tricks"] != "none")),
        "column tricks is empty in",
    ),
    "later version": (lambda rows: rows.assign(schema_version=99), "a later version of ganbench"),
    "rows twice": (lambda rows: pd.concat([rows, rows]), "rows twice: drop the duplicates"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_unusable_rows_exit_2_with_a_sentence(folder, rows, case, form):
    change, sentence = REFUSED[case]
    frame, path = change(plain_rows(rows)), folder / f"results.{form}"
    if case == "no plan":
        (folder / "plan.json").unlink()
    getattr(frame, "to_csv" if form == "csv" else "to_parquet")(path, index=False)
    result = report(folder)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.parquet", b""),
        ("results.parquet", b"PAR1" + b"x" * 20),
        ("results.parquet", b"suite,role\n"),
        ("results.csv", b""),
        ("results.csv", b"\xff\xfe\x00"),
        ("results.csv", b'suite,"role\n'),
    ],
)
def test_torn_table_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UnusableTable, match=rf"{name} (is not a readable|has no rows)"):
        ganbench.load(folder)


def test_filtered_rows_beside_a_store_stay_filtered(folder, rows):
    part = folder / "part"
    (folder / "trials").mkdir()
    part.mkdir()
    shutil.copy(folder / "plan.json", part)
    kept = plain_rows(rows)[rows["role"] == "trial"]
    kept.to_parquet(part / "results.parquet")
    assert report(part).exit_code == 0
    assert len(ganbench.load(part)) == len(kept)


def test_rows_filtered_by_pandas_are_reported(small_run, tmp_path):
    """Pandas keeps the plan of a frame that it writes again."""
    frame = pd.read_parquet(small_run / "small" / "results.parquet")
    folder = tmp_path / "sub"
    folder.mkdir()
    frame[frame["seed"].fillna(0) == 0].to_parquet(folder / "results.parquet")
    loaded = ganbench.load(folder)
    assert loaded.attrs["plan"]["suite"] == "small"
    assert set(loaded["seed"].dropna()) == {0}
