"""Published data sets are read from their own file formats and downloaded only on request."""

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
from ganbench.evaluation.extractors import EXTRACTORS, dinov2, inception, weight_files

DOWNLOADED = [name for name in DATA.entries if issubclass(DATA.load(name), TorchvisionDataset)]
COUNTS = {"train": 25, "test": 20}
SIDES = {"train": "train", "test": "held_out"}
random = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder, without cached files and without a network."""
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


# Small sets in the published formats. torchvision compares files with the published MD5.
# The tests replace these MD5 by the MD5 of the small files, so the comparison still runs.


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx_files(folder: Path, gzipped: bool = False):
    """Writes MNIST's four files and returns their content."""
    folder.mkdir(parents=True)
    expected = {}
    for side, name in (("train", "train"), ("test", "t10k")):
        images, classes = pixels(COUNTS[side], 28, 28), labels(COUNTS[side])
        for kind, values in (("images-idx3", images), ("labels-idx1", classes)):
            content, path = idx_bytes(values), folder / f"{name}-{kind}-ubyte"
            if gzipped:
                content, path = gzip.compress(content), path.with_name(path.name + ".gz")
            path.write_bytes(content)
        expected[side] = np.pad(images[:, None], [(0, 0), (0, 0), (2, 2), (2, 2)]), classes
    return expected


def write_mnist(data_folder, monkeypatch):
    return write_idx_files(data_folder / "MNIST" / "raw")


def write_fashion_mnist(data_folder, monkeypatch):
    return write_idx_files(data_folder / "FashionMNIST" / "raw")


def write_debian_fashion_mnist(data_folder, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_PACKAGE_FOLDER", data_folder / "packaged")
    return write_idx_files(data_folder / "packaged", gzipped=True)


def write_cifar(kind, key, data_folder, monkeypatch):
    folder = data_folder / kind.base_folder
    folder.mkdir()

    def write(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, md5(folder / name)]

    expected, lists = {}, {}
    for side, names in (("train", kind.train_list), ("test", kind.test_list)):
        images, classes = pixels(COUNTS[side], 3, 32, 32), labels(COUNTS[side])
        parts = [np.array_split(x, len(names)) for x in (images.reshape(-1, 3072), classes)]
        lists[side] = [
            write(name, {"data": x, key: y.tolist()})
            for (name, _), x, y in zip(names, *parts, strict=True)
        ]
        expected[side] = images, classes
    meta = write(kind.meta["filename"], {kind.meta["key"]: []})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta[1]})
    monkeypatch.setattr(kind, "train_list", lists["train"])
    monkeypatch.setattr(kind, "test_list", lists["test"])
    return expected


def write_svhn(data_folder, monkeypatch):
    expected, lists = {}, {}
    for side in COUNTS:
        images, classes = pixels(COUNTS[side], 3, 32, 32), labels(COUNTS[side])
        path = data_folder / f"{side}_32x32.mat"
        # The published files label the digit 0 as 10.
        labels_with_ten = np.where(classes == 0, 10, classes)[:, None]
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": labels_with_ten})
        lists[side] = ["http://127.0.0.1:9/", path.name, md5(path)]
        expected[side] = images, classes
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)
    return expected


def write_stl10(data_folder, monkeypatch):
    folder = data_folder / "stl10_binary"
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


def write_celeba(data_folder, monkeypatch):
    """Writes faces of one colour, black outside the central square in whole JPEG blocks."""
    folder = data_folder / "celeba"
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
    checksums = [("", md5(folder / name), name) for name in texts]
    monkeypatch.setattr(datasets.CelebA, "file_list", checksums)
    faces = colours[:, :, None, None].repeat(64, 2).repeat(64, 3)
    return {"train": (faces[:20], None), "test": (faces[30:], None)}


write_cifar10 = partial(write_cifar, datasets.CIFAR10, "labels")
write_cifar100 = partial(write_cifar, datasets.CIFAR100, "fine_labels")
FORMAT_WRITERS = {
    "mnist": write_mnist,
    "fashion_mnist": write_fashion_mnist,
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "svhn": write_svhn,
    "stl10(size=96)": write_stl10,
    "celeba": write_celeba,
}


