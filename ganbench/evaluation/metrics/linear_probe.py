"""The classifier that metrics train: a multinomial logistic regression.

The problem is convex, so the result depends on no random draw. The inputs are pixels or the
extractor's features. Images above 16x16 are averaged to 16x16 cells. An extractor that was trained
on the reference has already seen its classes. Inputs are divided by the reals' root mean square.
The penalty is half the squared weights, as in scikit-learn with C = 1.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from .base import (
    Metric,
    MetricNotApplicable,
    logits_of,
    need_classes,
    need_held_out,
    need_images,
    need_labels,
)
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet

On = Literal["pixels", "features"]
Labels = Literal["asked", "told"]
MAX_CELLS_PER_SIDE = 16
PROBE_STEPS = 100  # maximal steps of L-BFGS
MIN_LABEL_AGREEMENT = 0.5  # an extractor below this accuracy on reals has other classes


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Classifier inputs, float64 [N, D], and classes, int64 [N]."""

    x: Tensor
    y: Tensor

    def __add__(self, other: "LabelledFeatures") -> "LabelledFeatures":
        return LabelledFeatures(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]))

    def where(self, chosen: Tensor) -> "LabelledFeatures":
        return LabelledFeatures(self.x[chosen], self.y[chosen])


@dataclass(frozen=True)
class ClassifierMetric(Metric):
    """A metric of a classifier trained `on` pixels or features of labelled examples."""

    on: On = "pixels"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        self.check_labels(fake, real)
        if real.labels is None:
            raise MetricNotApplicable("needs class labels of the reals, but they have none")
        if self.on == "pixels":
            need_images(fake, real)
            need_one_shape(fake, real)

    def needs_images(self) -> bool:
        return self.on == "pixels"

    def check_labels(self, fake: FeatureSet, real: FeatureSet) -> None:
        need_labels(fake, real)

    def classes_of(self, fake: FeatureSet) -> Tensor:
        assert fake.labels is not None
        return fake.labels

    def labelled_fakes(self, fake: FeatureSet, real: FeatureSet) -> LabelledFeatures:
        return LabelledFeatures(
            self.classifier_inputs(fake, real), self.classes_of(fake).to(fake.features.device)
        )

    def labelled_reals(self, sample: FeatureSet, real: FeatureSet) -> LabelledFeatures:
        assert sample.labels is not None
        return LabelledFeatures(
            self.classifier_inputs(sample, real), sample.labels.to(sample.features.device)
        )

    def classifier_inputs(self, sample: FeatureSet, real: FeatureSet) -> Tensor:
        return self.raw_inputs(sample) / self.input_scale(real)

    def input_scale(self, real: FeatureSet) -> Tensor:
        def make() -> dict[str, Tensor]:
            return {"scale": self.raw_inputs(real).square().mean().sqrt().clamp_min(1e-12)}

        return real.cached(f"regression(on={self.on})", make)["scale"]

    def raw_inputs(self, sample: FeatureSet) -> Tensor:
        if self.on == "features":
            return sample.features.double()
        assert sample.images is not None
        images = sample.images.to(sample.features.device)
        return torch.cat([average_cells(part) for part in images.split(MEAN_BLOCK_ROWS)])


@dataclass(frozen=True)
class TrainsOnFakes(ClassifierMetric):
    """A metric of a classifier that is trained on fakes and tested on held-out reals.

    `labels` selects the classes of fakes: "asked" for their conditioning, "told" for the
    extractor's predictions.
    """

    labels: Labels = "asked"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        need_held_out(fake, real)
        if self.labels == "told":
            need_same_classes(real)

    def check_labels(self, fake: FeatureSet, real: FeatureSet) -> None:
        if self.labels == "told":
            return need_classes(fake, real)
        if fake.labels is None:
            raise MetricNotApplicable(
                "needs the class labels that fakes were conditioned on, but there are none; "
                "labels='told' uses the classes that the extractor predicts"
            )
        return None

    def classes_of(self, fake: FeatureSet) -> Tensor:
        return logits_of(fake).argmax(1) if self.labels == "told" else super().classes_of(fake)

    def test_reals(self, fake: FeatureSet, real: FeatureSet) -> LabelledFeatures:
        """Returns the test examples: the held-out reals.

        For the floor, the fakes are the held-out reals; the test examples are then the reference.
        """
        assert real.held_out
        held_out = real.held_out()
        return self.labelled_reals(real if fake is held_out else held_out, real)


def need_one_shape(fake: FeatureSet, real: FeatureSet) -> None:
    assert fake.images is not None
    assert real.images is not None
    if fake.images.shape[1:] != real.images.shape[1:]:
        raise MetricNotApplicable("needs fakes and reals of one size")


def need_same_classes(real: FeatureSet) -> None:
    """Raises MetricNotApplicable if the extractor misclassifies more than half of the reals."""
    assert real.labels is not None
    predicted = logits_of(real).argmax(1)
    right = float((predicted == real.labels.to(predicted.device)).double().mean())
    if right < MIN_LABEL_AGREEMENT:
        raise MetricNotApplicable(
            f"needs an extractor that predicts the classes of reals, but this one is correct for only {right:.0%}"
        )


def average_cells(images: Tensor) -> Tensor:
    """Maps bytes [N, C, H, W] to the means of at most 16x16 cells: float64 [N, D]."""
    height, width = (min(side, MAX_CELLS_PER_SIDE) for side in images.shape[2:])
    return adaptive_avg_pool2d(images.double(), (height, width)).flatten(1)


def probe_accuracy(train: LabelledFeatures, test: LabelledFeatures) -> float:
    """Returns the accuracy on `test` of a classifier trained on `train`."""
    return float((predict_classes(train, test.x) == test.y).double().mean())


def predict_classes(train: LabelledFeatures, x: Tensor) -> Tensor:
    """Returns the classes of x from a classifier trained on `train`: int64 [N]."""
    return (append_ones(x) @ fit_probe(append_ones(train.x), train.y).T).argmax(1)


def append_ones(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


@torch.enable_grad()
def fit_probe(x: Tensor, y: Tensor) -> Tensor:
    """Returns the weights of each class; the last column is the offset: [K, D + 1]."""
    weights = x.new_zeros(int(y.max()) + 1, x.shape[1], requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=PROBE_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        penalty = weights[:, :-1].square().sum() / (2 * len(x))
        value = cross_entropy(x @ weights.T, y) + penalty
        value.backward()
        return value

    search.step(loss)
    return weights.detach()
