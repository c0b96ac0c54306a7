"""The command `pack`: decodes a large set of images into one file, ahead of a run."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganbench.counts import format_bytes

from .base import app, err, out, refuse_options

if TYPE_CHECKING:
    from ganbench.data.folder import Folder


@app.command()
def pack(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a zip or tar archive, a pattern such as 'a-{00..99}.tar', or folder(...)."
        ),
    ],
    size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels. Default: 32.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="3: color, 1: grey. Default: 3.")] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out broken files.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read the whole pack, and compare it with its hash.")
    ] = False,
) -> None:
    """Decode images once into a file in the cache.

    A run does the same by itself for images that do not fit in memory. After an interruption, the same
    command continues.
    """
    from ganbench.data.packed_images import open_pack

    from .pack_progress import RichPackReport

    given = {"size": size, "channels": channels, "skip_unreadable": skip_unreadable or None}
    data = make_folder(source, given)
    with RichPackReport(err) as report:
        packed = data.pack(report)
    if check:
        open_pack(packed.folder, thorough=True)
    count, *shape = packed.shape
    state = "intact" if check else "packed"
    text = f"{count:,} images of {'x'.join(map(str, shape))} are {state}: "
    out.print_line(f"{text}{format_bytes(packed.nbytes)} in {packed.folder}")


def make_folder(source: str, given: dict[str, Any]) -> "Folder":
    """Returns the data set of a path, with the options that are not None, or of a spec.

    Ends the program at an option beside a spec `folder(...)`; raises SpecError.
    """
    from ganbench.data import DATA
    from ganbench.data.folder import Folder
    from ganbench.registry import Spec

    settings = {"path": source} | {k: value for k, value in given.items() if value is not None}
    if source.startswith("folder("):
        options = {key.replace("_", "-"): value for key, value in given.items()}
        refuse_options("of a path: write it in folder(...)", options)
        text = source
    else:
        text = DATA.label(str(Spec("folder", tuple(settings.items()))))
    data = DATA.make(text)
    assert isinstance(data, Folder)
    return data
