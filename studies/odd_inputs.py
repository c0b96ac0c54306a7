"""Odd and broken inputs of `ganbench eval`: what each gives. `python studies/odd_inputs.py` writes the published table.

Every input stands in the place of the fakes, beside a sound folder of reals.
"""

import io
import os
import pickle
import struct
import sys
import tempfile
import textwrap
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from ganbench import cli

TABLE = Path(__file__).parents[1] / "results" / "published" / "eval" / "odd_inputs.md"
COUNT, SIDE = 16, 12
NOBODY = 65534  # who may read nothing that is not for all
INPUTS: dict[str, Callable[[Path], list[str] | None]] = {}
ABOUT = """\
# Odd and broken inputs

The output of `ganbench eval INPUT reals --extractor identity --size 8 --metrics kid` for each input, against a valid
folder of 16 real images. Exit code 0: the input was measured, and the notes below the table of values describe its
treatment. Exit code 2: the input was rejected with one sentence and no traceback. `python studies/odd_inputs.py`
writes this table, and `tests/integration/test_odd_inputs.py` compares it.

| input | exit code | output |
|---|---:|---|
"""


def odd(what: str):
    def add(make):
        INPUTS[what] = make
        return make

    return add


@dataclass(frozen=True)
class Given:
    """What the program said: its exit code, and the notes or the sentence."""

    what: str
    code: int
    told: str
    trace: bool

    def row(self) -> str:
        return f"| {self.what} | {self.code} | {self.told.replace('|', '/')} |"


def noise(seed: int, mode: str = "RGB", side: int = SIDE) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(levels).convert(mode)


def images(
    place: Path, count: int = COUNT, suffix: str = ".png", mode: str = "RGB", **options
) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise(number, mode).save(place / f"{number:02}{suffix}", **options)
    return place


def levels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape or (COUNT, SIDE, SIDE, 3), np.uint8)


def zipped(path: Path, names: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


def png(seed: int, **settings) -> bytes:
    content = io.BytesIO()
    noise(seed, **settings).save(content, "PNG")
    return content.getvalue()


def pngs() -> dict[str, bytes]:
    return {f"{number:02}.png": png(number) for number in range(COUNT)}


# Files of images


@odd("grey PNG")
def grey(place):
    images(place / "x", mode="L")


@odd("palette GIF")
def palette(place):
    images(place / "x", suffix=".gif", mode="P")


@odd("RGBA PNG")
def rgba(place):
    images(place / "x", mode="RGBA")


@odd("palette PNG with a transparent colour")
def transparent(place):
    images(place / "x", mode="P", transparency=0)


@odd("CMYK JPEG")
def cmyk(place):
    images(place / "x", suffix=".jpg", mode="CMYK")


@odd("1-bit PNG")
def bits(place):
    images(place / "x", mode="1")


@odd("one 16-bit grey PNG")
def deep(place):
    images(place / "x")
    Image.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)).save(place / "x" / "deep.png")


@odd("one 16-bit RGB PNG, which Pillow would cut to 8 bits silently")
def deep_colour(place):
    images(place / "x")
    row = b"\0" + struct.pack(">3H", 1, 2, 3) * SIDE
    chunks = (
        (b"IHDR", struct.pack(">2I5B", SIDE, SIDE, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * SIDE)),
        (b"IEND", b""),
    )
    content = b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks))
    (place / "x" / "deep.png").write_bytes(content)


def chunk(kind_and_content: tuple[bytes, bytes]) -> bytes:
    kind, content = kind_and_content
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


@odd("TIFF of floats")
def floats(place):
    images(place / "x")
    Image.fromarray(np.zeros((SIDE, SIDE), np.float32)).save(place / "x" / "float.tiff")


@odd("animated GIF")
def animated_gif(place):
    images(place / "x", 15)
    noise(1, "P").save(place / "x" / "a.gif", save_all=True, append_images=[noise(2, "P")])


@odd("animated WebP")
def animated_webp(place):
    images(place / "x", 15)
    noise(1).save(place / "x" / "a.webp", save_all=True, append_images=[noise(2)])


@odd("JPEG turned by its EXIF")
def turned(place):
    images(place / "x", 15)
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(1).save(place / "x" / "turned.jpg", exif=exif)


