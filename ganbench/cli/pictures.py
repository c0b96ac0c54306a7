"""The commands `samples`, `interpolate` and `neighbours`: pictures of trained generators."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of

from .base import app, fail, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument, Trust, refuse_special_file
from .select_cells import (
    CellArgument,
    Checkpoint,
    checkpoint_ending,
    require_sampler_store,
    select_done_trials,
)
from .stored_results import format_cell_name
from .streams import print_json

Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of the training. Default: the first finished.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", callback=refuse_special_file, help="PNG file. Default: beside its trial."
    ),
]

# Beside its trial; the measured grid there, samples.png, is the one that reports publish.
DRAWN_SAMPLES, DRAWN_NEIGHBOURS = "samples-drawn", "neighbours-drawn"

# Draws a saved generator; returns the PNG and further entries of the answer.
Draw = Callable[[Any], tuple[bytes, dict[str, Any]]]


@dataclass(frozen=True)
class PictureRequest:
    """The cells to draw, their seed and checkpoint, and the file of the picture."""

    suite: str
    cell: str
    results: Path
    seed: int | None
    checkpoint: str
    to: Path | None

    def select_trials(self) -> Any:
        """Returns one trial per cell; ends the program if one file is to hold several pictures."""
        trials = select_done_trials(self.suite, self.cell, self.results, self.seed)
        if self.to and len(trials) > 1:
            fail(f"--out names one file, but {len(trials)} cells match {self.cell!r}")
        return trials

    def path_of(self, folder: Path, name: str) -> Path:
        """Returns the named file, or one beside the trial."""
        return self.to or folder / f"{name}{checkpoint_ending(self.checkpoint)}.png"


@app.command()
def samples(
    suite: SuiteArgument,
    cell: CellArgument,
    seed: Seed = None,
    checkpoint: Checkpoint = "last",
    count: Annotated[int, typer.Option(min=1, help="Maximum number of images.")] = 100,
    caption: Annotated[str | None, typer.Option(help="Generate images of this caption.")] = None,
    to: Out = None,
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Draw a grid of a cell's samples.

    They are the first of the samples that were measured, if the device of the training is available. With
    --caption, a generator of captioned data generates new ones of that sentence. Clips are also written
    as an animation.
    """
    from ganbench.data.modality import CLIPS
    from ganbench.visualization.samples import (
        draw_caption,
        draw_motion,
        draw_samples,
        find_unknown_words,
    )

    if caption is not None and not caption.strip():
        fail("--caption is empty: give a sentence")

    def draw(sampler: Any) -> tuple[bytes, dict[str, Any]]:
        if caption:
            picture = draw_caption(sampler, caption, count)
            return picture, {"unknown_words": find_unknown_words(sampler, caption)}
        moving = {"animation": draw_motion(sampler)} if sampler.modality is CLIPS else {}
        return draw_samples(sampler, count), moving

    name = "samples-of-caption" if caption else DRAWN_SAMPLES
    request = PictureRequest(suite, cell, results, seed, checkpoint, to)
    draw_pictures(request, name, draw, as_json)


@app.command()
def interpolate(
    suite: SuiteArgument,
    cell: CellArgument,
    method: Annotated[str | None, typer.Option(help="spherical (the default) or linear.")] = None,
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

    request = PictureRequest(suite, cell, results, seed, checkpoint, to)
    if caption:
        if len(caption) != 2:
            fail(f"a walk has two ends, so --caption must be given twice, not {len(caption)} times")
        if method or fixed:
            used = "--method" if method else "--fixed"
            fail(f"{used} is for walks between latents, and --caption walks between sentences")
        return draw_pictures(
            request,
            "interpolation-captions",
            lambda sampler: (draw_caption_interpolation(sampler, caption), {}),
            as_json,
        )
    method = method or "spherical"
    if method not in INTERPOLATION_METHODS:
        fail(
            f"no interpolation method is called {method!r}{suggest(method, INTERPOLATION_METHODS)}"
        )
    if fixed and fixed not in FREE_PARTS:
        fail(f"no part of clips is called {fixed!r}{suggest(fixed, FREE_PARTS)}")
    name = "interpolation" if method == "spherical" else f"interpolation-{method}"
    name += f"-of-{FREE_PARTS[fixed]}" if fixed else ""
    return draw_pictures(
        request, name, lambda sampler: (draw_interpolation(sampler, method, fixed), {}), as_json
    )


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

    def draw(generator: SavedGenerator) -> tuple[bytes, dict[str, Any]]:
        found = vars(find_neighbours(generator))
        return found.pop("picture"), found

    request = PictureRequest(suite, cell, results, seed, checkpoint, to)
    draw_pictures(request, DRAWN_NEIGHBOURS, draw, as_json)


def draw_pictures(request: PictureRequest, name: str, draw: Draw, as_json: bool) -> None:
    """Draws one trial of each chosen cell, and prints the path of its picture."""
    store = require_sampler_store(request.suite, request.results, request.checkpoint)
    entries = [
        draw_trial(row, store, request, name, draw) for row in request.select_trials().itertuples()
    ]
    if as_json:
        print_json(entries)
    else:
        print_picture_entries(entries)


def draw_trial(
    row: Any, store: Any, request: PictureRequest, name: str, draw: Draw
) -> dict[str, Any]:
    """Draws a trial and returns its entry of the answer, with the paths of its pictures."""
    from ganbench.experiments.trial import read_trial
    from ganbench.files import write_bytes
    from ganbench.visualization.trained_generator import find_saved_generator

    trial = read_trial(store, row.trial)
    sampler = find_saved_generator(trial, store, request.checkpoint)
    picture, details = draw(sampler)
    path = request.path_of(sampler.folder.folder, name)
    write_bytes(path, picture)
    if "animation" in details:
        details["animation"] = str(write_animation(path, details["animation"]))
    entry = {"cell": format_cell_name(row._asdict()), "seed": int(row.seed), "trial": row.trial}
    return {**entry, "picture": str(path), **details, **note_of_device(trial, sampler)}


def note_of_device(trial: Any, sampler: Any) -> dict[str, str]:
    """Returns a note if a trial was drawn on another device than its own; else nothing."""
    drawn = sampler.trial.device
    if drawn == trial.device:
        return {}
    return {
        "note": f"Drawn on {drawn}, because {trial.device} is not available here: its latents differ "
        "from those of the measured samples."
    }


def write_animation(picture: Path, content: bytes) -> Path:
    """Writes the animation beside a picture, and returns its path."""
    from ganbench.files import write_bytes

    ending = picture.stem.removeprefix("samples")
    is_default = ending != picture.stem
    path = picture.with_name(f"motion{ending}.png" if is_default else f"{picture.stem}-motion.png")
    write_bytes(path, content)
    return path


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
        if unknown := entry.get("unknown_words"):
            out.print_line(f"  Words that the training captions lack: {', '.join(unknown)}.")
        out.print_line(f"  {entry['picture']}")
        for key in ("animation", "note"):
            if key in entry:
                out.print_line(f"  {entry[key]}")
