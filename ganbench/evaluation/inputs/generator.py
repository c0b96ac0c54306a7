"""Generators: a function of one's own, or an exported network, which is code as well.

A function `module:function` is called as function(count, seed), and returns so many images, as any array
may hold them. All that it draws must come from the seed: the same seed, the same images. With --latent
it is called by latents instead, and so is an exported network: standard normal float32 [n, *latent].
Either is asked for 50 images at a time, of which the last are dropped where fewer are wanted; what it is
given depends on --seed and on which fifty these are alone, so a larger count only adds images.
"""

import importlib
import importlib.util
import math
import sys
import sysconfig
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.rng import RngStreams

from .base import PixelItem, Source, SourceItem
from .pixel_range import (
    AUTO_RANGE,
    VALUE_RANGES,
    arrange_channels_first,
    check_pixel_dtype,
    detect_range,
    floats_to_uint8,
    measure_span,
)

GENERATED_PER_BATCH = 50  # images, whatever the batch of the extractor is
GENERATED_STREAM = "generated"
LIBRARY_FOLDERS = (
    str(Path(__file__).parents[1]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
)
TRUST_REASON = (
    "opening it can run any code that its maker put in, so ganbench opens it with --trust only"
)


class GeneratorSource(Source):
    generated = True

    def __init__(
        self,
        name: str,
        make: Callable[..., Any],
        count: int,
        seed: int = 0,
        latent: Sequence[int] | None = None,
        device: str = "cpu",
        range_name: str = AUTO_RANGE,
    ):
        super().__init__(name, f"made with seed {seed}")
        self.make, self.count, self.latent = make, count, latent
        self.streams, self.device = RngStreams(seed, torch.device("cpu")), torch.device(device)
        self.range_name, self.range = range_name, ""

    def __len__(self) -> int:
        return self.count

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        step = -(-size // GENERATED_PER_BATCH) * GENERATED_PER_BATCH
        for start in range(0, len(chosen), step):
            items: list[SourceItem] = []
            for first in range(start, min(start + step, len(chosen)), GENERATED_PER_BATCH):
                images = self.images_of_batch(first // GENERATED_PER_BATCH)[: len(chosen) - first]
                items += [PixelItem(f"{self.name}[{first + n}]", x) for n, x in enumerate(images)]
            yield items

    @torch.no_grad()
    def images_of_batch(self, number: int) -> Tensor:
        """Those of this number: uint8 [AT_ONCE, C, H, W]."""
        try:
            images = self.generate_batch(number)
        except Exception as error:  # it is the user's code
            raise Unreadable(f"{self.name} raised {describe_foreign_error(error)}") from error
        try:
            rows = torch.as_tensor(images).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise Unreadable(
                f"{self.name} made a {type(images).__name__}, and no array of images"
            ) from error
        if not rows.ndim or len(rows) != GENERATED_PER_BATCH:
            raise Unreadable(
                f"{self.name} was asked for {GENERATED_PER_BATCH} images and made {list(rows.shape)}"
            )
        check_pixel_dtype(rows, self.name)
        rows = arrange_channels_first(rows, self.name)
        if not rows.is_floating_point():
            return rows
        span = measure_span(rows, self.name)
        self.range = self.range or detect_range(span, self.range_name, self.name)
        if (
            self.range_name == AUTO_RANGE
            and detect_range(span, AUTO_RANGE, self.name) == "-1,1" != self.range
        ):
            raise Unreadable(f"{self.name} made floats in [0, 1] at first, and now from {span}")
        return floats_to_uint8(rows, self.range)

    def generate_batch(self, number: int) -> Any:
        with self.streams.seeded_globally(
            GENERATED_STREAM, number
        ):  # for code that draws from torch's own generator
            if self.latent is None:
                return self.make(
                    GENERATED_PER_BATCH, self.streams.derive_seed(GENERATED_STREAM, number) % 2**32
                )
            random = self.streams.generator(GENERATED_STREAM, number)
            latents = torch.randn(GENERATED_PER_BATCH, *self.latent, generator=random)
            return self.make(latents.to(self.device))

    def latent_sampler(self) -> LatentSampler | None:
        """What images on paths between latents are asked of; None of a function that knows no latents."""
        if self.latent is None:
            return None
        width = math.prod(self.latent)

        def draw_latents(count: int, random: torch.Generator) -> Tensor:
            return torch.randn(count, width, generator=random, device=random.device)

        return LatentSampler(draw_latents, width, self.images_of_latents, self.device)

    def images_of_latents(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents [N, L] in [-1, 1], as they were made: [N, C, H, W]."""
        assert self.latent is not None
        try:
            with self.streams.seeded_globally(
                GENERATED_STREAM, "paths"
            ):  # the same noise inside of layers each time
                rows = torch.as_tensor(self.make(latents.view(-1, *self.latent)))
        except Exception as error:  # it is the user's code
            raise Unreadable(f"{self.name} raised {describe_foreign_error(error)}") from error
        if not rows.is_floating_point():
            raise MetricNotApplicable(
                "needs images that nobody has rounded, and this generator makes bytes"
            )
        low, high = VALUE_RANGES[self.range]
        return (arrange_channels_first(rows, self.name).float() - low) * (2 / (high - low)) - 1


def describe_foreign_error(error: Exception) -> str:
    """An error of other people's code, and the line that it came from."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    own = [f for f in frames if not f.filename.startswith((*LIBRARY_FOLDERS, "<frozen"))]
    where = f" (line {own[0].lineno} of {own[0].filename})" if own else ""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}{where}"


def find_function(text: str) -> Callable[..., Any]:
    """`module:function` or `file.py:function`, found from the working folder too."""
    place, _, name = text.rpartition(":")
    try:
        module = import_file(Path(place)) if place.endswith(".py") else import_named_module(place)
    except Exception as error:  # it is the user's code
        raise Unreadable(
            f"{text}: {place} cannot be imported: {describe_foreign_error(error)}"
        ) from error
    attribute: Any = module
    for part in name.split("."):
        attribute = getattr(attribute, part, None)
    if not callable(attribute):
        raise Unreadable(f"{text}: {place} has no function {name}")
    return attribute.eval() if isinstance(attribute, nn.Module) else attribute


def import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path.expanduser())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_named_module(name: str) -> Any:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def is_exported_network(path: Path) -> bool:
    """Is this file a network and its code, by TorchScript or torch.export?"""
    if path.suffix.lower() == ".pt2":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def load_exported_network(
    path: Path, device: str, latent: Sequence[int] | None
) -> tuple[Callable[..., Any], Sequence[int]]:
    """The network in a file, and the shape of its latents, which torch.export keeps an example of."""
    network: Callable[..., Any]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() == ".pt2":
                program = torch.export.load(path)
                latent, network = (
                    latent or example_input_of(program),
                    network_of_program(program, device),
                )
            else:
                network = torch.jit.load(path, map_location=device).eval()
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise Unreadable(
            f"{path} is no exported network that this PyTorch opens: {text}"
        ) from error
    if latent is None:
        raise Unreadable(f"{path} does not tell the size of its latents: name it by --latent 128")
    return network, latent


def network_of_program(program: Any, device: str) -> Callable[..., Any]:
    """A program of torch.export; one that takes batches of a single size gets such, the last one filled up."""
    network = program.module().to(device)
    if program.range_constraints:
        return network
    size = len(program.example_inputs[0][0])

    def generate_padded(latents: Tensor) -> Tensor:
        more = -len(latents) % size
        filled = torch.cat([latents, latents[-1:].expand(more, *latents.shape[1:])])
        return torch.cat([network(part) for part in filled.split(size)])[: len(latents)]

    return generate_padded


def example_input_of(program: Any) -> Sequence[int] | None:
    inputs = program.example_inputs
    example = inputs[0][0] if inputs and inputs[0] else None
    return tuple(example.shape[1:]) if isinstance(example, Tensor) else None
