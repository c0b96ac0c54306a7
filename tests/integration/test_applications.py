"""The suites of the page on applications run on small folders of drawn images."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from ganbench.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "applications.md").read_text(encoding="utf-8")
SUITES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SMALL = {  # of each suite: cheaper networks and images, and a sample that it must draw
    "faces": (
        {'stylegan2"': 'stylegan2(width=4)"', "stylegan2_ada": "stylegan2_ada(width=4)"},
        "ada",
    ),
    "style": (
        {
            '"cyclegan': '"cyclegan(width=4, blocks=1, downs=1, strided=1)',
            '"cut': '"cut(width=4, blocks=1, downs=1, strided=1)',
        },
        "cut",
    ),
    "facades": (
        {
            '"pix2pix"': '"pix2pix(width=4, downs=2, strided=1)"',
            "pix2pix(adversarial=0)": "pix2pix(width=4, downs=2, strided=1, adversarial=0)",
        },
        "adversarial",
    ),
    "repair": (
        {
            "inpainting": "inpainting(width=4, blocks=1, downs=1, strided=1)",
            "srgan": "srgan(width=4, blocks=1)",
        },
        "srgan",
    ),
    "birds": (
        {'"dfgan"': '"dfgan(width=4, code=8)"', '"reed"': '"reed(width=4, code=8)"'},
        "dfgan",
    ),
    "waves": (
        {'"mocogan"': '"mocogan(width=4)"', '"vgan"': '"vgan(width=4)"', "frames=16": "frames=8"},
        "mocogan",
    ),
}


def draw_face(path, random):
    image = Image.new("RGB", (48, 48), tuple(random.integers(0, 120, 3).tolist()))
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 4, 40, 44), fill=tuple(random.integers(140, 255, 3).tolist()))
    for x in (16, 28):
        draw.ellipse((x, 16, x + 4, 20), fill="black")
    image.save(path)


def draw_pairs(folder, random):
    """Draws faces beside their negatives, in pix2pix's layout."""
    folder.mkdir(parents=True)
    for number in range(16):
        path = folder / f"{number}.png"
        draw_face(path, random)
        face = np.array(Image.open(path))
        Image.fromarray(np.concatenate([face, 255 - face], 1)).save(path)


@pytest.fixture
def images(tmp_path):
    random = np.random.default_rng(0)
    folders = (
        *("faces", "birds"),
        *(f"photos2paintings/{part}" for part in ("trainA", "trainB", "testA", "testB")),
    )
    for name in folders:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(90 if name in ("faces", "birds") else 16):
            draw_face(folder / f"{number}.png", random)
            if name == "birds":
                (folder / f"{number}.txt").write_text(f"face {number % 7} of the folder")
    for part in ("train", "val"):
        draw_pairs(tmp_path / "facades" / part, random)
    for number in range(90):
        folder = tmp_path / "clips" / str(number)
        folder.mkdir(parents=True)
        for frame in range(8):
            draw_face(folder / f"{frame}.png", random)
    return tmp_path


def test_every_suite_of_the_page_is_tried():
    assert [re.search('name = "(.*)"', text)[1] for text in SUITES] == list(SMALL)


@pytest.mark.slow
@pytest.mark.timeout(900)  # two translators and features of hundreds of images
@pytest.mark.parametrize("text", SUITES)
def test_applications_run_on_a_small_folder(text, images, monkeypatch):
    monkeypatch.chdir(images)
    name = re.search('name = "(.*)"', text)[1]
    changes, cell = SMALL[name]
    for old, new in {**changes, "size=64": "size=16", "size=256": "size=16"}.items():
        assert old in text or "size" in old
        text = text.replace(old, new)
    Path(f"{name}.toml").write_text(text)
    for command in (["run", f"{name}.toml", "--device", "cpu"], ["samples", name, cell]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    assert list(Path("results").rglob("samples.png"))
