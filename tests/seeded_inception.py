"""A file of weights for Inception in torch-fidelity's format, drawn from a seed: where the published one cannot be had.

`python tests/seeded_inception.py FILE` writes one, of 96 MB. What a network of it sees are random but
sound features: He's initialization (2015), so that no layer dies or explodes, and everybody who opens the
file has the same ones.
"""

import io
import sys
from pathlib import Path

import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


class Unfilled(FeatureExtractorInceptionV3):
    """Without the weights that its constructor wants to load."""

    def load_state_dict(self, *arguments, **settings):
        return None


def seeded(seed: int = 0) -> dict[str, torch.Tensor]:
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Unfilled("inception-v3-compat", ["2048"], feature_extractor_weights_path=nothing)
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=random)
    return network.state_dict()


def write(path: Path, seed: int = 0) -> Path:
    torch.save(seeded(seed), path)
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]))
