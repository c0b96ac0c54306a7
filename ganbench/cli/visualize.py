"""Commands on trained cells: `show`, `samples`, `interpolate`, `neighbours`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of, format_signed
from ganbench.experiments.select_trials import has_all_words, suggest_word
from ganbench.experiments.trial_names import format_chain

from .base import (
    DEFAULT_RESULTS,
    OUTCOME_WORDS,
    Json,
    Results,
    SuiteArgument,
    Trust,
    app,
    fail,
    format_cell_name,
    has_store,
    out,
    print_json,
    read_frame,
    suite_folder,
)

SEARCHED_COLUMNS = [
    "role",
    "data",
    "variant",
    "loss",
    "tricks",
    "plan",
    "trial",
]
CELL_KEY_COLUMNS = ["role", "data", "variant", "loss", "tricks", "plan"]

MAX_RANK_DIGITS = 6  # longer numbers are the begin of a trial's id
MAX_LISTED_CELLS = 25
MIN_NAME_WIDTH = 26  # of metrics

CURVE_TITLES = {
    "scores": "learning curve, on samples apart from the reported ones",
    "losses": "losses, means between log points",
}

CellArgument = Annotated[
    str,
    typer.Argument(metavar="CELL", help="Words of a cell's name, its rank, or a trial's id."),
]
OptionalCell = Annotated[
    str,
    typer.Argument(
        metavar="CELL", help="Words of a cell's name, its rank, or a trial's id. Default: the best."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of the training. Default: the first finished.")
]
Checkpoint = Annotated[str, typer.Option(help="last or best.")]
Out = Annotated[Path | None, typer.Option("--out", help="PNG file. Default: beside its trial.")]


def select_rows_by_words(suite: str, cell: str, results: Path) -> Any:
    """Returns the rows of the cells with all the words in their names, or ends the program.

    A bare integer is the rank on the leaderboard. Untrained references are chosen only if they are named,
    or if no other cell matches.
    """
    frame = read_frame(suite, results)
    if cell.strip().isdecimal() and len(cell.strip()) <= MAX_RANK_DIGITS:
        return select_rows_by_rank(frame, int(cell), suite)
    frame = frame[frame["trial"].notna()]
    names = frame[SEARCHED_COLUMNS].fillna("").agg(" ".join, axis=1)
    chosen = frame[names.map(lambda name: has_all_words(name, cell))]
    if chosen.empty:
        hint = suggest_word(names, cell)
        fail(f"no cell of {suite} has all the words {cell!r} in its name{hint}")
    trained = chosen[chosen["role"].eq("trial")]
    return chosen if trained.empty or "untrained" in cell.split() else trained


def select_rows_by_rank(frame: Any, rank: int, suite: str) -> Any:
    """Returns the rows of the cells with a rank, of each data set, or ends the program."""
    from ganbench.analysis.leaderboard import ARM_COLUMNS

    board = ranked_cells(frame, suite)
    chosen = board[board["rank"].eq(rank)]
    if chosen.empty:
        fail(f"no cell of {suite} has rank {rank}: the last one is {board['rank'].max()}")
    cells = set(chosen[ARM_COLUMNS].fillna("").itertuples(index=False, name=None))
    trials = frame[frame["role"].eq("trial")]
    names = trials[ARM_COLUMNS].fillna("").itertuples(index=False, name=None)
    return trials[[name in cells for name in names]]


def ranked_cells(frame: Any, suite: str) -> Any:
    """Returns the rows of the leaderboard that have a rank; ends the program without any."""
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.analysis.read_table import require_outcome

    board = leaderboard(require_outcome(frame))
    board = board[board["rank"].notna()]
    if board.empty:
        fail(f"no cell of {suite} has a rank yet: `ganbench status {suite}` shows its trials")
    return board


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

    chosen = select_rows_by_words(suite, cell or "1", results)
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
        print_other_cells(suite, results)
    return None


def print_other_cells(suite: str, results: Path) -> None:
    """Prints the rank, the name and the outcome of the cells below the best."""
    from ganbench.evaluation.metric_names import metric_display_name
    from ganbench.report.format_number import format_cell

    frame = read_frame(suite, results)
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
    line = f"{name:<{width}} {format_value(value)}"
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


def format_value(value: float) -> str:
    """Formats four significant digits, or all digits before the point: 20,768, 142.9, 0.086."""
    return format_signed(value, ",.0f" if abs(value) >= 1000 else ".4g")


@app.command()
def samples(
    suite: SuiteArgument,
    cell: CellArgument,
    seed: Seed = None,
    checkpoint: Checkpoint = "last",
    count: Annotated[int, typer.Option(min=1, help="Maximum number of images.")] = 100,
    caption: Annotated[str, typer.Option(help="Generate images of this caption.")] = "",
    to: Out = None,
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Draw a grid of a cell's samples.

    They are the first of the samples that were measured. With --caption, a generator of captioned data
    generates new ones of that sentence. Clips are also written as an animation.
    """
    from ganbench.data.modality import CLIPS
    from ganbench.visualization.samples import draw_caption, draw_motion, draw_samples

    def look(sampler: Any) -> tuple[bytes, dict[str, Any]]:
        if caption:
            return draw_caption(sampler, caption, count), {}
        moving = {"animation": draw_motion(sampler)} if sampler.modality is CLIPS else {}
        return draw_samples(sampler, count), moving

    name = "samples-of-caption" if caption else "samples"
    draw_pictures(suite, cell, results, seed, checkpoint, to, as_json, name, look)


