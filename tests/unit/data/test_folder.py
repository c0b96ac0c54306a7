"""A folder of one's own images: what of them is seen, which are held out, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import same
from PIL import Image

from ganbench.data import DATA
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.folder import Folder
from ganbench.data.image_ops import crop_and_resize
from ganbench.registry import SpecError

SUITE = """\
schema = 1
name = "mine"
data = ["folder(path={path!r}, size=8, channels=1)"]
metrics = ["fid"]
seeds = 1
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
generator_turns = 2
"""


def noise(shape: tuple[int, ...], seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


@pytest.fixture
def folder(tmp_path) -> Path:
    """120 grey images of 8x8 pixels, in two folders."""
    place = tmp_path / "it's mine"
    for number in range(120):
        path = place / ("dogs", "cats")[number % 2] / f"{number:03}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise((8, 8), number).save(path)
    return place


def made(place: Path, **settings) -> Folder:
    return Folder(path=str(place), **{"size": 8, "channels": 1, **settings})


def every(data: Folder) -> list[bytes]:
    sides = data.load()
    return [
        x.numpy().tobytes() for side in (sides.train, sides.held_out) for x in side[IMAGE].images
    ]


def test_every_image_is_in_one_of_the_splits_as_it_is(folder):
    expected = {noise((8, 8), number).tobytes() for number in range(120)}
    found = every(made(folder))
    assert len(found) == 120
    assert set(found) == expected


def test_the_first_images_are_no_stretch_of_the_alphabet(folder):
    """Fakes are measured against the first of the training examples."""
    first = made(folder, labelled=True).load().train[IMAGE].labels[:30]
    assert 5 <= int(first.sum()) <= 25


def test_names_change_nothing(folder):
    before = made(folder).load().fingerprint()
    for place, path in enumerate(reversed(made(folder).image_files())):
        (folder / path).rename(folder / f"{place}.BMP")
    assert made(folder).load().fingerprint() == before


def test_what_is_held_out_depends_on_each_files_bytes_alone(folder):
    before = made(folder).load()
    held_out = {x.numpy().tobytes() for x in before.held_out[IMAGE].images}
    assert 10 <= len(held_out) <= 40
    (folder / "dogs" / "000.bmp").rename(folder / "cats" / "renamed.bmp")
    for number in range(200, 220):
        noise((8, 8), number).save(folder / f"{number}.bmp")
    after = made(folder).load()
    assert held_out <= {x.numpy().tobytes() for x in after.held_out[IMAGE].images}
    larger = made(folder, size=16).load()
    assert len(larger.held_out[IMAGE]) == len(after.held_out[IMAGE])


def test_a_copy_is_never_on_both_sides(folder):
    for path in made(folder).image_files():
        (folder / f"copy of {path.name}").write_bytes((folder / path).read_bytes())
    found = made(folder).load()
    sides = [{x.numpy().tobytes() for x in s[IMAGE].images} for s in (found.train, found.held_out)]
    assert not sides[0] & sides[1]


def test_labels_are_the_folders_in_the_order_of_their_names(folder):
    data = made(folder, labelled=True)
    assert data.classes == 2
    cats = {noise((8, 8), number).tobytes() for number in range(1, 120, 2)}
    for side in (data.load().train[IMAGE], data.load().held_out[IMAGE]):
        for image, label in zip(side.images, side.labels, strict=True):
            assert (image.numpy().tobytes() in cats) == (label == 0)
    assert made(folder).load().train[IMAGE].labels is None


def test_what_has_no_class_is_refused(folder):
    (folder / "birds").mkdir()
    with pytest.raises(NotDownloaded, match="birds holds no images"):
        made(folder, labelled=True).load()
    noise((8, 8), 7).save(folder / "stray.png")
    with pytest.raises(NotDownloaded, match=r"stray\.png is in no class folder"):
        made(folder, labelled=True).load()


def test_other_files_and_hidden_ones_are_left_out(folder):
    (folder / "notes.txt").write_text("of no interest")
    (folder / ".thumbnails").mkdir()
    noise((8, 8), 300).save(folder / ".thumbnails" / "small.png")
    assert len(every(made(folder))) == 120
    assert made(folder, labelled=True).classes == 2


def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NotDownloaded, match=r"\.bmp cannot be read: Permission denied"):
        made(folder).load()


# What is kept of an image


def test_the_largest_square_at_the_centre_is_kept():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for image in (wide, wide.transpose(1, 0, 2)):
        for size in (8, 10, 20):  # nothing of what is cut off shines through at the edges
            assert (crop_and_resize(Image.fromarray(image.copy()), 3, size) == 200).all()


def test_an_image_of_the_right_size_stays_as_it_is():
    image = noise((16, 16, 3), 1)
    assert same(crop_and_resize(image, 3, 16), torch.from_numpy(np.array(image)).permute(2, 0, 1))


def test_reduction_does_not_alias():
    """A grating finer than the reduced pixels becomes even grey, not stripes."""
    grating = np.tile(np.array([0, 255], np.uint8), (64, 32))
    found = crop_and_resize(Image.fromarray(grating), 1, 16).float()
    assert found.min() > 100
    assert found.max() < 155


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_the_wanted_channels(mode):
    image = noise((12, 12, 3), 2).convert(mode)
    assert crop_and_resize(image, 3, 8).shape == (3, 8, 8)
    assert crop_and_resize(image, 1, 8).shape == (1, 8, 8)


def test_an_image_stands_as_its_exif_says(folder):
    upright = noise((8, 8), 500)
    turned, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(folder / "turned.png", exif=exif)
    assert upright.tobytes() in every(made(folder))


# Refusals


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"no image at all", "is not an image, despite its name"),
        ("truncated", "is damaged: .*truncated"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_a_file_that_cannot_be_read_is_named(folder, content, told):
    path = folder / "broken.png"
    if content == "truncated":
        noise((64, 64, 3), 1).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(NotDownloaded, match=rf"broken\.png {told}"):
        made(folder).load()


def test_an_image_of_absurd_extent_is_refused_before_it_fills_memory(folder, monkeypatch):
    monkeypatch.setattr("ganbench.data.image_decoding.MAX_IMAGE_PIXELS", 1000)
    noise((40, 40), 1).save(folder / "bomb.png")
    with pytest.raises(
        NotDownloaded, match=r"bomb\.png has more than .* pixels: it looks like an attack"
    ):
        made(folder).load()


def test_more_than_8_bits_are_refused_since_they_would_be_clipped(folder):
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    deep.save(folder / "deep.png")
    with pytest.raises(NotDownloaded, match=r"deep\.png has more than 8 bits per channel"):
        made(folder).load()


def test_too_few_images_are_refused_with_their_number(folder):
    for path in made(folder).image_files()[:60]:
        (folder / path).unlink()
    with pytest.raises(NotDownloaded, match=r"has 60 images, \d+ of them held out: add images"):
        made(folder).load()
    (folder / "none").mkdir()
    with pytest.raises(NotDownloaded, match="has 0 images"):
        made(folder / "none").load()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("size=4", "size must be in"),
        ("channels=2", "channels must be 1 or 3"),
        ("held_out=0", "held_out must lie between 0 and 1"),
        ("held_out=1", "held_out must lie between 0 and 1"),
        ("labelled=true", "has no folders to take the labels from"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, told):
    with pytest.raises(SpecError, match=told):
        DATA.make(f"folder(path='{tmp_path}', {settings})")


# From the command line


def suite(tmp_path: Path, place: Path) -> Path:
    path = tmp_path / "mine.toml"
    text = SUITE.format(path=str(place)).replace('["', "['''").replace('"]', "''']")
    path.write_text(text)
    return path


def test_a_path_with_quotes_goes_through_a_whole_run(ganbench, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "extractor", "identity")  # Inception's weights may not be here
    path = suite(tmp_path, folder)
    code, _, err = ganbench("run", path, "--workers", 0, "--device", "cpu")
    assert (code, err) == (0, "")
    code, out, _ = ganbench("show", "mine", "gan", "--json")
    assert code == 0
    assert "it's mine" in out
    assert "it's mine" in (tmp_path / "results" / "mine" / "leaderboard.md").read_text()


def test_a_folder_that_is_not_there_ends_a_plan_with_a_sentence(ganbench, tmp_path):
    code, out, err = ganbench("plan", suite(tmp_path, tmp_path / "nowhere"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "mine.toml:3: data[0]: data set folder(path=" in err
    assert f"there is no folder {tmp_path / 'nowhere'}" in err


def test_too_few_images_end_a_plan_with_a_sentence(ganbench, folder, tmp_path):
    for path in made(folder).image_files()[:100]:
        (folder / path).unlink()
    code, out, err = ganbench("plan", suite(tmp_path, folder), "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "has 20 images" in err
