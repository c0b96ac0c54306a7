"""Claim files by name, without importing torch."""

import tomllib
from pathlib import Path
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.experiments.suite_files import first_sentence, toml_files_by_name
from ganbench.registry import shorten, suggest

SHIPPED = Path(__file__).parent / "files"  # in a wheel
CLONED = Path(__file__).parents[2] / "claims"


class ClaimError(GanbenchError, ValueError):
    """All errors of a claim file, one per line."""


class ClaimMisfit(ClaimError):
    """A key of a claim that does not fit its suite."""

    def __init__(self, location: tuple[int | str, ...], message: str):
        super().__init__(message)
        self.location = location


def known_claims() -> dict[str, Path]:
    """Returns the files of claims that are known by name."""
    return toml_files_by_name((Path("claims"), SHIPPED, CLONED))


def find_claim_file(text: str) -> Path:
    """Returns the path of `claims/pacgan.toml` or, for short, `pacgan`; raises ClaimError."""
    path, known = Path(text), known_claims()
    if path.is_file() or path.suffix:
        return path
    if text not in known:
        raise ClaimError(f"there is no claim {shorten(text)!r}{suggest(text, known)}")
    return known[text]


def name_fault(name: object, path: Path) -> str:
    """Returns the fault of a claim's name that is not its file's, or an empty text."""
    if name == path.stem:
        return ""
    return (
        f'the claim\'s name is {name!r}, but its file is {path.name}: write name = "{path.stem}", '
        "or rename the file"
    )


def list_claims() -> list[dict[str, Any]]:
    """Returns name, first sentence, suite and path of each known claim."""
    return [describe_claim(name, path) for name, path in sorted(known_claims().items())]


def describe_claim(name: str, path: Path) -> dict[str, Any]:
    """Returns the entry of a claim in the list; of a broken file, the reason."""
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
        about, suite = first_sentence(str(content["about"])), str(content["suite"])
        if fault := name_fault(content["name"], path):
            raise ValueError(fault)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        about, suite = f"{path} cannot be read: {' '.join(str(error).split())}", ""
    return {"spec": name, "about": about, "suite": suite, "path": str(path)}
