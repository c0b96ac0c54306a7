"""Messages: hostile names of files never change a terminal."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from PIL import Image

import ganbench
from ganbench.errors import GanbenchError, escape_control_characters, install_command

ESC = "\x1b[31m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\x07\x08\r\x7f\x9b", r"\x07\x08\r\x7f\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff", r"\udcff"),
        ("two\nlines\tand é 日 😀", "two\nlines\tand é 日 😀"),
    ],
)
def test_control_characters_are_escaped(text, expected):
    assert escape_control_characters(text) == expected
    assert str(GanbenchError(text)) == expected
    expected.encode()


@pytest.fixture
def folders(tmp_path):
    """A valid folder, and one with a broken file of a hostile name."""
    random = np.random.default_rng(0)
    for name in ("reals", "fakes"):
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(random.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "fakes" / f"{ESC}red.png").write_bytes(b"")
    return tmp_path


OPTIONS = dict(metrics="kid", extractor="identity", size=8, floor=False)


def test_error_about_a_file_is_escaped(folders):
    with pytest.raises(GanbenchError) as error:
        ganbench.evaluate(str(folders / "fakes"), str(folders / "reals"), **OPTIONS)
    assert r"\x1b[31mred.png" in str(error.value)
    assert ESC not in str(error.value)


def test_note_about_a_file_is_escaped(folders):
    sides = (str(folders / "fakes"), str(folders / "reals"))
    result = ganbench.evaluate(*sides, **OPTIONS, skip_unreadable=True)
    (note,) = [note for note in result.notes if "left out" in note]
    assert r"\x1b[31mred.png" in note
    assert ESC not in note


def test_install_command_names_the_packages_of_an_extra():
    assert install_command("slurm") == "pip install 'submitit>=1.5'"


def test_install_command_without_an_installed_package_is_that_of_a_clone(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("ganbench.errors.requires", missing)
    assert install_command("slurm") == "pip install -e '.[slurm]'"
