"""Checks, before any training, that the data of a suite admit its outcome."""

from collections.abc import Iterable

from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import REQUIREMENT_CHECKS, MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet

from .suite import Suite
from .suite_errors import SuiteError

# Requirements that real examples meet or not. Others depend on the generator or on the whole data.
DATA_NEEDS = {
    "features",
    "logits",
    "classes",
    "modes",
    "mixture",
    "images",
    "captions",
    "clips",
    "law",
    "frames",
    "shuffled",
}
FEW = 2  # examples, enough to know their kind


def require_outcome(sets: Iterable[tuple[str, str]], suite: Suite) -> None:
    """Raises SuiteError if the outcome has no value on any of these data sets and devices."""
    reasons = outcome_reasons(sets, suite)
    if reasons and all(reasons.values()):
        outcome = suite.analysis.outcome
        lines = [f"{data}: {reason}" for data, reason in reasons.items()]
        raise SuiteError(
            "\n".join([f"no data set of this suite has the outcome {outcome}:", *lines])
        )


def outcome_notes(sets: Iterable[tuple[str, str]], suite: Suite) -> list[str]:
    """Returns a note for each data set that has no value of the outcome."""
    return [
        f"{data}: no effects on {suite.analysis.outcome}, which {reason}"
        for data, reason in outcome_reasons(sets, suite).items()
        if reason
    ]


def outcome_reasons(sets: Iterable[tuple[str, str]], suite: Suite) -> dict[str, str]:
    """Returns, for each data set, why it has no value of the outcome, or an empty text."""
    outcome, protocol = suite.analysis.outcome, suite.protocol
    return {
        data: reason_against(outcome, evaluator_for(data, device, protocol))
        for data, device in dict.fromkeys(sets)
    }


def reason_against(metric: str, evaluator: Evaluator) -> str:
    """Returns the requirement that the real examples do not meet, or an empty text."""
    sample = sample_of_reals(evaluator)
    for need in METRICS.make(metric).needs:
        try:
            if need in DATA_NEEDS:
                REQUIREMENT_CHECKS[need](sample, sample)
        except MetricNotApplicable as reason:
            return str(reason)
    return ""


def sample_of_reals(evaluator: Evaluator) -> FeatureSet:
    """Returns the features of the first real examples, with their labels."""
    examples = evaluator.split.train[evaluator.domains[0]]
    sample = evaluator.extract(examples.images[:FEW])
    sample.labels = None if examples.labels is None else examples.labels[:FEW]
    return sample
