"""The `folder` data set: reading images, splitting them, and refusing unusable ones."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import same
from PIL import Image

from ganbench.data import DATA
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.folder import Folder, split_numbers
from ganbench.data.image_ops import crop_and_resize
from ganbench.data.read_images import read_squares
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


def noise_image(shape: tuple[int, ...], seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


@pytest.fixture
def folder(tmp_path) -> Path:
    """120 grey images of 8x8 pixels, in two folders."""
    root = tmp_path / "it's mine"
    for number in range(120):
        path = root / ("dogs", "cats")[number % 2] / f"{number:03}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise_image((8, 8), number).save(path)
    return root


def folder_data(root: Path, **settings) -> Folder:
    return Folder(path=str(root), **{"size": 8, "channels": 1, **settings})


def all_images(data: Folder) -> list[bytes]:
    sides = data.load()
    return [
        x.numpy().tobytes() for side in (sides.train, sides.held_out) for x in side[IMAGE].images
    ]


def test_every_image_is_in_one_split_unchanged(folder):
    expected = {noise_image((8, 8), number).tobytes() for number in range(120)}
    images = all_images(folder_data(folder))
    assert len(images) == 120
    assert set(images) == expected


def test_first_images_mix_both_folders(folder):
    """Fakes are compared with the first training examples."""
    first_labels = folder_data(folder, labelled=True).load().train[IMAGE].labels[:30]
    assert 5 <= int(first_labels.sum()) <= 25


def test_file_names_change_nothing(folder):
    before = folder_data(folder).load().fingerprint()
    for number, path in enumerate(reversed(folder_data(folder).image_files.files)):
        (folder / path).rename(folder / f"{number}.BMP")
    assert folder_data(folder).load().fingerprint() == before


def test_held_out_split_depends_on_bytes_alone(folder):
    before = folder_data(folder).load()
    held_out = {x.numpy().tobytes() for x in before.held_out[IMAGE].images}
    assert 10 <= len(held_out) <= 40
    (folder / "dogs" / "000.bmp").rename(folder / "cats" / "renamed.bmp")
    for number in range(200, 220):
        noise_image((8, 8), number).save(folder / f"{number}.bmp")
    after = folder_data(folder).load()
    assert held_out <= {x.numpy().tobytes() for x in after.held_out[IMAGE].images}
    larger = folder_data(folder, size=16).load()
    assert len(larger.held_out[IMAGE]) == len(after.held_out[IMAGE])


def test_copies_stay_in_the_same_split(folder):
    for path in folder_data(folder).image_files.files:
        (folder / f"copy of {Path(path).name}").write_bytes((folder / path).read_bytes())
    split = folder_data(folder).load()
    sides = [
        {x.numpy().tobytes() for x in side[IMAGE].images} for side in (split.train, split.held_out)
    ]
    assert not sides[0] & sides[1]


def test_labels_follow_folder_names(folder):
    data = folder_data(folder, labelled=True)
    assert data.classes == 2
    cats = {noise_image((8, 8), number).tobytes() for number in range(1, 120, 2)}
    for side in (data.load().train[IMAGE], data.load().held_out[IMAGE]):
        for image, label in zip(side.images, side.labels, strict=True):
            assert (image.numpy().tobytes() in cats) == (label == 0)
    assert folder_data(folder).load().train[IMAGE].labels is None


def test_images_without_class_are_refused(folder):
    (folder / "birds").mkdir()
    with pytest.raises(NotDownloaded, match="birds holds no images"):
        folder_data(folder, labelled=True).load()
    noise_image((8, 8), 7).save(folder / "stray.png")
    with pytest.raises(NotDownloaded, match=r"stray\.png is in no class folder"):
        folder_data(folder, labelled=True).load()


def test_other_and_hidden_files_are_ignored(folder):
    (folder / "notes.txt").write_text("of no interest")
    (folder / ".thumbnails").mkdir()
    noise_image((8, 8), 300).save(folder / ".thumbnails" / "small.png")
    assert len(all_images(folder_data(folder))) == 120
    assert folder_data(folder, labelled=True).classes == 2


def test_file_without_permission_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NotDownloaded, match=r"\.bmp cannot be read: Permission denied"):
        folder_data(folder).load()


# Crop, resize and channels


def test_largest_central_square_is_kept():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for image in (wide, wide.transpose(1, 0, 2)):
        for size in (8, 10, 20):  # no cropped pixel affects the edges
            assert (crop_and_resize(Image.fromarray(image.copy()), 3, size) == 200).all()


def test_image_of_right_size_stays_unchanged():
    image = noise_image((16, 16, 3), 1)
    assert same(crop_and_resize(image, 3, 16), torch.from_numpy(np.array(image)).permute(2, 0, 1))


def test_resizing_does_not_alias():
    """A grating finer than the reduced pixels becomes even grey, not stripes."""
    grating = np.tile(np.array([0, 255], np.uint8), (64, 32))
    resized = crop_and_resize(Image.fromarray(grating), 1, 16).float()
    assert resized.min() > 100
    assert resized.max() < 155


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_converts_to_requested_channels(mode):
    image = noise_image((12, 12, 3), 2).convert(mode)
    assert crop_and_resize(image, 3, 8).shape == (3, 8, 8)
    assert crop_and_resize(image, 1, 8).shape == (1, 8, 8)


def test_exif_orientation_is_applied(folder):
    upright = noise_image((8, 8), 500)
    rotated, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    rotated.save(folder / "turned.png", exif=exif)
    assert upright.tobytes() in all_images(folder_data(folder))


# Refusals


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"no image at all", "is not an image, despite its name"),
        ("truncated", "is damaged: .*truncated"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_unreadable_file_is_named(folder, content, reason):
    path = folder / "broken.png"
    if content == "truncated":
        noise_image((64, 64, 3), 1).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(NotDownloaded, match=rf"broken\.png {reason}"):
        folder_data(folder).load()


def test_huge_image_is_refused_before_decoding(folder, monkeypatch):
    monkeypatch.setattr("ganbench.data.image_decoding.MAX_IMAGE_PIXELS", 1000)
    noise_image((40, 40), 1).save(folder / "bomb.png")
    with pytest.raises(
        NotDownloaded, match=r"bomb\.png has more than .* pixels: it looks like an attack"
    ):
        folder_data(folder).load()


def test_more_than_8_bits_are_refused(folder):
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    deep.save(folder / "deep.png")
    with pytest.raises(NotDownloaded, match=r"deep\.png has more than 8 bits per channel"):
        folder_data(folder).load()


def test_too_few_images_are_refused_with_count(folder):
    for path in folder_data(folder).image_files.files[:60]:
        (folder / path).unlink()
    with pytest.raises(NotDownloaded, match=r"has 60 images, \d+ of them held out: add images"):
        folder_data(folder).load()
    (folder / "none").mkdir()
    with pytest.raises(NotDownloaded, match="none holds no images: it is empty"):
        folder_data(folder / "none").load()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("size=4", "size must be in"),
        ("channels=2", "channels must be 1 or 3"),
        ("held_out=0", "held_out must lie between 0 and 1"),
        ("held_out=1", "held_out must lie between 0 and 1"),
        ("labelled=true", "has no folders to take the labels from"),
    ],
)
def test_invalid_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(SpecError, match=message):
        DATA.make(f"folder(path='{tmp_path}', {settings})")


def test_all_broken_files_are_named_at_once(folder):
    for name in ("a.png", "b.png", "c.jpg"):
        (folder / name).write_bytes(b"")
    with pytest.raises(NotDownloaded) as refused:
        folder_data(folder).load()
    message = str(refused.value)
    assert message.startswith("3 of 123 images cannot be read: ")
    assert all(name in message for name in ("a.png", "b.png", "c.jpg"))
    assert message.endswith("skip_unreadable=true leaves them out")


def test_skip_unreadable_leaves_out_and_notes(folder):
    plain = folder_data(folder).load()
    (folder / "broken.png").write_bytes(b"")
    (folder / "phone.heic").write_bytes(b"x")
    with pytest.raises(
        NotDownloaded, match=r"phone\.heic in an unsupported format.*skip_unreadable"
    ):
        folder_data(folder).load()
    split = folder_data(folder, skip_unreadable=True).load()
    assert split.fingerprint() == plain.fingerprint()
    assert any(note.startswith("1 of 121 images left out: ") for note in split.notes)
    assert any("phone.heic left out: unsupported format" in note for note in split.notes)
    assert plain.notes == ()


def test_zip_archive_equals_its_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in folder_data(folder).image_files.files:
            archive.write(folder / name, name)
    packed = folder_data(tmp_path / "mine.zip", labelled=True)
    assert packed.classes == 2
    assert packed.load().fingerprint() == folder_data(folder, labelled=True).load().fingerprint()


@pytest.mark.parametrize("suffix", ["zip", "tar", ""])
def test_single_class_is_refused(folder, tmp_path, suffix):
    """`zip -r photos.zip photos/` puts all class folders into one folder."""
    path = tmp_path / "mine"
    path.mkdir()
    folder.rename(path / "photos")
    if suffix:
        path = shutil.make_archive(str(path), suffix, path)
    assert folder_data(path).load().train[IMAGE].labels is None
    with pytest.raises(SpecError, match=r"mine.* has a single class, photos: set path"):
        DATA.make(f"folder(path={str(path)!r}, size=8, labelled=true)")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_same_picture_in_two_formats_stays_together(folder, suffix):
    """PNG has the same pixels under another name; JPEG has other pixels under the same name."""
    for name in folder_data(folder).image_files.files:
        other = folder / name if suffix == "jpg" else folder / f"copy of {Path(name).stem}"
        Image.open(folder / name).save(other.with_suffix(f".{suffix}"))
    read = read_squares(folder_data(folder).image_files, (1, 8, 8), skip=False)
    numbers = dict(zip(read.names, split_numbers(read), strict=True))
    for name, number in numbers.items():
        if name.endswith(".bmp"):
            path = Path(name)
            twin = path.with_suffix(".jpg") if suffix == "jpg" else f"copy of {path.stem}.png"
            assert numbers[str(twin)] == number


def test_large_grey_images_are_read(tmp_path):
    for number in range(90):
        noise_image((1024, 1024), number).resize((1024, 1024)).save(tmp_path / f"{number}.bmp")
    data = Folder(path=str(tmp_path), size=1024, channels=1)
    assert data.load().train[IMAGE].images.shape[1:] == (1, 1024, 1024)


# From the command line


def write_suite(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "mine.toml"
    text = SUITE.format(path=str(folder)).replace('["', "['''").replace('"]', "''']")
    path.write_text(text)
    return path


def test_path_with_quotes_survives_a_run(ganbench, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "extractor", "identity")  # Inception's weights may not be here
    path = write_suite(tmp_path, folder)
    code, _, err = ganbench("run", path, "--workers", 0, "--device", "cpu")
    assert (code, err) == (0, "")
    code, out, _ = ganbench("show", "mine", "gan", "--json")
    assert code == 0
    assert "it's mine" in out
    assert "it's mine" in (tmp_path / "results" / "mine" / "leaderboard.md").read_text()


def test_missing_folder_fails_plan_with_sentence(ganbench, tmp_path):
    code, out, err = ganbench("plan", write_suite(tmp_path, tmp_path / "nowhere"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "mine.toml:3: data[0]: data set folder(path=" in err
    assert f"there is no folder {tmp_path / 'nowhere'}" in err


def test_too_few_images_fail_plan_with_sentence(ganbench, folder, tmp_path):
    for path in folder_data(folder).image_files.files[:100]:
        (folder / path).unlink()
    code, out, err = ganbench("plan", write_suite(tmp_path, folder), "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "has 20 images" in err
