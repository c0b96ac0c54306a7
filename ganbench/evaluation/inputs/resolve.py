"""Finds the source that a text names: folder, archive, array, data set or generator."""

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from ganbench.data import DATA
from ganbench.data.base import Data
from ganbench.data.image_decoding import IMAGE_SUFFIXES, Unreadable
from ganbench.evaluation.options import EvaluationOptions
from ganbench.files import expand_home
from ganbench.registry import shorten

from .array_files import ARRAY_READERS, read_arrays
from .arrays import source_of_array, source_of_arrays
from .base import Source
from .dataset import load_dataset_side, names_dataset
from .generator import (
    TRUST_REASON,
    GeneratorSource,
    is_exported_network,
    load_exported_network,
)
from .image_folder import FolderSource, ZipSource
from .python_objects import source_of_object
from .user_code import FoundFunction, find_function

FUNCTION_PATTERN = re.compile(r"(?:[\w.]+|.*\.py):[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class ResolvedSource:
    source: Source
    held_out: Source | None = None
    data: Data | None = None  # the data set of which the source is a side

    @property
    def extractor(self) -> str | None:
        """The data set's default extractor."""
        return None if self.data is None else self.data.extractor


def resolve_source(given: object, how: EvaluationOptions, count: int | None) -> ResolvedSource:
    """Returns the source for a text, path, array, function, network, Dataset or list.

    `count` is the number of images that a generator makes. Raises Unreadable, and the errors of data
    sets (SpecError, NotDownloaded).
    """
    if isinstance(given, Source):
        return ResolvedSource(given)
    if isinstance(given, str | os.PathLike):
        return source_of_text(os.fspath(given), how, count)
    if isinstance(given, type):
        raise Unreadable(f"{given.__name__} is a class: pass an object of it, {given.__name__}()")
    if callable(given) and not isinstance(given, Dataset | DataLoader):
        name = getattr(given, "__name__", type(given).__name__)
        return ResolvedSource(source_of_generator(name, FoundFunction(given), how, count))
    if hasattr(given, "shape"):
        return ResolvedSource(source_of_array(given, f"array{list(given.shape)}", how.value_range))
    return ResolvedSource(source_of_object(given, how.seed, how.value_range))


def source_of_text(text: str, how: EvaluationOptions, count: int | None) -> ResolvedSource:
    check_name(text)
    path = expand_home(text)
    if names_dataset(text):
        if path.exists():
            raise Unreadable(
                f"{text} is both a data set and a path: write ./{text}, or {text}:train"
            )
        side = load_dataset_side(text)
        return ResolvedSource(side.source, side.held_out, side.data)
    if path.is_dir():
        return ResolvedSource(FolderSource(text, how.skip_unreadable))
    if path.is_file():
        return ResolvedSource(source_of_file(text, path, how, count))
    file, colon, key = text.rpartition(":")
    if colon and expand_home(file).is_file() and not file.endswith(".py"):
        return ResolvedSource(
            source_of_arrays(read_arrays(expand_home(file), key), text, how.value_range)
        )
    if FUNCTION_PATTERN.fullmatch(text):
        return ResolvedSource(source_of_generator(text, find_function(text), how, count))
    raise Unreadable(missing_source_sentence(text))


def refuse_missing_sources(*sources: object) -> None:
    """Raises Unreadable with a line for each text that names no images."""
    texts = [os.fspath(s) for s in sources if isinstance(s, str | os.PathLike)]
    missing = [text for text in dict.fromkeys(texts) if names_nothing(text)]
    if missing:
        raise Unreadable("\n".join(map(missing_source_sentence, missing)))


def names_nothing(text: str) -> bool:
    """Returns whether a text is no data set, path, array in a file, or function."""
    check_name(text)
    file, colon, _ = text.rpartition(":")
    return not (
        expand_home(text).exists()
        or names_dataset(text)
        or (colon and expand_home(file).is_file())
        or FUNCTION_PATTERN.fullmatch(text)
    )


def missing_source_sentence(text: str) -> str:
    return f"there is no folder, file or data set {text}{suggest_source(text)}"


def check_name(text: str) -> None:
    """Raises Unreadable for a text that can be no file's name."""
    if not text.strip():
        raise Unreadable("an empty text names no images: pass a folder, a file or a data set")
    try:
        expand_home(text).exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreadable(
            f"there is no folder, file or data set {shorten(text)!r}: {reason}"
        ) from error


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
    if suffix == ".py":
        raise Unreadable(f"{text} is code: name a function of it that makes images, {text}:NAME")
    if suffix in IMAGE_SUFFIXES:
        raise Unreadable(f"{text} is one image: pass a folder of images")
    if suffix not in ARRAY_READERS:
        kinds = ", ".join(sorted({".zip", ".pt2", *ARRAY_READERS}))
        raise Unreadable(
            f"{text} cannot be read as images: pass a folder, or a file of type {kinds}"
        )
    return source_of_arrays(read_arrays(path, None), text, how.value_range)


def source_of_generator(
    name: str, make: FoundFunction, how: EvaluationOptions, count: int | None
) -> Source:
    return GeneratorSource(
        name,
        make.call,
        require_count(count, name),
        how.seed,
        how.latent_shape,
        how.device,
        how.value_range,
        make.imports,
    )


def require_count(count: int | None, name: str) -> int:
    if count is None:
        raise Unreadable(f"{name} is a generator: set the number of images with --count")
    return count


def suggest_source(text: str) -> str:
    """Returns `; did you mean ...?` with the closest data set or path, or an empty text."""
    path = expand_home(text)
    beside: Iterable[str] = ()
    if path.parent.is_dir():
        beside = (str(path.parent / p.name) for p in path.parent.iterdir())
    candidates = sorted({*DATA, *(name.removeprefix("./") for name in beside)})
    close = difflib.get_close_matches(text, candidates, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
