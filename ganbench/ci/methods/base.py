"""A check of a method: a closed form, and the parts that it holds for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.verdict_records import CheckRecord, FaultRecord, MethodsRecord
from ganbench.counts import count_of
from ganbench.errors import NotDownloaded
from ganbench.registry import PluginError, SpecError, describe_exception, find_plugin_part

from .cells import CheckedCell

Settings = Mapping[str, Any]
CheckTrick = Callable[[CheckedCell, str, Settings], Iterable[str]]
CheckCell = Callable[[CheckedCell], Iterable[str]]

MAX_STANDARD_ERRORS = 6  # by which a statistic of draws may differ


@dataclass(frozen=True)
class MethodFault:
    """A part that is not what its definition says."""

    cell: str
    method: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.method}: {self.sentence}"


@dataclass(frozen=True)
class CheckedMethod:
    """A method in a cell, and its faults; none if it is what its definition says."""

    cell: str
    method: str
    faults: tuple[MethodFault, ...]
    error: str = ""  # of a check that could not end


@dataclass(frozen=True)
class MethodReport:
    """All checked methods of a suite, and the parts without a closed form."""

    checked: list[CheckedMethod]
    unchecked: list[str]
    skipped: list[str] = field(default_factory=list)  # own parts, each with the reason

    @property
    def faults(self) -> list[MethodFault]:
        return [fault for checked in self.checked for fault in checked.faults]

    def sentences(self) -> list[str]:
        """Returns each fault, the number of checks, and the parts that have none."""
        faults = count_of(len(self.faults), "fault")
        lines = [f"Fault: {fault}." for fault in self.faults]
        lines.append(f"{count_of(self.count_ended(), 'check')} of methods: {faults}.")
        if self.unchecked:
            lines.append(f"Without a closed form: {', '.join(self.unchecked)}.")
        return lines + [f"Not checked: {part}." for part in self.skipped]

    def count_ended(self) -> int:
        return sum(not checked.error for checked in self.checked)

    @property
    def errors(self) -> list[str]:
        """Sentences on the checks that could not end."""
        return [f"{c.cell}: {c.method}: {c.error}" for c in self.checked if c.error]

    @property
    def verdict(self) -> CommandVerdict:
        if self.faults:
            return CommandVerdict.REGRESSED
        if self.errors or not self.count_ended():  # an empty report is no pass
            return CommandVerdict.CANNOT_DECIDE
        return CommandVerdict.PASSED

    def record(self) -> MethodsRecord:
        """Returns the checks as a record for JSON."""
        faults = [
            FaultRecord(cell=f.cell, method=f.method, sentence=f.sentence) for f in self.faults
        ]
        return MethodsRecord(
            checked=self.count_ended(),
            faults=faults,
            errors=self.errors,
            unchecked=[*self.unchecked, *self.skipped],
        )

    def verdict_record(self, checked: str) -> CheckRecord:
        """Returns the verdict on a suite, a file or a package as a record for JSON."""
        content = {
            "title": f"Methods of {checked}",
            "verdict": self.verdict.value,
            "code": self.verdict.exit_code,
            "sentences": [*self.sentences(), *self.error_sentences()],
        }
        return CheckRecord.model_validate({**content, **self.record().to_json()})

    def error_sentences(self) -> list[str]:
        return [f"Not compared: {error}." for error in self.errors]


# Errors of the machine, which are no faults of a part.
MACHINE_ERRORS = (OSError, MemoryError, ImportError, NotDownloaded, torch.OutOfMemoryError)


def run_check(
    cell: str,
    method: str,
    find: Callable[[], Iterable[str]],
    find_place: Callable[[], str] | None = None,
) -> CheckedMethod:
    """Runs a check, which yields a sentence for each difference from a definition.

    An error of an own part's code is a fault of the part. With `find_place`, which returns the line of its
    definition, any error but those of the machine is one. The check's other code works with parts that
    keep their contract.
    """
    sentences: list[str] = []
    reason = ""
    try:
        sentences += find()
    except (PluginError, SpecError) as error:  # a hook returned a wrong value, or failed
        sentences.append(str(error).removeprefix(f"{method}: "))
    except (Exception, SystemExit) as error:  # the trainings crash too
        if part := find_plugin_part(error):
            sentences.append(str(part.failure(error)))
        elif find_place and not isinstance(error, MACHINE_ERRORS):
            ended = f"a use of it ended with {describe_exception(error)}"
            sentences.append(f"{ended} ({find_place()})")
        else:
            reason = f"its check ended with {describe_exception(error)}"
    faults = (MethodFault(cell, method, sentence) for sentence in dict.fromkeys(sentences))
    return CheckedMethod(cell, method, tuple(faults), reason)


def compare(
    what: str, value: float, expected: float, tolerance: float = 1e-4, scale: float = 1.0
) -> Iterator[str]:
    """Yields a sentence if a value differs from its closed form.

    The tolerance is relative to the expected value, or to `scale` if that is larger.
    """
    if not abs(value - expected) <= tolerance * max(scale, abs(expected)):
        yield f"{what} is {value:.4g}, and by definition {expected:.4g}"