@odd("truncated PNG")
def truncated(place):
    images(place / "x")
    (place / "x" / "cut.png").write_bytes(png(1, side=64)[:2000])


@odd("truncated JPEG")
def truncated_jpeg(place):
    images(place / "x")
    noise(1, side=64).save(place / "x" / "cut.jpg")
    (place / "x" / "cut.jpg").write_bytes((place / "x" / "cut.jpg").read_bytes()[:1500])


@odd("truncated PNG, with --skip-unreadable")
def truncated_skipped(place):
    truncated(place)
    return ["--skip-unreadable"]


@odd("file of no bytes called .png")
def nothing(place):
    images(place / "x")
    (place / "x" / "nothing.png").touch()


@odd("text called .png")
def text(place):
    images(place / "x")
    (place / "x" / "text.png").write_text("no image")


@odd("PostScript called .png: a program, and never run")
def postscript(place):
    images(place / "x")
    (place / "x" / "program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@odd("HEIC among PNG")
def heic(place):
    images(place / "x")
    (place / "x" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")


@odd("HEIC among PNG, with --skip-unreadable")
def heic_skipped(place):
    heic(place)
    return ["--skip-unreadable"]


@odd("text and Thumbs.db among PNG")
def others(place):
    images(place / "x")
    (place / "x" / "labels.txt").write_text("a b c")
    (place / "x" / "Thumbs.db").write_bytes(b"db")


@odd("hidden files, and macOS's ._x.png")
def hidden(place):
    images(place / "x")
    (place / "x" / "._00.png").write_bytes(b"resource fork")
    images(place / "x" / ".thumbnails", 3)


@odd("nested folders")
def nested(place):
    images(place / "x" / "a" / "b", 8)
    images(place / "x" / "c", 8, ".jpg")


@odd("link to the folder's own parent")
def loop(place):
    images(place / "x" / "a")
    (place / "x" / "a" / "up").symlink_to(place / "x", target_is_directory=True)


@odd("link to nothing")
def dangling(place):
    images(place / "x")
    (place / "x" / "link.png").symlink_to(place / "gone.png")


@odd("folder called a.png")
def folder_as_png(place):
    images(place / "x")
    images(place / "x" / "a.png", 2)


@odd("named pipe called a.png")
def pipe(place):
    images(place / "x")
    os.mkfifo(place / "x" / "a.png")


@odd("file that may not be read")
def forbidden(place):
    images(place / "x")
    (place / "x" / "00.png").chmod(0)


@odd("folder that may not be read")
def closed(place):
    images(place / "x" / "a").chmod(0)


@odd("empty folder")
def empty(place):
    (place / "x").mkdir()


@odd("folder of text alone")
def no_images(place):
    (place / "x").mkdir()
    (place / "x" / "readme.txt").write_text("?")


@odd("no such folder")
def missing(place):
    (place / "xx").mkdir()


@odd("two images")
def two(place):
    images(place / "x", 2)


@odd("mixed sizes, without --size")
def mixed(place):
    images(place / "x")
    noise(1, side=20).save(place / "x" / "large.png")
    return ["--no-size"]


@odd("mixed sizes, with --size")
def mixed_sized(place):
    images(place / "x")
    noise(1, side=20).save(place / "x" / "large.png")


@odd("image of 1x1 pixel")
def pixel(place):
    images(place / "x")
    noise(1, side=1).save(place / "x" / "pixel.png")


@odd("decompression bomb: 60,000 x 60,000 pixels in a small PNG")
def bomb(place):
    images(place / "x")
    header = struct.pack(">2I5B", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b""))
    (place / "x" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks)))


@odd("copies of one image")
def copies(place):
    images(place / "x")
    for number in range(4):
        noise(0).save(place / "x" / f"copy{number}.png")


@odd("the reals themselves")
def themselves(place):
    images(place / "x").rename(place / "y")
    return [str(place / "reals")]


@odd("the reals as another file format")
def the_same(place):
    rows = np.stack([np.array(noise(1000 + number)) for number in range(COUNT)])
    np.save(place / "x.npy", rows)
    return [str(place / "x.npy")]


# Archives


@odd("zip of PNG")
def archive(place):
    return [str(zipped(place / "x.zip", pngs()))]


@odd("zip with members that begin with ../")
def slip(place):
    names = {f"../../{name}": content for name, content in pngs().items()}
    return [str(zipped(place / "x.zip", names))]


