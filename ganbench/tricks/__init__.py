"""Tricks by their names in a spec. A new trick is a new file and a line here."""

from ..spec import Index

TRICKS = Index(
    "trick",
    "ganbench.tricks",
    {
        "ada": "ada:Ada",
        "consistency": "consistency:Consistency",
        "diffaugment": "diffaugment:Diffaugment",
        "dragan": "dragan:Dragan",
        "ema": "ema:Ema",
        "equilibrium": "equilibrium:Equilibrium",
        "feature_matching": "feature_matching:FeatureMatching",
        "frequency_separation": "frequency_separation:FrequencySeparation",
        "gradient_clipping": "gradient_clipping:GradientClipping",
        "gradient_penalty": "gradient_penalty:GradientPenalty",
        "historical_averaging": "historical_averaging:HistoricalAveraging",
        "image_pool": "image_pool:ImagePool",
        "instance_noise": "instance_noise:InstanceNoise",
        "label_flipping": "label_flipping:LabelFlipping",
        "label_smoothing": "label_smoothing:LabelSmoothing",
        "lecam": "lecam:Lecam",
        "minibatch_discrimination": "minibatch_discrimination:MinibatchDiscrimination",
        "minibatch_std": "minibatch_std:MinibatchStd",
        "orthogonal_regularization": "orthogonal_regularization:OrthogonalRegularization",
        "pacgan": "pacgan:Pacgan",
        "past_discriminators": "past_discriminators:PastDiscriminators",
        "r1": "r1:R1",
        "r2": "r2:R2",
        "spectral_norm": "spectral_norm:SpectralNorm",
        "top_k": "top_k:TopK",
        "ttur": "ttur:Ttur",
        "unrolled": "unrolled:Unrolled",
        "weight_clipping": "weight_clipping:WeightClipping",
    },
)
