"""Paths of images in specs: the place where they are read, and the name in tables.

`/home/me/suites/./faces` is read as `/home/me/suites/faces`. Its name is `faces`, the part after `/./`, as
in `rsync --relative`. The name is therefore the same on every machine.
"""

from pathlib import Path, PurePath

from ganbench.registry import Spec, SpecError, parse_spec

MARK = "/./"


def join_marked(folder: Path, name: PurePath) -> str:
    """Returns the path of a name in a folder, with the mark between the two."""
    return f"{folder.absolute().as_posix()}{MARK}{name.as_posix()}"


def name_data(text: str) -> str:
    """Returns the name of a data set: its spec, with the part of a marked path after the mark."""
    try:
        spec = parse_spec(text)
    except SpecError:  # not a spec, such as the name in a table of an older release
        return text
    path = find_path(spec)
    if path is None or MARK not in path:
        return text
    return replace_path(spec, path.rpartition(MARK)[2])


def find_path(spec: Spec) -> str | None:
    """Returns the path in a spec of data, or None if it has none."""
    path = dict(spec.settings).get("path")
    return path if isinstance(path, str) else None


def replace_path(spec: Spec, path: str) -> str:
    """Returns a spec of data with another path."""
    settings = dict(spec.settings) | {"path": path}
    return str(Spec(spec.name, tuple(settings.items())))
