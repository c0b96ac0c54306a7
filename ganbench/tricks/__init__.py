"""Tricks by their names in a spec. A new trick is a new file and a line here."""

from ..spec import Index

TRICKS = Index(
    "trick",
    "ganbench.tricks",
    {
        "ema": "ema:Ema",
        "feature_matching": "feature_matching:FeatureMatching",
        "gradient_clipping": "gradient_clipping:GradientClipping",
        "gradient_penalty": "gradient_penalty:GradientPenalty",
        "historical_averaging": "historical_averaging:HistoricalAveraging",
        "instance_noise": "instance_noise:InstanceNoise",
        "label_smoothing": "label_smoothing:LabelSmoothing",
        "minibatch_discrimination": "minibatch_discrimination:MinibatchDiscrimination",
        "pacgan": "pacgan:Pacgan",
        "r1": "r1:R1",
        "r2": "r2:R2",
        "spectral_norm": "spectral_norm:SpectralNorm",
        "ttur": "ttur:Ttur",
        "unrolled": "unrolled:Unrolled",
        "weight_clipping": "weight_clipping:WeightClipping",
    },
)
