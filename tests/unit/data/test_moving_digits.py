"""Moving digits: clips that obey the law, with known classes and directions."""

import pytest
import torch
from helpers import split

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.bouncing import DIRECTIONS, BouncingLaw, bounce, velocity_of
from ganbench.data.modality import CLIPS, frames_of, modality_of

DATA_NAME = "moving_digits"
STEPS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}  # row, column


def simulate(start, velocity, frames, width):
    """The places of a point that turns round at a wall, pixel by pixel."""
    places, place, sign = [start], start, 1 if velocity > 0 else -1
    for _ in range(frames - 1):
        for _ in range(abs(velocity)):
            if not 0 <= place + sign <= width:
                sign = -sign
            place += sign
        places.append(place)
    return places


@pytest.mark.parametrize("velocity", [1, -1, 2, -2, 3, -5])
@pytest.mark.parametrize("width", [4, 8])
def test_closed_form_equals_simulation(velocity, width):
    time = torch.arange(30)
    for start in range(width + 1):
        expected = simulate(start, velocity, 30, width)
        assert bounce(torch.tensor(start), velocity, time, width).tolist() == expected


def test_known_bounce():
    path = bounce(torch.tensor(6.5), 2, torch.arange(5), 8)
    assert path.tolist() == [6.5, 7.5, 5.5, 3.5, 1.5]


def test_velocity_follows_the_direction():
    velocities = velocity_of(torch.arange(4), torch.full((4,), 2)).tolist()
    assert velocities == [[2 * x for x in STEPS[name]] for name in DIRECTIONS]


def test_paths_begin_with_a_full_step():
    law = BouncingLaw(frames=5, width=4, speeds=(1, 2))
    paths = law.paths()
    assert len(paths) == 4 + 3
    assert sorted(set(paths.diff(dim=1)[:, 0].tolist())) == [1, 2]
    assert paths[:4, 0].tolist() == [0, 1, 2, 3]
    assert paths[3].tolist() == simulate(3, 1, 5, 4)


def corner_of(frame, digit):
    """The only place at which a frame shows the digit's pixels, or None."""
    for row in range(frame.shape[0] - digit.shape[0] + 1):
        for column in range(frame.shape[1] - digit.shape[1] + 1):
            part = frame[row : row + digit.shape[0], column : column + digit.shape[1]]
            if torch.equal(part, digit) and part.sum() == frame.sum():
                return row, column
    return None


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("side", ["train", "held_out"])
def test_clips_show_one_digit_on_a_lawful_path(side, scale):
    data = DATA.make(f"moving_digits(side={16 * scale})")
    digits, clips = getattr(split("digits"), side)[IMAGE], getattr(data.load(), side)[IMAGE]
    large = digits.images[:, 0].repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    for clip, label in zip(clips.images[:12], clips.labels[:12].tolist(), strict=True):
        digit, direction = label // 4, STEPS[DIRECTIONS[label % 4]]
        candidates = large[digits.labels == digit]
        fitting = [one for one in candidates if corner_of(clip[0, 0], one)]
        paths = [[corner_of(frame, one) for frame in clip[0]] for one in fitting]
        (path,) = {tuple(path) for path in paths if None not in path}
        rows, columns = zip(*path, strict=True)
        first = (path[1][0] - path[0][0], path[1][1] - path[0][1])
        speed = max(map(abs, first))
        assert speed in {scale, 2 * scale}
        assert first == tuple(speed * part for part in direction)
        for places, velocity in zip((rows, columns), first, strict=True):
            assert list(places) == (
                simulate(places[0], velocity, 8, 8 * scale) if velocity else [places[0]] * 8
            )


def test_unseen_classes_are_held_out_only():
    data = DATA.make("moving_digits(unseen=6)").load()
    train, held_out = (
        side[IMAGE].labels.bincount(minlength=40) for side in (data.train, data.held_out)
    )
    missing = (train == 0).nonzero().flatten().tolist()
    assert missing == [0, 5, 10, 15, 16, 21]  # digit d never moves in direction d mod 4
    assert (held_out > 0).all()
    seen = train.view(10, 4) > 0
    assert seen.any(0).all()
    assert seen.any(1).all()


def test_speeds_and_starts_are_all_drawn():
    clips = split(DATA_NAME).train[IMAGE]
    centre = clips.images.double().sum((1, 4)).flatten(2).argmax(2)  # the brightest row
    assert len(centre.unique()) == 16
    first = clips.images[:, 0, :2].double()
    moved = (first[:, 0] - first[:, 1]).abs().sum((1, 2)) > 0
    assert moved.all()  # no clip bounces in its first step


def test_two_digits_are_the_brighter_of_two_clips():
    data = DATA.make("moving_digits(digits=2, frames=10)")
    assert (data.shapes[IMAGE], data.classes) == ((1, 10, 16, 16), 0)
    two, one = data.load(), DATA.make("moving_digits(frames=10)").load()
    assert two.train[IMAGE].labels is None
    assert two.law is None
    assert (two.train[IMAGE].images >= one.train[IMAGE].images).all()
    assert (two.train[IMAGE].images > one.train[IMAGE].images).any((1, 2, 3, 4)).all()


def test_data_state_their_law():
    assert split(DATA_NAME).law == BouncingLaw(8, 8, (1, 2))
    assert DATA.make("moving_digits(side=32, frames=16)").law == BouncingLaw(16, 16, (2, 4))
    assert split("digits").law is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("frames=7", "frames must lie in 8..16"),
        ("frames=17", "frames must lie in 8..16"),
        ("side=20", "side must be 16, 32 or 64"),
        ("digits=3", "one or two digits"),
        ("unseen=11", "unseen must lie in 0..10"),
        ("digits=2, unseen=1", "be 0 for clips of two digits"),
    ],
)
def test_impossible_settings_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        DATA.make(f"moving_digits({settings})")


def test_frames_come_clip_by_clip():
    clips = split(DATA_NAME).train[IMAGE].images[:3]
    assert modality_of(clips) is CLIPS
    frames = frames_of(clips)
    assert frames.shape == (24, 1, 16, 16)
    assert torch.equal(frames[8 + 5], clips[1, :, 5])
