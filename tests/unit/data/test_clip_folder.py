"""Clips of a user: folders of frames, and Moving MNIST's file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CPU, steps, trainer
from PIL import Image
from torch.nn.functional import avg_pool2d
from typer.testing import CliRunner

from ganbench.cli import app
from ganbench.data import DATA
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.clip_folder import split_numbers_in_name
from ganbench.data.modality import frames_of
from ganbench.data.moving_mnist import reduce_clips
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.gan.tasks.video import Video
from ganbench.registry import SpecError

# Folders of frames


@pytest.fixture
def folder(tmp_path):
    """Twenty clips of nine to eleven frames; the grey level is 10 * clip + frame."""
    for clip in range(20):
        path = tmp_path / "clips" / f"clip{clip}"
        path.mkdir(parents=True)
        for frame in range(9 + clip % 3):
            Image.fromarray(np.full((16, 16), 10 * clip + frame, np.uint8)).save(
                path / f"f{frame}.png"
            )
    return tmp_path / "clips"


def make(folder, **settings):
    values = {
        "path": str(folder),
        "size": 16,
        "channels": 1,
        "held_out": 0.3,
        "frames": 8,
        **settings,
    }
    return DATA.make(f"clip_folder({', '.join(f'{k}={v!r}' for k, v in values.items())})")


def test_frames_are_sorted_and_cut(folder):
    (folder / "clip0" / "f0.png").rename(folder / "clip0" / "f00.png")
    split = make(folder).load()
    clips = torch.cat([split.train[IMAGE].images, split.held_out[IMAGE].images])
    assert clips.shape == (20, 1, 8, 16, 16)
    levels = clips[:, 0, :, 0, 0].int().tolist()
    assert sorted(levels) == [[10 * clip + frame for frame in range(8)] for clip in range(20)]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_hold_the_clips_of_their_folder(folder, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "archive"), kind, folder)
    expected, found = make(folder).load(), make(archive).load()
    for side in ("train", "held_out"):
        assert torch.equal(
            getattr(found, side)[IMAGE].images, getattr(expected, side)[IMAGE].images
        )


def test_archive_of_every_shard_is_read(folder, tmp_path):
    """A folder of archives holds the clips of all, whose names begin with their archive's."""
    shards = tmp_path / "shards"
    for number in range(2):
        own = tmp_path / f"part{number}"
        own.mkdir()
        for clip in sorted(folder.iterdir())[number::2]:
            shutil.copytree(clip, own / clip.name)
        shutil.make_archive(str(shards / f"{number}"), "tar", own)
    split = make(shards).load()
    assert len(split.train[IMAGE].images) + len(split.held_out[IMAGE].images) == 20


def test_numbers_in_names_count_as_numbers():
    names = ["a10.png", "a9.png", "a1.png", "b2.png", "a.png", "9.png"]
    ordered = ["9.png", "a1.png", "a9.png", "a10.png", "a.png", "b2.png"]
    assert sorted(names, key=split_numbers_in_name) == ordered


def test_unequal_clips_need_a_number_of_frames(folder):
    with pytest.raises(
        SpecError, match=r"clip 'clip0' has 9 frames and 'clip2' has 11: set frames"
    ):
        make(folder, frames=0)
    for clip in range(20):
        for frame in range(8, 9 + clip % 3):
            (folder / f"clip{clip}" / f"f{frame}.png").unlink()
    assert make(folder, frames=0).shapes[IMAGE] == (1, 8, 16, 16)


