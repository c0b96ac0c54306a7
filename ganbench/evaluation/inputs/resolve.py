"""What a text names: a folder, an archive, an array, a data set, a generator."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.data import DATA
from ganbench.data.image_decoding import Unreadable

from .array_files import ARRAY_READERS, read_arrays
from .arrays import source_of_array, source_of_arrays
from .base import Source
from .dataset import load_dataset_side, names_dataset
from .generator import (
    TRUST_REASON,
    GeneratorSource,
    find_function,
    is_exported_network,
    load_exported_network,
)
from .image_folder import FolderSource
from .pixel_range import AUTO_RANGE, VALUE_RANGES
from .zip_archive import ZipSource

FUNCTION_PATTERN = re.compile(r"(?:[\w.]+|.*\.py):[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read: what may be left out or run, and what generators are asked for."""

    range: str = AUTO_RANGE
    skip: bool = False
    trust: bool = False
    latent: tuple[int, ...] | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.range not in (AUTO_RANGE, *VALUE_RANGES):
            available = ", ".join((AUTO_RANGE, *VALUE_RANGES))
            raise Unreadable(f"--range is one of {available}, not {self.range!r}")


@dataclass(frozen=True)
class ResolvedSource:
    source: Source
    held_out: Source | None = None
    extractor: str | None = None  # what a data set is measured by, if nothing else is said


def resolve_source(given: object, how: ReadOptions, count: int | None) -> ResolvedSource:
    """A source of a text, a path, an array, a function or a network; `count` is what generators make.

    Raises Unreadable, or what data sets raise.
    """
    if isinstance(given, Source):
        return ResolvedSource(given)
    if isinstance(given, str | Path):
        return source_of_text(str(given), how, count)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return ResolvedSource(source_of_generator(name, given, how, count))
    if hasattr(given, "shape"):
        return ResolvedSource(source_of_array(given, f"array{list(given.shape)}", how.range))
    raise Unreadable(f"a {type(given).__name__} is no source of images")


def source_of_text(text: str, how: ReadOptions, count: int | None) -> ResolvedSource:
    path = Path(text).expanduser()
    if names_dataset(text):
        if path.exists():
            raise Unreadable(
                f"{text} is a data set and a path here: write ./{text}, or {text}:train"
            )
        side = load_dataset_side(text)
        return ResolvedSource(side.source, side.held_out, side.extractor)
    if path.is_dir():
        return ResolvedSource(FolderSource(text, how.skip))
    if path.is_file():
        return ResolvedSource(source_of_file(text, path, how, count))
    file, colon, key = text.rpartition(":")
    if colon and Path(file).expanduser().is_file() and not file.endswith(".py"):
        return ResolvedSource(
            source_of_arrays(read_arrays(Path(file).expanduser(), key), text, how.range)
        )
    if FUNCTION_PATTERN.fullmatch(text):
        return ResolvedSource(source_of_generator(text, find_function(text), how, count))
    raise Unreadable(f"there is no folder, file or data set {text}{suggest_source(text)}")


def source_of_file(text: str, path: Path, how: ReadOptions, count: int | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return ZipSource(text, how.skip)
    if is_exported_network(path):
        if not how.trust:
            raise Unreadable(f"{text} is an exported network, which is code: {TRUST_REASON}")
        network, latent = load_exported_network(path, how.device, how.latent)
        return GeneratorSource(
            text, network, require_count(count, text), how.seed, latent, how.device, how.range
        )
    if suffix not in ARRAY_READERS:
        kinds = ", ".join(sorted({".zip", ".pt2", *ARRAY_READERS}))
        raise Unreadable(f"{text} is no set of images: a set is a folder, or a file of {kinds}")
    return source_of_arrays(read_arrays(path, None), text, how.range)


def source_of_generator(
    name: str, make: Callable[..., Any], how: ReadOptions, count: int | None
) -> Source:
    return GeneratorSource(
        name,
        make,
        require_count(count, name),
        how.seed,
        how.latent,
        how.device,
        how.range,
    )


def require_count(count: int | None, name: str) -> int:
    if count is None:
        raise Unreadable(f"{name} makes as many images as are wanted: say how many by --count")
    return count


def suggest_source(text: str) -> str:
    """`; did you mean ...?`, of data sets and of what lies beside."""
    path = Path(text).expanduser()
    beside: Iterable[str] = ()
    if path.parent.is_dir():
        beside = (str(path.parent / p.name) for p in path.parent.iterdir())
    candidates = sorted({*DATA, *(name.removeprefix("./") for name in beside)})
    close = difflib.get_close_matches(text, candidates, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
