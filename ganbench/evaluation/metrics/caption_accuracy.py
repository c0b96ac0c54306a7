"""Caption accuracy: the share of fakes that show what their caption says.

The data's own classifier reads each fake, and the answer is one of the captions of the grammar. `of`
is the attribute that must be right, such as `digit`, or `all`. `captions` selects those with
combinations that training showed (`seen`), or never did (`unseen`). Unseen ones measure whether a
generator composes words that it knows.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from ganbench.data.captions import Grammar
from ganbench.registry import suggest

from .base import Measurement, Metric, MetricNotApplicable, logits_of, share_measurement
from .feature_set import FeatureSet

Selection = Literal["all", "seen", "unseen"]


@dataclass(frozen=True)
class CaptionAccuracy(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("captions", "features", "classes")
    neutral: ClassVar[dict[str, Any]] = {"of": "all", "captions": "all"}

    of: str = "all"
    captions: Selection = "all"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        assert real.grammar is not None
        known = ("all", *real.grammar.attributes)
        if self.of not in known:
            raise MetricNotApplicable(
                f"captions have no attribute {self.of!r}{suggest(self.of, known)}"
            )
        if not self.select(fake, real.grammar).any():
            raise MetricNotApplicable(f"no fake has a caption of the kind {self.captions!r}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert real.grammar is not None
        right = self.is_right(fake, real.grammar)[self.select(fake, real.grammar)]
        return share_measurement(float(right.double().mean()), len(right))

    def select(self, fake: FeatureSet, grammar: Grammar) -> Tensor:
        """Returns which fakes count: bool [N]."""
        is_unseen = grammar.is_unseen[labels_of_fakes(fake)]
        return {"all": is_unseen | True, "seen": ~is_unseen, "unseen": is_unseen}[self.captions]

    def is_right(self, fake: FeatureSet, grammar: Grammar) -> Tensor:
        """Returns which fakes show the value, or all values, of their caption: bool [N]."""
        read = logits_of(fake).argmax(1).cpu()
        same = grammar.stated[read] == grammar.stated[labels_of_fakes(fake)]
        return same.all(1) if self.of == "all" else same[:, grammar.attributes.index(self.of)]


def labels_of_fakes(fake: FeatureSet) -> Tensor:
    assert fake.labels is not None
    return fake.labels.cpu()
