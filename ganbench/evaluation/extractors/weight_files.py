"""Published weights files: addresses, checksums, and places on this machine.

This module imports no torch, so that a missing file is reported at once. The name of a file states the
start of its SHA-256, as in torch.hub. A file that the user names may have any name.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ganbench.data.paths import data_root
from ganbench.errors import MissingWeights, NotDownloaded
from ganbench.files import expand_home
from ganbench.registry import SpecError, parse_spec

FIDELITY_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
CLIP_URL = "https://openaipublic.azureedge.net/clip/models"
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2"
CLIP_FILES = {  # by model: SHA-256 and file name, of OpenAI
    "rn50": ("afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", "RN50"),
    "vit-b-32": ("40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", "ViT-B-32"),
    "vit-b-16": ("5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", "ViT-B-16"),
    "vit-l-14": ("b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", "ViT-L-14"),
    "vit-l-14-336px": (
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "ViT-L-14-336px",
    ),
}
Dinov2Model = Literal["vit-s-14", "vit-b-14", "vit-l-14"]
DINOV2_MODELS = get_args(Dinov2Model)
DEFAULT_MODELS = {"clip": "vit-b-32", "dinov2": "vit-l-14"}
WITHOUT_DOWNLOAD = "efficientnet_lite0"  # its weights come with a package
OTHER_EXTRACTOR = f"--extractor {WITHOUT_DOWNLOAD}, no download"


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file. `sha256` is the start of its SHA-256, or empty if unpublished."""

    of: str  # the spec for `ganbench download`
    url: str
    file: str  # file name in caches
    sha256: str = ""
    flag: str = ""  # the command-line option for a file, if any
    other: str = OTHER_EXTRACTOR  # the remedy without the file

    @property
    def environment_variable(self) -> str:
        """The environment variable for the path of a weights file."""
        return f"GANBENCH_{self.of.partition('(')[0].upper()}"

    def candidate_paths(self) -> list[Path]:
        """Returns the user's path alone, or the paths in the data folder and torch.hub's cache."""
        if given := os.environ.get(self.environment_variable):
            return [expand_home(given)]
        return [self.download_path(), self.hub_folder() / "checkpoints" / self.file]

    def download_path(self) -> Path:
        return data_root() / "weights" / self.file

    def hub_folder(self) -> Path:
        """Returns the folder of torch.hub."""
        return torch_hub_folder()

    def find(self) -> Path:
        """Returns the path of the file; raises NotDownloaded if it is missing."""
        places = self.candidate_paths()
        path = next((path for path in places if path.is_file()), None)
        if path is None:
            download = self.of if len(places) > 1 else ""
            raise MissingWeights(self.missing_facts(), self.other, download)
        return path

    def read(self) -> bytes:
        """Returns the file's content; raises NotDownloaded if it is missing or damaged."""
        path = self.find()
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

    def missing_facts(self) -> str:
        """Returns the sentence about a missing file, and a line for each way to get it."""
        given = os.environ.get(self.environment_variable)
        named = f" at {given}, which {self.environment_variable} names" if given else ""
        lines = [
            f"{self.of}'s weights are not on this machine{named}.",
            f"  download:  {self.download_command()}",
            f"  file:      {self.file_options()}",
        ]
        return "\n".join(lines)

    def download_command(self) -> str:
        name = f'"{self.of}"' if "(" in self.of else self.of  # quoted for the shell
        return f"ganbench download {name}"

    def file_options(self) -> str:
        options = [f"{self.flag} FILE"] if self.flag else []
        return " or ".join([*options, f"{self.environment_variable}=FILE"])

    def remedy(self) -> str:
        return f"run `{self.download_command()}`, or name another file with {self.file_options()}"

    def source(self) -> str:
        """Returns address, checksum and place of the file, for a download on another machine."""
        checksum = f" (SHA-256 {self.sha256[:8]}...)" if self.sha256 else ""
        return f"{self.url}{checksum}, to {self.download_path()}"


def torch_hub_folder() -> Path:
    """Returns the folder of torch.hub, by its rules, without importing torch."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(caches) / "torch"))
    return expand_home(home) / "hub"


def inception_file() -> WeightsFile:
    name = "weights-inception-2015-12-05-6726825d.pth"
    url = f"{FIDELITY_URL}/{name}"
    return WeightsFile("inception", url, name, "6726825d", flag="--inception-weights")


def vgg16_file() -> WeightsFile:
    name = "vgg16-397923af.pth"
    return WeightsFile("vgg16", f"https://download.pytorch.org/models/{name}", name, "397923af")


def lpips_file() -> WeightsFile:
    name = "weights-vgg16-lpips.pth"
    other = "ppl(distance='extractor'), no download"
    return WeightsFile("lpips", f"{FIDELITY_URL}/{name}", name, other=other)


def clip_file(model: str) -> WeightsFile:
    sha256, name = CLIP_FILES[model]
    file = f"clip-{model}-{sha256}.pt"
    return WeightsFile(spec_of("clip", model), f"{CLIP_URL}/{sha256}/{name}.pt", file, sha256)


def dinov2_file(model: str) -> WeightsFile:
    name = f"dinov2_{model.replace('-', '')}"  # vit-l-14 is dinov2_vitl14
    file = f"{name}_pretrain.pth"
    return WeightsFile(spec_of("dinov2", model), f"{DINOV2_URL}/{name}/{file}", file)


def spec_of(extractor: str, model: str) -> str:
    """Returns `clip`, or `clip(model='vit-l-14')` for another than the default model."""
    return extractor if model == DEFAULT_MODELS[extractor] else f"{extractor}(model='{model}')"


def weights_file_of(extractor: str) -> WeightsFile | None:
    """Returns the published file of an extractor's spec, or None if it has none."""
    try:
        spec = parse_spec(extractor)
    except SpecError:
        return None
    if spec.name in ("inception", "vgg16"):
        return inception_file() if spec.name == "inception" else vgg16_file()
    model = dict(spec.settings).get("model", DEFAULT_MODELS.get(spec.name))
    if spec.name == "clip" and model in CLIP_FILES:
        return clip_file(str(model))
    if spec.name == "dinov2" and model in DINOV2_MODELS:
        return dinov2_file(str(model))
    return None


def replace_extractor_remedy(error: NotDownloaded, remedy: str) -> NotDownloaded:
    """Returns the error with another remedy in place of the option --extractor, if any."""
    if not isinstance(error, MissingWeights) or error.other != OTHER_EXTRACTOR:
        return error
    return MissingWeights(error.facts, remedy, error.download)


def require_weights(extractor: str) -> None:
    """Raises NotDownloaded if the published file of an extractor is missing."""
    if file := weights_file_of(extractor):
        file.find()
