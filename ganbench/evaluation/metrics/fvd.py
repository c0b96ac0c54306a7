"""FVD (Unterthiner et al., 2018): the Fréchet distance of features of clips.

The formula, the standard error and the bias are those of FID. The clips of ganbench are measured in
features of its own clip classifier, so values differ from published ones.

A Fréchet distance may be small although the motion is wrong (Ge et al., 2024). `shuffle='fakes'`
shuffles the frames of each fake. Its floor, of shuffled held-out clips, is the FVD of right frames
without right motion. `shuffle='both'` shuffles fakes and reals: it compares the content alone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from .base import Measurement, need_shuffled
from .feature_set import FeatureSet
from .fid import FID


@dataclass(frozen=True)
class FVD(FID):
    neutral: ClassVar[dict[str, Any]] = {"shuffle": "none"}
    needs = ("features", "clips")

    shuffle: Literal["none", "fakes", "both"] = "none"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if self.shuffle != "none":
            need_shuffled(fake, real)

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return super().compute(*self.shuffled_sides(fake, real))

    def shuffled_sides(self, fake: FeatureSet, real: FeatureSet) -> tuple[FeatureSet, FeatureSet]:
        """Returns the sides with the frames of fakes, or of both, shuffled."""
        wanted = {"none": (), "fakes": (fake,), "both": (fake, real)}[self.shuffle]
        fakes, reals = (
            side.shuffled() if side.shuffled and any(side is x for x in wanted) else side
            for side in (fake, real)
        )
        return fakes, reals

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        return super().expected_floor(real, count) if self.shuffle == "none" else None
