"""Closed forms of tricks that change the images which discriminators receive."""

import math
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ganbench.data.base import IMAGE, Batch
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Task
from ganbench.gan.tricks.ada import ADA
from ganbench.gan.tricks.base import Trick

from ..base import MAX_STANDARD_ERRORS, Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import begin, draw_normal, make_batch, make_trick
from .draws import MANY, WEIGHTS, compare_mean, points, share_error

IMAGES = 3000  # augmented at once
BRIGHTNESS, CONTRAST, GEOMETRY = 0.2, 0.5, 0.2  # deviations; the last two of powers of two


def check_instance_noise(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The noise is normal, and its deviation falls linearly."""
    for progress in (0.0, settings["until"] / 2, settings["until"]):
        trick = make_trick(text, progress)
        noise = trick.transform_discriminator_input(torch.zeros(MANY, 1), "real").flatten()
        deviation = settings["std"] * (1 - progress / settings["until"])
        yield from compare_mean("the variance of the noise", noise.square(), deviation**2)
        yield from compare_mean("the mean of the noise", noise, 0.0)


def check_frequency_separation(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The low band is the mean over the neighbourhood inside the image, and the rest is high."""
    side, reach = 7, settings["kernel"] // 2
    images = draw_normal(2, 3, side, side)
    low = torch.empty_like(images)
    for row in range(side):
        for column in range(side):
            rows = slice(max(0, row - reach), row + reach + 1)
            columns = slice(max(0, column - reach), column + reach + 1)
            low[..., row, column] = images[..., rows, columns].mean((2, 3))
    bands = make_trick(text).transform_discriminator_input(images, "real")
    expected = torch.cat([low, images - low], 1)
    if bands.shape != expected.shape or not torch.allclose(bands, expected, atol=1e-5):
        yield "the bands are not the mean of each neighbourhood and the rest"


def check_horizontal_flipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """A share of the examples is mirrored, each with its known translation; the rest stays."""
    count, side = 3000, 3
    images = draw_normal(count, 1, side, side)
    given = Batch(images, None, torch.arange(count), images + 1)
    (flipped,) = make_trick(text).transform_batches({IMAGE: given}).values()
    mirrored = (flipped.images == images[..., torch.arange(side - 1, -1, -1)]).all((1, 2, 3))
    kept = (flipped.images == images).all((1, 2, 3))
    if not bool((mirrored | kept).all()):
        yield "an example is neither mirrored nor kept"
    if flipped.truth is None or not torch.equal(flipped.truth, flipped.images + 1):
        yield "a known translation is not mirrored with its input"
    yield from compare_mean("the share of mirrored examples", mirrored.double(), settings["share"])


def check_pacgan(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The images of a pack are the channels of one input."""
    pack = settings["pack"]
    images = draw_normal(2 * pack, 3, 4, 4)
    packed = make_trick(text).transform_discriminator_input(images, "real")
    expected = torch.stack([torch.cat(list(part)) for part in images.split(pack)])
    if packed.shape != expected.shape or not torch.equal(packed, expected):
        yield f"a pack is not {pack} images as channels"


# DiffAugment


def check_diffaugment(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Colours, places and holes have the paper's distributions, if they are switched on."""
    parts = {"colour": colour_faults, "translation": place_faults, "cutout": hole_faults}
    for name, find in parts.items():
        if settings[name]:
            others = ", ".join(f"{other}=false" for other in parts if other != name)
            yield from find(augment_with(make_trick(f"diffaugment({others})")))
    if make_trick(text).transform_discriminator_input(torch.ones(2, 1, 8, 8), "real").shape[2] != 8:
        yield "the images change their size"


Augment = Callable[[Tensor], Tensor]


def augment_with(trick: Trick) -> Augment:
    return lambda x: trick.transform_discriminator_input(x, "real")


def colour_faults(augment: Augment) -> Iterator[str]:
    """Brightness is uniform in ±1/2, saturation in [0, 2] and contrast in [1/2, 3/2]."""
    grey = augment(torch.zeros(IMAGES, 1, 2, 2))
    yield from compare_mean("the mean brightness", grey.mean((1, 2, 3)), 0.0)
    yield from compare_mean("the variance of brightness", grey.mean((1, 2, 3)).square(), 1 / 12)
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(IMAGES, 1, 2, 2)
    shown = augment(board)
    contrast = (shown[:, 0, 0, 0] - shown[:, 0, 0, 1]) / 2
    yield from compare_mean("the mean contrast", contrast, 1.0)
    yield from compare_mean("the squared contrast", contrast.square(), 13 / 12)
    colours = torch.tensor([1.0, 0.0, -1.0])[:, None, None].expand(IMAGES, 3, 2, 2)
    shown = augment(colours)
    spread = (shown[:, 0] - shown[:, 2]).mean((1, 2)) / 2  # saturation times contrast
    yield from compare_mean("the mean saturation", spread, 1.0)
    yield from compare_mean("the squared saturation", spread.square(), 4 / 3 * 13 / 12)


def place_faults(augment: Augment) -> Iterator[str]:
    """A pixel moves by up to an eighth of the side, to all places alike."""
    side, most = 16, 2
    images = torch.zeros(IMAGES, 1, side, side)
    images[:, :, side // 2, side // 2] = 1
    shares = augment(images).double().mean((0, 1))
    inside = slice(side // 2 - most, side // 2 + most + 1)
    even = 1 / (2 * most + 1) ** 2
    off = (shares[inside, inside] - even).abs().max()
    if float(off) > share_error(even, IMAGES) or not math.isclose(float(shares.sum()), 1):
        yield f"a pixel is not moved by up to {most} pixels, to all places alike"


def hole_faults(augment: Augment) -> Iterator[str]:
    """The hole has half the side, and its centre is anywhere in the image."""
    side, size = 8, 4
    begins = np.arange(side + 1) - size // 2
    covered = np.minimum(begins + size, side) - np.maximum(begins, 0)
    share = (augment(torch.ones(IMAGES, 1, side, side)) == 0).double().mean((1, 2, 3))
    yield from compare_mean("the cut out share", share, float((covered.mean() / side) ** 2))


# ADA


def check_ada(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The probability follows signs of scores, and each group has its published distribution."""
    yield from probability_faults(cell, text, settings)
    if not torch.equal(augment_by(text, 0.0)(ones := torch.ones(4, 1, 8, 8)), ones):
        yield "images change at the probability 0"
    groups = {"b": blit_faults, "g": geometry_faults, "c": colour_faults_of_ada}
    for group, find in groups.items():
        if group in settings["groups"]:
            yield from find(augment_by(f"ada(groups='{group}')", 1.0))


def augment_by(text: str, p: float) -> Augment:
    trick = cast(ADA, make_trick(text))
    trick.p.fill_(p)
    return augment_with(trick)


def probability_faults(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """After `every` steps p moves by the share of `kimg` that was shown, up or down."""
    count, task = len(points(1)), cell.make_trainer().task
    step = settings["every"] * count / (1000 * settings["kimg"])
    ahead = make_batch(WEIGHTS.repeat(count, 1), points(2), WEIGHTS)  # scores of reals above 0
    behind = make_batch(-WEIGHTS.repeat(count, 1), points(2), WEIGHTS)
    trick = cast(ADA, begin(make_trick(text)))
    for number in range(settings["every"]):
        if float(trick.p):
            yield f"p moves after {number} of {settings['every']} steps"
            return
        trick.after_discriminator_step(task, [ahead])
    yield from compare("p after positive scores", float(trick.p), min(1, step), 1e-3, 1e-9)
    for _ in range(settings["every"]):
        trick.after_discriminator_step(task, [behind])
    yield from compare("p after negative scores", float(trick.p), 0, step / 100)
    yield from target_faults(text, settings, [ahead, behind], task)


def target_faults(
    text: str, settings: Settings, pairs: list[AdversarialBatch], task: Task
) -> Iterator[str]:
    """Yields a sentence if p moves away from the target after signs of mean 0."""
    trick = cast(ADA, begin(make_trick(text)))
    trick.p.fill_(0.5)
    for _ in range(settings["every"]):
        trick.after_discriminator_step(task, pairs)
    if settings["target"] and (float(trick.p) > 0.5) != (settings["target"] < 0):
        yield f"p moves away from the target {settings['target']:g} after signs of mean 0"


def blit_faults(augment: Augment) -> Iterator[str]:
    """Mirroring and quarter turns make each of the eight symmetric images equally likely."""
    image = draw_normal(1, 1, 4, 4)  # so small that shifts are rounded to 0
    turned = [x.rot90(turns, (2, 3)) for x in (image, image.flip(3)) for turns in range(4)]
    shown = augment(image.repeat(IMAGES, 1, 1, 1))
    for number, expected in enumerate(turned):
        share = float(((shown - expected).abs().amax((1, 2, 3)) < 1e-4).double().mean())
        what = f"the share of symmetric image {number + 1} of 8"
        yield from compare(what, share, 1 / 8, share_error(1 / 8, IMAGES))


def geometry_faults(augment: Augment) -> Iterator[str]:
    """The squared slope of a ramp is half the mean of scale² times stretch²."""
    side, middle, count = 17, 8, IMAGES // 3
    ramp = torch.arange(side, dtype=torch.float32).expand(count, 1, side, side)
    shown = augment(ramp)[:, 0]
    slopes = shown[:, middle, middle + 1] - shown[:, middle, middle]
    mean_square = math.exp(2 * (GEOMETRY * math.log(2)) ** 2)  # of a factor 2^(0.2 n)
    expected = mean_square**2 / 2
    error = MAX_STANDARD_ERRORS * float(slopes.square().std()) / math.sqrt(count)
    square = float(slopes.square().mean())  # less where the mirrored border bends the ramp
    yield from compare("the squared slope of a ramp", square, expected, error + 0.02)


def colour_faults_of_ada(augment: Augment) -> Iterator[str]:
    """Brightness is normal, contrast a power of two, and half of all images are inverted."""
    contrast = math.exp((CONTRAST * math.log(2)) ** 2 / 2)  # mean of 2^(0.5 n)
    squared = math.exp(2 * (CONTRAST * math.log(2)) ** 2)
    dark = augment(torch.zeros(IMAGES, 1, 2, 2)).mean((1, 2, 3))
    yield from compare_mean("the squared brightness", dark.square(), BRIGHTNESS**2 * squared)
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(IMAGES, 1, 2, 2)
    shown = augment(board)
    factor = (shown[:, 0, 0, 0] - shown[:, 0, 0, 1]) / 2
    yield from compare_mean("the mean contrast", factor.abs(), contrast)
    yield from compare_mean("the share of inverted images", (factor < 0).double(), 0.5)
    rgb = pad(torch.ones(IMAGES, 1, 1, 1), (0, 0, 0, 0, 0, 2))  # red
    colours = augment(rgb).flatten(1)
    across = colours - colours.mean(1, keepdim=True)  # 2/3 is the squared distance of red from grey
    logs = (across.square().sum(1) * 3 / 2).log() / math.log(2)  # of contrast and saturation
    yield from compare_mean("the mean logarithm of saturation", logs, 0.0)
    yield from compare_mean("the squared logarithm of saturation", logs.square(), 5.0)
    hues = across[:, 0] / across.norm(dim=1)
    yield from compare_mean("the mean hue", hues, 0.0)