def assert_split_equals(split, expected, tolerance=0):
    for side, name in SIDES.items():
        examples, (images, classes) = getattr(split, name)[IMAGE], expected[side]
        assert examples.images.dtype == torch.uint8
        assert examples.images.is_contiguous()
        assert np.abs(examples.images.numpy().astype(int) - images).max() <= tolerance
        if classes is None:
            assert examples.labels is None
        else:
            assert examples.labels.dtype == torch.int64
            assert examples.labels.tolist() == classes.tolist()


def test_every_published_set_has_a_writer():
    assert {name.partition("(")[0] for name in FORMAT_WRITERS} == set(DOWNLOADED)


@pytest.mark.parametrize("text", FORMAT_WRITERS)
def test_published_format_loads_exactly(text, data_folder, monkeypatch):
    expected = FORMAT_WRITERS[text](data_folder, monkeypatch)
    split = DATA.make(text).load()
    assert_split_equals(split, expected, tolerance=3 if text == "celeba" else 0)  # JPEG rounds


def test_debian_fashion_mnist_package_is_read(data_folder, monkeypatch):
    expected = write_debian_fashion_mnist(data_folder, monkeypatch)
    assert_split_equals(DATA.make("fashion_mnist").load(), expected)


def test_stl10_trains_on_unlabelled_images(data_folder, monkeypatch):
    expected = write_stl10(data_folder, monkeypatch)
    data = DATA.make("stl10(size=96, unlabelled=true)")
    assert data.classes == 0
    unlabelled = {"train": expected["unlabeled"][0], "test": expected["test"][0]}
    assert_split_equals(data.load(), {side: (images, None) for side, images in unlabelled.items()})


@pytest.mark.parametrize(
    ("text", "size"), [("stl10", 64), ("stl10(size=48)", 48), ("celeba(size=128)", 128)]
)
def test_images_have_the_declared_size(text, size, data_folder, monkeypatch):
    FORMAT_WRITERS["stl10(size=96)" if "stl10" in text else "celeba"](data_folder, monkeypatch)
    data = DATA.make(text)
    assert data.shapes == {IMAGE: (3, size, size)}
    assert data.load().train[IMAGE].images.shape[1:] == (3, size, size)


@pytest.mark.parametrize("text", ["stl10(size=97)", "stl10(size=0)", "celeba(size=179)"])
def test_no_image_is_enlarged(text):
    with pytest.raises(ValueError, match="size must be in"):
        DATA.make(text)


def test_stacked_mnist_consists_of_mnist_digits(data_folder, monkeypatch):
    write_mnist(data_folder, monkeypatch)
    stacks, digits = DATA.make("stacked_mnist").load(), DATA.make("mnist").load()
    assert [len(side[IMAGE]) for side in (stacks.train, stacks.held_out)] == [128_000, 26_000]
    digit_images = {image.numpy().tobytes() for image in digits.held_out[IMAGE].images}
    assert {
        channel.numpy().tobytes() for channel in stacks.held_out[IMAGE].images[:50].flatten(0, 1)
    } <= digit_images


# Missing and damaged files


@pytest.mark.parametrize("name", DOWNLOADED)
def test_missing_set_names_the_remedy(name, data_folder):
    with pytest.raises(NotDownloaded) as error:
        DATA.make(name).load()
    assert str(error.value).startswith(
        f"{name} is not on this machine: run `ganbench download {name}`, "
        f"or put torchvision's files under {data_folder}"
    )
    assert "\n" not in str(error.value)
    assert list(data_folder.iterdir()) == []


def test_missing_base_of_stacks_names_the_remedy():
    with pytest.raises(
        NotDownloaded, match="mnist is not on this machine: run `ganbench download mnist`"
    ):
        DATA.make("stacked_mnist").load()


@pytest.mark.parametrize("size", [0, 3, 100])
def test_truncated_files_are_reported_as_damaged(size, data_folder, monkeypatch):
    write_mnist(data_folder, monkeypatch)
    path = data_folder / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(NotDownloaded, match=r"mnist under .* is damaged: delete it and run"):
        DATA.make("mnist").load()
    write_debian_fashion_mnist(data_folder, monkeypatch)
    path = data_folder / "packaged" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(NotDownloaded, match="fashion_mnist"):
        DATA.make("fashion_mnist").load()


