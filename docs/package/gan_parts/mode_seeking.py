"""Mode seeking (Mao et al., 2019): distant latents should give distant images.

Adds `weight · d(z₁, z₂) / d(G(z₁), G(z₂))` to the generator's objective, where d is the mean
absolute difference over pairs of a batch.
"""

from ganbench.extend import AdversarialBatch, Terms, Unconditional

SMALLEST = 1e-5  # added to a distance, so that equal images have a finite gradient


class ModeSeeking(Unconditional):
    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs:
            latents = (pair.source - pair.source.flip(0)).abs().mean()
            images = (pair.fake - pair.fake.flip(0)).abs().mean()
            yield "mode_seeking", self.weight * latents / (images + SMALLEST)
