"""Zip archives: damaged, encrypted and nested ones, and those that unpack to too much."""

import zipfile
from functools import partial
from pathlib import Path

from .base import COUNT, WriteInput, encode_png, register_input, write_zip

LOCAL_HEADER, DIRECTORY_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
FLAGS_OFFSETS = {LOCAL_HEADER: 6, DIRECTORY_ENTRY: 8}  # bytes from the signature to the flags
ENCRYPTED = 1  # a flag
INPUTS: dict[str, WriteInput] = {}
odd_input = partial(register_input, INPUTS)


def encode_members() -> dict[str, bytes]:
    return {f"{number:02}.png": encode_png(number) for number in range(COUNT)}


@odd_input("zip of PNG")
def write_zip_of_png(folder: Path) -> list[str]:
    return [str(write_zip(folder / "x.zip", encode_members()))]


@odd_input("zip with members that begin with ../")
def write_zip_of_parent_paths(folder: Path) -> list[str]:
    members = {f"../../{name}": content for name, content in encode_members().items()}
    return [str(write_zip(folder / "x.zip", members))]


@odd_input("zip bomb: an image that unpacks to 300 MB")
def write_zip_bomb(folder: Path) -> list[str]:
    return [str(write_zip(folder / "x.zip", {"bomb.png": bytes(300_000_000)}))]


@odd_input("encrypted zip")
def write_encrypted_zip(folder: Path) -> list[str]:
    path = write_zip(folder / "x.zip", encode_members(), zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for signature, offset in FLAGS_OFFSETS.items():
        start = content.find(signature)
        while start >= 0:
            content[start + offset] |= ENCRYPTED
            start = content.find(signature, start + len(signature))
    path.write_bytes(content)
    return [str(path)]


@odd_input("zip of a zip")
def write_zip_of_zip(folder: Path) -> list[str]:
    inner = write_zip(folder / "inner.zip", encode_members())
    return [str(write_zip(folder / "x.zip", {"inner.zip": inner.read_bytes()}))]


@odd_input("zip that is cut short")
def write_truncated_zip(folder: Path) -> list[str]:
    path = write_zip(folder / "x.zip", encode_members())
    path.write_bytes(path.read_bytes()[:-40])
    return [str(path)]


@odd_input("zip with a damaged member")
def write_damaged_zip(folder: Path) -> list[str]:
    path = write_zip(folder / "x.zip", encode_members(), zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 30] ^= 255
    path.write_bytes(content)
    return [str(path)]


@odd_input("zip without images")
def write_zip_of_text(folder: Path) -> list[str]:
    return [str(write_zip(folder / "x.zip", {"a.txt": b"?"}))]


@odd_input("text called .zip")
def write_text_as_zip(folder: Path) -> list[str]:
    (folder / "x.zip").write_text("no archive")
    return [str(folder / "x.zip")]
