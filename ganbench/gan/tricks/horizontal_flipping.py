"""Horizontal flipping (x-flips of Karras et al., 2020): mirrors reals from left to right.

Each example of a batch is mirrored with the probability `share`. A clip is mirrored as a whole, and
an input together with its known translation.

The generator learns mirrored examples as data. Text, or shoes that all point to one side, are no
data when mirrored. `ada` and `consistency` mirror the discriminator's input instead, reals and fakes.
"""

from dataclasses import replace
from itertools import chain

from ganbench.data.base import Batch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Batches

from .augmentation_base import choose_examples, flip_chosen, refuse_without_pixels
from .base import Trick
from .compatibility import has_conditions_per_sample


class HorizontalFlipping(Trick):
    works_on_slices = True
    phase = "augment"

    def __init__(self, share: float = 0.5):
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"share must lie in (0, 1], not {share}")
        self.share = share

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_without_pixels("horizontal_flipping", config) or refuse_stated_sides(config)

    def transform_batches(self, batches: Batches) -> Batches:
        return {domain: self.flip_some(domain, batch) for domain, batch in batches.items()}

    def flip_some(self, domain: str, batch: Batch) -> Batch:
        """Mirrors a share of a domain's examples."""
        assert self.context is not None
        chosen = choose_examples(batch.images, self.share, self.context.of(domain).random)
        truth = None if batch.truth is None else flip_chosen(batch.truth, chosen)
        return replace(batch, images=flip_chosen(batch.images, chosen), truth=truth)


def refuse_stated_sides(config: BuildConfig) -> str | None:
    """Returns a reason if captions are learned whose grammar tells left from right, or None."""
    grammar = config.captions and config.captions.grammar
    if not grammar or not has_conditions_per_sample(config):
        return None
    if "left" not in chain.from_iterable(grammar.values.values()):
        return None
    return "the captions of these data state left and right, and a mirrored image would have a wrong one"
