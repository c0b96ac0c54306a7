"""Published data sets: read from files of their own formats, downloaded when asked for, never else."""

import gzip
import hashlib
import pickle
import struct
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from ganbench.data import DATA, fashion_mnist
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.paths import Downloadable, data_root
from ganbench.data.torchvision_dataset import TorchvisionDataset
from ganbench.evaluation.extractors import EXTRACTORS, dinov2, inception

DOWNLOADED = [name for name in DATA.entries if issubclass(DATA.load(name), TorchvisionDataset)]
COUNTS = {"train": 25, "test": 20}
SIDES = {"train": "train", "test": "held_out"}
random = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder for data, on a machine that has nothing and reaches nothing."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_PACKAGE_FOLDER", tmp_path / "no package")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def pixels(count: int, *shape: int) -> np.ndarray:
    return random.integers(0, 256, (count, *shape), np.uint8)


def labels(count: int, classes: int = 10) -> np.ndarray:
    return np.arange(count, dtype=np.uint8) % classes


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


# Small sets in the published formats. torchvision compares files with the published MD5; so that it does
# so here too, the MD5 of these files are put in the place of the published ones.


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_files(folder: Path, gzipped: bool = False):
    """MNIST's four files, and what is in them."""
    folder.mkdir(parents=True)
    expected = {}
    for side, name in (("train", "train"), ("test", "t10k")):
        images, classes = pixels(COUNTS[side], 28, 28), labels(COUNTS[side])
        for kind, values in (("images-idx3", images), ("labels-idx1", classes)):
            content, path = idx(values), folder / f"{name}-{kind}-ubyte"
            if gzipped:
                content, path = gzip.compress(content), path.with_name(path.name + ".gz")
            path.write_bytes(content)
        expected[side] = np.pad(images[:, None], [(0, 0), (0, 0), (2, 2), (2, 2)]), classes
    return expected


def mnist(place, monkeypatch):
    return idx_files(place / "MNIST" / "raw")


def fashion(place, monkeypatch):
    return idx_files(place / "FashionMNIST" / "raw")


def debians_fashion(place, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_PACKAGE_FOLDER", place / "packaged")
    return idx_files(place / "packaged", gzipped=True)


def cifar(kind, key, place, monkeypatch):
    folder = place / kind.base_folder
    folder.mkdir()

    def written(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, md5(folder / name)]

    expected, lists = {}, {}
    for side, names in (("train", kind.train_list), ("test", kind.test_list)):
        images, classes = pixels(COUNTS[side], 3, 32, 32), labels(COUNTS[side])
        parts = [np.array_split(x, len(names)) for x in (images.reshape(-1, 3072), classes)]
        lists[side] = [
            written(name, {"data": x, key: y.tolist()})
            for (name, _), x, y in zip(names, *parts, strict=True)
        ]
        expected[side] = images, classes
    meta = written(kind.meta["filename"], {kind.meta["key"]: []})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta[1]})
    monkeypatch.setattr(kind, "train_list", lists["train"])
    monkeypatch.setattr(kind, "test_list", lists["test"])
    return expected


def svhn(place, monkeypatch):
    expected, lists = {}, {}
    for side in COUNTS:
        images, classes = pixels(COUNTS[side], 3, 32, 32), labels(COUNTS[side])
        path = place / f"{side}_32x32.mat"
        tens = np.where(classes == 0, 10, classes)[:, None]  # as published, 10 is the digit 0
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": tens})
        lists[side] = ["http://127.0.0.1:9/", path.name, md5(path)]
        expected[side] = images, classes
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)
    return expected


def stl10(place, monkeypatch):
    folder = place / "stl10_binary"
    folder.mkdir()
    expected, lists = {}, {}
    for side, count in {**COUNTS, "unlabeled": 30}.items():
        images, classes = pixels(count, 3, 96, 96), labels(count)
        (folder / f"{side}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{side}_y.bin").write_bytes((classes + 1).tobytes())
        lists[side] = [[f"{side}_{x}.bin", md5(folder / f"{side}_{x}.bin")] for x in "Xy"]
        expected[side] = images, classes
    monkeypatch.setattr(datasets.STL10, "train_list", [*lists["train"], lists["unlabeled"][0]])
    monkeypatch.setattr(datasets.STL10, "test_list", lists["test"])
    return expected


