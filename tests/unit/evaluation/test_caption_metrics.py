"""Caption accuracy and R-precision, by hand and on real captioned digits."""

import pytest
import torch
from helpers import CPU, split

from ganbench.data.base import IMAGE
from ganbench.data.captions import Grammar
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.training.sampling import GeneratedSamples

# Four sentences of two colors and two shapes; the last one is unseen.
GRAMMAR = Grammar(
    {"color": ("red", "blue"), "shape": ("ball", "cube")},
    torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]),
    torch.tensor([False, False, False, True]),
)


def feature_set(read, labels):
    logits = torch.nn.functional.one_hot(torch.tensor(read), 4).float()
    fakes = FeatureSet(torch.randn(len(read), 2), logits, labels=torch.tensor(labels))
    fakes.grammar = GRAMMAR
    return fakes


def accuracy(settings, read, labels):
    fakes = feature_set(read, labels)
    return METRICS.make(f"caption_accuracy{settings}")(fakes, fakes)


def test_caption_accuracy_by_attribute_and_by_novelty():
    read, labels = [0, 1, 3, 3, 0], [0, 0, 1, 3, 3]
    assert accuracy("", read, labels).value == pytest.approx(2 / 5)
    assert accuracy("(of='color')", read, labels).value == pytest.approx(3 / 5)
    assert accuracy("(of='shape')", read, labels).value == pytest.approx(3 / 5)
    assert accuracy("(captions='seen')", read, labels).value == pytest.approx(1 / 3)
    unseen = accuracy("(captions='unseen')", read, labels)
    assert unseen.value == pytest.approx(1 / 2)
    assert unseen.standard_error == pytest.approx((0.5 * 0.5 / 2) ** 0.5)


def test_caption_accuracy_explains_what_it_cannot_measure():
    with pytest.raises(MetricNotApplicable, match="no attribute 'colour'; did you mean 'color'"):
        accuracy("(of='colour')", [0, 1], [0, 1])
    with pytest.raises(MetricNotApplicable, match="no fake has a caption of the kind 'unseen'"):
        accuracy("(captions='unseen')", [0, 1], [0, 1])
    without = feature_set([0, 1], [0, 1])
    without.grammar = None
    with pytest.raises(MetricNotApplicable, match="captions of a grammar"):
        METRICS.make("caption_accuracy")(without, without)


def test_r_precision_compares_with_other_captions():
    all_others = METRICS.make("r_precision(others=3)")
    fakes = feature_set([0, 1, 2, 0], [0, 1, 2, 3])
    assert all_others(fakes, fakes).value == pytest.approx(3 / 4)
    with pytest.raises(MetricNotApplicable, match="there are 4 captions, too few for 4 others"):
        METRICS.make("r_precision(others=4)")(fakes, fakes)


def test_r_precision_of_random_likelihoods_is_that_of_chance():
    count = 4000
    fakes = FeatureSet(
        torch.randn(count, 2), torch.randn(count, 50), labels=torch.arange(count) % 50
    )
    fakes.grammar = GRAMMAR
    value = METRICS.make("r_precision(others=9)")(fakes, fakes).value
    assert value == pytest.approx(1 / 10, abs=4 * (0.1 * 0.9 / count) ** 0.5)


def test_real_captioned_digits_are_read_right():
    """The shipped classifier reads all attributes of 98.7 % of held-out examples."""
    evaluator = Evaluator("captioned_digits", CPU)
    real = split("captioned_digits").held_out[IMAGE]
    fakes = GeneratedSamples(real.images[:600].float() / 127.5 - 1, real.labels[:600])
    metrics = ("caption_accuracy", "caption_accuracy(captions='unseen')", "r_precision")
    values = [evaluator.measure(fakes, metrics)[METRICS.label(name)].value for name in metrics]
    assert min(values) > 0.96
    wrong = GeneratedSamples(fakes.images, real.labels[:600].roll(1))
    assert evaluator.measure(wrong, metrics)["caption_accuracy"].value < 0.05
