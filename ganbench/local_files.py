"""Local files: code of users that suites name, such as `my_tricks.py:Blur(sigma=1)`.

A suite from elsewhere could name any code, so a local file runs only after --trust. Its text has a hash,
which is part of the identity of trials. Stores keep a copy, so that an edit does not affect a run in
progress. Worker processes find the copies by an environment variable.
"""

import ast
import hashlib
import io
import json
import linecache
import os
import re
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ganbench.errors import GanbenchError

VARIABLE = "GANBENCH_LOCAL_FILES"  # JSON of path and hash by name, for worker processes
MODULE_PREFIX = "ganbench_local_"
LOCAL_NAME = re.compile(r"(?P<file>[^:]+\.py):(?P<part>\w+)")
MAX_BYTES = 2**20
DIGEST_CHARACTERS = 16


class LocalFileError(GanbenchError, ValueError):
    """A local file is missing, is not trusted, or has no such part."""


@dataclass(frozen=True)
class LocalFile:
    """A local file under the name that suites give it, which is relative to the suite."""

    name: str
    path: Path  # of the file, or of its copy in a store
    expected: str = ""  # the hash of the copy

    @cached_property
    def text(self) -> str:
        """The source; raises LocalFileError if it cannot be read, or is not the expected one."""
        text = read_source(self.path, self.name)
        if self.expected and hash_text(text) != self.expected:
            raise LocalFileError(
                f"{self.name} has changed since these trials were planned ({self.path}): "
                "repeat `ganbench run`"
            )
        return text

    @cached_property
    def digest(self) -> str:
        return self.expected or hash_text(self.text)

    @property
    def module_name(self) -> str:
        return MODULE_PREFIX + self.digest


@dataclass
class _State:
    """The local files of this process."""

    files: dict[str, LocalFile] = field(default_factory=dict)
    used: dict[str, set[str]] = field(default_factory=dict)  # hashes by the kind of a part
    is_trusted: bool = False
    untrusted: set[str] = field(default_factory=set)  # names that stores know, without trust
    folder: Path | None = None  # of the suite that is being read
    read: set[str] = field(default_factory=set)  # names that this suite has read already
    caches: list[Callable[[], None]] = field(default_factory=list)


_state = _State()


def is_local(name: str) -> bool:
    """Returns whether a part's name is that of a local file, such as `my_tricks.py:Blur`."""
    return LOCAL_NAME.fullmatch(name) is not None


def part_of(name: str) -> str:
    """Returns `Blur` for `my_tricks.py:Blur`, and other names as they are."""
    return name.rpartition(":")[2]


def trust_local_files(wanted: bool = True) -> bool:
    """Allows the code of local files to run in this process, if wanted; returns `wanted`."""
    _state.is_trusted = _state.is_trusted or wanted
    return wanted


def clear_when_changed(clear: Callable[[], None]) -> None:
    """Registers the `cache_clear` of a cache with specs as keys: specs may name local files."""
    _state.caches.append(clear)


@contextmanager
def resolve_beside(folder: Path) -> Iterator[None]:
    """Finds local files relative to the folder of a suite, and reads each of them anew."""
    before = _state.folder, _state.read
    _state.folder, _state.read = folder, set()
    try:
        yield
    finally:
        _state.folder, _state.read = before


def find_local_file(name: str) -> LocalFile:
    """Returns the file of `my_tricks.py:Blur`.

    Raises LocalFileError if it is missing or not trusted.
    """
    file = name.rpartition(":")[0]
    if _state.folder is not None and file not in _state.read:
        local = LocalFile(file, Path(_state.folder, file).absolute())
        _ = local.text  # raises for a missing file, which --trust would not mend
        require_trust(file)
        bind_files([local])
        _state.read.add(file)
    if file in _state.untrusted:
        require_trust(file)
    if file not in _state.files:
        _state.files = known_files()
    if file not in _state.files:
        raise LocalFileError(f"{name} is in a local file: only a suite can name it")
    return _state.files[file]


def name_files(text: str) -> str:
    """Replaces the internal names of local modules by those of their files: `my_losses`."""
    for file in known_files().values():
        text = text.replace(file.module_name, Path(file.name).stem)
    return text


def require_trust(file: str) -> None:
    if not _state.is_trusted:
        raise LocalFileError(
            f"{file} is code that this command would run: read it, then add --trust"
        )


def bind_files(files: list[LocalFile]) -> None:
    """Makes files known under their names, to this process and to its workers."""
    old = {name: file.digest for name, file in _state.files.items()}
    changed = [file for file in files if old.get(file.name, file.digest) != file.digest]
    _state.files |= {file.name: file for file in files}
    _state.untrusted -= _state.files.keys()
    for clear in _state.caches if changed else ():
        clear()
    places = {n: [str(file.path), file.digest] for n, file in _state.files.items()}
    os.environ[VARIABLE] = json.dumps(places)


def bind_stored_files(digests: Mapping[str, str], folder: Path) -> None:
    """Makes copies in a store known. Without trust, only their use raises LocalFileError."""
    files = [LocalFile(n, (folder / f"{d}.py").absolute(), d) for n, d in digests.items()]
    if _state.is_trusted:
        bind_files(files)
    else:
        _state.untrusted |= digests.keys()


