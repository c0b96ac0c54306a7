"""Video (Tulyakov et al., 2018; Clark et al., 2019): clips and frames are scored.

The frame discriminator scores `scored_frames` different frames of each clip, drawn anew in every
step. Reals and fakes show the same places in time. Both discriminators count alike.
"""

from functools import partial

import torch
from torch import Tensor

from ganbench.data.base import IMAGE
from ganbench.data.modality import frames_of, refuse_other_than_clips
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.base import family_name
from ganbench.gan.networks.discriminator import Shape

from .base import Batches, MakeDiscriminator, MakeGenerator
from .unconditional import Unconditional

FRAME = "frame"  # the name of the frame discriminator


class Video(Unconditional):
    works_on_slices = True

    def __init__(self, scored_frames: int = 1):
        super().__init__()
        if scored_frames < 1:
            raise ValueError(f"scored_frames must be at least 1, not {scored_frames}")
        self.scored_frames = scored_frames

    def incompatibility(self, config: BuildConfig) -> str | None:
        if refusal := super().incompatibility(config):
            return refusal
        shape = config.shapes[IMAGE]
        if refusal := refuse_other_than_clips("this task scores frames of clips", shape):
            return refusal
        if not config.network.scores_frames:
            family = family_name(config.network)
            return f"this task scores single frames, and {family} has no discriminator of frames"
        if self.scored_frames > shape[1]:
            return f"{self.scored_frames} frames cannot be drawn from clips of {shape[1]}"
        return None

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        super().build(config, generator, discriminator)
        _, shape = self.scored_examples(FRAME, config)
        self.discriminators[FRAME] = discriminator(
            FRAME, shape, config.network.build_frame_discriminator
        )

    def scored_examples(self, name: str, config: BuildConfig) -> tuple[int, Shape]:
        channels, _, *sides = config.shapes[IMAGE]
        if name == FRAME:
            return self.scored_frames, (channels, *sides)
        return super().scored_examples(name, config)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        (clips,) = super().make_pairs(batches, random)
        return [clips, self.pair_of_frames(clips, random)]

    def pair_of_frames(self, clips: AdversarialBatch, random: torch.Generator) -> AdversarialBatch:
        """Returns the pair of the frame discriminator, with frames of the clips."""
        order = draw_rows(
            torch.rand, (len(clips.real), clips.real.shape[2]), generator=random,
            device=random.device,
        )  # fmt: skip
        pick = partial(pick_frames, places=order.argsort(1)[:, : self.scored_frames])
        labels = {
            name: label.repeat_interleave(self.scored_frames)
            for name in ("real_label", "fake_label")
            if (label := getattr(clips, name)) is not None
        }
        return clips.with_fields(
            name=FRAME,
            discriminator=self.discriminators[FRAME],
            real=pick(clips.real),
            fake=pick(clips.fake),
            shares_generator=True,
            **labels,
        )


def pick_frames(clips: Tensor, places: Tensor) -> Tensor:
    """Returns k frames of each clip: [N, C, T, H, W], places [N, k] => [N * k, C, H, W]."""
    index = places[:, None, :, None, None].expand(-1, clips.shape[1], -1, *clips.shape[3:])
    return frames_of(clips.gather(2, index))
