"""Conditional video (Clark et al., 2019): clips with labels, and two discriminators.

The published spatial discriminator adds up the scores of a clip's frames. Here each frame is an
example of its own.
"""

from ganbench.gan.build_config import BuildConfig

from .base import MakeDiscriminator, MakeGenerator
from .conditional import Conditional, with_labels
from .video import Video


class ConditionalVideo(Video, Conditional):
    works_on_slices = True

    def __init__(self, scored_frames: int = 4, truncation: float = 0.0):
        super().__init__(scored_frames)
        self.set_truncation(truncation)

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        super().build(with_labels(config), generator, discriminator)
