"""Commands of human studies: `study make`, `study read`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of

from .base import app, fail, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument, Trust, refuse_special_file
from .select_cells import CELL_KEY_COLUMNS, require_sampler_store, select_rows_by_words
from .stored_results import format_cell_name, read_frame, suite_folder
from .streams import print_json

LEADING_ARMS = 4  # arms of a study by default

study = typer.Typer(no_args_is_help=True, help="Ask people which images are real (HYPE).")
app.add_typer(study, name="study")


@study.command()
def make(
    suite: SuiteArgument,
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CELL]...", help="Words of each cell's name. Default: the best four cells."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=1, help="Generated images per arm, and as many real ones.")
    ] = 20,
    catches: Annotated[
        int, typer.Option(min=0, help="Catch trials: words shown instead of images.")
    ] = 6,
    exposure: Annotated[
        int, typer.Option(min=0, max=60_000, help="Milliseconds; 0: until the answer.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of images.")] = 0,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            callback=refuse_special_file,
            help="File of the page. Default: study/study.html.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another study of this suite.")
    ] = False,
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Make a page that asks which images are real.

    The page is one HTML file and needs no network.
    """
    from ganbench.files import write_bytes, write_json
    from ganbench.human_study.make_page import StudyDesign

    folder, design = suite_folder(suite, results), StudyDesign(pictures, catches, exposure, seed)
    own = folder / "study"
    arms = load_arms(suite, cells or [], results)
    key, page = make_study_of_arms(folder, arms, design, replace)
    path = to or own / "study.html"
    write_json(own / "key.json", key.model_dump())
    write_bytes(path, page.encode())
    content = {
        "study": key.study,
        "arms": [format_cell_name(arm.model_dump()) for arm in key.arms],
        "items": len(key.items),
        "catches": len(key.catches),
        "page": str(path),
        "key": str(own / "key.json"),
    }
    if as_json:
        print_json(content)
    else:
        print_study(suite, content)


def make_study_of_arms(
    folder: Path, arms: list[Any], design: Any, replace: bool
) -> tuple[Any, str]:
    """Returns key and page of a study; ends the program if another study would be lost.

    The same study keeps its salt, so that its answers remain readable.
    """
    from ganbench.human_study.key import new_salt
    from ganbench.human_study.make_page import make_study

    old = read_old_key(folder, replace)
    key, page = make_study(folder.name, arms, design, (old and old.salt) or new_salt())
    if not old or old.study == key.study:
        return key, page
    if not replace:
        fail(
            f"{folder / 'study'} holds another study, and its key is needed to read its answers; "
            "--replace deletes it"
        )
    return make_study(folder.name, arms, design, new_salt())


def print_study(suite: str, content: dict[str, Any]) -> None:
    """Prints the arms of a study, what to do with it, and its files."""
    for name in content["arms"]:
        out.print(f"  {name}", markup=False)
    controls = count_of(content["catches"], "catch trial")
    out.print(
        f"{count_of(content['items'], 'image')} per rater, {controls} among them. Give the page to raters, "
        f"and keep the key: it names the real images. `ganbench study read {suite} ANSWERS...` reads their "
        "answer files.",
        markup=False,
    )
    for path in (content["page"], content["key"]):
        out.print_line(f"  {path}")


def read_old_key(folder: Path, replace: bool) -> Any:
    """Returns the key of the present study, or None; --replace ignores a damaged key."""
    from ganbench.human_study.key import InvalidStudy, read_key

    try:
        return read_key(folder) if (folder / "study" / "key.json").exists() else None
    except InvalidStudy:
        if replace:
            return None
        raise


