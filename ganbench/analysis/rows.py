"""Rows: one a planned trial, checkpoint and metric, in a schema that does not change by itself.

A row without a value says why: outcome and reason. From `results.parquet` alone every table is made.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ganbench.errors import GanbenchError
from ganbench.experiments.store import Store, TrialFolder
from ganbench.experiments.trial import CHECKPOINT_NAMES
from ganbench.files import read_json_or_none, write_bytes
from ganbench.registry import parse_spec

from .detection import FLAG_NAMES, detect_flags

SCHEMA_VERSION = (
    3  # 2: the steps at which flags began; 3: floors beside values, and learning curves
)
ARM_COLUMNS = ["data", "variant", "loss", "tricks", "plan"]
LOST_OUTCOMES = ("diverged", "failed")
COLLAPSE_METRICS = ("modes", "recall")
METADATA_KEY = b"ganbench"  # of what the file itself says about its suite

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
    "collapsed": pa.bool_(),  # of a done trial: are its modes or recall below the declared share?
    **{
        f"{flag}_step": pa.int64() for flag in FLAG_NAMES
    },  # since when it was the case; null: it was not
    "checkpoint": pa.string(),  # last, best; null where a metric has none
    "kind": pa.string(),  # quality, cost, curve (as measured while training)
    "metric": pa.string(),
    "value": pa.float64(),
    "standard_error": pa.float64(),  # over drawings of the fakes
    "floor": pa.float64(),  # what held-out data score in the place of as many fakes
    "expected_floor": pa.float64(),  # what theory expects a perfect generator to score
    "unit": pa.string(),
    "direction": pa.string(),
    "transform": pa.string(),
    "metric_version": pa.int32(),
    "protocol": pa.string(),
    "fakes": pa.int64(),
    "reals": pa.int64(),
    "images": pa.int64(),  # of the training, or until a point of its curve
    "generator_turns": pa.int64(),
    "step": pa.int64(),  # of a curve's point
    "seconds": pa.float64(),  # of training until a curve's point
    "code": pa.string(),
    "torch": pa.string(),
}
ROW_SCHEMA = pa.schema(list(ROW_FIELDS.items()))

# What a point of a curve says beside its metrics.
SPENT_FIELDS = ("step", "images", "generator_turns", "discriminator_turns", "seconds")

Row = dict[str, Any]
Floors = dict[str, dict[str, Any]]  # of each protocol, readings by metric


class MixedProtocols(GanbenchError, ValueError):
    """Numbers of different protocols under one name."""


def collect_rows(plan: dict[str, Any], store: Store) -> pd.DataFrame:
    """All rows of a plan, from what the store holds now."""
    floors = {
        p: current_readings(plan, read_json_or_none(store.floor_path(p))) for p in plan["protocols"]
    }
    collected = [row for item in plan["trials"] for row in trial_rows(plan, item, store, floors)]
    collected += [row for protocol in floors for row in floor_rows(plan, protocol, floors)]
    table = pa.Table.from_pylist(add_collapse_flags(collected, plan), schema=ROW_SCHEMA)
    frame = table.to_pandas(types_mapper=pandas_type)
    frame.attrs["plan"] = {key: value for key, value in plan.items() if key != "trials"}
    return frame


def pandas_type(kind: pa.DataType) -> Any:
    """Types that can miss a value."""
    if pa.types.is_integer(kind):
        return pd.Int64Dtype()
    return pd.BooleanDtype() if pa.types.is_boolean(kind) else None


def add_collapse_flags(rows: list[Row], plan: dict[str, Any]) -> list[Row]:
    """The rows; those of done trials say whether it has few modes or little recall, beside the floor's."""
    limits = collapse_limits(rows, plan)
    if not limits:
        return rows
    trials = [row for row in rows if row["role"] != "floor" and row["outcome"] == "done"]
    collapsed = {row["trial"] for row in trials if is_below_limit(row, limits)}
    for row in trials:
        row["collapsed"] = row["trial"] in collapsed
    return rows


