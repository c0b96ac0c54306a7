"""Rows of results: one per planned trial, checkpoint and metric, in a versioned schema.

A row without a value states its outcome and the reason. All tables are made from `results.parquet`
alone.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ganbench.errors import GanbenchError
from ganbench.experiments.monitoring.trial_progress import format_trial_label
from ganbench.experiments.outcomes import PlanStatus, TrialFiles, read_floors, read_trial_files
from ganbench.experiments.plan_names import ARM_FIELDS, LOST_OUTCOMES, short_id
from ganbench.experiments.store import Store
from ganbench.files import read_in_batches, write_stream
from ganbench.registry import parse_spec

from .detection import FLAG_NAMES, detect_flags

SCHEMA_VERSION = (
    3  # 2: the steps at which flags began; 3: floors beside values, and learning curves
)
TRIALS_PER_BATCH = 200  # their rows are plain data at the same time
ARM_COLUMNS = list(ARM_FIELDS)
COLLAPSE_METRICS = ("modes", "recall")
METADATA_KEY = b"ganbench"  # for the suite's plan in the file's metadata
PANDAS_METADATA_KEY = b"PANDAS_ATTRS"  # where pandas keeps the attrs of a frame

COST_UNITS = {  # metric: unit, direction
    "train_seconds": ("s", "lower"),
    "train_images_per_second": ("images/s", "higher"),
    "sample_images_per_second": ("images/s", "higher"),
    "peak_memory": ("bytes", "lower"),
    "generator_parameters": ("parameters", "lower"),
    "discriminator_parameters": ("parameters", "lower"),
}

ROW_FIELDS = {
    "schema_version": pa.int32(),
    "suite": pa.string(),
    "role": pa.string(),  # trial, untrained, floor
    "trial": pa.string(),
    "data": pa.string(),
    "variant": pa.string(),
    "loss": pa.string(),
    "tricks": pa.string(),
    "plan": pa.string(),
    "seed": pa.int64(),
    "outcome": pa.string(),  # done, diverged, failed, not_applicable; null: not run yet
    "reason": pa.string(),
    "collapsed": pa.bool_(),  # for done trials: whether modes or recall are below the declared share of the floor
    **{
        f"{flag}_step": pa.int64() for flag in FLAG_NAMES
    },  # the step at which the flag began; null: no flag
    "checkpoint": pa.string(),  # last, best; null if a metric has no checkpoint
    "kind": pa.string(),  # quality, cost, curve (measured during training)
    "metric": pa.string(),
    "value": pa.float64(),
    "standard_error": pa.float64(),  # over samples of the fakes
    "floor": pa.float64(),  # score of as many held-out examples instead of fakes
    "expected_floor": pa.float64(),  # expected score of a perfect generator, by theory
    "unit": pa.string(),
    "direction": pa.string(),
    "transform": pa.string(),
    "metric_version": pa.int32(),
    "protocol": pa.string(),
    "fakes": pa.int64(),
    "reals": pa.int64(),
    "images": pa.int64(),  # shown in the training, or until a point of its curve
    "generator_turns": pa.int64(),
    "step": pa.int64(),  # of a point of the curve
    "seconds": pa.float64(),  # of training until a point of the curve
    "code": pa.string(),
    "torch": pa.string(),
    "processor": pa.string(),  # that trained: the GPU, or else the CPU with its instructions
}
ROW_SCHEMA = pa.schema(list(ROW_FIELDS.items()))

# Fields of a point of a curve besides its metrics.
SPENT_FIELDS = ("step", "images", "generator_turns", "discriminator_turns", "seconds")

Row = dict[str, Any]
Floors = dict[str, dict[str, Any]]  # readings by protocol and metric


class MixedProtocols(GanbenchError, ValueError):
    """Values measured under different protocols in one column."""


def collect_rows(plan: dict[str, Any], store: Store) -> pd.DataFrame:
    """Collects all rows of a plan from the current content of the store.

    Raises CorruptFile, with the names of the damaged files, so that no table lacks them unnoticed.
    """
    floors = read_floors(plan, store)
    rows_of_floors = [row for protocol in floors for row in floor_rows(plan, protocol, floors)]
    limits = collapse_limits(rows_of_floors, plan)
    readers = (partial(read_trial_rows, plan, item, store, floors) for item in plan["trials"])
    tables = [
        make_table(add_collapse_flags([row for rows in batch for row in rows], limits))
        for batch in read_in_batches(readers, TRIALS_PER_BATCH)
    ]
    table = pa.concat_tables([*tables, make_table(rows_of_floors)]).combine_chunks()
    frame = table.to_pandas(types_mapper=pandas_type)
    frame.attrs["plan"] = {key: value for key, value in plan.items() if key != "trials"}
    return frame


def read_trial_rows(
    plan: dict[str, Any], item: dict[str, Any], store: Store, floors: Floors
) -> list[Row]:
    """Reads the files of a planned trial; returns its rows. Raises CorruptFile."""
    return list(trial_rows(plan, item, read_trial_files(plan, item, store), floors))


def make_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ROW_SCHEMA)


def read_table_status(frame: pd.DataFrame) -> PlanStatus:
    """Counts the outcomes of a table's trials."""
    keys = ["trial", "seed", "variant", "loss", "tricks"]
    trials = frame[frame["trial"].notna()].drop_duplicates(keys)
    lost: Any = trials[trials["outcome"].isin(LOST_OUTCOMES)].to_dict("records")
    reasons = {format_trial_label(row, row["role"]): row["reason"] for row in lost}
    counts = trials["outcome"].fillna("not run").value_counts()
    return PlanStatus({str(outcome): int(count) for outcome, count in counts.items()}, reasons)