def test_clips_that_cannot_be_used_are_refused(folder):
    with pytest.raises(
        NotDownloaded, match=r"clip 'clip0' has 9 frames, fewer than 10, and 6 more have too few"
    ):
        make(folder, frames=10).load()
    with pytest.raises(SpecError, match=r"frames must lie in 2..128, or be 0, not 1"):
        make(folder, frames=1)
    with pytest.raises(NotDownloaded, match=r"20 clips, 0 of them held out"):
        make(folder, held_out=1e-6).load()
    (folder / "clip3" / "f2.png").write_bytes(b"no image")
    with pytest.raises(NotDownloaded, match=r"clip3/f2.png"):
        make(folder).load()
    (folder / "clip0" / "f0.png").rename(folder / "f0.png")
    with pytest.raises(NotDownloaded, match=r"f0.png is in no folder of a clip: move it into one"):
        make(folder).load()
    with pytest.raises(SpecError, match="there is no folder"):
        make(folder / "none", frames=0)


def test_equal_clips_are_on_the_same_side(folder):
    for frame in range(9):
        level = Image.open(folder / "clip0" / f"f{frame}.png")
        level.save(folder / "clip3" / f"f{frame}.png", compress_level=1)
    for seed in (0.2, 0.4, 0.6):
        split = make(folder, held_out=seed).load()
        sides = [
            [x.numpy().tobytes() for x in side[IMAGE].images]
            for side in (split.train, split.held_out)
        ]
        assert not {*sides[0]} & {*sides[1]}


def test_networks_train_on_a_folder_of_clips(folder):
    data = f"clip_folder(path={str(folder)!r}, frames=8, size=16, channels=1, held_out=0.3)"
    training = trainer("mocogan(width=4)", data, batch=4)
    assert isinstance(training.task, Video)
    for log in steps(training, 2):
        assert all(value == value for value in log.values())


# Features of clips from features of frames


def test_frame_features_are_means_and_changes(folder):
    extractor = EXTRACTORS.make("frame_features(of='identity')")
    clips = torch.randint(0, 256, (3, 1, 4, 8, 8), dtype=torch.uint8)
    features, logits = extractor(clips)
    frames = clips.float().transpose(1, 2).flatten(2)
    torch.testing.assert_close(features[:, :64], frames.mean(1))
    changes = (frames[:, 1:] - frames[:, :-1]).abs().mean(1)
    torch.testing.assert_close(features[:, 64:], changes)
    assert logits is None
    still = extractor(clips[:, :, :1].expand(-1, -1, 4, -1, -1))[0]
    assert not still[:, 64:].any()
    with pytest.raises(RuntimeError, match="clips of two frames"):
        extractor(clips[:, :, 0])


def test_evaluator_measures_clips_of_a_folder(folder):
    data = f"clip_folder(path={str(folder)!r}, frames=8, size=16, channels=1, held_out=0.3)"
    evaluator = Evaluator(data, CPU, "ganbench(extractor='frame_features(of=\\'identity\\')')")
    readings = evaluator.measure_floor(("kid", "acd", "fvd", "identity_constancy", "law_error"))
    for name in ("kid", "acd"):
        assert isinstance(readings[name], tuple | list) or not isinstance(readings[name], str), (
            readings
        )
    assert "law of motion" in readings["law_error"]


# Moving MNIST


@pytest.fixture
def sequences(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (20, 24, 64, 64), np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", rows)
    return tmp_path / "mnist_test_seq.npy", torch.from_numpy(rows)


def make_mnist(path, **settings):
    values = {"path": str(path), **settings}
    return DATA.make(f"moving_mnist({', '.join(f'{k}={v!r}' for k, v in values.items())})")


def test_moving_mnist_is_read_frames_first(sequences):
    path, rows = sequences
    split = make_mnist(path, frames=20).load()
    clips = torch.cat([split.train[IMAGE].images, split.held_out[IMAGE].images])
    assert [len(split.train[IMAGE]), len(split.held_out[IMAGE])] == [22, 2]
    assert torch.equal(clips[:, 0].transpose(0, 1), rows)


def test_moving_mnist_is_reduced_by_means(sequences):
    path, rows = sequences
    clips = make_mnist(path, size=16, frames=8).load().train[IMAGE].images
    assert clips.shape == (22, 1, 8, 16, 16)
    means = avg_pool2d(rows[:8, :22].double(), 4).transpose(0, 1)
    assert (frames_of(clips).unflatten(0, (22, 8))[:, :, 0] - means).abs().max() <= 0.5
    assert torch.equal(clips, reduce_clips(rows[:8, :22].numpy(), 16))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            np.zeros((20, 24, 64, 64), np.float32),
            r"has float32 \[20, 24, 64, 64\], not uint8 \[20, clips, 64, 64\]$",
        ),
        (
            np.zeros((24, 20, 64, 64), np.uint8),
            r"has uint8 \[24, 20, 64, 64\], .*: swap its first two axes",
        ),
        (np.zeros((20, 24, 32, 32), np.uint8), r"has uint8 \[20, 24, 32, 32\], not uint8"),
        (np.zeros((20, 3, 64, 64), np.uint8), r"has 3 clips: at least 20"),
        (np.array([{}] * 3, object), r"is no NumPy file without pickled objects"),
    ],
)
def test_other_arrays_are_refused(tmp_path, rows, sentence):
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(NotDownloaded, match=sentence):
        make_mnist(tmp_path / "a.npy").load()


