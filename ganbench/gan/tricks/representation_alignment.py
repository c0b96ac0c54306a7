"""Representation alignment, REPA (Yu et al., 2025), of discriminators (Hyun et al., 2025).

It adds `weight · E(1 − cos(P f(x), t(x)))` to the discriminator's loss at reals `x`. `f` are the
features that the head scores. `P` is a linear map that trains with the discriminator. `t` are the
features of a frozen teacher: the classifier that ganbench ships for the data set `of`. Hyun et al.
project by three layers, also align features of patches, and augment the teacher's images alike.

The teacher has seen the labels of its data, so that this training has, too.
"""

from torch import nn
from torch.nn.functional import cosine_similarity

from ganbench.data.label_classifier import CLASSIFIER_FEATURES, labelled_dataset
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.tasks.base import Task, Terms

from .base import Trick
from .frozen_classifier import FrozenClassifier, refuse_teacher


class RepresentationAlignment(Trick):
    works_on_slices = True

    def __init__(self, weight: float = 1.0, of: str = "digits"):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        labelled_dataset(of)
        self.weight, self.of = weight, of

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.energy:
            return (
                "representation alignment reads features below a head, and this discriminator "
                "scores by reconstruction errors"
            )
        if "pacgan" in config.tricks:
            return "representation alignment reads features of one image, and pacgan packs several"
        return refuse_teacher("representation alignment", self.of, config)

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        discriminator.alignment = nn.Linear(discriminator.width, CLASSIFIER_FEATURES)
        return discriminator

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.teacher = FrozenClassifier(self.of)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        predicted = pair.discriminator.alignment(pair.real_features)  # type: ignore[operator]
        agreement = cosine_similarity(predicted, self.teacher(pair.real.detach()), dim=1)
        yield "representation_alignment", self.weight * (1 - agreement).mean()
