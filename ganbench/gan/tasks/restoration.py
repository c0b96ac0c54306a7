"""Restoration: the generator restores damaged images, and the discriminator scores them.

The generator's loss adds a content term: the mean squared difference to the undamaged image.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganbench.data.base import IMAGE
from ganbench.data.modality import refuse_other_than_images
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Shape

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator, Task, Terms


class Restoration(Task):
    """Base class of restoration tasks: subclasses damage images; `content` weights the term."""

    def __init__(self, content: float):
        super().__init__()
        if content < 0:
            raise ValueError(f"content must not be below 0, not {content}")
        self.content = content

    def damage(self, images: Tensor) -> Tensor:
        """Damages images in [-1, 1]: [N, C, H, W] => [N, *damaged_shape]."""
        raise NotImplementedError

    def damaged_shape(self, shape: Shape) -> Shape:
        raise NotImplementedError

    def make_restorer(self, translator: nn.Module) -> nn.Module:
        """Returns the generator for a translator of damaged images."""
        return translator

    def incompatibility(self, config: BuildConfig) -> str | None:
        if list(config.shapes) != [IMAGE]:
            return f"restoration has one domain, not {' and '.join(config.shapes)}"
        shape = config.shapes[IMAGE]
        if refusal := refuse_other_than_images("images are restored", shape):
            return refusal
        return self.shape_incompatibility(shape) or config.network.translation_incompatibility(
            self.damaged_shape(shape), shape
        )

    def shape_incompatibility(self, shape: Shape) -> str | None:
        """Returns the reason why images of this shape cannot be damaged, or None."""
        return None

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        network, shape = config.network, config.shapes[IMAGE]
        translator = network.build_translator(self.damaged_shape(shape), shape)
        self.generators[IMAGE] = generator(IMAGE, self.make_restorer(translator))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, network.build_discriminator)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        real, generator = batches[IMAGE].images, self.generators[IMAGE]
        source = self.damage(real)
        judge = self.discriminators[IMAGE]
        return [AdversarialBatch(IMAGE, IMAGE, generator, judge, source, real, generator(source))]  # type: ignore[arg-type]

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs if self.content else ():
            yield "content", self.content * self.content_error(pair.fake, pair.real)

    def content_error(self, fake: Tensor, real: Tensor) -> Tensor:
        """Returns the mean squared difference of restored and undamaged images, a scalar."""
        return mse_loss(fake, real)

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {IMAGE: generators[IMAGE](self.damage(sources[IMAGE].images))}

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        images = sources[IMAGE].images
        return {
            IMAGE: Conditioning(source=self.displayable_source(self.damage(images)), truth=images)
        }

    def displayable_source(self, damaged: Tensor) -> Tensor:
        """Returns the channels of damaged images that form an image."""
        return damaged
