"""CLIPScore (Hessel et al., 2021): how well an image fits its caption.

It is 2.5 times the cosine between the CLIP embeddings of the image and of its caption, or 0 if that is
negative. `prefix` stands before each caption, as published. Values of different CLIP models do not
compare. The floor is that of held-out images with their own captions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ganbench.errors import NotDownloaded

from .base import Measurement, Metric, MetricNotApplicable, mean_measurement
from .feature_set import FeatureSet

CLIP_SCORE_SCALE = 2.5


@dataclass(frozen=True)
class CLIPScore(Metric):
    direction = "higher"
    transform = "none"
    needs = ("features", "labels")

    prefix: str = "A photo depicts"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        if real.sentences is None:
            raise MetricNotApplicable("needs data with captions, and these have none")
        if real.encode_texts is None:
            raise MetricNotApplicable(
                "needs an extractor that reads captions too: protocol = \"ganbench(extractor='clip')\""
            )
        super().check_applicable(fake, real)

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.labels is not None
        labels, which = fake.labels.cpu().unique(return_inverse=True)
        texts = self.encode_captions(real, labels)
        return mean_measurement(clip_scores(fake.features, texts[which.to(texts.device)]))

    def encode_captions(self, real: FeatureSet, labels: Tensor) -> Tensor:
        """Returns embeddings of captions [K, F]; raises MetricNotApplicable without files."""
        assert real.sentences is not None
        assert real.encode_texts is not None
        texts = [f"{self.prefix} {real.sentences[label]}".strip() for label in labels.tolist()]
        try:
            return real.encode_texts(texts)
        except NotDownloaded as missing:
            raise MetricNotApplicable(missing.one_line()) from missing


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """Returns the score of each pair of embeddings [N, F]: float64 [N]."""
    cosines = cosine_similarity(images.double(), texts.to(images.device).double())
    return CLIP_SCORE_SCALE * torch.clamp(cosines, min=0)