def collapse_limits(rows: list[Row], plan: dict[str, Any]) -> dict[tuple[str, str], float]:
    """The declared share of the floor, by data set and metric, for metrics of modes and recall."""
    watched = [m for m in plan["metrics"] if parse_spec(m).name in COLLAPSE_METRICS]
    floors = [row for row in rows if row["role"] == "floor" and row["metric"] in watched]
    return {
        (row["data"], row["metric"]): plan["analysis"]["collapse"] * row["value"]
        for row in floors
        if row["value"] is not None
    }


def is_below_limit(row: Row, limits: dict[tuple[str, str], float]) -> bool:
    """Is this a value at the last checkpoint, and below the limit of its metric?"""
    if row.get("checkpoint") != "last" or row["value"] is None:
        return False
    limit = limits.get((row["data"], row["metric"]))
    return limit is not None and bool(row["value"] < limit)


def trial_rows(
    plan: dict[str, Any], item: dict[str, Any], store: Store, floors: Floors
) -> Iterator[Row]:
    """A planned trial's rows: its learning curve, its metrics at each checkpoint, and its costs."""
    folder = store.trial_folder(item["trial"])
    result = None if item["objection"] else read_json_or_none(folder.result_path)
    readings = readings_by_checkpoint(plan, folder, item["protocol"])
    complete = all(plan["metrics"].keys() <= by_metric.keys() for by_metric in readings.values())
    outcome, reason = trial_outcome(item, folder, result, complete)
    result, curve = result or {}, (read_json_or_none(folder.curve_path) or {}) if result else {}
    common = {
        **trial_columns(plan, item, result),
        "outcome": outcome,
        "reason": reason,
        **flag_steps(plan, curve, result),
    }
    yield from curve_rows(common, curve)
    protocol = plan["protocols"][item["protocol"]]
    for checkpoint, by_metric in readings.items():
        labels = {**common, "checkpoint": checkpoint, **protocol_columns(protocol)}
        for metric in plan["metrics"]:
            reading = by_metric.get(metric, {}) if outcome == "done" else {}
            yield labels | quality_columns(plan, metric, reading, floors[protocol["id"]])
    yield from cost_rows(common, result)


def readings_by_checkpoint(
    plan: dict[str, Any], folder: TrialFolder, protocol: str
) -> dict[str, dict[str, Any]]:
    """A trial's readings by metric, for each checkpoint."""
    paths = {name: folder.scores_path(protocol, name) for name in CHECKPOINT_NAMES}
    return {name: current_readings(plan, read_json_or_none(path)) for name, path in paths.items()}


def trial_columns(plan: dict[str, Any], item: dict[str, Any], result: dict[str, Any]) -> Row:
    """The columns that name a trial and say what was spent on it and by which code."""
    spent, provenance = result.get("spent", {}), result.get("provenance", {})
    labels = ("role", "data", "variant", "loss", "tricks", "plan", "seed")
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": plan["suite"],
        "trial": item["trial"][:16],
        **{key: item[key] for key in labels},
        "images": spent.get("images"),
        "generator_turns": spent.get("generator_turns"),
        "code": provenance.get("code"),
        "torch": provenance.get("torch"),
    }


def cost_rows(common: Row, result: dict[str, Any]) -> Iterator[Row]:
    costs = result.get("costs", {})
    for metric, (unit, direction) in COST_UNITS.items():
        cost = {"kind": "cost", "metric": metric, "unit": unit, "direction": direction}
        yield {**common, **cost, "transform": "log", "value": costs.get(metric)}


def curve_rows(common: Row, curve: dict[str, Any]) -> Iterator[Row]:
    """What each score of a training was, and what had been spent on it; of samples not reported."""
    for point in curve.get("scores", ()):
        spent = {key: point.get(key) for key in SPENT_FIELDS if key in ROW_FIELDS}
        for metric in sorted(point.keys() - set(SPENT_FIELDS)):
            value = {"kind": "curve", "metric": metric, "value": point[metric]}
            yield {**common, **spent, **value}


