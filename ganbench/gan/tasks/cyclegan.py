"""CycleGAN (Zhu et al., 2017): two translators, and a discriminator for each domain.

`cycle` weights the mean absolute difference between an image and its translation there and back.
The paper uses 10 beside the squared distance of scores, so 5 beside least_squares, which is half of
it. `identity`, a share of `cycle`, weights the change of images that are already in the target
domain. The paper adds it, at 0.5, for paintings, to keep their colours. By default it is off. The
generator and the discriminator of a domain have the domain's name.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator, Task, Terms


class Cycle(Task):
    works_on_slices = True

    def __init__(self, cycle: float = 10.0, identity: float = 0.0):
        super().__init__()
        if cycle < 0 or identity < 0:
            raise ValueError("cycle and identity must not be below 0")
        self.cycle, self.identity = cycle, identity

    def incompatibility(self, config: BuildConfig) -> str | None:
        shapes = list(config.shapes.items())
        if len(shapes) != 2:
            return f"a cycle needs two domains, and the data have {len(shapes)}"
        (one, a), (other, b) = shapes
        if self.identity and a != b:
            return f"an identity term needs domains of one shape, and {one} and {other} are {a} and {b}"
        objections = (
            config.network.translation_incompatibility(*pair) for pair in ((a, b), (b, a))
        )
        return next(filter(None, objections), None)

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        network, shapes = config.network, config.shapes
        self.domains = tuple(shapes)
        for name in self.domains:
            translator = network.build_translator(shapes[self.other_domain(name)], shapes[name])
            self.generators[name] = generator(name, translator)
            self.discriminators[name] = discriminator(
                name, shapes[name], network.build_discriminator
            )

    def other_domain(self, domain: str) -> str:
        first, second = self.domains
        return second if domain == first else first

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        return [self.make_pair(name, batches) for name in self.domains]

    def make_pair(self, name: str, batches: Batches) -> AdversarialBatch:
        source, generator = batches[self.other_domain(name)].images, self.generators[name]
        real, judge = batches[name].images, self.discriminators[name]
        return AdversarialBatch(name, name, generator, judge, source, real, generator(source))  # type: ignore[arg-type]

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for there, back in (pairs, pairs[::-1]):
            if self.cycle:
                yield "cycle", self.cycle * l1_loss(back.generate(there.fake), there.source)
            if self.cycle and self.identity:
                same = l1_loss(there.generate(there.real), there.real)
                yield "identity", self.cycle * self.identity * same

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {
            name: generators[name](sources[self.other_domain(name)].images) for name in self.domains
        }

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        origins = {name: sources[self.other_domain(name)] for name in self.domains}
        return {name: Conditioning(source=x.images, truth=x.truth) for name, x in origins.items()}

    def translate_back(
        self, generators: nn.ModuleDict, fakes: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return {name: generators[self.other_domain(name)](fakes[name]) for name in self.domains}
