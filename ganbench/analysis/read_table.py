"""Reads results.parquet or results.csv, also after pandas or another tool wrote it again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ganbench.counts import count_of
from ganbench.errors import GanbenchError
from ganbench.files import read_json

from .rows import (
    ARM_COLUMNS,
    METADATA_KEY,
    PANDAS_METADATA_KEY,
    ROW_FIELDS,
    ROW_SCHEMA,
    SCHEMA_VERSION,
    pandas_type,
)

TABLE_NAMES = ("results.parquet", "results.csv")  # the first that exists is read
ROW_KEY = [
    *ARM_COLUMNS,
    "role",
    "trial",
    "seed",
    "protocol",
    "kind",
    "metric",
    "checkpoint",
    "step",
]
REQUIRED_COLUMNS = ["suite", "outcome", "value", *(name for name in ROW_KEY if name != "step")]
NAMES_OF_ARMS = ("data", "variant", "loss", "tricks")
REQUIRED_PLAN_KEYS = ("suite", "metrics", "analysis", "budget", "seeds", "protocols")
TEXTS_THAT_MAY_BE_EMPTY = ("plan", "reason", "unit")  # in a CSV file, other empty texts are missing
ROWS_WITHOUT_TEXT = {"plan": ("role", "floor"), "unit": ("kind", "curve")}
BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


class UnusableTable(GanbenchError, ValueError):
    """A file has no rows of ganbench, or lacks the plan of its suite."""


def find_table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLE_NAMES if (folder / name).exists()), None)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of rows; the suite's plan is in `frame.attrs["plan"]`.

    Raises UnusableTable with the reason.
    """
    frame, metadata = read_csv(path) if path.suffix == ".csv" else read_parquet(path)
    missing = [name for name in REQUIRED_COLUMNS if name not in frame.columns]
    if missing:
        raise UnusableTable(
            f"{path} has no rows of ganbench: it lacks the columns {', '.join(missing)}"
        )
    if not has_row_types(frame):
        frame = with_row_types(frame, path)
    if not len(frame):
        raise UnusableTable(f"{path} has no rows: keep some when you filter them")
    require_names_of_arms(frame, path)
    if frame["schema_version"].fillna(0).max() > SCHEMA_VERSION:
        raise UnusableTable(f"{path} was written by a later version of ganbench")
    keys = frame.loc[frame["kind"] == "quality", list(ROW_KEY)]  # curves may repeat a step
    if copies := int(keys.duplicated().sum()):
        raise UnusableTable(f"{path} has {count_of(copies, 'row')} twice: drop the duplicates")
    frame.attrs["plan"] = find_plan(path, metadata)
    return frame


def require_names_of_arms(frame: pd.DataFrame, path: Path) -> None:
    trials = frame[frame["role"].eq("trial")]
    for name in NAMES_OF_ARMS:
        if empty := int(trials[name].isna().sum()):
            raise UnusableTable(
                f"{path}: column {name} is empty in {count_of(empty, 'row')} of trials: keep its texts"
            )


def read_parquet(path: Path) -> tuple[pd.DataFrame, Mapping[bytes, bytes]]:
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        return table.to_pandas(types_mapper=pandas_type, split_blocks=True), metadata
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise UnusableTable(
            f"{path} is not a readable Parquet file: {first_line(error)}"
        ) from error


def read_csv(path: Path) -> tuple[pd.DataFrame, Mapping[bytes, bytes]]:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # also errors of its parser
        raise UnusableTable(f"{path} is not a readable CSV file: {first_line(error)}") from error
    for name in frame.columns.difference(list(TEXTS_THAT_MAY_BE_EMPTY)):
        frame[name] = frame[name].where(frame[name] != "", None)
    for name, (column, kind) in ROWS_WITHOUT_TEXT.items():
        if {name, column} <= set(frame.columns):
            frame[name] = frame[name].where(frame[column] != kind, None)
    return frame, {}


def has_row_types(frame: pd.DataFrame) -> bool:
    """Returns whether a frame has exactly the columns of the schema, in their types and order."""
    wanted = ROW_SCHEMA.empty_table().to_pandas(types_mapper=pandas_type)
    return bool(frame.columns.equals(wanted.columns) and frame.dtypes.equals(wanted.dtypes))


def with_row_types(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Returns the columns of the schema in their types; missing columns are null."""
    columns = {
        name: typed_column(frame, name, kind, path) if name in frame.columns else None
        for name, kind in ROW_FIELDS.items()
    }
    arrays = [
        pa.nulls(len(frame), ROW_FIELDS[name]) if column is None else column
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=ROW_SCHEMA).to_pandas(types_mapper=pandas_type)


def typed_column(frame: pd.DataFrame, name: str, kind: pa.DataType, path: Path) -> pa.Array:
    values: Any = frame[name]
    try:
        if pa.types.is_boolean(kind):
            values = values.map(lambda value: BOOLEANS.get(str(value).lower()))
        elif not pa.types.is_string(kind):
            values = pd.to_numeric(values)
        return pa.Array.from_pandas(values, type=kind)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UnusableTable(f"{path}: column {name} has no {kind}: {first_line(error)}") from error


def find_plan(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Returns the suite's plan from the metadata of a file, or from plan.json beside it."""
    own, of_pandas = (
        parse_metadata(metadata.get(key)) for key in (METADATA_KEY, PANDAS_METADATA_KEY)
    )
    plan = own or of_pandas.get("plan") or read_json(path.with_name("plan.json"))
    if not isinstance(plan, dict) or not all(key in plan for key in REQUIRED_PLAN_KEYS):
        raise UnusableTable(
            f"{path} lacks the plan of its suite, which other programs drop: copy plan.json of the run "
            "beside it, such as results/bench/plan.json"
        )
    return {key: value for key, value in plan.items() if key != "trials"}


def parse_metadata(text: bytes | None) -> dict[str, Any]:
    """Returns the content of a metadata entry; nothing if it is absent or damaged."""
    try:
        content = json.loads(text or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def require_outcome(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns rows that a report can be made of, or raises UnusableTable."""
    outcome, is_trial = frame.attrs["plan"]["analysis"]["outcome"], frame["role"] == "trial"
    if not is_trial.any():
        raise UnusableTable("these rows have no trials: keep rows of role 'trial'")
    if not (is_trial & (frame["metric"] == outcome) & (frame["kind"] == "quality")).any():
        raise UnusableTable(
            f"these rows have no {outcome}, the outcome of the suite: keep its rows when you filter them"
        )
    return frame
