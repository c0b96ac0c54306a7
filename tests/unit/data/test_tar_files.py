"""WebDataset shards: images and labels read from tar archives, and archives that are refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganbench.data import DATA, tar_files
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.folder import Folder
from ganbench.data.image_decoding import Unreadable
from ganbench.data.tar_files import (
    TarFiles,
    expand_range,
    is_tar_text,
    parse_label,
    read_part,
    sample_key,
)
from ganbench.experiments.suite_paths import find_beside_suite
from ganbench.registry import SpecError

COUNT = 150


def image_bytes(number: int) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_shards(folder: Path, labels=lambda number: {}, name="{:06}.png".format, shards=3) -> Path:
    """Writes 150 images into shards, each followed by files of its sample by suffix."""
    folder.mkdir(exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"part-{shard:03}.tar", "w") as archive:
            for number in range(shard, COUNT, shards):
                add_file(archive, name(number), image_bytes(number))
                for suffix, content in labels(number).items():
                    add_file(archive, name(number).replace(".png", suffix), content)
    return folder


def write_class_folders(root: Path) -> Path:
    for number in range(COUNT):
        path = root / f"{number % 3}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(number))
    return root


def data_of(path: Path | str, **settings) -> Folder:
    return Folder(path=str(path), **{"size": 8, **settings})


# Contents


def test_shards_equal_a_folder_of_files(tmp_path):
    expected = data_of(write_class_folders(tmp_path / "photos")).load().fingerprint()
    folder = write_shards(tmp_path / "shards")
    for path in (folder, folder / "part-{000..002}.tar", folder / "part-*.tar"):
        assert data_of(path).load().fingerprint() == expected


@pytest.mark.parametrize(
    "labels",
    [
        lambda number: {".cls": b"%d\n" % (number % 3)},
        lambda number: {".cls": b"%02d" % (number % 3), ".txt": b"5", ".json": b'{"cls": 7}'},
        lambda number: {".json": b'{"label": %d, "caption": "a cat"}' % (number % 3)},
        lambda number: {".txt": b"%d" % (number % 3)},
    ],
    ids=["cls", "all", "json", "txt"],
)
def test_labels_equal_those_of_folders(tmp_path, labels):
    folders = data_of(write_class_folders(tmp_path / "photos"), labelled=True)
    shards = data_of(write_shards(tmp_path / "shards", labels), labelled=True)
    assert shards.classes == folders.classes == 3
    assert shards.load().fingerprint() == folders.load().fingerprint()


@pytest.mark.parametrize("shards", [1, 3])
def test_folders_in_archives_are_classes(tmp_path, shards):
    folders = data_of(write_class_folders(tmp_path / "photos"), labelled=True)
    path = write_shards(
        tmp_path / "shards", name=lambda number: f"{number % 3}/{number}.png", shards=shards
    )
    assert data_of(path, labelled=True).load().fingerprint() == folders.load().fingerprint()


def test_whole_numbers_are_ordered_by_value(tmp_path):
    path = write_shards(tmp_path / "shards", lambda number: {".cls": b"%d" % (number % 12)})
    data = data_of(path, labelled=True)
    assert data.class_names() == list(map(str, range(12)))
    assert sorted(set(data.load().train[IMAGE].labels.tolist())) == list(range(12))


def test_packed_shards_keep_labels_and_notes(tmp_path, monkeypatch):
    path = write_shards(
        tmp_path / "shards", lambda number: {".cls": b"%d" % (number % 3), ".npy": b"x"}
    )
    in_memory = data_of(path, labelled=True).load()
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANBENCH_DATA_MEMORY", "1kB")
    on_disk = data_of(path, labelled=True).load()
    again = data_of(path, labelled=True).load()
    assert on_disk.fingerprint() == again.fingerprint() == in_memory.fingerprint()
    assert on_disk.notes == again.notes == in_memory.notes
    assert "and 147 more left out: the suffix is not that of an image" in in_memory.notes[0]
    assert data_of(path, labelled=True).classes == 3


def test_pickles_are_never_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        tar_files, "read_part", lambda *place: read.append(place) or read_part(*place)
    )
    path = write_shards(tmp_path / "shards", lambda number: {".pyd": b"\x80", ".pkl": b"\x80"})
    data_of(path).load()
    assert len(read) == COUNT


def test_equal_names_in_two_shards_differ(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        with tarfile.open(folder / f"{shard}.tar", "w") as archive:
            for number in range(75):
                add_file(archive, f"{number:06}.png", image_bytes(75 * shard + number))
    expected = data_of(write_class_folders(tmp_path / "photos")).load().fingerprint()
    assert data_of(folder).load().fingerprint() == expected


def test_hidden_files_and_links_are_ignored(tmp_path):
    with tarfile.open(write_shards(tmp_path / "shards", shards=1) / "part-000.tar", "a") as archive:
        add_file(archive, "._000001.png", b"resource fork")
        link = tarfile.TarInfo("passwd.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert len(TarFiles(str(tmp_path / "shards")).files) == COUNT


def test_names_of_a_whole_folder_are_read(tmp_path):
    """`tar -C folder -cf x.tar .` begins each name with `./`, which hides nothing."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("./a/0.png", "./b/1.png", "./.cache/2.png", "./a/.3.png"):
            add_file(archive, name, image_bytes(0))
    assert TarFiles(str(tmp_path / "x.tar")).files == ["a/0.png", "b/1.png"]


