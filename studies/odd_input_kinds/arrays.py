"""Files of arrays: npy, npz, safetensors and .pt, of odd shapes, types and contents."""

import io
import os
import pickle
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from .base import COUNT, SIDE, WriteInput, register_input, write_zip

IMAGES_SHAPE = (COUNT, SIDE, SIDE, 3)
INPUTS: dict[str, WriteInput] = {}
odd_input = partial(register_input, INPUTS)


def draw_pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape or IMAGES_SHAPE, np.uint8)


def draw_floats() -> np.ndarray:
    return draw_pixels() / np.float32(255)


def write_npy(folder: Path, array: np.ndarray) -> list[str]:
    np.save(folder / "x.npy", array, allow_pickle=True)
    return [str(folder / "x.npy")]


def encode_npy_header(*shape: int) -> bytes:
    """Returns the beginning of an `.npy` of this shape, without the values."""
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


class RunsCode:
    """Calls a function when it is unpickled."""

    def __reduce__(self):
        return os.getcwd, ()


# npy


@odd_input("npy, uint8 [N, H, W, 3]")
def write_channels_last(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels())


@odd_input("npy, uint8 [N, 3, H, W]")
def write_channels_first(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels(COUNT, 3, SIDE, SIDE))


@odd_input("npy, uint8 [N, H, W]")
def write_without_channels(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels(COUNT, SIDE, SIDE))


@odd_input("npy, floats in [0, 1]")
def write_unit_floats(folder: Path) -> list[str]:
    return write_npy(folder, draw_floats())


@odd_input("npy, floats in [-1, 1]")
def write_signed_floats(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels() / np.float32(127.5) - 1)


@odd_input("npy, floats from -2 to 2")
def write_out_of_range_floats(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels() / np.float32(63.75) - 2)


@odd_input("npy, floats from -2 to 2, with --range=-1,1")
def clamp_out_of_range_floats(folder: Path) -> list[str]:
    return [*write_out_of_range_floats(folder), "--range", "-1,1"]


@odd_input("npy, floats of which some are NaN")
def write_nan(folder: Path) -> list[str]:
    images = draw_floats()
    images[3, 2, 1, 0] = np.nan
    return write_npy(folder, images)


@odd_input("npy, int64")
def write_int64(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels().astype(np.int64))


@odd_input("npy, 5 dimensions")
def write_5_dimensions(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels(2, 8, 3, 8, 8))


@odd_input("npy, 7 channels")
def write_7_channels(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels(COUNT, SIDE, SIDE, 7))


@odd_input("npy of one image, [H, W, 3]")
def write_one_image(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels()[0])


@odd_input("npy, no images in it")
def write_no_images(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels()[:0])


@odd_input("npy of Python objects, which would be a pickle")
def write_npy_of_objects(folder: Path) -> list[str]:
    return write_npy(folder, np.array([{"a": 1}, None], dtype=object))


@odd_input("npy that is cut short")
def write_truncated_npy(folder: Path) -> list[str]:
    (path,) = write_npy(folder, draw_pixels())
    Path(path).write_bytes(Path(path).read_bytes()[:-100])
    return [path]


@odd_input("npy of texts")
def write_npy_of_texts(folder: Path) -> list[str]:
    return write_npy(folder, draw_pixels().astype("U3"))


@odd_input("npy, floats of another machine's byte order")
def write_big_endian_floats(folder: Path) -> list[str]:
    return write_npy(folder, draw_floats().astype(">f4"))


@odd_input("npy, a negative number of images")
def write_negative_count(folder: Path) -> list[str]:
    (path,) = write_npy(folder, draw_pixels())
    content = Path(path).read_bytes().replace(b"(16, 12, 12, 3)", b"(-1, 12, 12, 3)")
    Path(path).write_bytes(content)
    return [path]


@odd_input("npy, images of 10,000 x 10,000 pixels")
def write_enormous_images(folder: Path) -> list[str]:
    shape = (COUNT, 10_000, 10_000)
    np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, shape)  # a sparse file
    return [str(folder / "x.npy")]


# npz


@odd_input("npz, compressed, of one array")
def write_compressed_npz(folder: Path) -> list[str]:
    np.savez_compressed(folder / "x.npz", draw_pixels())
    return [str(folder / "x.npz")]


