"""What a text names: a folder, an archive, an array, a data set, a generator."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.data import DATA
from ganbench.data.image_decoding import Unreadable

from .array_files import READERS, arrays
from .arrays import of_array, source_of
from .base import Source
from .dataset import is_named, named
from .generator import WHY, Generated, exported, function_of, is_exported
from .image_folder import Folder
from .pixel_range import AUTO, RANGES
from .zip_archive import Zip

FUNCTION = re.compile(r"(?:[\w.]+|.*\.py):[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Reading:
    """How sources are read: what may be left out or run, and what generators are asked for."""

    range: str = AUTO
    skip: bool = False
    trust: bool = False
    latent: tuple[int, ...] | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.range not in (AUTO, *RANGES):
            known = ", ".join((AUTO, *RANGES))
            raise Unreadable(f"--range is one of {known}, not {self.range!r}")


@dataclass(frozen=True)
class Resolved:
    source: Source
    held_out: Source | None = None
    extractor: str | None = None  # what a data set is measured by, if nothing else is said


def resolved(given: object, how: Reading, count: int | None) -> Resolved:
    """A source of a text, a path, an array, a function or a network; `count` is what generators make.

    Raises Unreadable, or what data sets raise.
    """
    if isinstance(given, Source):
        return Resolved(given)
    if isinstance(given, str | Path):
        return of_text(str(given), how, count)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return Resolved(generated(name, given, how, count))
    if hasattr(given, "shape"):
        return Resolved(of_array(given, f"array{list(given.shape)}", how.range))
    raise Unreadable(f"a {type(given).__name__} is no source of images")


def of_text(text: str, how: Reading, count: int | None) -> Resolved:
    path = Path(text).expanduser()
    if is_named(text):
        if path.exists():
            raise Unreadable(
                f"{text} is a data set and a path here: write ./{text}, or {text}:train"
            )
        found = named(text)
        return Resolved(found.source, found.held_out, found.extractor)
    if path.is_dir():
        return Resolved(Folder(text, how.skip))
    if path.is_file():
        return Resolved(of_file(text, path, how, count))
    file, colon, key = text.rpartition(":")
    if colon and Path(file).expanduser().is_file() and not file.endswith(".py"):
        return Resolved(source_of(arrays(Path(file).expanduser(), key), text, how.range))
    if FUNCTION.fullmatch(text):
        return Resolved(generated(text, function_of(text), how, count))
    raise Unreadable(f"there is no folder, file or data set {text}{close_to(text)}")


def of_file(text: str, path: Path, how: Reading, count: int | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return Zip(text, how.skip)
    if is_exported(path):
        if not how.trust:
            raise Unreadable(f"{text} is an exported network, which is code: {WHY}")
        network, latent = exported(path, how.device, how.latent)
        return Generated(text, network, asked(count, text), how.seed, latent, how.device, how.range)
    if suffix not in READERS:
        kinds = ", ".join(sorted({".zip", ".pt2", *READERS}))
        raise Unreadable(f"{text} is no set of images: a set is a folder, or a file of {kinds}")
    return source_of(arrays(path, None), text, how.range)


def generated(name: str, make: Callable[..., Any], how: Reading, count: int | None) -> Source:
    return Generated(
        name,
        make,
        asked(count, name),
        how.seed,
        how.latent,
        how.device,
        how.range,
    )


def asked(count: int | None, name: str) -> int:
    if count is None:
        raise Unreadable(f"{name} makes as many images as are wanted: say how many by --count")
    return count


def close_to(text: str) -> str:
    """`; did you mean ...?`, of data sets and of what lies beside."""
    path = Path(text).expanduser()
    beside: Iterable[str] = ()
    if path.parent.is_dir():
        beside = (str(path.parent / p.name) for p in path.parent.iterdir())
    known = sorted({*DATA, *(name.removeprefix("./") for name in beside)})
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
