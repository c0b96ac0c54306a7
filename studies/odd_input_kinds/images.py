"""Folders of image files: modes, formats, damaged files, names, permissions and sizes."""

import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from .base import (
    COUNT,
    NO_SIZE,
    REALS_SEED,
    SIDE,
    WriteInput,
    draw_noise,
    encode_png,
    register_input,
    write_images,
)

GREY, RGB = 0, 2  # colour types of a PNG
EXIF_ORIENTATION, ROTATED = 0x0112, 6
INPUTS: dict[str, WriteInput] = {}
odd_input = partial(register_input, INPUTS)


def assemble_png(side: int, bits: int, colour_type: int, pixels: bytes) -> bytes:
    """Returns a PNG that Pillow would not write: 16-bit RGB, or too large for its pixels."""
    header = struct.pack(">2I5B", side, side, bits, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(encode_chunk(*chunk) for chunk in chunks)


def encode_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


@odd_input("grey PNG")
def write_grey_png(folder: Path) -> None:
    write_images(folder / "x", mode="L")


@odd_input("palette GIF")
def write_palette_gif(folder: Path) -> None:
    write_images(folder / "x", suffix=".gif", mode="P")


@odd_input("RGBA PNG")
def write_rgba_png(folder: Path) -> None:
    write_images(folder / "x", mode="RGBA")


@odd_input("palette PNG with a transparent colour")
def write_transparent_palette_png(folder: Path) -> None:
    write_images(folder / "x", mode="P", transparency=0)


@odd_input("CMYK JPEG")
def write_cmyk_jpeg(folder: Path) -> None:
    write_images(folder / "x", suffix=".jpg", mode="CMYK")


@odd_input("1-bit PNG")
def write_1_bit_png(folder: Path) -> None:
    write_images(folder / "x", mode="1")


@odd_input("one 16-bit grey PNG")
def write_16_bit_grey_png(folder: Path) -> None:
    write_images(folder / "x")
    Image.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)).save(folder / "x" / "deep.png")


@odd_input("one 16-bit RGB PNG, which Pillow would cut to 8 bits silently")
def write_16_bit_rgb_png(folder: Path) -> None:
    write_images(folder / "x")
    row = b"\0" + struct.pack(">3H", 1, 2, 3) * SIDE
    (folder / "x" / "deep.png").write_bytes(assemble_png(SIDE, 16, RGB, row * SIDE))


@odd_input("TIFF of floats")
def write_float_tiff(folder: Path) -> None:
    write_images(folder / "x")
    Image.fromarray(np.zeros((SIDE, SIDE), np.float32)).save(folder / "x" / "float.tiff")


@odd_input("animated GIF")
def write_animated_gif(folder: Path) -> None:
    write_images(folder / "x", 15)
    first, second = draw_noise(1, "P"), draw_noise(2, "P")
    first.save(folder / "x" / "a.gif", save_all=True, append_images=[second])


@odd_input("animated WebP")
def write_animated_webp(folder: Path) -> None:
    write_images(folder / "x", 15)
    first, second = draw_noise(1), draw_noise(2)
    first.save(folder / "x" / "a.webp", save_all=True, append_images=[second])


@odd_input("JPEG turned by its EXIF")
def write_rotated_jpeg(folder: Path) -> None:
    write_images(folder / "x", 15)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED
    draw_noise(1).save(folder / "x" / "turned.jpg", exif=exif)


@odd_input("truncated PNG")
def write_truncated_png(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "cut.png").write_bytes(encode_png(1, side=64)[:2000])


@odd_input("truncated JPEG")
def write_truncated_jpeg(folder: Path) -> None:
    write_images(folder / "x")
    path = folder / "x" / "cut.jpg"
    draw_noise(1, side=64).save(path)
    path.write_bytes(path.read_bytes()[:1500])


@odd_input("truncated PNG, with --skip-unreadable")
def skip_truncated_png(folder: Path) -> list[str]:
    write_truncated_png(folder)
    return ["--skip-unreadable"]


