"""Adversarial losses by their names in a spec. A new loss is a new file and a line here."""

from ganbench.registry import Registry

LOSSES = Registry(
    "loss",
    "ganbench.gan.losses",
    "ganbench.losses",
    {
        "hinge": "hinge:Hinge",
        "least_squares": "least_squares:LeastSquares",
        "minimax": "minimax:Minimax",
        "non_saturating": "non_saturating:NonSaturating",
        "relativistic": "relativistic:Relativistic",
        "relativistic_average": "relativistic_average:RelativisticAverage",
        "wasserstein": "wasserstein:Wasserstein",
    },
)
