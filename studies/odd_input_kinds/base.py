"""Random images, archives and the registration of odd inputs."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, SIDE = 16, 12  # images per input, and their width and height
REALS_SEED = 1000  # of the first real image; those of inputs begin at 0
NO_SIZE = "--no-size"  # removes --size from the command; not an option of ganbench

# Writes the files of an input into a folder. Returns arguments of `ganbench eval`: the path of
# the input, which is the folder x by default, and further options.
WriteInput = Callable[[Path], list[str] | None]


def register_input(inputs: dict[str, WriteInput], name: str) -> Callable[[WriteInput], WriteInput]:
    """Returns a decorator that adds a function to the inputs under a name of the table."""

    def add(write: WriteInput) -> WriteInput:
        inputs[name] = write
        return write

    return add


def draw_noise(seed: int, mode: str = "RGB", side: int = SIDE) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def write_images(
    folder: Path,
    count: int = COUNT,
    suffix: str = ".png",
    mode: str = "RGB",
    first_seed: int = 0,
    **options,
) -> Path:
    """Writes noise images, 00.png and so on; the options are those of Pillow's `save`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = draw_noise(first_seed + number, mode)
        image.save(folder / f"{number:02}{suffix}", **options)
    return folder


def encode_png(seed: int, side: int = SIDE) -> bytes:
    content = io.BytesIO()
    draw_noise(seed, side=side).save(content, "PNG")
    return content.getvalue()


def write_zip(
    path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
