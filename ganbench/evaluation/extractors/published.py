"""Published weights files: given by the user, found in a cache, or downloaded on request.

The file name states the start of the SHA-256, as in torch.hub, and ganbench verifies it. A file that
the user names may have any name. The full SHA-256 is part of every protocol that uses the weights.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ganbench.data.base import NotDownloaded
from ganbench.data.paths import data_root

Weights = dict[str, Tensor]
Built = TypeVar("Built")


@dataclass(frozen=True)
class PublishedWeights:
    """A published weights file. `sha256` is the start of its SHA-256, or empty if unpublished."""

    of: str  # the spec for `ganbench download`
    url: str
    file: str  # file name in caches
    sha256: str = ""
    flag: str = ""  # the command-line option for a file, if any

    @property
    def environment_variable(self) -> str:
        """The environment variable for the path of a weights file."""
        return f"GANBENCH_{self.of.partition('(')[0].upper()}"

    def candidate_paths(self) -> list[Path]:
        """Returns the user's path alone, or the paths in the data folder and torch.hub's cache."""
        if given := os.environ.get(self.environment_variable):
            return [Path(given).expanduser()]
        return [self.download_path(), Path(torch.hub.get_dir()) / "checkpoints" / self.file]

    def download_path(self) -> Path:
        return data_root() / "weights" / self.file

    def read(self) -> bytes:
        """Returns the file's content; raises NotDownloaded if it is missing or damaged."""
        places = self.candidate_paths()
        path = next((path for path in places if path.is_file()), None)
        if path is None:
            named = (
                f" at {places[0]}, which {self.environment_variable} names"
                if len(places) == 1
                else ""
            )
            raise NotDownloaded(
                f"{self.of}'s weights are not on this machine{named}: {self.remedy()}"
            )
        content = path.read_bytes()
        if path.name == self.file and not self.matches(content):
            digest = hashlib.sha256(content).hexdigest()[: len(self.sha256)]
            raise NotDownloaded(
                f"{path} is damaged (its SHA-256 begins with {digest}): delete it, and {self.remedy()}"
            )
        return content

    def matches(self, content: bytes) -> bool:
        """Returns whether the SHA-256 of the content begins as published."""
        return hashlib.sha256(content).hexdigest().startswith(self.sha256)

    def remedy(self) -> str:
        checksum = f" (SHA-256 {self.sha256[:8]}...)" if self.sha256 else ""
        name = f'"{self.of}"' if "(" in self.of else self.of  # quoted for the shell
        ways = " or ".join(filter(None, (self.flag, self.environment_variable)))
        return (
            f"run `ganbench download {name}`, which downloads {self.url}{checksum}, put that file into "
            f"{self.download_path().parent} as {self.file}, or give its path with {ways}"
        )

    def download(self) -> None:
        """Downloads the file to the data folder.

        Raises an error of urllib or RuntimeError, for example for a wrong checksum.
        """
        self.download_path().parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(self.url, str(self.download_path()), self.sha256 or None)

    def read_tensors(self, content: bytes) -> Weights:
        """Returns the tensors in a file without running code.

        Raises NotDownloaded if the file holds anything other than a dict of tensors.
        """
        try:
            with warnings.catch_warnings():  # warnings on TorchScript programs, which raise below
                warnings.simplefilter("ignore")
                tensors = torch.load(io.BytesIO(content), "cpu", weights_only=True)
        except Exception as error:  # the unpickler raises almost anything on damaged files
            problem = f"{self.describe_file()} holds more than weights, or no weights: ganbench does not open it"
            raise NotDownloaded(f"{problem}; {self.remedy()}") from error
        if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
            raise NotDownloaded(f"{self.describe_file()} holds no dict of tensors: {self.remedy()}")
        return dict(tensors)

    def build_with_weights(self, build: Callable[[], Built]) -> Built:
        """Returns the result of `build`; raises NotDownloaded if the weights do not fit."""
        try:
            return build()
        except (RuntimeError, KeyError) as error:
            raise NotDownloaded(
                f"{self.describe_file()} has weights for another network: {self.remedy()}"
            ) from error

    def describe_file(self) -> str:
        """Returns the path of the file in use, for messages."""
        return str(next((path for path in self.candidate_paths() if path.is_file()), self.file))


def weights_as_file(weights: Weights) -> io.BytesIO:
    """Returns weights as a file in memory.

    torch-fidelity would unpickle a file on disk, which could run code.
    """
    copy = io.BytesIO()
    torch.save(weights, copy)
    copy.seek(0)
    return copy