@odd_input("file of no bytes called .png")
def write_empty_file(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "nothing.png").touch()


@odd_input("text called .png")
def write_text_as_png(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "text.png").write_text("no image")


@odd_input("PostScript called .png: a program, and never run")
def write_postscript_as_png(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@odd_input("HEIC among PNG")
def write_heic(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")


@odd_input("HEIC among PNG, with --skip-unreadable")
def skip_heic(folder: Path) -> list[str]:
    write_heic(folder)
    return ["--skip-unreadable"]


@odd_input("text and Thumbs.db among PNG")
def write_other_files(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "labels.txt").write_text("a b c")
    (folder / "x" / "Thumbs.db").write_bytes(b"db")


@odd_input("hidden files, and macOS's ._x.png")
def write_hidden_files(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "._00.png").write_bytes(b"resource fork")
    write_images(folder / "x" / ".thumbnails", 3)


@odd_input("nested folders")
def write_nested_folders(folder: Path) -> None:
    write_images(folder / "x" / "a" / "b", 8)
    write_images(folder / "x" / "c", 8, ".jpg")


@odd_input("link to the folder's own parent")
def link_to_parent(folder: Path) -> None:
    write_images(folder / "x" / "a")
    (folder / "x" / "a" / "up").symlink_to(folder / "x", target_is_directory=True)


@odd_input("link to nothing")
def link_to_missing_file(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "link.png").symlink_to(folder / "gone.png")


@odd_input("folder called a.png")
def write_folder_as_png(folder: Path) -> None:
    write_images(folder / "x")
    write_images(folder / "x" / "a.png", 2)


@odd_input("named pipe called a.png")
def make_pipe(folder: Path) -> None:
    write_images(folder / "x")
    os.mkfifo(folder / "x" / "a.png")


@odd_input("file that may not be read")
def write_unreadable_file(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "00.png").chmod(0)


@odd_input("folder that may not be read")
def write_unreadable_folder(folder: Path) -> None:
    write_images(folder / "x" / "a").chmod(0)


@odd_input("empty folder")
def make_empty_folder(folder: Path) -> None:
    (folder / "x").mkdir()


@odd_input("folder of text alone")
def write_text_only(folder: Path) -> None:
    (folder / "x").mkdir()
    (folder / "x" / "readme.txt").write_text("?")


@odd_input("no such folder")
def make_folder_of_similar_name(folder: Path) -> None:
    (folder / "xx").mkdir()


@odd_input("two images")
def write_two_images(folder: Path) -> None:
    write_images(folder / "x", 2)


@odd_input("mixed sizes, without --size")
def mix_sizes_without_size(folder: Path) -> list[str]:
    mix_sizes(folder)
    return [NO_SIZE]


@odd_input("mixed sizes, with --size")
def mix_sizes(folder: Path) -> None:
    write_images(folder / "x")
    draw_noise(1, side=20).save(folder / "x" / "large.png")


@odd_input("image of 1x1 pixel")
def write_one_pixel(folder: Path) -> None:
    write_images(folder / "x")
    draw_noise(1, side=1).save(folder / "x" / "pixel.png")


@odd_input("decompression bomb: 60,000 x 60,000 pixels in a small PNG")
def write_png_bomb(folder: Path) -> None:
    write_images(folder / "x")
    (folder / "x" / "bomb.png").write_bytes(assemble_png(60_000, 8, GREY, bytes(10_000)))


@odd_input("copies of one image")
def write_copies(folder: Path) -> None:
    write_images(folder / "x")
    for number in range(4):
        draw_noise(0).save(folder / "x" / f"copy{number}.png")


@odd_input("the reals themselves")
def pass_reals(folder: Path) -> list[str]:
    return [str(folder / "reals")]


@odd_input("the reals as another file format")
def write_reals_as_npy(folder: Path) -> list[str]:
    reals = np.stack([np.array(draw_noise(REALS_SEED + number)) for number in range(COUNT)])
    np.save(folder / "x.npy", reals)
    return [str(folder / "x.npy")]
