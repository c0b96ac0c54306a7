"""Paths of images in a suite: relative to the working directory or to the suite."""

from collections.abc import Iterable
from pathlib import Path

from ganbench.data.image_paths import MARK, find_path, join_marked, replace_path
from ganbench.errors import CONTROL_CHARACTERS
from ganbench.registry import BACKSLASH_REMEDY, SpecError, parse_spec, shorten


def find_beside_suite(text: str, folder: Path | None) -> str:
    """Returns a spec of data, with the place of a relative `path` before its name.

    The place is the working directory if the path exists there, and else the folder of the suite. The name is
    written in one way, so that `imgs` and `./imgs/` are the same data. The path does not affect the identity
    of trials, which have the hash of the images. Raises SpecError for an invalid path.
    """
    spec = parse_spec(text)
    path = find_path(spec)
    if path is None:
        return text
    check_path_characters(text, path)
    placed = place_path(path, folder)
    return text if placed == path else replace_path(spec, placed)


def place_path(path: str, folder: Path | None) -> str:
    """Returns a relative path with the folder that has it, and others in one way of writing."""
    name = Path(path)
    is_relative = not (name.is_absolute() or path.startswith("~"))
    for place in filter(None, (Path(), folder)):
        if path_exists(place / name) and is_relative:
            return join_marked(place, name)
    return str(name)


def find_moved(text: str, folders: Iterable[Path]) -> str:
    """Returns a spec of data whose place is gone with the first folder that has its name.

    A store may have moved with its images, or may come from another machine.
    """
    spec = parse_spec(text)
    path = find_path(spec)
    if path is None or MARK not in path or path_exists(Path(path)):
        return text
    name = Path(path.rpartition(MARK)[2])
    places = [join_marked(folder, name) for folder in folders if path_exists(folder / name)]
    return text if not places else replace_path(spec, places[0])


def check_path_characters(text: str, path: str) -> None:
    """Raises SpecError for a path with control characters, such as the line feed in C:\\\\new."""
    if CONTROL_CHARACTERS.search(path) or "\n" in path or "\t" in path:
        raise SpecError(f"{shorten(text)!r}: {BACKSLASH_REMEDY}")


def path_exists(path: Path) -> bool:
    """Returns whether a path exists; raises SpecError if its name is not allowed.

    A pattern such as `a-{00..99}.tar` exists if its first archive does.
    """
    try:
        if {*"{*"} & {*path.name}:
            from ganbench.data.tar_files import expand_range, expand_stars

            path = expand_stars(expand_range(str(path.expanduser()))[0])[0]
        return path.expanduser().exists()
    except (OSError, RuntimeError) as error:  # too long; `~name` of an unknown user
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{shorten(str(path))!r} cannot be read: {reason}") from None
