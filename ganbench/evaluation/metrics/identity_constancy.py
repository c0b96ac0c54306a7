"""Identity constancy: the share of pairs of frames in a clip that show the same class.

The classifier of single frames predicts the class of each frame. 1 is a digit that stays the same.
With K equally frequent classes, independent frames score 1 / K. The floor is below 1 because the
classifier errs.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import one_hot

from .base import Measurement, Metric, MetricNotApplicable, logits_of, mean_measurement
from .feature_set import FeatureSet


@dataclass(frozen=True)
class IdentityConstancy(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("features", "frames")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        assert fake.frames
        if fake.frames().logits is None:
            raise MetricNotApplicable("needs a classifier of single frames, and there is none")
        if not fake.classes_are_modes:
            raise MetricNotApplicable(
                "needs a classifier of the data's own classes in single frames"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.frames
        predicted = logits_of(fake.frames()).argmax(1)
        return mean_measurement(share_of_equal_pairs(predicted.unflatten(0, (len(fake), -1))))


def share_of_equal_pairs(classes: Tensor) -> Tensor:
    """Returns the share of pairs of equal classes in each row: [N, T] => float64 [N]."""
    frames = classes.shape[1]
    counts = one_hot(classes).sum(1).double()
    return (counts * (counts - 1)).sum(1) / (frames * (frames - 1))
