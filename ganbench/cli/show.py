"""The command `show`: settings, values and curves of one cell."""

import re
from typing import Any

from ganbench.counts import count_of, format_signed
from ganbench.experiments.plan_names import format_chain

from .base import app, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument
from .select_cells import CELL_KEY_COLUMNS, OptionalCell, ranked_cells, select_rows_by_words
from .stored_results import OUTCOME_WORDS, format_cell_name, read_frame, suite_folder
from .streams import print_json

MAX_LISTED_CELLS = 25
MIN_NAME_WIDTH = 26  # of metrics
CURVE_TITLES = {
    "scores": "learning curve, on samples apart from the reported ones",
    "losses": "losses, means between log points",
}


@app.command()
def show(
    suite: SuiteArgument,
    cell: OptionalCell = "",
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Show one cell: settings, values, curves.

    Also prints the flags of its trials and the paths of pictures and logs. A cell is named by words of its
    name, in any order, or by its rank on the leaderboard. Without a cell, the best one is shown, and the
    others are listed.
    """
    from ganbench.experiments.store import Store

    frame = read_frame(suite, results)
    chosen = select_rows_by_words(frame, suite, cell or "1")
    store = Store(suite_folder(suite, results).parent)
    trials = chosen.drop_duplicates("trial")
    entries = [trial_entry(row, chosen, store) for row in trials.itertuples()]
    if as_json:
        return print_json(entries)
    several = len(chosen.drop_duplicates(CELL_KEY_COLUMNS)) > 1
    for entry in entries:
        print_trial(entry, brief=several)
    if several:
        out.print("Several cells match. Add words to select one, and see its curves and settings.")
    if not cell:
        print_other_cells(frame, suite)
    return None


def print_other_cells(frame: Any, suite: str) -> None:
    """Prints the rank, the name and the outcome of the cells below the best."""
    from ganbench.evaluation.metric_names import metric_display_name
    from ganbench.report.format_number import format_cell

    board, plan = ranked_cells(frame, suite), frame.attrs["plan"]
    others = board[board["rank"].gt(1)].to_dict("records")
    outcome = plan["analysis"]["outcome"]
    if others:
        name = metric_display_name(outcome, plan)
        heading = f"Other cells by {name}; `ganbench show {suite} RANK` shows one:"
        out.print_line(heading)
    for row in others[:MAX_LISTED_CELLS]:
        line = f"{row['rank']:>4}  {format_cell_name(row)}  {format_cell(row, outcome, True)}"
        out.print_line(line)
    if len(others) > MAX_LISTED_CELLS:
        out.print(f"      and {count_of(len(others) - MAX_LISTED_CELLS, 'more cell')}")


def trial_entry(row: Any, rows: Any, store: Any) -> dict[str, Any]:
    from ganbench.analysis.rows import flags_of
    from ganbench.experiments.outcomes import unfinished_state

    ended = isinstance(row.outcome, str) and row.outcome != "done"
    own = rows[(rows["trial"] == row.trial) & (rows["checkpoint"] != "best")]
    own = own[own["kind"] != "curve"]
    folder = store.trial_folder(row.trial)
    curve = folder.read_curve() or {}
    return {
        "trial": row.trial,
        "cell": format_cell_name(row._asdict()),
        "role": row.role,
        "seed": int(row.seed),
        "outcome": row.outcome if isinstance(row.outcome, str) else unfinished_state(folder),
        "reason": row.reason if ended else "",
        "flags": flags_of(row),
        "settings": read_trial_settings(folder.read_spec()),
        "metrics": []
        if ended
        else [named_metric_entry(part, rows.attrs["plan"]) for part in own.to_dict("records")],
        "scores": curve.get("scores", []),
        "losses": curve.get("losses", []),
        "folder": str(folder.folder) if folder.folder.is_dir() else None,
        "pictures": [str(path) for path in folder.picture_paths()],
        "logs": [
            str(attempt.log_path) for attempt in folder.attempts() if attempt.log_path.exists()
        ],
    }


def read_trial_settings(spec: dict[str, Any] | None) -> dict[str, str]:
    """Returns the parts and settings of a trial from spec.json; empty if it has not begun."""
    if spec is None:
        return {}
    trial = spec["trial"]
    recipe, plan, budget = trial["recipe"], trial["recipe"]["plan"], trial["budget"]
    sides = ("generator", "discriminator")
    return {
        "task": recipe["game"],
        "network": recipe["network"],
        "loss": recipe["loss"],
        "tricks": format_chain(recipe["tricks"]),
        "plan": f"{plan['optimizer']}, batch {plan['batch']}, latent {plan['latent']}, "
        f"discriminator turns {plan['discriminator_turns']}, decay {plan['decay']:g}",
        **{
            side: f"lr {plan[f'{side}_lr']:g}, betas {plan[f'{side}_betas'][0]:g} "
            f"{plan[f'{side}_betas'][1]:g}"
            for side in sides
        },
        "budget": f"{budget['amount']:,} {budget['unit'].replace('_', ' ')}",
        "device": trial["device"],
    }


def named_metric_entry(row: dict[Any, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """Returns a value with the metric's name for readers, which has its features."""
    from ganbench.evaluation.metric_names import metric_display_name

    is_quality = row["metric"] in plan["metrics"]
    name = metric_display_name(row["metric"], plan, row["data"]) if is_quality else row["metric"]
    return {**metric_entry(row), "name": name}


def metric_entry(row: dict[Any, Any]) -> dict[str, Any]:
    """Returns a value with its error and floors, or the reason; missing entries are null."""
    keys = (
        "metric",
        "value",
        "standard_error",
        "floor",
        "expected_floor",
        "fakes",
        "reason",
        "unit",
    )
    return {key: None if row[key] != row[key] or row[key] is None else row[key] for key in keys}


def print_trial(entry: dict[str, Any], brief: bool) -> None:
    from ganbench.analysis.rows import SPENT_FIELDS
    from ganbench.report.findings import flags_sentence
    from ganbench.report.sparkline import curve_lines

    head = [entry["trial"], entry["cell"], *(["untrained"] * (entry["role"] == "untrained"))]
    head += [f"seed {entry['seed']}"]
    outcome = OUTCOME_WORDS.get(entry["outcome"], entry["outcome"])
    outcome = ": ".join(filter(None, (outcome, entry["reason"])))
    out.print(" · ".join([*head, outcome]), style="bold", markup=False)
    first_point = entry["scores"][0]["step"] if entry["scores"] else None
    lines = [flags_sentence(entry["flags"], first_point)] if entry["flags"] else []
    lines += [] if brief else [f"{key:<19} {value}" for key, value in entry["settings"].items()]
    width = max([MIN_NAME_WIDTH, *(len(metric["name"]) for metric in entry["metrics"])])
    lines += [format_metric_line(metric, width) for metric in entry["metrics"]]
    for part, heading in () if brief else CURVE_TITLES.items():
        if points := entry[part]:
            lines += [
                f"{heading}, {count_of(len(points), 'point')} up to step {points[-1]['step']:,}:"
            ]
            lines += curve_lines(points, leave=SPENT_FIELDS)
    lines += [entry["folder"]] if entry["folder"] else []
    lines += [] if brief else [*entry["pictures"], *entry["logs"]]
    for line in lines:
        out.print_line(f"  {line}")


def format_metric_line(metric: dict[str, Any], width: int = MIN_NAME_WIDTH) -> str:
    """Formats `FID   4.21 ± 0.23   floor 1.07`, or the reason of a missing value."""
    name = metric.get("name", metric["metric"])
    if metric["value"] is None:
        return f"{name:<{width}} {metric['reason'] or 'not measured'}"
    value, unit = with_short_unit(metric["value"], metric["unit"] or "")
    line = f"{name:<{width}} {format_measured_value(value)}"
    if metric["standard_error"]:
        line += f" ± {metric['standard_error']:.2g}"
    if unit not in re.split(r"\W|_", metric["metric"]):  # names of counts have the unit in them
        line += f" {unit}".rstrip()
    if metric["floor"] is not None:
        line += f"   floor {format_signed(metric['floor'], '.4g')}"
    if metric["expected_floor"] is not None:
        line += f", by theory {metric['expected_floor']:.4g}"
    return line


def with_short_unit(value: float, unit: str) -> tuple[float, str]:
    """Returns a value and its unit, bytes as MB."""
    return (value / 1e6, "MB") if unit == "bytes" else (value, unit)


def format_measured_value(value: float) -> str:
    """Formats four significant digits, or all digits before the point: 20,768, 142.9, 0.086."""
    return format_signed(value, ",.0f" if abs(value) >= 1000 else ".4g")
