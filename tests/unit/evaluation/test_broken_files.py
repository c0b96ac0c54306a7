"""All broken files of an evaluation are named at once, before images are extracted."""

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganbench import evaluate
from ganbench.data.image_decoding import Unreadable

OPTIONS = {"extractor": "identity", "metrics": "kid", "device": "cpu"}


@pytest.fixture
def folders(tmp_path):
    random = np.random.default_rng(0)
    for side in ("fakes", "reals"):
        (tmp_path / side).mkdir()
        for number in range(20):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{number:02}.png")
    return tmp_path / "fakes", tmp_path / "reals"


def refusal_of(fakes, reals, calls):
    with pytest.raises(Unreadable) as refusal:
        evaluate(fakes, reals, show=lambda *call: calls.append(call), **OPTIONS)
    return str(refusal.value)


def test_broken_headers_of_both_sides_are_named(folders):
    (folders[0] / "01.png").write_bytes(b"")
    (folders[0] / "02.png").write_bytes(b"hello")
    deep = Image.fromarray(np.zeros((16, 16), dtype=np.uint16))
    deep.save(folders[1] / "03.png")
    calls = []
    message = refusal_of(*folders, calls)
    assert message.startswith("3 of 40 images cannot be read: ")
    for text in ("01.png is empty", "02.png is not an image", "03.png has more than 8 bits"):
        assert text in message
    assert message.endswith("--skip-unreadable leaves them out")
    assert calls == []  # nothing was extracted


def test_headers_in_archives_are_checked(folders, tmp_path):
    (folders[0] / "01.png").write_bytes(b"hello")
    (folders[0] / "02.png").write_bytes(b"hello")
    shutil.make_archive(str(tmp_path / "fakes"), "zip", folders[0])
    assert zipfile.is_zipfile(tmp_path / "fakes.zip")
    calls = []
    message = refusal_of(tmp_path / "fakes.zip", folders[1], calls)
    assert message.startswith("2 of 40 images cannot be read: ")
    assert calls == []


def test_all_truncated_files_are_named(folders):
    for name in ("04.png", "17.png"):
        content = (folders[1] / name).read_bytes()
        (folders[1] / name).write_bytes(content[: len(content) // 2])
    message = refusal_of(*folders, [])
    assert message.startswith("2 of 20 images cannot be read: ")
    assert "04.png is damaged" in message
    assert "17.png is damaged" in message


def test_one_broken_file_has_the_remedy(folders):
    (folders[0] / "01.png").write_bytes(b"")
    sentence = "01.png is empty: it has no bytes. --skip-unreadable leaves it out"
    assert refusal_of(*folders, []).endswith(sentence)


def test_skipped_broken_files_are_counted(folders):
    (folders[0] / "01.png").write_bytes(b"")
    (folders[0] / "04.png").write_bytes(b"no image")
    for _ in range(2):  # the second time with cached features
        scores = evaluate(*folders, skip_unreadable=True, **OPTIONS)
        (note,) = [note for note in scores.notes if note.startswith("fakes: 2 left out: ")]
        assert "01.png is empty" in note
        assert "04.png" in note
