"""Published weights: files that others publish, named by their user, kept in a cache, or downloaded when asked for.

How a file's SHA-256 begins is stated in its name, as torch.hub has it, and is verified. A file that the
user names is used whatever it is called: its whole SHA-256 is part of every protocol that it measures by.
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
    """A file of weights. `sha256` is how its own begins, or empty where its publisher tells none."""

    of: str  # what `ganbench download` calls it
    url: str
    file: str  # its name in caches
    sha256: str = ""
    flag: str = ""  # the option that names a file, where there is one

    @property
    def environment_variable(self) -> str:
        """The environment variable that names a file."""
        return f"GANBENCH_{self.of.partition('(')[0].upper()}"

    def candidate_paths(self) -> list[Path]:
        """Where it may lie: what the user names alone, or else where data lie, and where torch.hub puts it."""
        if given := os.environ.get(self.environment_variable):
            return [Path(given).expanduser()]
        return [self.download_path(), Path(torch.hub.get_dir()) / "checkpoints" / self.file]

    def download_path(self) -> Path:
        return data_root() / "weights" / self.file

    def read(self) -> bytes:
        """The file; raises NotDownloaded if there is none, or another one under its name."""
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
        """Is this the file that was published, as far as its name tells?"""
        return hashlib.sha256(content).hexdigest().startswith(self.sha256)

    def remedy(self) -> str:
        checksum = f" (SHA-256 {self.sha256[:8]}...)" if self.sha256 else ""
        name = f'"{self.of}"' if "(" in self.of else self.of  # as a shell takes it
        ways = " or ".join(filter(None, (self.flag, self.environment_variable)))
        return (
            f"run `ganbench download {name}`, which fetches {self.url}{checksum}, put that file into "
            f"{self.download_path().parent} as {self.file}, or name one by {ways}"
        )

    def download(self) -> None:
        """Fetches it to where data lie; raises what went wrong, a wrong checksum among it."""
        self.download_path().parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(self.url, str(self.download_path()), self.sha256 or None)

    def read_tensors(self, content: bytes) -> Weights:
        """The tensors in such a file, which is read as data only; raises NotDownloaded if it holds more, or none."""
        try:
            with warnings.catch_warnings():  # of programs, which are refused anyway
                warnings.simplefilter("ignore")
                tensors = torch.load(io.BytesIO(content), "cpu", weights_only=True)
        except Exception as error:  # over bytes at random the unpickler stumbles in any way
            problem = f"{self.describe_file()} holds more than weights, or none, and is not opened"
            raise NotDownloaded(f"{problem}: {self.remedy()}") from error
        if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
            raise NotDownloaded(
                f"{self.describe_file()} holds no table of tensors: {self.remedy()}"
            )
        return dict(tensors)

    def build_with_weights(self, build: Callable[[], Built]) -> Built:
        """What is built with these weights; raises NotDownloaded if they are of another network."""
        try:
            return build()
        except (RuntimeError, KeyError) as error:
            raise NotDownloaded(
                f"{self.describe_file()} is of another network: {self.remedy()}"
            ) from error

    def describe_file(self) -> str:
        """The file that is in use, as sentences call it."""
        return str(next((path for path in self.candidate_paths() if path.is_file()), self.file))


def weights_as_file(weights: Weights) -> io.BytesIO:
    """Weights as a file in memory: torch-fidelity would open a file on disk as a pickle that may run code."""
    copy = io.BytesIO()
    torch.save(weights, copy)
    copy.seek(0)
    return copy