def load_arms(suite: str, cells: list[str], results: Path) -> list[Any]:
    """Returns the chosen arms, each with the generators of its seeds."""
    from ganbench.experiments.trial import read_trial
    from ganbench.human_study.key import StudyArm
    from ganbench.visualization.trained_generator import find_saved_generator

    store, arms = require_sampler_store(suite, results), []
    for rows in done_rows_by_arm(suite, cells, results):
        arm = StudyArm(**{name: rows.iloc[0][name] or "" for name in StudyArm.model_fields})
        samplers = [
            find_saved_generator(read_trial(store, t), store) for t in rows["trial"].unique()
        ]
        arms.append((arm, samplers))
    if len(sets := {arm.data for arm, _ in arms}) > 1:
        fail(f"a study shows one data set, but these arms have {' and '.join(sorted(sets))}")
    return arms


def done_rows_by_arm(suite: str, cells: list[str], results: Path) -> list[Any]:
    """Returns the rows of finished trials, one frame per arm."""
    import pandas as pd

    frame = read_frame(suite, results)
    named = pd.concat([select_rows_by_words(frame, suite, cell) for cell in cells or [""]])
    done = named[named["outcome"].eq("done") & named["role"].eq("trial")]
    done = done.drop_duplicates("trial").sort_values("seed", kind="stable")
    if done.empty:
        fail(f"no trial of the chosen cells is done in {suite}")
    arms = dict(list(done.groupby(CELL_KEY_COLUMNS, sort=False, dropna=False)))
    if cells:
        return list(arms.values())
    return leading_arms(frame, arms, require_sampler_store(suite, results))


def leading_arms(frame: Any, arms: dict[Any, Any], store: Any) -> list[Any]:
    """Returns the best cells of the first image data set, by the leaderboard."""
    from ganbench.analysis.leaderboard import leaderboard

    board = leaderboard(frame)
    ranked = board[board["rank"].notna()]
    trials = {rows["data"].iloc[0]: rows["trial"].iloc[0] for rows in arms.values()}
    on_images = [data for data in ranked["data"].unique() if has_images(trials[data], store)]
    if not on_images:
        fail(f"{frame.attrs['plan']['suite']} has no image data set, and a study needs images")
    best = ranked[ranked["data"].eq(on_images[0])].head(LEADING_ARMS)
    return [arms[tuple(row)] for row in best[CELL_KEY_COLUMNS].fillna("").to_numpy()]


def has_images(trial: str, store: Any) -> bool:
    """Returns whether a trial was trained on images."""
    from ganbench.data import DATA
    from ganbench.data.modality import IMAGES, modality_of_shape
    from ganbench.experiments.trial import read_trial

    data = DATA.make(read_trial(store, trial).data)
    return any(modality_of_shape(shape) is IMAGES for shape in data.shapes.values())


@study.command()
def read(
    suite: SuiteArgument,
    files: Annotated[
        list[Path], typer.Argument(metavar="ANSWERS...", help="Answer files of the raters.")
    ],
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Read answers and add human error to the leaderboard.

    Prints human error per arm and per rater, and the agreement of raters.
    """
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.files import write_json
    from ganbench.human_study.answers import read_answers
    from ganbench.human_study.error_rates import summarize_study, with_human_error
    from ganbench.human_study.key import read_key
    from ganbench.report.findings import run_findings
    from ganbench.report.writer import write_leaderboard

    folder = suite_folder(suite, results)
    key = read_key(folder)
    content = summarize_study(key, read_answers(files, key))
    frame = read_frame(suite, results)
    write_json(folder / "study.json", content)
    board = with_human_error(leaderboard(frame), frame, folder)
    write_leaderboard(frame, board, run_findings(frame), folder)
    if as_json:
        return print_json(content)
    print_outcome(content)
    out.print_line(f"  {folder / 'study.json'}")
    out.print_line(f"  {folder / 'leaderboard.md'}")
    return None


def print_outcome(content: dict[str, Any]) -> None:
    from ganbench.report.human_study import study_sentences, study_tables

    for table in study_tables(content):
        out.print(table)
    for line in study_sentences(content):
        out.print(line, markup=False)
