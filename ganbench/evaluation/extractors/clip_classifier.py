"""Clip classifier: 3-D convolutions that predict digit and direction of a moving digit.

The features are the activations of its last hidden layer. It reads eight frames. Longer clips are
read in their first and their last eight frames: features are concatenated, and the classes are
those of the first frames. Clips of a larger side are reduced to 16x16 by means.

`frames` is a second classifier, of the digit in a single frame anywhere. Its features follow the
identity of the digit through a clip.

`python -m ganbench.evaluation.extractors.clip_classifier` trains both and saves their weights in
the data folder, rounded to float16. It also prints the entry for them in this file.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, to_unit_range
from ganbench.data.bouncing import DIRECTIONS
from ganbench.data.digits import Digits
from ganbench.data.label_classifier import (
    ShippedWeights,
    local_weights_path,
    read_shipped_weights,
)
from ganbench.data.modality import frames_of
from ganbench.data.moving_digits import CLASSES, SMALLEST_SIDE, MovingDigits
from ganbench.rng import RngStreams

from .base import Extractor

WINDOW = 8  # frames
CLIP_FEATURES, FRAME_FEATURES = 64, 32
NAME = "moving_digits"  # of the weights file
SHIPPED_CLIP_CLASSIFIER = ShippedWeights(
    "6003bfcbb9da947983cf58557ee843cf20d8af4f5bf89a5c0e612f118f1f8402", 0.9790
)
SHIPPED_FRAME_ACCURACY = 0.9854  # of the digit, in frames of held-out clips
STEPS, BATCH, RATE, DECAY = 8_000, 64, 2e-3, 0.05
MIN_BRIGHTNESS = 0.8  # of digits in training


class FrameClassifier(Extractor):
    """A convolutional classifier of the digit in frames of 16x16: 32 features, 10 logits."""

    takes_floats = True

    def __init__(self) -> None:
        super().__init__()
        self.network = build_frame_network()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](reduce_frames(to_unit_range(x)))
        return features, self.network[-1](features)


class ClipClassifier(Extractor):
    """64 features for each window of eight frames; with `classes`, 40 logits.

    A class is a digit with the direction of its first step.
    """

    takes_floats = True

    def __init__(self, classes: bool = True):
        super().__init__()
        self.classes = classes
        self.network, self.frames = build_clip_network(), FrameClassifier()
        content = read_shipped_weights(NAME, SHIPPED_CLIP_CLASSIFIER, "clip_classifier")
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.load_state_dict(load(content))
        self.requires_grad_(False).eval()

    def weights_hash(self) -> str:
        return self.sha256

    def predicts_classes_of(self, data: Data | None) -> bool:
        return data is not None and getattr(data, "of", "digits") == "digits"

    def frame_extractor(self) -> Extractor:
        return self.frames

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if x.ndim != 5 or x.shape[2] < WINDOW or x.shape[3] % SMALLEST_SIDE:
            raise RuntimeError(
                f"it reads clips of {WINDOW} frames or more, with a side of 16, 32 or 64"
            )
        clips = reduce_clips(to_unit_range(x))
        first = self.network[:-1](clips[:, :, :WINDOW])
        logits = self.network[-1](first) if self.classes else None
        if x.shape[2] == WINDOW:
            return first, logits
        last = self.network[:-1](clips[:, :, -WINDOW:])
        return torch.cat([first, last], 1), logits


def reduce_frames(x: Tensor) -> Tensor:
    """Reduces square frames to 16x16 by means: [N, C, H, W] => [N, C, 16, 16]."""
    factor = x.shape[-1] // SMALLEST_SIDE
    return x if factor == 1 else avg_pool2d(x, factor)


def reduce_clips(x: Tensor) -> Tensor:
    """Reduces square frames of clips to 16x16 by means: [N, C, T, H, W] => [N, C, T, 16, 16]."""
    reduced = reduce_frames(frames_of(x))
    return reduced.unflatten(0, (len(x), -1)).transpose(1, 2)


def build_clip_network() -> nn.Sequential:
    """Builds 3-D convolutions from [N, 1, 8, 16, 16] down to 2x2x2, a hidden layer and logits."""
    layers: list[nn.Module] = [nn.Conv3d(1, 24, (3, 4, 4), (1, 2, 2), 1), nn.ReLU()]
    for fan_in, fan_out in ((24, 32), (32, 48)):
        layers += [nn.Conv3d(fan_in, fan_out, 3, 2, 1), nn.ReLU()]
    hidden = nn.Linear(48 * 2**3, CLIP_FEATURES)
    return nn.Sequential(
        *layers, nn.Flatten(), hidden, nn.ReLU(), nn.Linear(CLIP_FEATURES, CLASSES)
    )


def build_frame_network() -> nn.Sequential:
    """Builds 2-D convolutions from [N, 1, 16, 16] down to 2x2, a hidden layer and logits."""
    layers: list[nn.Module] = [nn.Conv2d(1, 24, 4, 2, 1), nn.ReLU()]
    for fan_in, fan_out in ((24, 48), (48, 48)):
        layers += [nn.Conv2d(fan_in, fan_out, 3, 2, 1), nn.ReLU()]
    hidden = nn.Linear(48 * 2**2, FRAME_FEATURES)
    return nn.Sequential(*layers, nn.Flatten(), hidden, nn.ReLU(), nn.Linear(FRAME_FEATURES, 10))


def train_network(
    network: nn.Module, draw: Callable[[np.random.Generator], tuple[Tensor, Tensor]], seed: int = 0
) -> nn.Module:
    """Trains a classifier on batches of examples and labels that `draw` makes."""
    random = np.random.default_rng([seed, 17])
    with RngStreams(seed, torch.device("cpu")).seeded_globally("clip classifier"):
        for module in network.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
        for _ in range(STEPS):
            images, labels = draw(random)
            optimizer.zero_grad()
            cross_entropy(network(images), labels, label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def draw_training_clips(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draws clips of training digits, in [-1, 1], with their classes.

    They are drawn anew for every batch.
    """
    data, digits = MovingDigits(), training_digits()
    clips, labels = data.draw_clips(digits, list(range(CLASSES)), BATCH, random)
    bright = torch.from_numpy(random.uniform(MIN_BRIGHTNESS, 1, BATCH)).float()
    return clips.float().div(127.5).mul(bright.view(-1, 1, 1, 1, 1)).sub(1), labels


