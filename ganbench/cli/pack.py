"""The command `pack`: decodes a large set of images into one file, ahead of a run."""

from typing import TYPE_CHECKING, Annotated

import typer

from ganbench.counts import format_bytes

from .base import app, err, out

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
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 32,
    channels: Annotated[int, typer.Option(help="3: color, 1: grey.")] = 3,
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

    data = make_folder(source, size, channels, skip_unreadable)
    with RichPackReport(err) as report:
        packed = data.pack(report)
    if check:
        open_pack(packed.folder, thorough=True)
    count, *shape = packed.shape
    state = "intact" if check else "packed"
    text = f"{count:,} images of {'x'.join(map(str, shape))} are {state}: "
    out.print_line(f"{text}{format_bytes(packed.nbytes)} in {packed.folder}")


def make_folder(source: str, size: int, channels: int, skip: bool) -> "Folder":
    """Returns the data set of a path or of a spec `folder(...)`; raises SpecError."""
    from ganbench.data import DATA
    from ganbench.data.folder import Folder
    from ganbench.registry import Spec, Value

    if source.startswith("folder("):
        text = source
    else:
        settings: dict[str, Value] = {"path": source, "size": size, "channels": channels}
        settings |= {"skip_unreadable": True} if skip else {}
        text = DATA.label(str(Spec("folder", tuple(settings.items()))))
    data = DATA.make(text)
    assert isinstance(data, Folder)
    return data