def celeba(place, monkeypatch):
    """Faces are even colours; what lies above and below their squares, by blocks of JPEG, is black."""
    folder = place / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    count = sum(COUNTS.values())
    names = [f"{number:06}.jpg" for number in range(1, count + 1)]
    colours = pixels(count, 3)
    for name, colour in zip(names, colours, strict=True):
        image = np.zeros((218, 178, 3), np.uint8)
        image[16:200] = colour
        path = folder / "img_align_celeba" / name
        Image.fromarray(image).save(path, quality=100, subsampling=0)
    parts = 20 * ["0"] + 10 * ["1"] + 15 * ["2"]  # train, valid, test
    texts = {
        "list_eval_partition.txt": [f"{n} {part}" for n, part in zip(names, parts, strict=True)],
        "identity_CelebA.txt": [f"{n} 1" for n in names],
        "list_attr_celeba.txt": [str(count), "Smiling", *(f"{n} -1" for n in names)],
        "list_bbox_celeba.txt": [str(count), "image_id x", *(f"{n} 1" for n in names)],
        "list_landmarks_align_celeba.txt": [str(count), "x", *(f"{n} 1" for n in names)],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    stated = [("", md5(folder / name), name) for name in texts]
    monkeypatch.setattr(datasets.CelebA, "file_list", stated)
    faces = colours[:, :, None, None].repeat(64, 2).repeat(64, 3)
    return {"train": (faces[:20], None), "test": (faces[30:], None)}


CIFAR10 = partial(cifar, datasets.CIFAR10, "labels")
CIFAR100 = partial(cifar, datasets.CIFAR100, "fine_labels")
FORMATS = {
    "mnist": mnist,
    "fashion_mnist": fashion,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "svhn": svhn,
    "stl10(size=96)": stl10,
    "celeba": celeba,
}


def compare(found, expected, tolerance=0):
    for side, name in SIDES.items():
        examples, (images, classes) = getattr(found, name)[IMAGE], expected[side]
        assert examples.images.dtype == torch.uint8
        assert examples.images.is_contiguous()
        assert np.abs(examples.images.numpy().astype(int) - images).max() <= tolerance
        if classes is None:
            assert examples.labels is None
        else:
            assert examples.labels.dtype == torch.int64
            assert examples.labels.tolist() == classes.tolist()


def test_every_published_set_has_its_format_here():
    assert {name.partition("(")[0] for name in FORMATS} == set(DOWNLOADED)


@pytest.mark.parametrize("text", FORMATS)
def test_the_published_format_is_read_as_it_is(text, place, monkeypatch):
    expected = FORMATS[text](place, monkeypatch)
    found = DATA.make(text).load()
    compare(found, expected, tolerance=3 if text == "celeba" else 0)  # JPEG rounds


def test_debians_package_of_fashion_mnist_is_read_where_it_lies(place, monkeypatch):
    expected = debians_fashion(place, monkeypatch)
    compare(DATA.make("fashion_mnist").load(), expected)


def test_stl10_trains_on_the_unlabelled_images_when_asked_to(place, monkeypatch):
    expected = stl10(place, monkeypatch)
    data = DATA.make("stl10(size=96, unlabelled=true)")
    assert data.classes == 0
    unlabelled = {"train": expected["unlabeled"][0], "test": expected["test"][0]}
    compare(data.load(), {side: (images, None) for side, images in unlabelled.items()})


@pytest.mark.parametrize(
    ("text", "size"), [("stl10", 64), ("stl10(size=48)", 48), ("celeba(size=128)", 128)]
)
def test_sizes_are_those_that_are_declared(text, size, place, monkeypatch):
    FORMATS["stl10(size=96)" if "stl10" in text else "celeba"](place, monkeypatch)
    data = DATA.make(text)
    assert data.shapes == {IMAGE: (3, size, size)}
    assert data.load().train[IMAGE].images.shape[1:] == (3, size, size)


@pytest.mark.parametrize("text", ["stl10(size=97)", "stl10(size=0)", "celeba(size=179)"])
def test_no_image_is_enlarged(text):
    with pytest.raises(ValueError, match="size must be in"):
        DATA.make(text)


def test_stacked_mnist_is_made_of_mnist(place, monkeypatch):
    mnist(place, monkeypatch)
    found, digits = DATA.make("stacked_mnist").load(), DATA.make("mnist").load()
    assert [len(side[IMAGE]) for side in (found.train, found.held_out)] == [128_000, 26_000]
    known = {image.numpy().tobytes() for image in digits.held_out[IMAGE].images}
    assert {
        channel.numpy().tobytes() for channel in found.held_out[IMAGE].images[:50].flatten(0, 1)
    } <= known


# What is not here, or not whole


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_set_that_is_not_here_says_what_to_do(name, place):
    with pytest.raises(NotDownloaded) as told:
        DATA.make(name).load()
    assert str(told.value).startswith(
        f"{name} is not on this machine: run `ganbench download {name}`, "
        f"or put torchvision's files under {place}"
    )
    assert "\n" not in str(told.value)
    assert list(place.iterdir()) == []


def test_stacks_of_what_is_not_here_say_what_to_do():
    with pytest.raises(
        NotDownloaded, match="mnist is not on this machine: run `ganbench download mnist`"
    ):
        DATA.make("stacked_mnist").load()


@pytest.mark.parametrize("cut", [0, 3, 100])
def test_files_that_are_cut_short_are_told_as_damaged(cut, place, monkeypatch):
    mnist(place, monkeypatch)
    path = place / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NotDownloaded, match=r"mnist under .* is damaged: delete it and run"):
        DATA.make("mnist").load()
    debians_fashion(place, monkeypatch)
    path = place / "packaged" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NotDownloaded, match="fashion_mnist"):
        DATA.make("fashion_mnist").load()


