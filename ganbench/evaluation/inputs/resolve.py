"""Finds the source that a text names: folder, archive, array, data set or generator."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.data import DATA
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.options import EvaluationOptions

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
from .image_folder import FolderSource, ZipSource

FUNCTION_PATTERN = re.compile(r"(?:[\w.]+|.*\.py):[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class ResolvedSource:
    source: Source
    held_out: Source | None = None
    extractor: str | None = None  # the data set's default extractor


def resolve_source(given: object, how: EvaluationOptions, count: int | None) -> ResolvedSource:
    """Returns the source for a text, path, array, function or network.

    `count` is the number of images that a generator makes. Raises Unreadable, and the errors of data
    sets (SpecError, NotDownloaded).
    """
    if isinstance(given, Source):
        return ResolvedSource(given)
    if isinstance(given, str | Path):
        return source_of_text(str(given), how, count)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return ResolvedSource(source_of_generator(name, given, how, count))
    if hasattr(given, "shape"):
        return ResolvedSource(source_of_array(given, f"array{list(given.shape)}", how.value_range))
    raise Unreadable(f"a {type(given).__name__} cannot be read as images")


def source_of_text(text: str, how: EvaluationOptions, count: int | None) -> ResolvedSource:
    path = Path(text).expanduser()
    if names_dataset(text):
        if path.exists():
            raise Unreadable(
                f"{text} is both a data set and a path: write ./{text}, or {text}:train"
            )
        side = load_dataset_side(text)
        return ResolvedSource(side.source, side.held_out, side.extractor)
    if path.is_dir():
        return ResolvedSource(FolderSource(text, how.skip_unreadable))
    if path.is_file():
        return ResolvedSource(source_of_file(text, path, how, count))
    file, colon, key = text.rpartition(":")
    if colon and Path(file).expanduser().is_file() and not file.endswith(".py"):
        return ResolvedSource(
            source_of_arrays(read_arrays(Path(file).expanduser(), key), text, how.value_range)
        )
    if FUNCTION_PATTERN.fullmatch(text):
        return ResolvedSource(source_of_generator(text, find_function(text), how, count))
    raise Unreadable(f"there is no folder, file or data set {text}{suggest_source(text)}")


def source_of_file(text: str, path: Path, how: EvaluationOptions, count: int | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return ZipSource(text, how.skip_unreadable)
    if is_exported_network(path):
        if not how.trust:
            raise Unreadable(f"{text} is an exported network, which contains code: {TRUST_REASON}")
        network, latent = load_exported_network(path, how.device, how.latent_shape)
        return GeneratorSource(
            text, network, require_count(count, text), how.seed, latent, how.device, how.value_range
        )
    if suffix not in ARRAY_READERS:
        kinds = ", ".join(sorted({".zip", ".pt2", *ARRAY_READERS}))
        raise Unreadable(
            f"{text} cannot be read as images: pass a folder, or a file of type {kinds}"
        )
    return source_of_arrays(read_arrays(path, None), text, how.value_range)


def source_of_generator(
    name: str, make: Callable[..., Any], how: EvaluationOptions, count: int | None
) -> Source:
    return GeneratorSource(
        name,
        make,
        require_count(count, name),
        how.seed,
        how.latent_shape,
        how.device,
        how.value_range,
    )


def require_count(count: int | None, name: str) -> int:
    if count is None:
        raise Unreadable(f"{name} is a generator: set the number of images with --count")
    return count


def suggest_source(text: str) -> str:
    """Returns `; did you mean ...?` with the closest data set or path, or an empty text."""
    path = Path(text).expanduser()
    beside: Iterable[str] = ()
    if path.parent.is_dir():
        beside = (str(path.parent / p.name) for p in path.parent.iterdir())
    candidates = sorted({*DATA, *(name.removeprefix("./") for name in beside)})
    close = difflib.get_close_matches(text, candidates, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
