"""Settings under which each trick acts within a few steps, and a short training of them."""

import math

import pytest
from helpers import (
    steps,
    trainer,
)

from ganbench.gan.build import Incompatible
from ganbench.gan.tricks import TRICKS

CHEAP = {
    "past_discriminators": "past_discriminators(every=1)",
    "label_flipping": "label_flipping(share=0.4)",
    "image_pool": "image_pool(size=16)",  # full within the few steps of a test
    "gradient_clipping": "gradient_clipping(norm=0.01)",
    "unrolled": "unrolled(turns=1)",
    "minibatch_discrimination": "minibatch_discrimination(kernels=3, depth=2)",
    # these would not have begun to act within the few steps of a test
    "ada": "ada(kimg=0.02, every=1, target=-0.9)",
    "lecam": "lecam(start=1)",
}


HOME = {
    "equilibrium": {"text": "began(width=4, code=8)", "loss": "wasserstein"},
    "path_length": {"text": "stylegan2(width=4)"},
    "progressive_growing": {"text": "progan(width=4)"},
}


TRICK = {name: CHEAP.get(name, name) for name in TRICKS.entries}


every_trick = pytest.mark.parametrize("name", TRICK)


def at_home(name, text="gan(width=8)"):
    """Where a trick can be tried: in its own setup if it has no meaning in others."""
    return HOME.get(name, {"text": text})


def objected(objection) -> str:
    assert len(str(objection).split()) > 3  # a sentence
    return "objected"


def trains_or_objects(text, data, tricks, loss) -> str:
    """How it ended; the objection must be a sentence, and the logs numbers."""
    try:
        made = trainer(text, data, tricks, loss=loss)
    except Incompatible as objection:
        return objected(objection)
    logs = steps(made, 2)
    assert all({"discriminator", "generator"} <= log.keys() for log in logs)
    assert all(math.isfinite(value) for log in logs for value in log.values())
    assert all(value.isfinite().all() for value in made.task.state_dict().values())
    return "trained"
