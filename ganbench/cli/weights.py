"""Missing weights files: found before torch is imported, downloaded on request."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from ganbench.errors import NotDownloaded

from .base import err, fail
from .streams import restore_stdout

TORCH_FIDELITY = ("torch-fidelity", "torch_fidelity")  # protocols that measure on Inception
INCEPTION = "inception"


def require_weights_of_command(extractor: str | None, protocol: str, *sources: str) -> None:
    """Raises NotDownloaded, without torch, if the weights of an evaluation are missing.

    Data sets and array files decide on their extractor later, when they are read.
    """
    from ganbench.evaluation.extractors.weight_files import require_weights

    if extractor is not None:
        require_weights(extractor)
    elif protocol in TORCH_FIDELITY or (sources and all(map(holds_image_files, sources))):
        require_weights(INCEPTION)


def holds_image_files(text: str) -> bool:
    """Returns whether a text names a folder or an archive."""
    path = Path(text)
    try:
        return path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file())
    except (OSError, ValueError):  # a text that can be no path
        return False


def fit_remedies(error: NotDownloaded, options: set[str]) -> NotDownloaded:
    """Returns the error with --protocol in its remedy if the command has no --extractor."""
    from ganbench.evaluation.extractors.weight_files import (
        WITHOUT_DOWNLOAD,
        replace_extractor_remedy,
    )

    if "extractor" in options or "protocol" not in options:
        return error
    option = f"--protocol \"ganbench(extractor='{WITHOUT_DOWNLOAD}')\""
    return replace_extractor_remedy(error, f"{option}, no download")


def download_on_request(error: NotDownloaded) -> None:
    """Offers a download; after it, runs the same command again in place of this process.

    Ends the program if the answer is no.
    """
    err.print_line(str(error))
    err.print(f"Download {error.download} now? [y/N] ", end="", markup=False)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        fail("Nothing was downloaded.", error.exit_code)
    from .catalog import download

    download(error.download)
    run_again()


def run_again() -> NoReturn:
    """Replaces this process by a new one with the same command line."""
    sys.stdout.flush()
    sys.stderr.flush()
    restore_stdout()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