@app.command()
def interpolate(
    suite: SuiteArgument,
    cell: CellArgument,
    method: Annotated[str, typer.Option(help="spherical or linear.")] = "spherical",
    caption: Annotated[
        list[str] | None, typer.Option(help="One end of a walk between captions; give two.")
    ] = None,
    fixed: Annotated[str, typer.Option(help="Keep the content or the motion of clips.")] = "",
    seed: Seed = None,
    checkpoint: Checkpoint = "last",
    to: Out = None,
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Draw walks between latents of a cell.

    With two --caption, each row goes from one sentence to the other, with the same latents. With
    --fixed content, clips of MoCoGAN differ in their motion alone.
    """
    from ganbench.registry import suggest
    from ganbench.visualization.interpolation import (
        FREE_PARTS,
        INTERPOLATION_METHODS,
        draw_caption_interpolation,
        draw_interpolation,
    )

    if caption:
        if len(caption) != 2:
            fail(f"a walk has two ends, so --caption must be given twice, not {len(caption)} times")
        return draw_pictures(suite, cell, results, seed, checkpoint, to, as_json, "interpolation-captions",
               lambda sampler: (draw_caption_interpolation(sampler, caption), {}))  # fmt: skip
    if method not in INTERPOLATION_METHODS:
        fail(
            f"no interpolation method is called {method!r}{suggest(method, INTERPOLATION_METHODS)}"
        )
    if fixed and fixed not in FREE_PARTS:
        fail(f"no part of clips is called {fixed!r}{suggest(fixed, FREE_PARTS)}")
    name = "interpolation" if method == "spherical" else f"interpolation-{method}"
    name += f"-of-{FREE_PARTS[fixed]}" if fixed else ""
    draw_pictures(suite, cell, results, seed, checkpoint, to, as_json, name,
           lambda sampler: (draw_interpolation(sampler, method, fixed), {}))  # fmt: skip
    return None


@app.command()
def neighbours(
    suite: SuiteArgument,
    cell: CellArgument,
    seed: Seed = None,
    checkpoint: Checkpoint = "last",
    to: Out = None,
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Draw samples with their nearest neighbours.

    Neighbours are training examples. Their median distance is printed beside that of held-out data.
    """
    from ganbench.visualization.neighbours import find_neighbours
    from ganbench.visualization.trained_generator import SavedGenerator

    def look(generator: SavedGenerator) -> tuple[bytes, dict[str, Any]]:
        found = vars(find_neighbours(generator))
        return found.pop("picture"), found

    draw_pictures(suite, cell, results, seed, checkpoint, to, as_json, "neighbours", look)


def draw_pictures(
    suite: str,
    cell: str,
    results: Path,
    seed: int | None,
    checkpoint: str,
    to: Path | None,
    as_json: bool,
    name: str,
    look: Callable[[Any], tuple[bytes, dict[str, Any]]],
) -> None:
    """Draws one trial of each chosen cell, and prints the path of its picture."""
    from ganbench.experiments.trial import read_trial
    from ganbench.files import write_bytes
    from ganbench.visualization.trained_generator import find_saved_generator

    store = require_sampler_store(suite, results, checkpoint)
    trials = select_done_trials(suite, cell, results, seed)
    if to and len(trials) > 1:
        fail(f"--out names one file, but {len(trials)} cells match {cell!r}")
    entries = []
    for row in trials.itertuples():
        sampler = find_saved_generator(read_trial(store, row.trial), store, checkpoint)
        picture, details = look(sampler)
        ending = "" if checkpoint == "last" else f"-{checkpoint}"
        path = to or sampler.folder.folder / f"{name}{ending}.png"
        write_bytes(path, picture)
        if "animation" in details:
            details["animation"] = str(write_animation(path, details["animation"]))
        entry = {"cell": format_cell_name(row._asdict()), "seed": int(row.seed), "trial": row.trial}
        entries.append({**entry, "picture": str(path), **details})
    if as_json:
        print_json(entries)
    else:
        print_picture_entries(entries)


def write_animation(picture: Path, content: bytes) -> Path:
    """Writes the animation beside a picture, and returns its path."""
    from ganbench.files import write_bytes

    ending = picture.stem.removeprefix("samples")
    is_default = ending != picture.stem
    path = picture.with_name(f"motion{ending}.png" if is_default else f"{picture.stem}-motion.png")
    write_bytes(path, content)
    return path


def require_sampler_store(suite: str, results: Path, checkpoint: str = "last") -> Any:
    """Returns the store of a suite's generators; ends the program if it has none."""
    from ganbench.experiments.store import CHECKPOINT_NAMES, Store

    if checkpoint not in CHECKPOINT_NAMES:
        fail(f"--checkpoint is {' or '.join(CHECKPOINT_NAMES)}, not {checkpoint!r}")
    folder = suite_folder(suite, results)
    if not has_store(folder):
        fail(f"no trial store beside {folder}: generators are kept only where they were trained")
    return Store(folder.parent)


def select_done_trials(suite: str, cell: str, results: Path, seed: int | None) -> Any:
    """Returns one finished trial per cell: that of the seed, or the first one."""
    rows = select_rows_by_words(suite, cell, results)
    done = rows[rows["outcome"].eq("done") & (rows["seed"].eq(seed) if seed is not None else True)]
    if done.empty:
        which = "" if seed is None else f" with seed {seed}"
        fail(f"no trial of {cell!r}{which} is done in {suite}")
    return done.sort_values("seed", kind="stable").drop_duplicates(CELL_KEY_COLUMNS)


def print_picture_entries(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        out.print(f"{entry['cell']} · seed {entry['seed']}", style="bold", markup=False)
        if "distance" in entry:
            out.print(
                f"  {entry['copies']} of {count_of(entry['fakes'], 'sample')} are copies of one of {entry['reals']} "
                f"training examples. Median distance to the nearest: {entry['distance']:.3g}; for held-out "
                f"data: {entry['held_out']:.3g}.",
                markup=False,
            )
            out.print(
                "  Top: the ten nearest, then the first ten. Below each: its nearest neighbour."
            )
        out.print_line(f"  {entry['picture']}")
        if "animation" in entry:
            out.print_line(f"  {entry['animation']}")