def test_damaged_and_missing_files_are_refused(tmp_path, sequences):
    with pytest.raises(NotDownloaded, match=r"there is no file .*b.npy: get mnist_test_seq.npy"):
        make_mnist(tmp_path / "b.npy").load()
    content = sequences[0].read_bytes()
    for broken in (b"", b"text", content[:50], content[:-1000]):
        (tmp_path / "c.npy").write_bytes(broken)
        with pytest.raises(NotDownloaded, match=r"c.npy is no NumPy file"):
            make_mnist(tmp_path / "c.npy").load()
    np.savez(tmp_path / "d.npy.npz", np.zeros(3))
    with pytest.raises(NotDownloaded, match=r"is an archive of arrays"):
        make_mnist(tmp_path / "d.npy.npz").load()
    for wrong in ("frames=7", "frames=21", "size=28"):
        with pytest.raises(SpecError, match=wrong.split("=")[0]):
            DATA.make(f"moving_mnist(path='a', {wrong})")


# Trained networks of clips

SUITE = """\
schema = 1
name = "clips"
data = ["clip_folder(path='clips', frames=8, size=16, channels=1, held_out=0.3)"]
protocol = "ganbench(extractor='frame_features(of=\\\\'identity\\\\')')"
metrics = ["kid", "acd"]
seeds = 1
[[grid]]
variants = ["mocogan(width=4)", "vgan(width=4)"]
plan = { batch = 4 }
[budget.cpu]
generator_turns = 2
[analysis]
outcome = "kid"
"""


def frame_count(path):
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1)


def test_samples_of_clips_are_strips_and_animations(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clips.toml").write_text(SUITE)

    def call(*words):
        return CliRunner().invoke(app, list(words))

    run = call("run", "clips.toml", "--device", "cpu")
    assert run.exit_code == 0, run.output
    (moving,) = Path("results").glob("clips/figures/*mocogan*-motion.png")
    assert frame_count(moving) == 8
    page = Path("results/clips/report.html").read_text()
    assert page.count('data-kind="motion"') >= 2
    drawn = call("samples", "clips", "mocogan", "--out", "strips.png", "--json")
    assert drawn.exit_code == 0, drawn.output
    (entry,) = json.loads(drawn.stdout)
    assert [entry["picture"], entry["animation"]] == ["strips.png", "strips-motion.png"]
    assert [frame_count("strips.png"), frame_count("strips-motion.png")] == [1, 8]
    for fixed in ("content", "motion"):
        walk = call("interpolate", "clips", "mocogan", "--fixed", fixed)
        assert walk.exit_code == 0, walk.output
    refused = call("interpolate", "clips", "vgan", "--fixed", "content")
    assert refused.exit_code == 2
    assert "no latents of motion apart from content" in refused.output
    misspelt = call("interpolate", "clips", "mocogan", "--fixed", "contents")
    assert "did you mean 'content'" in misspelt.output
