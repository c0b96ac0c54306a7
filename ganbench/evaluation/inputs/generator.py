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
from ganbench.gan.latent_sampler import Sampler
from ganbench.rng import RngStreams

from .base import Item, Pixels, Source
from .pixel_range import AUTO, RANGES, arranged, as_bytes, check_dtype, range_of, span_of

AT_ONCE = 50  # images, whatever the batch of the extractor is
STREAM = "generated"
LIBRARIES = (
    str(Path(__file__).parents[1]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
)
WHY = "opening it can run any code that its maker put in, so ganbench opens it with --trust only"


class Generated(Source):
    generated = True

    def __init__(
        self,
        name: str,
        make: Callable[..., Any],
        count: int,
        seed: int = 0,
        latent: Sequence[int] | None = None,
        device: str = "cpu",
        range_name: str = AUTO,
    ):
        super().__init__(name, f"made with seed {seed}")
        self.make, self.count, self.latent = make, count, latent
        self.streams, self.device = RngStreams(seed, torch.device("cpu")), torch.device(device)
        self.range_name, self.range = range_name, ""

    def __len__(self) -> int:
        return self.count

    def blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[Item]]:
        step = -(-size // AT_ONCE) * AT_ONCE
        for start in range(0, len(chosen), step):
            items: list[Item] = []
            for first in range(start, min(start + step, len(chosen)), AT_ONCE):
                images = self.images(first // AT_ONCE)[: len(chosen) - first]
                items += [Pixels(f"{self.name}[{first + n}]", x) for n, x in enumerate(images)]
            yield items

    @torch.no_grad()
    def images(self, number: int) -> Tensor:
        """Those of this number: uint8 [AT_ONCE, C, H, W]."""
        try:
            made = self.made(number)
        except Exception as error:  # it is the user's code
            raise Unreadable(f"{self.name} raised {told(error)}") from error
        try:
            rows = torch.as_tensor(made).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise Unreadable(
                f"{self.name} made a {type(made).__name__}, and no array of images"
            ) from error
        if not rows.ndim or len(rows) != AT_ONCE:
            raise Unreadable(
                f"{self.name} was asked for {AT_ONCE} images and made {list(rows.shape)}"
            )
        check_dtype(rows, self.name)
        rows = arranged(rows, self.name)
        if not rows.is_floating_point():
            return rows
        span = span_of(rows, self.name)
        self.range = self.range or range_of(span, self.range_name, self.name)
        if self.range_name == AUTO and range_of(span, AUTO, self.name) == "-1,1" != self.range:
            raise Unreadable(f"{self.name} made floats in [0, 1] at first, and now from {span}")
        return as_bytes(rows, self.range)

    def made(self, number: int) -> Any:
        with self.streams.seeded_globally(
            STREAM, number
        ):  # for code that draws from torch's own generator
            if self.latent is None:
                return self.make(AT_ONCE, self.streams.derive_seed(STREAM, number) % 2**32)
            random = self.streams.generator(STREAM, number)
            latents = torch.randn(AT_ONCE, *self.latent, generator=random)
            return self.make(latents.to(self.device))

    def sampler(self) -> Sampler | None:
        """What images on paths between latents are asked of; None of a function that knows no latents."""
        if self.latent is None:
            return None
        width = math.prod(self.latent)

        def latents(count: int, random: torch.Generator) -> Tensor:
            return torch.randn(count, width, generator=random, device=random.device)

        return Sampler(latents, width, self.unrounded, self.device)

    def unrounded(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents [N, L] in [-1, 1], as they were made: [N, C, H, W]."""
        assert self.latent is not None
        try:
            with self.streams.seeded_globally(
                STREAM, "paths"
            ):  # the same noise inside of layers each time
                rows = torch.as_tensor(self.make(latents.view(-1, *self.latent)))
        except Exception as error:  # it is the user's code
            raise Unreadable(f"{self.name} raised {told(error)}") from error
        if not rows.is_floating_point():
            raise MetricNotApplicable(
                "needs images that nobody has rounded, and this generator makes bytes"
            )
        low, high = RANGES[self.range]
        return (arranged(rows, self.name).float() - low) * (2 / (high - low)) - 1


def told(error: Exception) -> str:
    """An error of other people's code, and the line that it came from."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    own = [f for f in frames if not f.filename.startswith((*LIBRARIES, "<frozen"))]
    where = f" (line {own[0].lineno} of {own[0].filename})" if own else ""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}{where}"


def function_of(text: str) -> Callable[..., Any]:
    """`module:function` or `file.py:function`, found from the working folder too."""
    place, _, name = text.rpartition(":")
    try:
        module = of_file(Path(place)) if place.endswith(".py") else of_module(place)
    except Exception as error:  # it is the user's code
        raise Unreadable(f"{text}: {place} cannot be imported: {told(error)}") from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise Unreadable(f"{text}: {place} has no function {name}")
    return found.eval() if isinstance(found, nn.Module) else found


def of_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path.expanduser())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_module(name: str) -> Any:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def is_exported(path: Path) -> bool:
    """Is this file a network and its code, by TorchScript or torch.export?"""
    if path.suffix.lower() == ".pt2":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def exported(
    path: Path, device: str, latent: Sequence[int] | None
) -> tuple[Callable[..., Any], Sequence[int]]:
    """The network in a file, and the shape of its latents, which torch.export keeps an example of."""
    network: Callable[..., Any]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() == ".pt2":
                program = torch.export.load(path)
                latent, network = latent or example_of(program), of_program(program, device)
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


def of_program(program: Any, device: str) -> Callable[..., Any]:
    """A program of torch.export; one that takes batches of a single size gets such, the last one filled up."""
    network = program.module().to(device)
    if program.range_constraints:
        return network
    size = len(program.example_inputs[0][0])

    def padded(latents: Tensor) -> Tensor:
        more = -len(latents) % size
        filled = torch.cat([latents, latents[-1:].expand(more, *latents.shape[1:])])
        return torch.cat([network(part) for part in filled.split(size)])[: len(latents)]

    return padded


def example_of(program: Any) -> Sequence[int] | None:
    inputs = program.example_inputs
    found = inputs[0][0] if inputs and inputs[0] else None
    return tuple(found.shape[1:]) if isinstance(found, Tensor) else None