@odd("zip bomb: an image that unpacks to 300 MB")
def zip_bomb(place):
    return [str(zipped(place / "x.zip", {"bomb.png": bytes(300_000_000)}))]


@odd("encrypted zip")
def encrypted(place):
    path = zipped(place / "x.zip", pngs(), zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(sign)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(sign, start + 4)
    path.write_bytes(content)
    return [str(path)]


@odd("zip of a zip")
def zip_of_zip(place):
    inner = zipped(place / "inner.zip", pngs())
    return [str(zipped(place / "x.zip", {"inner.zip": inner.read_bytes()}))]


@odd("zip that is cut short")
def cut_zip(place):
    path = zipped(place / "x.zip", pngs())
    path.write_bytes(path.read_bytes()[:-40])
    return [str(path)]


@odd("zip with a damaged member")
def damaged_zip(place):
    path = zipped(place / "x.zip", pngs(), zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 30] ^= 255
    path.write_bytes(content)
    return [str(path)]


@odd("zip without images")
def bare_zip(place):
    return [str(zipped(place / "x.zip", {"a.txt": b"?"}))]


@odd("text called .zip")
def no_zip(place):
    (place / "x.zip").write_text("no archive")
    return [str(place / "x.zip")]


# Arrays


def array(place, rows, name="x.npy") -> list[str]:
    np.save(place / name, rows, allow_pickle=True)
    return [str(place / name)]


@odd("npy, uint8 [N, H, W, 3]")
def channels_last(place):
    return array(place, levels())


@odd("npy, uint8 [N, 3, H, W]")
def channels_first(place):
    return array(place, levels(COUNT, 3, SIDE, SIDE))


@odd("npy, uint8 [N, H, W]")
def no_channels(place):
    return array(place, levels(COUNT, SIDE, SIDE))


@odd("npy, floats in [0, 1]")
def unit(place):
    return array(place, levels() / np.float32(255))


@odd("npy, floats in [-1, 1]")
def signed(place):
    return array(place, levels() / np.float32(127.5) - 1)


@odd("npy, floats from -2 to 2")
def wild(place):
    return array(place, levels() / np.float32(63.75) - 2)


@odd("npy, floats from -2 to 2, with --range=-1,1")
def clamped(place):
    return [*wild(place), "--range", "-1,1"]


@odd("npy, floats of which some are NaN")
def nan(place):
    rows = levels() / np.float32(255)
    rows[3, 2, 1, 0] = np.nan
    return array(place, rows)


@odd("npy, int64")
def integers(place):
    return array(place, levels().astype(np.int64))


@odd("npy, 5 dimensions")
def five(place):
    return array(place, levels(2, 8, 3, 8, 8))


@odd("npy, 7 channels")
def seven(place):
    return array(place, levels(COUNT, SIDE, SIDE, 7))


@odd("npy of one image, [H, W, 3]")
def one_image(place):
    return array(place, levels()[0])


@odd("npy, no images in it")
def none(place):
    return array(place, levels()[:0])


@odd("npy of Python objects, which would be a pickle")
def objects(place):
    return array(place, np.array([{"a": 1}, None], dtype=object))


@odd("npy that is cut short")
def cut_npy(place):
    (path,) = array(place, levels())
    Path(path).write_bytes(Path(path).read_bytes()[:-100])
    return [path]


@odd("npy of texts")
def texts(place):
    return array(place, levels().astype("U3"))


@odd("npy, floats of another machine's byte order")
def swapped(place):
    return array(place, (levels() / np.float32(255)).astype(">f4"))


@odd("npy, a negative number of images")
def negative(place):
    (path,) = array(place, levels())
    content = Path(path).read_bytes().replace(b"(16, 12, 12, 3)", b"(-1, 12, 12, 3)")
    Path(path).write_bytes(content)
    return [path]


@odd("npy, images of 10,000 x 10,000 pixels")
def enormous(place):
    shape = (COUNT, 10_000, 10_000)
    np.lib.format.open_memmap(place / "x.npy", "w+", np.uint8, shape)  # a file with a hole
    return [str(place / "x.npy")]


@odd("npz, compressed, of one array")
def compressed(place):
    np.savez_compressed(place / "x.npz", levels())
    return [str(place / "x.npz")]


@odd("npz, compressed, with a damaged array")
def damaged_npz(place):
    path = place / "x.npz"
    np.savez_compressed(path, levels(COUNT, 64, 64, 3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    return [str(path)]


def claims(*shape: int) -> bytes:
    """The beginning of an `.npy` of this shape."""
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


@odd("npz, array bomb: 20 images of 20,000 x 20,000 pixels are claimed, of which 2 MB are there")
def claimed(place):
    content = claims(20, 20_000, 20_000) + bytes(2_000_000)
    return [str(zipped(place / "x.npz", {"images.npy": content}))]


@odd("npz, array bomb: features that unpack to 4 GB, as its directory says")
def swollen(place):
    with zipfile.ZipFile(place / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", claims(1_000_000, 4_000) + bytes(10_000))
        archive.filelist[0].file_size = 4_000_000_128
    return [str(place / "x.npz")]


@odd("npz of several arrays")
def several(place):
    np.savez(place / "x.npz", a=levels(), b=levels())
    return [str(place / "x.npz")]


@odd("npz of several arrays, one of them named")
def one_of_several(place):
    return [f"{several(place)[0]}:b"]


@odd("npz of Python objects")
def npz_objects(place):
    np.savez(place / "x.npz", np.array([object], dtype=object))
    return [str(place / "x.npz")]


@odd("npz of mu and sigma")
def statistics(place):
    np.savez(place / "x.npz", mu=np.zeros(4), sigma=np.eye(4))
    return [str(place / "x.npz")]


@odd("npz of images beside mu and sigma, as ADM's reference batches")
def reference_batch(place):
    np.savez(place / "x.npz", arr_0=levels(), mu=np.zeros(4), sigma=np.eye(4))
    return [str(place / "x.npz")]


@odd("npz of images beside Python objects")
def images_and_objects(place):
    np.savez(place / "x.npz", images=levels(), names=np.array([object], dtype=object))
    return [str(place / "x.npz")]


@odd("npz of features, of another number than the reals'")
def features(place):
    np.savez(place / "x.npz", features=np.random.default_rng(0).normal(size=(COUNT, 7)))
    return [str(place / "x.npz")]


@odd("safetensors of images")
def tensors(place):
    save_file({"images": levels()}, place / "x.safetensors")
    return [str(place / "x.safetensors")]


@odd("text called .safetensors")
def no_tensors(place):
    (place / "x.safetensors").write_text("no tensors")
    return [str(place / "x.safetensors")]


@odd(".pt of a tensor")
def tensor(place):
    torch.save(torch.from_numpy(levels()), place / "x.pt")
    return [str(place / "x.pt")]


@odd(".pt, array bomb: one byte that is repeated 4,000,000,000 times")
def repeated(place):
    torch.save(torch.zeros(1, dtype=torch.uint8).expand(1_000_000, 4_000), place / "x.pt")
    return [str(place / "x.pt")]


@odd(".pt of a sparse tensor")
def sparse(place):
    torch.save(torch.zeros(COUNT, SIDE, SIDE).to_sparse(), place / "x.pt")
    return [str(place / "x.pt")]


@odd(".pt of weights")
def weights(place):
    torch.save(torch.nn.Linear(2, 2).state_dict(), place / "x.pt")
    return [str(place / "x.pt")]


class Runs:
    def __reduce__(self):
        return os.getcwd, ()


@odd(".pt with code")
def code(place):
    torch.save({"images": Runs()}, place / "x.pt")
    return [str(place / "x.pt")]


@odd("pickle called .pt")
def pickled(place):
    (place / "x.pt").write_bytes(pickle.dumps(Runs()))
    return [str(place / "x.pt")]


@odd("file of an unknown kind")
def unknown(place):
    (place / "x.mat").write_bytes(b"MATLAB")
    return [str(place / "x.mat")]


# Generators


class Generator(torch.nn.Module):
    def forward(self, z):
        return z.tanh().view(-1, 3, 8, 8)


def scripted(place) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is of the past, as the files of many are
        torch.jit.script(Generator()).save(str(place / "x.pt"))
    return [str(place / "x.pt")]


@odd("TorchScript, without --trust")
def untrusted(place):
    return scripted(place)


@odd("TorchScript, with --trust")
def trusted(place):
    return [*scripted(place), "--trust", "--latent", "192"]


@odd("TorchScript, without --latent")
def no_latent(place):
    return [*scripted(place), "--trust"]


@odd("torch.export, with --trust")
def program(place):
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        Generator(), (torch.zeros(4, 192),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(exported, place / "x.pt2")
    return [str(place / "x.pt2"), "--trust"]


FUNCTIONS = """\
import torch

def good(count, seed):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

def boom(count, seed):
    raise ValueError("boom")

def quits(count, seed):
    raise SystemExit(1)

def few(count, seed):
    return torch.rand(count - 1, 3, 8, 8)

def nan(count, seed):
    return torch.full((count, 3, 8, 8), torch.nan)

def text(count, seed):
    return "images"

nothing = None
"""


def function(name):
    def make(place):
        (place / "mine.py").write_text(FUNCTIONS)
        return [f"{place}/mine.py:{name}"]

    return make


odd("function")(function("good"))
odd("function that raises")(function("boom"))
odd("function that ends the program")(function("quits"))
odd("function that makes too few images")(function("few"))
odd("function that makes NaN")(function("nan"))
odd("function that returns a text")(function("text"))
odd("function that is none")(function("nothing"))
odd("function that is not there")(function("goood"))


@odd("module that is not there")
def no_module(place):
    return ["no_such_module:make"]


# What is asked for


@odd("unknown extractor")
def no_extractor(place):
    images(place / "x")
    return ["--extractor", "inceptoin"]


@odd("extractor that sees images of one size only")
def other_size(place):
    images(place / "x")
    return ["--no-size", "--extractor", "classifier(of='digits')"]


@odd("unknown metric")
def no_metric(place):
    images(place / "x")
    return ["--metrics", "fidd"]


@odd("metric that does not apply")
def no_logits(place):
    images(place / "x")
    return ["--metrics", "kid,is"]


@odd("metric that does not apply, alone")
def no_value(place):
    images(place / "x")
    return ["--metrics", "is"]


@odd("data set of other things than images")
def points(place):
    return ["ring"]


@odd("data set that is misspelt")
def misspelt(place):
    return ["fashion_mnits"]


@odd("side of a data set that there is not")
def no_side(place):
    return ["digits:validation"]


@odd("more fakes than there are")
def too_many(place):
    images(place / "x")
    return ["--count", "1000"]


def arguments(place: Path, what: str) -> list[str]:
    """The command's, for one of the inputs, which is made in this folder."""
    made = INPUTS[what](place) or []
    fake = [] if made and not made[0].startswith("--") else [str(place / "x")]
    options = [
        "--metrics",
        "kid",
        "--no-floor",
        "--extractor",
        "identity",
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    options += [] if "--no-size" in made else ["--size", "8"]
    given = [option for option in made if option != "--no-size"]
    return [
        "eval",
        *fake,
        *given[: 1 - len(fake)],
        str(place / "reals"),
        *options,
        *given[1 - len(fake) :],
    ]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: whoever runs this as root is somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def given(what: str, place: Path) -> Given:
    for number in range(COUNT):
        (place / "reals").mkdir(exist_ok=True)
        noise(1000 + number).save(place / "reals" / f"{number:02}.png")
    command = arguments(place, what)
    place.chmod(0o755)
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["ganbench", *command]
    try:
        whoever = as_nobody() if "may not be read" in what else nullcontext()
        with redirect_stdout(out), redirect_stderr(err), whoever:
            code = ended(cli.main)
    finally:
        sys.argv = before
    notes = [line[2:] for line in out.getvalue().splitlines() if line.startswith("- ")]
    told = (notes or ["measured"]) if code == 0 else err.getvalue().splitlines()[-1:]
    return Given(
        what, code, "; ".join(told).replace(f"{place}/", ""), "Traceback" in err.getvalue()
    )


def ended(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def every() -> Iterator[Given]:
    for what in INPUTS:
        with tempfile.TemporaryDirectory() as place:
            os.environ["GANBENCH_CACHE"] = f"{place}/cache"
            yield given(what, Path(place))
            for path in Path(place).rglob("*"):
                path.is_symlink() or path.chmod(0o755)


def main() -> None:
    torch.set_num_threads(1)
    rows = [found.row() for found in every()]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(ABOUT + "\n".join(rows) + "\n")
    print(textwrap.shorten(f"{len(rows)} inputs: {TABLE}", 200))


if __name__ == "__main__":
    main()
