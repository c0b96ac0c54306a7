"""Checks, before any training, that data and tasks admit a suite's metrics and protocol."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from ganbench.data.image_paths import name_data
from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import REQUIREMENT_CHECKS, MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.base import Task
from ganbench.gan.tasks.one_way import OneWayTranslation

from .suite import Suite
from .suite_errors import SuiteError

# Requirements that real examples meet or not. Others depend on the task or on the whole data.
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
# Requirements that no task meets without its own version of a hook.
TASK_HOOKS = {"truth": "conditioning", "labels": "conditioning", "returned": "translate_back"}
FEW = 2  # examples, enough to know their kind

Tasks = Mapping[str, Collection[str]]  # the specs of the tasks on each data set


def require_outcome(tasks: Tasks, device: str, suite: Suite) -> None:
    """Raises SuiteError if the outcome has no value on any of these data sets."""
    outcome = suite.analysis.outcome
    reasons = reasons_by_data(outcome, tasks, device, suite.protocol)
    if reasons and all(reasons.values()):
        lines = [f"{data}: {reason}" for data, reason in reasons.items()]
        raise SuiteError(
            "\n".join([f"no data set of this suite has the outcome {outcome}:", *lines])
        )


def require_sources(tasks: Tasks, device: str, protocol: str) -> None:
    """Raises SuiteError if a translator or restorer has fewer sources than the protocol fakes.

    Sources would repeat, and their fakes would be copies, which metrics do not expect.
    """
    fakes = PROTOCOLS.make(protocol).fakes
    lines = [
        f"{name_data(data)}: {count:,} held-out examples, so write fakes={count} or fewer"
        for data, count in count_sources(tasks, device, protocol).items()
        if count < fakes
    ]
    if lines:
        first = "translators and restorers have one fake per held-out example:"
        raise SuiteError("\n".join([f"protocol {protocol}: {first}", *lines]))


def count_sources(tasks: Tasks, device: str, protocol: str) -> dict[str, int]:
    """Returns the fewest sources that a translator or restorer of each data set has."""
    counts = {}
    for data, own in tasks.items():
        if bound := list(filter(has_one_fake_per_source, own)):
            held_out = evaluator_for(data, device, protocol).split.held_out
            sizes = list(map(len, held_out.values()))
            counts[data] = sizes[0] if all(map(is_one_way, bound)) else min(sizes)
    return counts


def is_one_way(task: str) -> bool:
    """Returns whether a task translates the first domain alone."""
    return isinstance(TASKS.make(task), OneWayTranslation)


def has_one_fake_per_source(task: str) -> bool:
    """Returns whether the fakes of a task have conditions, but no latents."""
    kind = type(TASKS.make(task))
    has_latents = kind.latent_sampler is not Task.latent_sampler
    return not has_latents and kind.conditioning is not Task.conditioning


def metric_notes(tasks: Tasks, device: str, suite: Suite) -> list[str]:
    """Returns a note for each data set without the outcome, and for each metric that none has."""
    outcome = suite.analysis.outcome
    reasons = {
        metric: reasons_by_data(metric, tasks, device, suite.protocol)
        for metric in dict.fromkeys([outcome, *suite.metrics])
    }
    notes = [
        f"{name_data(data)}: no effects on {outcome}, which {reason}"
        for data, reason in reasons.pop(outcome).items()
        if reason
    ]
    for metric, by_data in reasons.items():
        if by_data and all(by_data.values()):
            notes.append(f"{metric} has no value: {'; '.join(dict.fromkeys(by_data.values()))}")
    return notes


def reasons_by_data(metric: str, tasks: Tasks, device: str, protocol: str) -> dict[str, str]:
    """Returns, for each data set, why a metric has no value there, or an empty text."""
    return {
        data: reason_against(metric, evaluator_for(data, device, protocol), own)
        for data, own in tasks.items()
    }


def reason_against(metric: str, evaluator: Evaluator, tasks: Collection[str] = ()) -> str:
    """Returns the requirement that neither reals nor tasks meet, or an empty text."""
    real = sample_of_reals(evaluator)
    missing = needs_without_hook(tasks)
    fake = replace(real, labels=None) if "labels" in missing else real
    for need in METRICS.make(metric).needs:
        try:
            if need in DATA_NEEDS | missing:
                REQUIREMENT_CHECKS[need](fake, real)
        except MetricNotApplicable as reason:
            return str(reason)
    return ""


def needs_without_hook(tasks: Collection[str]) -> set[str]:
    """Returns the requirements of metrics that none of these tasks can meet."""
    kinds = [type(TASKS.make(task)) for task in tasks]
    return {
        need
        for need, hook in TASK_HOOKS.items()
        if kinds and all(getattr(kind, hook) is getattr(Task, hook) for kind in kinds)
    }


def sample_of_reals(evaluator: Evaluator) -> FeatureSet:
    """Returns the features of the first real examples, with their labels."""
    examples = evaluator.split.train[evaluator.domains[0]]
    sample = evaluator.extract(examples.images[:FEW])
    sample.labels = None if examples.labels is None else examples.labels[:FEW]
    return sample