class Malicious:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_pickle_that_is_not_the_published_one_is_never_opened(name, place, monkeypatch, tmp_path):
    FORMATS[name](place, monkeypatch)
    kind = getattr(datasets, name.upper())
    ran = tmp_path / "ran"
    pickle.loads(pickle.dumps(Malicious(ran)))
    assert ran.exists()
    ran.unlink()
    (place / kind.base_folder / kind.train_list[0][0]).write_bytes(pickle.dumps(Malicious(ran)))
    with pytest.raises(NotDownloaded):
        DATA.make(name).load()
    assert not ran.exists()


def test_data_lie_where_the_environment_says_or_among_the_caches(monkeypatch, tmp_path):
    assert data_root() == tmp_path / "data"
    monkeypatch.setenv("GANBENCH_DATA", "~/sets")
    assert data_root() == Path.home() / "sets"
    monkeypatch.delenv("GANBENCH_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_root() == Path.home() / ".cache" / "ganbench" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "ganbench" / "data"


# Downloads


@pytest.fixture
def server(tmp_path):
    """A server on this machine: its folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{serving.server_address[1]}/"
    serving.shutdown()


def test_a_set_is_downloaded_when_that_is_asked_for(ganbench, server, place, monkeypatch):
    folder, address = server
    expected = idx_files(folder / "files", gzipped=True)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}files/"])
    stated = [(path.name, md5(path)) for path in (folder / "files").iterdir()]
    monkeypatch.setattr(datasets.MNIST, "resources", stated)
    code, out, _ = ganbench("download", "mnist")
    assert (code, out) == (0, "mnist is on this machine.\n")
    compare(DATA.make("mnist").load(), expected)
    assert ganbench("download", "stacked_mnist")[0] == 0  # it is made of the same files


def test_weights_are_downloaded_and_compared_with_their_hash(ganbench, server, place, monkeypatch):
    folder, address = server
    file = inception.published_inception()
    (folder / file.file).write_bytes(b"some weights")
    served = replace(file, url=address + file.file)
    monkeypatch.setattr(inception, "published_inception", lambda: served)
    code, out, err = ganbench("download", "inception")
    assert (code, out) == (4, "")
    assert "inception could not be downloaded to" in err
    assert "invalid hash" in err
    assert not served.download_path().exists()
    sha256 = hashlib.sha256(b"some weights").hexdigest()
    right = replace(served, sha256=sha256[:8])
    monkeypatch.setattr(inception, "published_inception", lambda: right)
    assert ganbench("download", "inception")[0] == 0
    assert right.read() == b"some weights"


def test_the_weights_of_a_models_setting_are_downloaded(ganbench, server, place, monkeypatch):
    folder, address = server
    (folder / "dinov2_vits14").mkdir()
    (folder / "dinov2_vits14" / "dinov2_vits14_pretrain.pth").write_bytes(b"some weights")
    monkeypatch.setattr(dinov2, "DINOV2_URL", address.rstrip("/"))
    assert ganbench("download", "dinov2(model='vit-s-14')")[0] == 0
    assert dinov2.published_dinov2("vit-s-14").read() == b"some weights"
    code, _, err = ganbench("download", "dinov2(model='vit-s-41')")
    assert code == 2
    assert "did you mean 'vit-s-14'" in err


def nowhere(monkeypatch):
    """Every address is one where nobody answers."""
    closed = "http://127.0.0.1:9/"
    for kind in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", [closed])
    for kind in (datasets.CIFAR10, datasets.CIFAR100, datasets.STL10):
        monkeypatch.setattr(kind, "url", closed + "set.tar.gz")
    lists = {side: [f"{closed}{side}.mat", f"{side}.mat", ""] for side in ("train", "test")}
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)

    def refused(*_: object) -> None:
        raise RuntimeError("Google Drive says\nno")

    monkeypatch.setattr(datasets.celeba, "download_file_from_google_drive", refused)


@pytest.mark.parametrize("name", [*DOWNLOADED, "stacked_mnist"])
def test_a_download_that_fails_ends_with_4_and_a_sentence(ganbench, name, monkeypatch, place):
    nowhere(monkeypatch)
    code, out, err = ganbench("download", name)
    assert (code, out) == (4, "")
    assert err.startswith(f"{name} could not be downloaded to {place}: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert ("gdown" in err) == (name == "celeba")


@pytest.mark.parametrize("name", ["digits", "ring", "folder", "stacked_digits", "classifier"])
def test_what_is_here_anyway_needs_no_download(ganbench, name, place):
    assert ganbench("download", name)[:2] == (0, f"{name} needs no download.\n")
    part = (DATA if name in DATA else EXTRACTORS).load(name)
    assert not isinstance(part, Downloadable)


def test_debians_package_needs_no_download(ganbench, place, monkeypatch):
    debians_fashion(place, monkeypatch)
    nowhere(monkeypatch)
    assert ganbench("download", "fashion_mnist")[:2] == (0, "fashion_mnist is on this machine.\n")


@pytest.mark.parametrize(
    ("name", "told"),
    [("mnits", "did you mean 'mnist'?"), ("inceptoin", "did you mean 'inception'?")],
)
def test_an_unknown_name_ends_with_2_and_the_nearest(ganbench, name, told):
    code, out, err = ganbench("download", name)
    assert (code, out) == (2, "")
    assert err == f"no data set or extractor is called {name!r}; {told}\n"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_suite_on_data_that_are_not_here_ends_with_2_and_a_sentence(ganbench, tmp_path, command):
    suite = """\
        schema = 1
        name = "away"
        data = ["cifar10"]
        metrics = ["fid"]
        [[grid]]
        variants = ["gan(width=8)"]
        [budget.cpu]
        images = 100
    """
    (tmp_path / "away.toml").write_text(suite)
    code, _, err = ganbench(command, "away.toml", "--device", "cpu")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("cifar10 is not on this machine: run `ganbench download cifar10`")
