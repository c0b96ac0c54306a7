"""Packed images: the bits of a set in memory, continued conversions, and damage that is found."""

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CPU
from PIL import Image

from ganbench.data import packing
from ganbench.data.base import IMAGE, BatchLoader, NotDownloaded
from ganbench.data.folder import Folder
from ganbench.data.mapped_file import MappedFile
from ganbench.data.memory import InvalidMemorySize, data_memory_limit, parse_memory_size
from ganbench.data.packed_images import open_pack
from ganbench.data.packing import PackReport
from ganbench.evaluation.evaluator import Evaluator, load_split
from ganbench.files import CorruptFile
from ganbench.rng import RngStreams

COUNT = 203


class Quiet(PackReport):
    """Collects sentences instead of printing them."""

    def __init__(self):
        super().__init__()
        self.sentences = []

    def announce(self, text):
        self.sentences.append(text)


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch, tmp_path):
    """Many buckets and blocks, so that few images exercise every step."""
    monkeypatch.setattr(packing, "BUCKET_BYTES", 4000)
    monkeypatch.setattr(packing, "MAX_BLOCK_IMAGES", 16)
    monkeypatch.setattr(packing, "SECONDS_PER_COMMIT", 0)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANBENCH_DATA_MEMORY", raising=False)


@pytest.fixture
def root(tmp_path) -> Path:
    """203 images of odd sizes in three classes; some are copies of others in another class."""
    root = tmp_path / "photos"
    for number in range(COUNT):
        path = root / f"class{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = number % 190
        pixels = np.random.default_rng(seed).integers(0, 256, (11 + seed % 7, 9, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def data_of(root: Path, **settings) -> Folder:
    return Folder(path=str(root), **{"size": 8, "labelled": True, **settings})


def load_from_disk(monkeypatch, root: Path, **settings):
    """Loads a set that memory is declared too small for."""
    monkeypatch.setenv("GANBENCH_DATA_MEMORY", "1kB")
    return data_of(root, **settings).load()


def pack_folder(root: Path, **settings) -> Path:
    return data_of(root, **settings).pack(Quiet()).folder


def same_examples(ours, theirs) -> bool:
    pairs = zip(ours.tensors()[:2], theirs.tensors()[:2], strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# The bits of memory


def test_packed_set_equals_one_in_memory(root, monkeypatch):
    in_memory, on_disk = data_of(root).load(), load_from_disk(monkeypatch, root)
    assert in_memory.train[IMAGE].file is None
    assert on_disk.train[IMAGE].file is not None
    for side in ("train", "held_out"):
        assert same_examples(getattr(in_memory, side)[IMAGE], getattr(on_disk, side)[IMAGE])
    assert on_disk.fingerprint() == in_memory.fingerprint() == on_disk.compute_fingerprint()


def test_grey_unlabelled_set_equals_memory(root, monkeypatch):
    settings = {"channels": 1, "labelled": False, "held_out": 0.3}
    expected = data_of(root, **settings).load().fingerprint()
    assert load_from_disk(monkeypatch, root, **settings).fingerprint() == expected


@pytest.mark.parametrize("size", [1, 7, 64, 300])
def test_batches_from_disk_equal_memory(root, monkeypatch, size):
    train = data_of(root).load().train
    on_disk = load_from_disk(monkeypatch, root).train
    loaders = [BatchLoader(examples, size, RngStreams(3, CPU)) for examples in (train, on_disk)]
    assert loaders[0].host_batches is None
    assert loaders[1].host_batches is not None
    for number in [*range(3 * len(train[IMAGE]) // size + 2), 0, 1, 5, 2]:
        ours, theirs = (loader.batches(number)[IMAGE] for loader in loaders)
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.index, theirs.index)


def test_small_pack_is_read_into_memory(root):
    expected = data_of(root).load().fingerprint()
    pack_folder(root)
    for path in root.rglob("*.png"):  # no image is decoded again
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    split = data_of(root).load()
    assert split.train[IMAGE].file is None
    assert split.fingerprint() == split.compute_fingerprint() == expected


def test_fingerprint_is_stored_by_split(root, monkeypatch):
    first = load_from_disk(monkeypatch, root)
    monkeypatch.setattr("ganbench.data.base.Split.compute_fingerprint", lambda split: "computed")
    assert load_from_disk(monkeypatch, root).fingerprint() == first.fingerprint()
    assert load_from_disk(monkeypatch, root, held_out=0.2).fingerprint() == "computed"
    assert load_from_disk(monkeypatch, root, labelled=False).fingerprint() == "computed"


def test_evaluator_reads_packed_examples(root, monkeypatch):
    monkeypatch.setattr(Folder, "extractor", "identity")
    spec, scores = f"folder(path={str(root)!r}, size=8)", []
    for memory in ("1GB", "1kB"):
        monkeypatch.setenv("GANBENCH_DATA_MEMORY", memory)
        load_split.cache_clear()
        evaluator = Evaluator(spec, CPU)
        assert (evaluator.split.train[IMAGE].file is None) == (memory == "1GB")
        scores.append(evaluator.measure_floor(("fid", "recall")))
    assert str(scores[0]) == str(scores[1])


# The disk


def test_disk_use_is_announced_first(root):
    report = Quiet()
    data_of(root).pack(report)
    assert len(report.sentences) == 1
    assert "packing 203 images as 3x8x8. This takes 39 kB in " in report.sentences[0]
    assert report.sentences[0].endswith(" are free")


def test_too_little_space_is_refused(root, monkeypatch):
    usage = type("Usage", (), {"free": 10_000})
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(NotDownloaded, match=r"where 10 kB are free: make room, or set GANBENCH_CA"):
        pack_folder(root)


def test_full_disk_keeps_finished_work(root, monkeypatch, limit_file_size):
    expected = data_of(root).load().fingerprint()
    limit_file_size(2000)
    with pytest.raises(NotDownloaded, match=r"could not be packed in .*File too large"):
        pack_folder(root)
    limit_file_size(-1)
    report = Quiet()
    data_of(root).pack(report)
    assert re.search(r", \d+ are done", report.sentences[0])
    assert load_from_disk(monkeypatch, root).fingerprint() == expected


# Sources


def test_changed_source_file_is_found(root, monkeypatch):
    before = load_from_disk(monkeypatch, root)
    old = pack_folder(root)
    Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(root / "class0" / "000.png")
    after = load_from_disk(monkeypatch, root)
    assert after.fingerprint() != before.fingerprint()
    assert after.fingerprint() == data_of(root).load().compute_fingerprint()
    assert not old.exists()


@pytest.mark.parametrize("change", ["time", "new", "gone"])
def test_any_change_names_another_pack(root, change):
    first = pack_folder(root)
    path = root / "class0" / "000.png"
    if change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "new":
        (root / "class0" / "new.png").write_bytes(path.read_bytes())
    else:
        path.unlink()
    assert pack_folder(root) != first


def test_source_that_changes_meanwhile_is_refused(root):
    class Changing(Quiet):
        def show(self, phase, done, total):
            os.utime(root / "class0" / "000.png", ns=(done, done))

    with pytest.raises(NotDownloaded, match="changed while it was packed: repeat the command"):
        data_of(root).pack(Changing())


def test_all_broken_images_are_named(root, monkeypatch):
    for name in ("000", "006"):
        (root / "class0" / f"{name}.png").write_bytes(b"no image")
    with pytest.raises(NotDownloaded) as refused:
        load_from_disk(monkeypatch, root)
    message = str(refused.value)
    assert message.startswith("2 of 203 images cannot be read: ")
    assert "000.png is not an image" in message
    assert "skip_unreadable=true leaves them out" in message


def test_skipping_continues_after_broken_images(root, monkeypatch):
    (root / "class0" / "000.png").write_bytes(b"")
    with pytest.raises(NotDownloaded, match="is empty"):
        load_from_disk(monkeypatch, root)
    report = Quiet()
    data_of(root, skip_unreadable=True).pack(report)
    assert "202 are done" in report.sentences[0]
    on_disk = load_from_disk(monkeypatch, root, skip_unreadable=True)
    monkeypatch.setenv("GANBENCH_DATA_MEMORY", "1GB")
    monkeypatch.setenv("GANBENCH_CACHE", str(root / "none"))
    in_memory = data_of(root, skip_unreadable=True).load()
    assert on_disk.fingerprint() == in_memory.fingerprint()
    assert on_disk.notes == in_memory.notes
    assert "1 of 203 images left out" in on_disk.notes[0]


def test_pack_with_broken_images_needs_skipping(root):
    (root / "class0" / "000.png").write_bytes(b"")
    pack_folder(root, skip_unreadable=True)
    with pytest.raises(NotDownloaded, match=r"000\.png is empty"):
        data_of(root).load()


def test_repaired_permission_is_tried_again(root, monkeypatch):
    read, refused = Path.read_bytes, root / "class1" / "001.png"

    def refuse(path):
        if path == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(NotDownloaded, match=r"001\.png cannot be read: Permission denied"):
            pack_folder(root)
    expected = data_of(root).load().fingerprint()
    assert load_from_disk(monkeypatch, root).fingerprint() == expected


def test_labels_of_packs_are_checked(root, monkeypatch):
    (root / "class9").mkdir()
    with pytest.raises(NotDownloaded, match="class9 holds no images"):
        load_from_disk(monkeypatch, root)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "stray.png")
    with pytest.raises(NotDownloaded, match=r"stray\.png is in no class folder"):
        load_from_disk(monkeypatch, root)


# Damage


@pytest.mark.parametrize("damage", ["cut", "bit", "numbers", "meta"])
def test_damaged_pack_is_found(root, monkeypatch, capsys, damage):
    expected = load_from_disk(monkeypatch, root).fingerprint()
    folder = pack_folder(root)
    name = {"numbers": "numbers.npy", "meta": "pack.json"}.get(damage, "*.uint8")
    (path,) = folder.glob(name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content[:-100] if damage == "cut" else content)
    if damage == "meta":
        path.write_bytes(b"{")
    with pytest.raises(CorruptFile, match="is damaged"):
        open_pack(folder)
    capsys.readouterr()
    split = load_from_disk(monkeypatch, root)
    assert split.compute_fingerprint() == expected
    assert "is damaged" in capsys.readouterr().err


def test_quiet_damage_is_found_by_check(root):
    folder = pack_folder(root)
    (path,) = folder.glob("*.uint8")
    status, content = path.stat(), bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert open_pack(folder)
    with pytest.raises(CorruptFile, match="has changed"):
        open_pack(folder, thorough=True)


def test_copied_pack_is_read_once_more(root, monkeypatch):
    folder, hashes = pack_folder(root), []
    (path,) = folder.glob("*.uint8")
    os.utime(path, ns=(5, 5))
    original = packing.hash_file_content
    monkeypatch.setattr(
        "ganbench.data.packed_images.hash_file_content",
        lambda path: hashes.append(path) or original(path),
    )
    assert open_pack(folder)
    assert hashes.count(path) == 1
    assert open_pack(folder)
    assert hashes.count(path) == 1


def test_damaged_bucket_is_never_placed(root, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packing, "sort_images", stop)
        with pytest.raises(KeyboardInterrupt):
            pack_folder(root)
    (bucket,) = (folder := next((root.parent / "cache").glob("packed/*.partial"))).glob("*-003")
    content = bytearray(bucket.read_bytes())
    content[7] ^= 1
    bucket.write_bytes(content)
    with pytest.raises(NotDownloaded, match="bucket-003 was damaged on the disk: repeat the comm"):
        pack_folder(root)
    assert not folder.exists()
    assert pack_folder(root)


@pytest.mark.parametrize("end", [1, 17, 40])
def test_torn_records_are_decoded_again(root, monkeypatch, end):
    expected = data_of(root).load().fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr(packing, "sort_images", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pack_folder(root)
    records = next((root.parent / "cache").glob("packed/*.partial/records.bin"))
    content = records.read_bytes()
    records.write_bytes(content[: len(content) // 2 + end] + bytes(60))
    report = Quiet()
    data_of(root).pack(report)
    assert " are done" in report.sentences[0]
    assert load_from_disk(monkeypatch, root).fingerprint() == expected


def test_another_pillow_starts_over(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(packing, "sort_images", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pack_folder(root)
    monkeypatch.setattr("PIL.__version__", "0.0")
    report = Quiet()
    data_of(root).pack(report)
    assert "Pillow has changed, so packing starts over" in report.sentences[0]
    assert "done" not in report.sentences[1]


# Threads and memory


def test_errors_of_the_thread_reach_training(root, monkeypatch):
    train = load_from_disk(monkeypatch, root).train
    loader = BatchLoader(train, 16, RngStreams(0, CPU))
    loader.batches(0)

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("ganbench.data.base.gather_rows", fail)
    with pytest.raises(OSError, match="Input/output error"):
        loader.batches(19)


def test_thread_ends_with_its_loader(root, monkeypatch):
    loader = BatchLoader(load_from_disk(monkeypatch, root).train, 16, RngStreams(0, CPU))
    loader.batches(0)
    (thread,) = (t for t in threading.enumerate() if t.name.startswith("ganbench-batches"))
    del loader
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_mapped_pages_are_released(tmp_path):
    path, size = tmp_path / "zeros", 2**27
    path.write_bytes(bytes(size))
    file = MappedFile(path, (size // 4096, 4096))
    assert int(file.as_tensor().sum()) == 0
    touched = resident_file_bytes()
    file.release()
    assert touched - resident_file_bytes() > size // 2


def resident_file_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def test_file_larger_than_memory_can_be_mapped(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**42)
    tensor = MappedFile(tmp_path / "sparse", (2**12, 2**30)).as_tensor()
    assert tensor[-1, -1] == 0


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("2kB", 2000), ("1.5 GiB", 3 * 2**29), ("3tb", 3 * 10**12)]
)
def test_memory_sizes_are_read(text, size):
    assert parse_memory_size(text) == size


def test_invalid_memory_size_is_refused(monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA_MEMORY", "much")
    with pytest.raises(InvalidMemorySize, match="must be a size such as 2GB, not 'much'"):
        data_memory_limit()
    monkeypatch.delenv("GANBENCH_DATA_MEMORY")
    assert data_memory_limit() > 2**24
