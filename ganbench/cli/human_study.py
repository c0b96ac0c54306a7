"""Commands that ask people which pictures are real: `study make`, `study read`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .base import (
    DEFAULT_RESULTS,
    Json,
    Results,
    SuiteArgument,
    app,
    fail,
    format_cell_name,
    out,
    print_json,
    suite_folder,
)
from .visualize import CELL_KEY_COLUMNS, select_rows_by_words

LEADING_ARMS = 4  # arms that are judged where none is named

study = typer.Typer(no_args_is_help=True, help="Ask people which pictures are real (HYPE).")
app.add_typer(study, name="study")


@study.command()
def make(
    suite: SuiteArgument,
    cells: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CELL]...", help="Words of a cell's name; the best four."),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=1, help="Fakes of each arm, and as many reals beside them.")
    ] = 20,
    catches: Annotated[
        int, typer.Option(min=0, help="Trials that tell who does not look: words in their place.")
    ] = 6,
    exposure: Annotated[
        int, typer.Option(min=0, max=60_000, help="Milliseconds; 0 is until the answer.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of pictures.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--out", help="The page; else study/study.html of the suite.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of another study of this suite.")
    ] = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Make a page on which people say of pictures whether they are real. It needs no network."""
    from ganbench.files import write_bytes, write_json
    from ganbench.human_study.key import new_salt
    from ganbench.human_study.make_page import StudyDesign
    from ganbench.human_study.make_page import make_study as made

    folder, design = suite_folder(suite, results), StudyDesign(pictures, catches, exposure, seed)
    own = folder / "study"
    arms, old = load_arms(suite, cells or [], results), read_old_key(folder, replace)
    key, page = made(folder.name, arms, design, (old and old.salt) or new_salt())
    if old and old.study != key.study:
        if not replace:
            fail(
                f"{own} holds another study, whose answers need its key: --replace takes its place"
            )
        key, page = made(folder.name, arms, design, new_salt())
    path = to or own / "study.html"
    write_json(own / "key.json", key.model_dump())
    write_bytes(path, page.encode())
    content = {
        "study": key.study,
        "arms": [format_cell_name(arm.model_dump()) for arm in key.arms],
        "items": len(key.items),
        "page": str(path),
        "key": str(own / "key.json"),
    }
    if as_json:
        return print_json(content)
    for name in content["arms"]:  # type: ignore[attr-defined]
        out.print(f"  {name}", markup=False)
    out.print(
        f"{len(key.items)} pictures a rater, {len(key.catches)} of them catch trials. Give people the page; "
        f"keep the key: what is real stands in it. `ganbench study read {suite} ANSWERS...` takes the "
        "files that they give back.",
        markup=False,
    )
    for made_file in (path, own / "key.json"):
        out.print(f"  {made_file}", markup=False, soft_wrap=True)
    return None


def read_old_key(folder: Path, replace: bool) -> Any:
    """The key of the study that is here, or None; a damaged one counts where it is replaced as none."""
    from ganbench.human_study.key import InvalidStudy, read_key

    try:
        return read_key(folder) if (folder / "study" / "key.json").exists() else None
    except InvalidStudy:
        if replace:
            return None
        raise


def load_arms(suite: str, cells: list[str], results: Path) -> list[Any]:
    """The arms that are meant, each with the samplers of its seeds; ends the program if they do not fit."""
    from ganbench.experiments.store import Store
    from ganbench.experiments.trial import read_trial
    from ganbench.human_study.key import StudyArm
    from ganbench.visualization.trained_generator import find_saved_generator

    from .base import has_store

    folder = suite_folder(suite, results)
    if not has_store(folder):
        fail(f"{folder} lies beside no store: its samplers are where it was run")
    store, arms = Store(folder.parent), []
    for rows in done_rows_by_arm(suite, cells, results):
        arm = StudyArm(**{name: rows.iloc[0][name] or "" for name in StudyArm.model_fields})
        samplers = [
            find_saved_generator(read_trial(store, t), store) for t in rows["trial"].unique()
        ]
        arms.append((arm, samplers))
    if len(sets := {arm.data for arm, _ in arms}) > 1:
        fail(f"a study is of one data set, and these arms are of {' and '.join(sorted(sets))}")
    return arms


def done_rows_by_arm(suite: str, cells: list[str], results: Path) -> list[Any]:
    """For each arm the rows of its trials that are done."""
    import pandas as pd

    named = pd.concat([select_rows_by_words(suite, cell, results) for cell in cells or [""]])
    done = named[named["outcome"].eq("done") & named["role"].eq("trial")]
    done = done.drop_duplicates("trial").sort_values("seed", kind="stable")
    if done.empty:
        fail(f"no trial of the cells that are meant is done in {suite}: there is nothing to judge")
    arms = dict(list(done.groupby(CELL_KEY_COLUMNS, sort=False, dropna=False)))
    return list(arms.values()) if cells else leading_arms(suite, results, arms)


def leading_arms(suite: str, results: Path, arms: dict[Any, Any]) -> list[Any]:
    """The best cells of the first data set that has images, by the leaderboard."""
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.data import DATA
    from ganbench.data.modality import IMAGES, modality_of_shape

    from .base import read_frame

    board = leaderboard(read_frame(suite, results))
    ranked = board[board["rank"].notna()]
    on_images = [
        data
        for data in ranked["data"].unique()
        if any(modality_of_shape(shape) is IMAGES for shape in DATA.make(data).shapes.values())
    ]
    if not on_images:
        fail(f"{suite} has no data set of images: people are asked about images")
    best = ranked[ranked["data"].eq(on_images[0])].head(LEADING_ARMS)
    return [arms[tuple(row)] for row in best[CELL_KEY_COLUMNS].fillna("").to_numpy()]


@study.command()
def read(
    suite: SuiteArgument,
    files: Annotated[
        list[Path], typer.Argument(metavar="ANSWERS...", help="What raters gave back.")
    ],
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Read answers: human error an arm and rater, agreement, and a column of the leaderboard."""
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.files import write_json
    from ganbench.human_study.answers import read_answers
    from ganbench.human_study.error_rates import summarize_study as outcome
    from ganbench.human_study.error_rates import with_human_error
    from ganbench.human_study.key import read_key
    from ganbench.report.findings import run_findings
    from ganbench.report.writer import write_leaderboard

    from .base import read_frame

    folder = suite_folder(suite, results)
    key = read_key(folder)
    content = outcome(key, read_answers(files, key))
    frame = read_frame(suite, results)
    write_json(folder / "study.json", content)
    board = with_human_error(leaderboard(frame), folder)
    write_leaderboard(frame, board, run_findings(frame), folder)
    if as_json:
        return print_json(content)
    print_outcome(content)
    out.print(f"  {folder / 'study.json'}", markup=False, soft_wrap=True)
    out.print(f"  {folder / 'leaderboard.md'}", markup=False, soft_wrap=True)
    return None


def print_outcome(content: dict[str, Any]) -> None:
    from ganbench.report.human_study import study_sentences, study_tables

    for table in study_tables(content):
        out.print(table)
    for line in study_sentences(content):
        out.print(line, markup=False)
