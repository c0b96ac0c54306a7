"""Conditional video (Clark et al., 2019): clips with labels, and two discriminators.

The published spatial discriminator adds up the scores of a clip's frames. Here each frame is an
example of its own.
"""

from dataclasses import replace
from typing import Any, ClassVar

from ganbench.gan.build_config import BuildConfig

from .base import MakeDiscriminator, MakeGenerator
from .conditional import Conditional
from .video import Video


class ConditionalVideo(Video, Conditional):
    works_on_slices = True
    neutral: ClassVar[dict[str, Any]] = {"truncation": 0.0}
    conditions_each_sample = True

    def __init__(self, scored_frames: int = 4, truncation: float = 0.0):
        Video.__init__(self, scored_frames)
        self.truncation = truncation
        if truncation < 0:
            raise ValueError(f"truncation must be above 0, or 0 for none, not {truncation}")

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        network = replace(config.network, classes=config.classes)
        super().build(replace(config, network=network), generator, discriminator)