def test_index_of_large_archives_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tar_files, "MIN_SECONDS_OF_CACHED_INDEX", 0)
    labels = [
        lambda number: {".cls": b"%d" % (number % 3)},
        lambda number: {".cls": b"%d" % (number % 2)},
    ]
    data = data_of(write_shards(tmp_path / "shards", labels[0]), labelled=True)
    expected = data.load().fingerprint()
    for path in (tmp_path / "cache/packed/shards").iterdir():
        path.write_bytes(b'{"images": 1}')  # damaged
    assert data_of(tmp_path / "shards", labelled=True).load().fingerprint() == expected
    with monkeypatch.context() as patch:
        patch.setattr(tar_files, "make_index", None)
        assert data_of(tmp_path / "shards", labelled=True).load().fingerprint() == expected
    write_shards(tmp_path / "shards", labels[1])
    assert data_of(tmp_path / "shards", labelled=True).class_names() == ["0", "1"]


# Refusals


def test_broken_image_of_a_shard_is_named(tmp_path):
    folder = write_shards(tmp_path / "shards")
    with tarfile.open(folder / "part-001.tar", "a") as archive:
        add_file(archive, "broken.jpg", b"no image at all")
    with pytest.raises(NotDownloaded, match=r"shards/part-001\.tar/broken\.jpg is not an image"):
        data_of(folder).load()
    split = data_of(folder, skip_unreadable=True).load()
    assert "1 of 151 images left out" in split.notes[0]


def test_truncated_archive_is_named(tmp_path):
    path = write_shards(tmp_path / "shards") / "part-002.tar"
    content = path.read_bytes()
    for size in (len(content) // 2, len(content) // 2 + 300):
        path.write_bytes(content[:size])
        with pytest.raises(NotDownloaded, match=r"part-002\.tar is (truncated|not a plain tar)"):
            data_of(path.parent).load()


def test_damaged_header_is_not_the_end(tmp_path):
    path = write_shards(tmp_path / "shards") / "part-001.tar"
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        header = archive.getmembers()[20].offset
    content[header : header + 40] = b"\xff" * 40
    path.write_bytes(content)
    place = rf"part-001\.tar is damaged: the header at byte {header:,} is invalid"
    with pytest.raises(NotDownloaded, match=place):
        data_of(path.parent).load()


def test_file_that_is_no_archive_is_named(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive " * 100)
    with pytest.raises(NotDownloaded, match=r"a\.tar is not a plain tar archive"):
        data_of(tmp_path / "a.tar").load()


def test_same_name_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(2):
            add_file(archive, "1.png", image_bytes(number))
    with pytest.raises(Unreadable, match=r"holds 1\.png twice"):
        _ = TarFiles(str(tmp_path / "a.tar")).files


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("part-{000..003}.tar", r"there is no archive .*part-003\.tar"),
        ("other-*.tar", r"there is no archive .*other-\*\.tar"),
        ("part-000.tar.gz", "is compressed: unpack it to a plain .tar"),
    ],
)
def test_missing_archives_are_named(tmp_path, path, message):
    folder = write_shards(tmp_path / "shards")
    with pytest.raises(SpecError, match=message):
        DATA.make(f"folder(path='{folder / path}', size=8)")


def test_sample_without_label_is_named(tmp_path):
    path = write_shards(
        tmp_path / "shards",
        lambda number: {".cls": b"%d" % (number % 2)} if number != 7 else {".txt": b"a cat"},
    )
    with pytest.raises(NotDownloaded, match=r"part-001\.tar/000007\.png has no label: add a \.cls"):
        data_of(path, labelled=True).load()
    with pytest.raises(ValueError, match="has no folders to take the labels from"):
        data_of(write_shards(tmp_path / "others"), labelled=True)


# Names


def test_tars_beside_images_stay_unread(tmp_path):
    folder = write_shards(tmp_path / "shards")
    assert is_tar_text(str(folder))
    (folder / "one.png").write_bytes(image_bytes(0))
    assert not is_tar_text(str(folder))
    assert is_tar_text(str(folder / "part-000.tar"))
    assert not is_tar_text("photos.zip")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-{08..10}.tar", ["a-08.tar", "a-09.tar", "a-10.tar"]),
        ("{1..2}", ["1", "2"]),
        ("a", ["a"]),
    ],
)
def test_ranges_expand(text, expected):
    assert expand_range(text) == expected


def test_pattern_is_found_beside_its_suite(tmp_path):
    write_shards(tmp_path / "shards")
    spec = find_beside_suite("folder(path='shards/part-{000..002}.tar')", tmp_path)
    assert f"path='{tmp_path}/./shards/part-{{000..002}}.tar'" in spec
    missing = "folder(path='shards/other-*.tar')"
    assert find_beside_suite(missing, tmp_path) == missing


@pytest.mark.parametrize(
    ("suffix", "content", "expected"),
    [
        (".cls", b" 007\n", "7"),
        (".cls", b"tabby cat", "tabby cat"),
        (".cls", b"", None),
        (".txt", b"12", "12"),
        (".txt", b"a cat on a mat", None),
        (".json", b'{"class": "cat"}', "cat"),
        (".json", b'{"label": true}', None),
        (".json", b"[" * 100_000, None),
    ],
)
def test_labels_are_parsed(suffix, content, expected):
    assert parse_label(suffix, content) == expected


def test_key_ends_at_first_dot():
    assert sample_key("a.b/000.left.png") == "a.b/000"
