"""Checks the parts of a local file or of an installed package against their contracts."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from ganbench.ci.methods.base import MethodReport, run_check
from ganbench.devices import Numerics
from ganbench.gan.variants import resolve_variant
from ganbench.local_files import find_local_file, resolve_beside

from .data import check_data
from .find_parts import parts_of_file, parts_of_package
from .losses import check_loss
from .metrics import check_metric
from .trainings import SmallTraining, finiteness_faults, make_or_reason, resume_faults
from .tricks import check_trick

DATA_SETS = ("digits", "ring")  # that a variant is tried with


def check_variant(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a variant: it trains and resumes somewhere."""
    reasons = []
    for data in DATA_SETS:
        recipe = resolve_variant(text)
        training = SmallTraining(text, data, recipe.loss, recipe.tricks)
        trainer, reason = make_or_reason(training)
        if trainer is not None:
            yield from finiteness_faults(training, trainer)
            yield from resume_faults(training)
            return
        reasons.append(f"{data}: {reason}")
    yield f"it trains neither on digits nor on the ring: {'; '.join(reasons)}"


CHECKS: dict[str, Callable[[str], Iterable[str]]] = {
    "trick": check_trick,
    "loss": check_loss,
    "metric": check_metric,
    "data": check_data,
    "variant": check_variant,
}


def check_file(path: Path) -> MethodReport:
    """Checks the parts of a local file; raises NoSuchParts, or LocalFileError without trust."""
    parts = parts_of_file(path)
    with resolve_beside(path.absolute().parent):
        for _, text in parts:
            find_local_file(text)
        return check_parts(str(path), parts)


def check_package(name: str) -> MethodReport:
    """Checks the parts of an installed package; raises NoSuchParts."""
    return check_parts(name, parts_of_package(name))


def check_parts(place: str, parts: list[tuple[str, str]]) -> MethodReport:
    Numerics("cpu").apply()
    checked = [
        run_check(place, f"{kind} {text}", partial(CHECKS[kind], text)) for kind, text in parts
    ]
    return MethodReport(checked, [])
