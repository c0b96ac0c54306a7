"""The page of result files lists the columns of the results that a run writes."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganbench.analysis.rows import COST_UNITS, ROW_SCHEMA

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")
TYPES = {
    "text": pa.types.is_string,
    "integer": pa.types.is_integer,
    "number": pa.types.is_floating,
    "true or false": pa.types.is_boolean,
}


def listed_columns():
    """Returns the types of columns as the page names them, in the order of the page."""
    table = PAGE.partition("## Columns of the results")[2]
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", table, re.MULTILINE))


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_page_lists_the_columns_of_a_run(small_run, name):
    path = small_run / "small" / name
    read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
    assert list(listed_columns()) == list(read(path).columns)


def test_types_of_columns_are_those_of_a_run(small_run):
    schema = pq.read_schema(small_run / "small" / "results.parquet")
    assert schema.names == ROW_SCHEMA.names
    wrong = [n for n, kind in listed_columns().items() if not TYPES[kind](schema.field(n).type)]
    assert wrong == []


def test_page_names_the_words_of_a_run(small_run):
    rows = pd.read_parquet(small_run / "small" / "results.parquet")
    words = {w for c in ("role", "kind", "checkpoint", "direction") for w in rows[c].dropna()}
    assert [word for word in {*words, *COST_UNITS} if f"`{word}`" not in PAGE] == []