def draw_training_frames(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draws one frame of each of a batch of clips, with its digit."""
    clips, labels = draw_training_clips(random)
    frame = torch.from_numpy(random.integers(WINDOW, size=len(clips)))
    return clips[torch.arange(len(clips)), :, frame], labels // len(DIRECTIONS)


@cache
def training_digits() -> Examples:
    return Digits().load().train[IMAGE]


@torch.no_grad()
def held_out_accuracies(clips: nn.Module, frames: nn.Module) -> tuple[float, float]:
    """Returns the shares of right classes of held-out clips, and of digits in their frames."""
    held_out = MovingDigits().load().held_out[IMAGE]
    assert held_out.labels is not None
    images, labels = to_unit_range(held_out.images), held_out.labels
    classes = torch.cat([clips(batch).argmax(1) for batch in images.split(500)])
    digits = torch.cat([frames(batch).argmax(1) for batch in frames_of(images).split(500)])
    truth = (labels // len(DIRECTIONS)).repeat_interleave(images.shape[2])
    return float((classes == labels).double().mean()), float((digits == truth).double().mean())


def main() -> None:
    torch.set_num_threads(1)
    clips = train_network(build_clip_network(), draw_training_clips).half()
    frames = train_network(build_frame_network(), draw_training_frames).half()
    content = save(
        {f"network.{name}": value for name, value in clips.state_dict().items()}
        | {f"frames.network.{name}": value for name, value in frames.state_dict().items()}
    )
    path = local_weights_path(NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    classes, digits = held_out_accuracies(clips.float(), frames.float())
    print(f"{path} is written. To ship it, set:")
    digest = hashlib.sha256(content).hexdigest()
    print(f'SHIPPED_CLIP_CLASSIFIER = ShippedWeights("{digest}", {classes:.4f})')
    print(f"SHIPPED_FRAME_ACCURACY = {digits:.4f}")


if __name__ == "__main__":
    try:
        main()
    except NotDownloaded as error:
        sys.exit(str(error))
