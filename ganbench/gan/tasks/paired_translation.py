"""Paired translation (pix2pix, Isola et al., 2017): each input has a known target.

The discriminator scores pairs: an input beside its target, or beside the generator's output. With
`conditional=false` it scores targets and outputs alone. `content` weights the mean absolute difference of
output and target, and `adversarial` the adversarial term. The published weights are 100 and 1. The first
domain is translated into the second.

The paper also halves the discriminator's objective, which Adam does not notice. It enlarges images by
12 % and crops them at random, which is left out. The trick `horizontal_flipping` mirrors as the paper does.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Shape

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator, Terms
from .one_way import OneWayTranslation
from .target_batch import TargetBatch, check_weights, with_target


class BesideInput(nn.Module):
    """A translator with its input beside its output: [N, C, H, W] => [N, C + C', H, W]."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.inner(x)], 1)


class PairedTranslation(OneWayTranslation):
    works_on_slices = True

    def __init__(self, content: float = 100.0, adversarial: float = 1.0, conditional: bool = True):
        super().__init__()
        check_weights(content=content, adversarial=adversarial)
        self.content, self.adversarial, self.conditional = content, adversarial, conditional

    def incompatibility(self, config: BuildConfig) -> str | None:
        if len(config.shapes) != 2:
            return f"translation needs two domains, and the data have {len(config.shapes)}"
        if not config.has_targets:
            return "the inputs of these data have no known targets, and pairs are learned: cyclegan and cut need none"
        source, shape = config.shapes.values()
        if self.conditional and source[1:] != shape[1:]:
            return f"an input of {source} does not fit beside a target of {shape}: set conditional to false"
        return config.network.translation_incompatibility(source, shape)

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        self.origin, self.target = config.shapes
        source, shape = config.shapes.values()
        self.channels, name, network = shape[0], self.target, config.network
        translator = network.build_translator(source, shape)
        self.generators[name] = generator(
            name, BesideInput(translator) if self.conditional else translator
        )
        _, scored = self.scored_examples(name, config)
        self.discriminators[name] = discriminator(name, scored, network.build_discriminator)

    def scored_examples(self, name: str, config: BuildConfig) -> tuple[int, Shape]:
        source, (channels, *sides) = config.shapes.values()
        return 1, (source[0] + channels if self.conditional else channels, *sides)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        name, source, target = self.target, batches[self.origin].images, batches[self.origin].truth
        assert target is not None
        generator, judge = self.generators[name], self.discriminators[name]
        real = torch.cat([source, target], 1) if self.conditional else target
        pair = AdversarialBatch(name, name, generator, judge, source, real, generator(source))  # type: ignore[arg-type]
        return [with_target(pair, target, self.adversarial)]

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs if self.content else ():
            assert isinstance(pair, TargetBatch)
            assert pair.target is not None
            difference = l1_loss(self.translations(pair.output), pair.target)
            yield "content", self.content * difference

    def translations(self, outputs: Tensor) -> Tensor:
        """Returns outputs without the inputs beside them: [N, C + C', H, W] => [N, C', H, W]."""
        return outputs[:, -self.channels :]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        (outputs,) = super().sample(generators, sources, random).values()
        return {self.target: self.translations(outputs)}

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        origin = sources[self.origin]
        return {self.target: Conditioning(origin.labels, origin.images, origin.truth)}