@odd_input("npz, compressed, with a damaged array")
def write_damaged_npz(folder: Path) -> list[str]:
    path = folder / "x.npz"
    np.savez_compressed(path, draw_pixels(COUNT, 64, 64, 3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    return [str(path)]


@odd_input(
    "npz, array bomb: 20 images of 20,000 x 20,000 pixels are claimed, of which 2 MB are there"
)
def write_npz_of_claimed_images(folder: Path) -> list[str]:
    content = encode_npy_header(20, 20_000, 20_000) + bytes(2_000_000)
    return [str(write_zip(folder / "x.npz", {"images.npy": content}))]


@odd_input("npz, array bomb: features that unpack to 4 GB, as its directory says")
def write_npz_of_claimed_features(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", encode_npy_header(1_000_000, 4_000) + bytes(10_000))
        archive.filelist[0].file_size = 4_000_000_128
    return [str(folder / "x.npz")]


@odd_input("npz of several arrays")
def write_several_arrays(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", a=draw_pixels(), b=draw_pixels())
    return [str(folder / "x.npz")]


@odd_input("npz of several arrays, one of them named")
def choose_one_of_several_arrays(folder: Path) -> list[str]:
    (path,) = write_several_arrays(folder)
    return [f"{path}:b"]


@odd_input("npz of Python objects")
def write_npz_of_objects(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", np.array([object], dtype=object))
    return [str(folder / "x.npz")]


@odd_input("npz of mu and sigma")
def write_statistics(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", mu=np.zeros(4), sigma=np.eye(4))
    return [str(folder / "x.npz")]


@odd_input("npz of images beside mu and sigma, as ADM's reference batches")
def write_images_and_statistics(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", arr_0=draw_pixels(), mu=np.zeros(4), sigma=np.eye(4))
    return [str(folder / "x.npz")]


@odd_input("npz of images beside Python objects")
def write_images_and_objects(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", images=draw_pixels(), names=np.array([object], dtype=object))
    return [str(folder / "x.npz")]


@odd_input("npz of features, of another number than the reals'")
def write_features(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", features=np.random.default_rng(0).normal(size=(COUNT, 7)))
    return [str(folder / "x.npz")]


# safetensors, .pt and unknown files


@odd_input("safetensors of images")
def write_safetensors(folder: Path) -> list[str]:
    save_file({"images": draw_pixels()}, folder / "x.safetensors")
    return [str(folder / "x.safetensors")]


@odd_input("text called .safetensors")
def write_text_as_safetensors(folder: Path) -> list[str]:
    (folder / "x.safetensors").write_text("no tensors")
    return [str(folder / "x.safetensors")]


@odd_input(".pt of a tensor")
def write_tensor(folder: Path) -> list[str]:
    torch.save(torch.from_numpy(draw_pixels()), folder / "x.pt")
    return [str(folder / "x.pt")]


@odd_input(".pt, array bomb: one byte that is repeated 4,000,000,000 times")
def write_expanded_tensor(folder: Path) -> list[str]:
    torch.save(torch.zeros(1, dtype=torch.uint8).expand(1_000_000, 4_000), folder / "x.pt")
    return [str(folder / "x.pt")]


@odd_input(".pt of a sparse tensor")
def write_sparse_tensor(folder: Path) -> list[str]:
    torch.save(torch.zeros(COUNT, SIDE, SIDE).to_sparse(), folder / "x.pt")
    return [str(folder / "x.pt")]


@odd_input(".pt of weights")
def write_weights(folder: Path) -> list[str]:
    torch.save(torch.nn.Linear(2, 2).state_dict(), folder / "x.pt")
    return [str(folder / "x.pt")]


@odd_input(".pt with code")
def write_pt_with_code(folder: Path) -> list[str]:
    torch.save({"images": RunsCode()}, folder / "x.pt")
    return [str(folder / "x.pt")]


@odd_input("pickle called .pt")
def write_pickle_as_pt(folder: Path) -> list[str]:
    (folder / "x.pt").write_bytes(pickle.dumps(RunsCode()))
    return [str(folder / "x.pt")]


@odd_input("file of an unknown kind")
def write_unknown_file(folder: Path) -> list[str]:
    (folder / "x.mat").write_bytes(b"MATLAB")
    return [str(folder / "x.mat")]