def pandas_type(kind: pa.DataType) -> Any:
    """Returns the nullable pandas type for integers and booleans, else None."""
    if pa.types.is_integer(kind):
        return pd.Int64Dtype()
    return pd.BooleanDtype() if pa.types.is_boolean(kind) else None


def add_collapse_flags(rows: list[Row], limits: dict[tuple[str, str], float]) -> list[Row]:
    """Marks the rows of done trials as collapsed or not, in place, and returns all rows.

    A trial collapsed if its modes or recall are below the limits: the declared share of the floor.
    """
    if not limits:
        return rows
    trials = [row for row in rows if row["role"] != "floor" and row["outcome"] == "done"]
    collapsed = {row["trial"] for row in trials if is_below_limit(row, limits)}
    for row in trials:
        row["collapsed"] = row["trial"] in collapsed
    return rows


def collapse_limits(rows: list[Row], plan: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Returns the declared share of the floor of modes and recall, by data set and metric."""
    watched = [m for m in plan["metrics"] if parse_spec(m).name in COLLAPSE_METRICS]
    floors = [row for row in rows if row["role"] == "floor" and row["metric"] in watched]
    return {
        (row["data"], row["metric"]): plan["analysis"]["collapse"] * row["value"]
        for row in floors
        if row["value"] is not None
    }


def is_below_limit(row: Row, limits: dict[tuple[str, str], float]) -> bool:
    """Returns whether a value at the last checkpoint is below the limit of its metric."""
    if row.get("checkpoint") != "last" or row["value"] is None:
        return False
    limit = limits.get((row["data"], row["metric"]))
    return limit is not None and bool(row["value"] < limit)


def trial_rows(
    plan: dict[str, Any], item: dict[str, Any], files: TrialFiles, floors: Floors
) -> Iterator[Row]:
    """Yields a planned trial's rows: learning curve, metrics at each checkpoint, and costs."""
    result, curve = files.result or {}, files.curve or {}
    common = {
        **trial_columns(plan, item, result),
        "outcome": files.outcome,
        "reason": files.reason,
        **flag_steps(plan, curve, result),
    }
    yield from curve_rows(common, curve)
    protocol = plan["protocols"][item["protocol"]]
    for checkpoint, by_metric in files.readings.items():
        labels = {**common, "checkpoint": checkpoint, **protocol_columns(protocol)}
        for metric in plan["metrics"]:
            reading = by_metric.get(metric, {}) if files.outcome == "done" else {}
            yield labels | quality_columns(plan, metric, reading, floors[protocol["id"]])
    yield from cost_rows(common, result)


def trial_columns(plan: dict[str, Any], item: dict[str, Any], result: dict[str, Any]) -> Row:
    """Returns the columns with a trial's names, its spent budget and its code version."""
    spent, provenance = result.get("spent", {}), result.get("provenance", {})
    labels = ("role", "data", "variant", "loss", "tricks", "plan", "seed")
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": plan["suite"],
        "trial": short_id(item["trial"]),
        **{key: item[key] for key in labels},
        "images": spent.get("images"),
        "generator_turns": spent.get("generator_turns"),
        "code": provenance.get("code"),
        "torch": provenance.get("torch"),
        "processor": provenance.get("gpu", provenance.get("processor")),
    }


def name_processors(frame: pd.DataFrame) -> dict[str, str]:
    """Returns the processors of all rows as one entry; empty if no row names one."""
    names = ", ".join(frame["processor"].dropna().unique())
    return {"processor": names} if names else {}


def cost_rows(common: Row, result: dict[str, Any]) -> Iterator[Row]:
    costs = result.get("costs", {})
    for metric, (unit, direction) in COST_UNITS.items():
        cost = {"kind": "cost", "metric": metric, "unit": unit, "direction": direction}
        yield {**common, **cost, "transform": "log", "value": costs.get(metric)}