class MaliciousPickle:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_unpublished_pickle_is_never_opened(name, data_folder, monkeypatch, tmp_path):
    FORMAT_WRITERS[name](data_folder, monkeypatch)
    kind = getattr(datasets, name.upper())
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(MaliciousPickle(marker)))
    assert marker.exists()
    marker.unlink()
    (data_folder / kind.base_folder / kind.train_list[0][0]).write_bytes(
        pickle.dumps(MaliciousPickle(marker))
    )
    with pytest.raises(NotDownloaded):
        DATA.make(name).load()
    assert not marker.exists()


def test_data_root_follows_the_environment(monkeypatch, tmp_path):
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
    """A local server: its folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{serving.server_address[1]}/"
    serving.shutdown()


def test_download_command_fetches_a_data_set(ganbench, server, data_folder, monkeypatch):
    folder, address = server
    expected = write_idx_files(folder / "files", gzipped=True)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}files/"])
    checksums = [(path.name, md5(path)) for path in (folder / "files").iterdir()]
    monkeypatch.setattr(datasets.MNIST, "resources", checksums)
    code, out, _ = ganbench("download", "mnist")
    assert (code, out) == (0, "mnist is on this machine.\n")
    assert_split_equals(DATA.make("mnist").load(), expected)
    assert ganbench("download", "stacked_mnist")[0] == 0  # it consists of the same files


def test_downloaded_weights_must_match_their_hash(ganbench, server, data_folder, monkeypatch):
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
    matching = replace(served, sha256=sha256[:8])
    monkeypatch.setattr(inception, "published_inception", lambda: matching)
    assert ganbench("download", "inception")[0] == 0
    assert matching.read() == b"some weights"


def test_weights_of_selected_model_are_downloaded(ganbench, server, data_folder, monkeypatch):
    folder, address = server
    (folder / "dinov2_vits14").mkdir()
    (folder / "dinov2_vits14" / "dinov2_vits14_pretrain.pth").write_bytes(b"some weights")
    monkeypatch.setattr(weight_files, "DINOV2_URL", address.rstrip("/"))
    assert ganbench("download", "dinov2(model='vit-s-14')")[0] == 0
    assert dinov2.published_dinov2("vit-s-14").read() == b"some weights"
    code, _, err = ganbench("download", "dinov2(model='vit-s-41')")
    assert code == 2
    assert "did you mean 'vit-s-14'" in err


def make_downloads_fail(monkeypatch):
    """Points every address to a closed port."""
    closed_address = "http://127.0.0.1:9/"
    for kind in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", [closed_address])
    for kind in (datasets.CIFAR10, datasets.CIFAR100, datasets.STL10):
        monkeypatch.setattr(kind, "url", closed_address + "set.tar.gz")
    lists = {side: [f"{closed_address}{side}.mat", f"{side}.mat", ""] for side in ("train", "test")}
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)

    def fail(*_: object) -> None:
        raise RuntimeError("Google Drive says\nno")

    monkeypatch.setattr(datasets.celeba, "download_file_from_google_drive", fail)


@pytest.mark.parametrize("name", [*DOWNLOADED, "stacked_mnist"])
def test_failed_download_exits_with_4_and_sentence(ganbench, name, monkeypatch, data_folder):
    make_downloads_fail(monkeypatch)
    code, out, err = ganbench("download", name)
    assert (code, out) == (4, "")
    assert err.startswith(f"{name} could not be downloaded to {data_folder}: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert ("gdown" in err) == (name == "celeba")


@pytest.mark.parametrize("name", ["digits", "ring", "folder", "stacked_digits", "classifier"])
def test_included_parts_need_no_download(ganbench, name, data_folder):
    assert ganbench("download", name)[:2] == (0, f"{name} needs no download.\n")
    part = (DATA if name in DATA else EXTRACTORS).load(name)
    assert not isinstance(part, Downloadable)


def test_debian_package_needs_no_download(ganbench, data_folder, monkeypatch):
    write_debian_fashion_mnist(data_folder, monkeypatch)
    make_downloads_fail(monkeypatch)
    assert ganbench("download", "fashion_mnist")[:2] == (0, "fashion_mnist is on this machine.\n")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("mnits", "did you mean 'mnist'?"), ("inceptoin", "did you mean 'inception'?")],
)
def test_unknown_name_exits_with_2_and_suggestion(ganbench, name, suggestion):
    code, out, err = ganbench("download", name)
    assert (code, out) == (2, "")
    assert err == f"no data set or extractor is called {name!r}; {suggestion}\n"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_suite_on_missing_data_exits_with_2(ganbench, tmp_path, command):
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
