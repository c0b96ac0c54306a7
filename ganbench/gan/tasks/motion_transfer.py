"""Motion transfer (Siarohin et al., 2019): one clip's motion with another's content.

Training needs no transfer that is known. A clip as the source of both should be reconstructed:
`reconstruction` weights the mean absolute difference. The discriminator compares transfers between
two clips with other clips, and `adversarial` weights that term. The paper's weights are 10 and 1
beside the squared distance of scores, so 5 beside least_squares, which is half of it. The authors
reconstruct features of the discriminator too, and score reconstructions.

`supervised` weights the mean absolute difference to the true transfer, if the data have it. It is off
by default, because real clips have none. It shows how far training without truth remains behind.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from ganbench.data.modality import refuse_other_than_clips
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator, Terms
from .one_way import OneWayTranslation
from .target_batch import TargetBatch, check_weights, with_target


class MotionTransfer(OneWayTranslation):
    works_on_slices = True

    def __init__(
        self, reconstruction: float = 10.0, adversarial: float = 1.0, supervised: float = 0.0
    ):
        super().__init__()
        check_weights(reconstruction=reconstruction, adversarial=adversarial, supervised=supervised)
        self.reconstruction, self.adversarial = reconstruction, adversarial
        self.supervised = supervised

    def incompatibility(self, config: BuildConfig) -> str | None:
        if len(config.shapes) != 2:
            return f"motion transfer needs sources and clips, and the data have {' and '.join(config.shapes)}"
        sources, shape = config.shapes.values()
        for domain in (sources, shape):
            if refusal := refuse_other_than_clips("motion is that of clips", domain):
                return refusal
        channels, frames, *sides = shape
        if sources != (channels, 2 * frames, *sides):
            return f"sources are two clips one after the other, and {sources} is not twice {shape}"
        if self.supervised and not config.has_targets:
            return "supervised needs data with known transfers, and these have none"
        return config.network.translation_incompatibility(sources, shape)

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        self.origin, self.target = config.shapes
        sources, shape = config.shapes.values()
        name, network = self.target, config.network
        self.generators[name] = generator(name, network.build_translator(sources, shape))
        self.discriminators[name] = discriminator(name, shape, network.build_discriminator)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        (pair,) = super().make_pairs(batches, random)
        return [with_target(pair, batches[self.origin].truth, self.adversarial)]

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        (pair,) = pairs
        assert isinstance(pair, TargetBatch)
        if self.reconstruction:
            again = pair.generate(torch.cat([pair.real, pair.real], 2))
            yield "reconstruction", self.reconstruction * l1_loss(again, pair.real)
        if self.supervised:
            yield "supervised", self.supervised * distance_to_target(pair)

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        origin = sources[self.origin]
        return {self.target: Conditioning(origin.labels, origin.images, origin.truth)}


def distance_to_target(pair: TargetBatch) -> Tensor:
    """Computes the mean absolute difference of outputs and targets."""
    if pair.target is None:
        raise ValueError("supervised needs data with the true transfers, and these have none")
    return l1_loss(pair.output, pair.target)
