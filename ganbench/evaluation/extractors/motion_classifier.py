"""Motion classifier: the digit, the direction and the speed of a captioned clip.

Digit and direction are those of the clip classifier, which was trained on the clips of `moving_digits`.
The speed is that of the nearest lawful path. The logit of a sentence is the log-likelihood of its values,
so captions are the classes of this extractor. Its features are those of the clip classifier.
"""

import math

import torch
from torch import Tensor

from ganbench.data.base import Data
from ganbench.data.captioned_moving_digits import MOTION_VALUES, STATED_MOTIONS
from ganbench.data.moving_digits import MovingDigits
from ganbench.evaluation.metrics.motion import centres_of_brightness, nearest_paths

from .clip_classifier import ClipClassifier

SPEED_CERTAINTY = 0.99  # of the speed of the nearest path


class MotionClassifier(ClipClassifier):
    """64 features for each window of eight frames, and 80 logits of sentences."""

    def predicts_classes_of(self, data: Data | None) -> bool:
        captions = None if data is None else data.captions
        grammar = None if captions is None else captions.grammar
        return grammar is not None and grammar.values == MOTION_VALUES

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = super().forward(x)
        assert logits is not None
        digit, direction, speed = STATED_MOTIONS.to(x.device).unbind(1)
        shown = logits.log_softmax(1)[:, len(MOTION_VALUES["direction"]) * digit + direction]
        return features, shown + self.speed_likelihoods(x)[:, speed]

    def speed_likelihoods(self, x: Tensor) -> Tensor:
        """Returns the log-likelihood of each speed: [N, 2]."""
        data = MovingDigits(frames=x.shape[2], side=x.shape[3])
        bright = x if x.dtype == torch.uint8 else x.add(1).mul(127.5)
        speed = nearest_paths(centres_of_brightness(bright), data.law).speed
        is_shown = speed[:, None] == torch.tensor(data.law.speeds, device=x.device)
        certain, doubtful = math.log(SPEED_CERTAINTY), math.log(1 - SPEED_CERTAINTY)
        return torch.where(is_shown, certain, doubtful)