def read_environment() -> dict[str, LocalFile]:
    """Returns the files that the process that started this one has bound."""
    places = json.loads(os.environ.get(VARIABLE) or "{}")
    return {name: LocalFile(name, Path(path), digest) for name, (path, digest) in places.items()}


def known_files() -> dict[str, LocalFile]:
    """Returns the local files of this process by name."""
    return read_environment() | _state.files


def forget_local_files() -> None:
    """Forgets all local files, their modules and the trust in them, for tests."""
    for file in known_files().values():
        sys.modules.pop(file.module_name, None)
    os.environ.pop(VARIABLE, None)
    _state.files.clear()
    _state.used.clear()
    _state.untrusted.clear()
    _state.is_trusted = False
    for clear in _state.caches:
        clear()


def used_digests(kind: str) -> list[str]:
    """Returns the hashes of local files from which this process has loaded parts of a kind."""
    return sorted(_state.used.get(kind, ()))


def load_local_part(kind: str, name: str, base: type | None) -> type:
    """Returns the class of `my_tricks.py:Blur`.

    Its version becomes a number made from the file's hash, so that changes count by themselves. Raises
    LocalFileError if the file has no such class, or if it is not of the base class.
    """
    file, part = find_local_file(name), part_of(name)
    loaded = getattr(load_module(file), part, None)
    if not isinstance(loaded, type) or loaded.__module__ != file.module_name:
        raise LocalFileError(f"{file.name} has no class {part!r}{suggest_class(file.text, part)}")
    if base is not None and not issubclass(loaded, base):
        raise LocalFileError(
            f"{part} in {file.name} is no {kind}: derive it from ganbench.extend.{base.__name__}"
        )
    loaded.version = version_of(file.digest)  # type: ignore[attr-defined]
    _state.used.setdefault(kind, set()).add(file.digest)
    return loaded


def load_local_value(name: str) -> object:
    """Returns a value of a local file, such as a recipe; raises LocalFileError for none."""
    file, part = find_local_file(name), part_of(name)
    if not hasattr(module := load_module(file), part):
        raise LocalFileError(f"{file.name} has no {part!r}")
    return getattr(module, part)


def version_of(digest: str) -> int:
    """Returns a version that JSON and tables, with 32 bits, hold exactly."""
    return int(digest[:7], 16)


def suggest_class(text: str, part: str) -> str:
    names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    return f"; it has {', '.join(names)}" if names else f"; write `class {part}` in it"


def load_module(file: LocalFile) -> ModuleType:
    """Returns the module of a local file; runs its code at the first call.

    Errors of its code pass. Their tracebacks name the file as suites do.
    """
    if file.module_name in sys.modules:
        return sys.modules[file.module_name]
    refuse_imports_beside(file)
    module = ModuleType(file.module_name)
    module.__spec__ = ModuleSpec(file.module_name, None, origin=str(file.path))
    module.__file__ = str(file.path)
    code = compile(file.text, file.name, "exec", dont_inherit=True)
    lines = file.text.splitlines(keepends=True)
    linecache.cache[file.name] = (len(file.text), None, lines, file.name)
    sys.modules[file.module_name] = module
    try:
        exec(code, vars(module))
    except BaseException:
        del sys.modules[file.module_name]
        raise
    return module


def refuse_imports_beside(file: LocalFile) -> None:
    """Raises LocalFileError for an import of a file beside it, which the hash would not cover."""
    folder = file.path.parent
    for node in ast.walk(ast.parse(file.text, file.name)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        for top in {name.partition(".")[0] for name in names}:
            if not top or is_beside(top, folder):
                raise LocalFileError(
                    f"{file.name}:{node.lineno} imports a file beside it: write both in one file, "  # type: ignore[attr-defined]
                    "or make a package"
                )


def is_beside(top: str, folder: Path) -> bool:
    """Returns whether an import of this name means a file or a package in a folder.

    A package needs no `__init__.py`. An installed one of the same name is another one.
    """
    is_there = (folder / f"{top}.py").exists() or (folder / top).is_dir()
    if top in sys.stdlib_module_names or not is_there:
        return False
    try:
        found = find_spec(top)
    except (ImportError, ValueError):
        return True
    if found is None:
        return True
    places = [found.origin] if found.has_location else found.submodule_search_locations
    return any(Path(place).is_relative_to(folder) for place in places or () if place)


def read_source(path: Path, name: str) -> str:
    """Returns the text of a Python file; raises LocalFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise LocalFileError(f"{name} has more than {MAX_BYTES:,} bytes")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise LocalFileError(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise LocalFileError(f"{name} is not text in UTF-8: save it in this encoding") from None
    except OSError as error:
        raise LocalFileError(f"{name} cannot be read: {error.strerror}") from None


def hash_text(text: str) -> str:
    """Returns the hash of a source, without comments and blank lines.

    It is the same for every version of Python. A source with a syntax error is hashed as it is.
    """
    with suppress(tokenize.TokenError, SyntaxError):
        text = strip_remarks(text)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def strip_remarks(text: str) -> str:
    """Returns a source without comments and without blank lines outside of texts."""
    lines = text.split("\n")
    blank = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        if token.type in (tokenize.NL, tokenize.COMMENT) and not lines[row - 1].strip():
            blank.add(row - 1)
    kept = [line for number, line in enumerate(lines) if number not in blank]
    return "\n".join(kept).rstrip("\n")
