"""Sources from generators: a user's function or an exported network.

A function `module:function` is called as function(count, seed) and returns `count` images, as any
supported array. Its randomness must come from the seed alone, so that equal seeds give equal images.
With --latent it is called with latents instead: standard normal float32 [n, *latent]. Exported networks
are always called with latents.

Every call makes 50 images; a surplus in the last call is dropped. The arguments of a call depend only
on --seed and on the number of the call. A larger count therefore only adds images.
"""

import inspect
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.rng import RngStreams

from .base import PixelItem, Source, SourceItem
from .networks import (
    evaluation_mode,
    find_networks,
    first_parameter,
    name_training_networks,
    require_latent,
)
from .object_images import stack_images
from .pixel_range import (
    AUTO_RANGE,
    VALUE_RANGES,
    arrange_channels_first,
    check_pixel_dtype,
    detect_range,
    floats_to_uint8,
    measure_span,
)
from .user_code import place_of_function, user_code

GENERATED_PER_BATCH = 50  # images per call, for any batch size of the extractor
GENERATED_STREAM = "generated"
TRUST_REASON = "opening it can run any code in it, so ganbench opens it only with --trust"


class GeneratorSource(Source):
    """A source that calls a generator for its images, 50 at a time."""

    generated = runs_user_code = True

    def __init__(
        self,
        name: str,
        make: Callable[..., Any],
        count: int,
        seed: int = 0,
        latent: Sequence[int] | None = None,
        device: str = "cpu",
        range_name: str = AUTO_RANGE,
        imports: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        self.networks = find_networks(make)
        super().__init__(name, f"generated with seed {seed}", *self.mode_notes())
        if latent is None:
            refuse_function_of_latents(make, name)
        if latent is None and isinstance(make, nn.Module):
            require_latent(make, name)
        self.make, self.count, self.latent, self.imports = make, count, latent, imports
        self.streams, self.device = RngStreams(seed, torch.device("cpu")), torch.device(device)
        self.parameter = first_parameter(self.networks)
        if self.parameter is not None:
            self.device = self.parameter.device
        self.range_name, self.range = range_name, ""

    def mode_notes(self) -> list[str]:
        names = ", ".join(name_training_networks(self.networks))
        if not names:
            return []
        return [f"{names} is measured in evaluation mode, and left unchanged in training mode"]

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
        """Returns the images of one call: uint8 [GENERATED_PER_BATCH, C, H, W]."""
        with self.running():
            images = self.generate_batch(number)
        with user_code(f"{self.name} returned a {type(images).__name__}, not an array of images:"):
            rows = stack_images(images, self.name).cpu()
        if not rows.ndim or len(rows) != GENERATED_PER_BATCH:
            raise Unreadable(
                f"{self.name} must return {GENERATED_PER_BATCH} images, but returned shape {list(rows.shape)}"
            )
        check_pixel_dtype(rows, self.name)
        rows = arrange_channels_first(rows, self.name)
        if not rows.is_floating_point():
            return rows
        span = measure_span(rows, self.name)
        detected = detect_range(span, self.range_name, self.name)
        self.range = self.range or detected
        if detected == "-1,1" and self.range != "-1,1":
            raise Unreadable(f"{self.name} returned floats in [0, 1] at first, and now from {span}")
        return floats_to_uint8(rows, self.range)

    def generate_batch(self, number: int) -> Any:
        # Seeds torch's global generator too, for code that draws from it.
        with self.streams.seeded_globally(GENERATED_STREAM, number):
            if self.latent is None:
                return self.make(
                    GENERATED_PER_BATCH, self.streams.derive_seed(GENERATED_STREAM, number) % 2**32
                )
            random = self.streams.generator(GENERATED_STREAM, number)
            latents = torch.randn(GENERATED_PER_BATCH, *self.latent, generator=random)
            return self.make(self.fit_latents(latents))

    def fit_latents(self, latents: Tensor) -> Tensor:
        """Returns latents on the generator's device, and in a network's own precision."""
        if isinstance(self.make, nn.Module) and self.parameter is not None:
            return latents.to(self.parameter)
        return latents.to(self.device)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the user's code in evaluation mode, and explains its errors."""
        is_network = self.latent is None and isinstance(self.make, nn.Module)
        called = ", called with a count and a seed as no latent shape is set," if is_network else ""
        action = f"{self.name}{called} raised"
        with user_code(action, self.make), self.imports(), evaluation_mode(self.networks):
            yield

    def latent_sampler(self) -> LatentSampler | None:
        """Returns the sampler for perceptual path length, or None for a function without latents."""
        if self.latent is None:
            return None
        width = math.prod(self.latent)

        def draw_latents(count: int, random: torch.Generator) -> Tensor:
            return torch.randn(count, width, generator=random, device=random.device)

        return LatentSampler(draw_latents, width, self.images_of_latents, self.device)

    def images_of_latents(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns the images for latents [N, L], unrounded: float32 [N, C, H, W] in [-1, 1].

        Raises MetricNotApplicable if the generator returns integers.
        """
        assert self.latent is not None
        shaped = self.fit_latents(latents.view(-1, *self.latent))
        # The noise inside layers is the same at every call.
        with self.running(), self.streams.seeded_globally(GENERATED_STREAM, "paths"):
            rows = stack_images(self.make(shaped), self.name)
        if not rows.is_floating_point():
            raise MetricNotApplicable("needs float images, but this generator returns integers")
        low, high = VALUE_RANGES[self.range]
        return (arrange_channels_first(rows, self.name).float() - low) * (2 / (high - low)) - 1


def refuse_function_of_latents(make: Callable[..., Any], name: str) -> None:
    """Raises Unreadable for a function that cannot be called with a count and a seed."""
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # of a function that is written in C
        return
    try:
        signature.bind(GENERATED_PER_BATCH, 0)
    except TypeError as error:
        place = place_of_function(make)
        raise Unreadable(
            f"{name} cannot be called with a count and a seed: {error}{f' ({place})' if place else ''}. "
            "Set --latent for a function of latents"
        ) from error


def is_exported_network(path: Path) -> bool:
    """Returns whether a file is a network exported by TorchScript or torch.export."""
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
    """Returns the network in a file and the shape of its latents.

    A `.pt2` file stores an example input, so `latent` may be None. Raises Unreadable if the file
    cannot be loaded or the shape is unknown.
    """
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
            f"{path} is not an exported network that this PyTorch can open: {text}"
        ) from error
    if latent is None:
        raise Unreadable(
            f"{path} does not state the size of its latents: set it, for example --latent 128"
        )
    return network, latent


def network_of_program(program: Any, device: str) -> Callable[..., Any]:
    """Returns the network of a torch.export program; pads batches if their size is fixed."""
    network = program.module().to(device)
    for module in network.modules():
        module.training = False  # exported code has one mode, and refuses `eval()`
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