def curve_rows(common: Row, curve: dict[str, Any]) -> Iterator[Row]:
    """Yields the rows of a training's learning curve, with the budget spent up to each point.

    The samples of learning curves differ from those of the reported values.
    """
    for point in curve.get("scores", ()):
        spent = {key: point.get(key) for key in SPENT_FIELDS if key in ROW_FIELDS}
        for metric in sorted(point.keys() - set(SPENT_FIELDS)):
            value = {"kind": "curve", "metric": metric, "value": point[metric]}
            yield {**common, **spent, **value}


def flag_steps(plan: dict[str, Any], curve: dict[str, Any], result: dict[str, Any]) -> Row:
    """Returns the columns with the steps at which flags began."""
    steps = detect_flags(curve, result, plan["analysis"]["collapse"])
    return {f"{flag}_step": step for flag, step in steps.items()}


def flags_of(row: Any) -> dict[str, int]:
    """Returns a trial's flags and their steps from one of its rows (a named tuple)."""
    steps = {flag: getattr(row, f"{flag}_step") for flag in FLAG_NAMES}
    return {flag: int(step) for flag, step in steps.items() if pd.notna(step)}


def floor_rows(plan: dict[str, Any], protocol: str, floors: Floors) -> Iterator[Row]:
    readings, facts = floors[protocol], plan["protocols"][protocol]
    common = {
        "schema_version": SCHEMA_VERSION,
        "suite": plan["suite"],
        "role": "floor",
        "data": facts["data"],
        "reason": "",
        **protocol_columns(facts),
    }
    for metric in plan["metrics"]:
        outcome = {"outcome": "done" if metric in readings else None}
        reading = readings.get(metric, {})
        yield common | outcome | quality_columns(plan, metric, reading, readings)


def protocol_columns(protocol: dict[str, Any]) -> Row:
    return {"protocol": protocol["id"], "fakes": protocol["fake"], "reals": protocol["real"]}


def quality_columns(
    plan: dict[str, Any], metric: str, reading: dict[str, Any], floor: dict[str, Any]
) -> Row:
    """Returns a metric's reading beside its floor; `reason` only if the reading has one."""
    facts = {key: plan["metrics"][metric][key] for key in ("direction", "transform", "unit")}
    own_reason = {"reason": reading["reason"]} if "reason" in reading else {}
    return {
        "kind": "quality",
        "metric": metric,
        **facts,
        "value": reading.get("value"),
        "standard_error": reading.get("standard_error"),
        "floor": floor.get(metric, {}).get("value"),
        "expected_floor": floor.get(metric, {}).get("expected"),
        "metric_version": reading.get("version"),
        **own_reason,
    }


def refuse_mixed_protocols(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the frame unchanged, or raises MixedProtocols.

    It raises if a metric of a data set was measured under more than one protocol.
    """
    rows = without_attributes(frame)
    is_measured = (rows["kind"] == "quality") & rows["value"].notna()
    columns = ["data", "metric", "protocol", "metric_version"]
    measured = rows.loc[is_measured, columns]
    used = measured.drop_duplicates().dropna(subset=["data", "metric"])
    for (data, metric), protocols in used.groupby(["data", "metric"]):
        if len(protocols) > 1:
            versions = protocols[["protocol", "metric_version"]].itertuples(index=False)
            names = " and ".join(f"{p} (version {v})" for p, v in versions)
            raise MixedProtocols(
                f"{metric} of {data} was measured by different protocols, {names}: their values are not comparable"
            )
    return frame


def without_attributes(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the same rows without the plan, which pandas would copy in each operation."""
    rows = frame.copy(deep=False)
    rows.attrs = {}
    return rows


def save_rows(frame: pd.DataFrame, folder: Path) -> None:
    """Writes results.parquet, with the suite's plan as metadata, and results.csv."""
    table = pa.Table.from_pandas(frame, schema=ROW_SCHEMA, preserve_index=False)
    about = {
        METADATA_KEY: json.dumps(frame.attrs["plan"]).encode(),
        PANDAS_METADATA_KEY: json.dumps({"plan": frame.attrs["plan"]}).encode(),
    }
    table = table.replace_schema_metadata(about)
    write_stream(folder / "results.parquet", lambda file: pq.write_table(table, file))
    write_stream(folder / "results.csv", lambda file: frame.to_csv(file, index=False))


def load(folder: str | Path) -> pd.DataFrame:
    """Loads the results of a suite as a tidy frame, one row per trial, checkpoint and metric.

    `folder` contains the tables of a suite, such as "results/bench": results.parquet, or else
    results.csv. It may be such a file, too. The suite's plan is in `frame.attrs["plan"]`. Rows that
    another program wrote need plan.json beside them. Raises FileNotFoundError if there is no table, and
    UnusableTable (a ValueError) if it cannot be used.
    """
    from .read_table import find_table, read_table

    given = Path(folder)
    path = given if given.suffix and given.is_file() else find_table(given)
    if path is None:
        raise FileNotFoundError(
            f"{given / 'results.parquet'} does not exist: `ganbench run` or `ganbench report` writes it"
        )
    return read_table(path)
