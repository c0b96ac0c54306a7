"""R-precision (Xu et al., 2018): the share of fakes whose own caption fits them best.

The other captions are `others` different ones, 99 as published, drawn for each fake. The data's own
classifier gives the log-likelihood of each caption; the papers take similarities of an embedding. A
generator that ignores its captions has 1 / (others + 1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, logits_of, share_measurement
from .caption_accuracy import labels_of_fakes
from .feature_set import FeatureSet

DRAW_SEED = 2018  # of the other captions


@dataclass(frozen=True)
class RPrecision(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("captions", "features", "classes")

    others: int = 99

    def __post_init__(self) -> None:
        if self.others < 1:
            raise ValueError(f"others must be at least 1, not {self.others}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if self.others >= (count := logits_of(fake).shape[1]):
            raise MetricNotApplicable(
                f"there are {count} captions, too few for {self.others} others"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        likelihoods, own = logits_of(fake).cpu(), labels_of_fakes(fake)[:, None]
        best_other = likelihoods.gather(1, draw_others(likelihoods, own, self.others)).amax(1)
        right = likelihoods.gather(1, own)[:, 0] > best_other
        return share_measurement(float(right.double().mean()), len(fake))


def draw_others(likelihoods: Tensor, own: Tensor, count: int) -> Tensor:
    """Draws for each fake the numbers of `count` different captions, without its own."""
    random = torch.Generator().manual_seed(DRAW_SEED)
    order = torch.rand(likelihoods.shape, generator=random).scatter(1, own, 2.0)
    return order.topk(count, 1, largest=False).indices