def flag_steps(plan: dict[str, Any], curve: dict[str, Any], result: dict[str, Any]) -> Row:
    """The columns of the flags that a trained trial has."""
    steps = detect_flags(curve, result, plan["analysis"]["collapse"])
    return {f"{flag}_step": step for flag, step in steps.items()}


def flags_of(row: Any) -> dict[str, int]:
    """The flags of a trial and the step of each, from any of its rows as a named tuple."""
    steps = {flag: getattr(row, f"{flag}_step") for flag in FLAG_NAMES}
    return {flag: int(step) for flag, step in steps.items() if pd.notna(step)}


def current_readings(plan: dict[str, Any], content: Any) -> dict[str, Any]:
    """Of a file's readings by metric those by the version of the metric that the plan means."""
    readings = dict((content or {"metrics": {}})["metrics"])
    wanted = {metric: facts.get("version") for metric, facts in plan["metrics"].items()}
    return {m: r for m, r in readings.items() if wanted.get(m) in (None, r["version"])}


def trial_outcome(
    item: dict[str, Any], folder: TrialFolder, result: dict[str, Any] | None, complete: bool
) -> tuple[str | None, str]:
    """How a planned trial ended, and why; None while it has not been trained and measured."""
    if item["objection"]:
        return "not_applicable", item["objection"]
    if result and (complete or result["outcome"] != "done"):
        return result["outcome"], result["reason"]
    last = folder.attempts()[-1:]
    end = read_json_or_none(last[0].exit_path) if last else None
    return ("failed", end["reason"]) if end and end["outcome"] == "failed" else (None, "")


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
    """A metric's reading beside its floor; `reason` only if the reading has one of its own."""
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
    """The same rows; raises MixedProtocols if a metric of a data set was measured by more than one protocol."""
    measured = frame[(frame["kind"] == "quality") & frame["value"].notna()]
    for (data, metric), part in measured.groupby(["data", "metric"]):
        protocols = part[["protocol", "metric_version"]].drop_duplicates()
        if len(protocols) > 1:
            names = " and ".join(f"{p} (version {v})" for p, v in protocols.itertuples(index=False))
            raise MixedProtocols(
                f"{metric} of {data} was measured by different protocols, {names}: they never share a column"
            )
    return frame


def outcome_facts(frame: pd.DataFrame) -> dict[str, str]:
    """Direction and transform of the metric that the suite declared as its outcome."""
    plan = frame.attrs["plan"]
    facts: dict[str, str] = plan["metrics"][plan["analysis"]["outcome"]]
    return facts


def save_rows(frame: pd.DataFrame, folder: Path) -> None:
    """Writes results.parquet, which says all about its suite, and results.csv."""
    table = pa.Table.from_pandas(frame, schema=ROW_SCHEMA, preserve_index=False)
    about = {METADATA_KEY: json.dumps(frame.attrs["plan"]).encode()}
    content = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(about), content)
    write_bytes(folder / "results.parquet", content.getvalue().to_pybytes())
    write_bytes(folder / "results.csv", frame.to_csv(index=False).encode())


def load(folder: str | Path) -> pd.DataFrame:
    """The results of a suite as a tidy frame, one row a trial, checkpoint and metric.

    `folder` is where a suite's tables lie, such as "results/bench". Raises FileNotFoundError if
    there is no results.parquet, and ValueError if a later ganbench wrote it.
    """
    path = Path(folder) / "results.parquet"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: `ganbench run` or `ganbench report` writes it"
        )
    table = pq.read_table(path)
    frame = complete_columns(table).to_pandas(types_mapper=pandas_type)
    if frame["schema_version"].max() > SCHEMA_VERSION:
        raise ValueError(f"{path} was written by a later ganbench than this one")
    frame.attrs["plan"] = json.loads(table.schema.metadata[METADATA_KEY])
    return frame


def complete_columns(table: pa.Table) -> pa.Table:
    """The table with null in the columns that its version did not have yet."""
    for field in ROW_SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(ROW_SCHEMA.names)
