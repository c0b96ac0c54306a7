"""The tensors of published weights files, which are downloaded only on request.

The full SHA-256 of a file is part of every protocol that uses the weights.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ganbench.errors import NotDownloaded

from .weight_files import WeightsFile

Weights = dict[str, Tensor]
Built = TypeVar("Built")


class PublishedWeights(WeightsFile):
    """A published weights file, with its download and its tensors."""

    def hub_folder(self) -> Path:
        """Returns the folder of torch.hub, also after torch.hub.set_dir."""
        return Path(torch.hub.get_dir())

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


def published(file: WeightsFile) -> PublishedWeights:
    """Returns a file's description with the methods that need torch."""
    return PublishedWeights(*astuple(file))
