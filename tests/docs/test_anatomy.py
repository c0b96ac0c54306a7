"""docs/anatomy.md: the unrolled step equals the trainer's."""

import re
from pathlib import Path

import pytest
from helpers import same, trainer, weights

PAGE = Path(__file__).parents[2] / "docs" / "anatomy.md"
TRICKS = (
    "r1",
    "instance_noise",
    "label_smoothing",
    "gradient_clipping(norm=0.1)",
    "ema",
    "feature_matching",
)


@pytest.mark.parametrize("tricks", [(), TRICKS])
def test_the_unrolled_step_is_the_trainers(tricks):
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    scope: dict = {}
    exec(source, scope)
    ours, unrolled = (trainer("gan(width=8)", tricks=tricks) for _ in range(2))
    ours.train_step()
    scope["train_step"](unrolled)
    assert same(weights(ours.task), weights(unrolled.task))
    assert same(weights(ours.trick), weights(unrolled.trick))
    assert not same(weights(ours.task), weights(trainer("gan(width=8)", tricks=tricks).task))


def test_the_step_fits_on_a_page():
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 45
