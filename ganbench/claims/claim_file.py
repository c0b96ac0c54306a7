"""Claim files: TOML with numbers and orders of a paper, and the suite that answers them.

    values   a mean that the paper reports, with its standard error over runs
    orders   that one arm is better than another by a metric

A claim is checked completely when it is read. Each error names the file, the line and the key.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ganbench.experiments.config_model import ConfigModel, Finite
from ganbench.experiments.suite_errors import SuiteError, SuiteValidationError
from ganbench.experiments.suite_loader import (
    error_location,
    explain_syntax,
    find_line,
    format_error_sentence,
    format_key,
    keys_of,
    parse_toml,
    read_suite_text,
)
from ganbench.registry import suggest

from .known_claims import ClaimError, ClaimMisfit, name_fault

MIN_RUNS = 2  # for a standard error

Text = Annotated[str, Field(min_length=1, max_length=500)]


class ArmNames(ConfigModel):
    """The names of an arm in the tables of the suite; names that are left out match any."""

    variant: Text | None = None
    loss: Text | None = None
    tricks: Text | None = None
    plan: str | None = None

    def items(self) -> Iterable[tuple[str, str]]:
        return ((name, value) for name, value in self if value is not None)


class PublishedValue(ConfigModel):
    """A published mean: of an arm, on some data, by a metric."""

    arm: Text
    data: Text
    metric: Text
    value: Finite
    error: Annotated[Finite, Field(ge=0)] = 0.0  # standard error of the mean; 0: not published
    sd: Annotated[Finite, Field(ge=0)] = 0.0  # standard deviation over the runs, instead of it

    @model_validator(mode="after")
    def _one_error(self) -> "PublishedValue":
        if self.error and self.sd:
            raise ValueError("give either error, of the mean, or sd, of the runs")
        return self


class PublishedOrder(ConfigModel):
    """A published order: one arm is better than another."""

    better: Text
    worse: Text
    data: Text
    metric: Text


class Scale(ConfigModel):
    """The length of the published trainings, in one unit."""

    generator_turns: Annotated[int, Field(gt=0)] | None = None
    images: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> "Scale":
        if (self.generator_turns is None) == (self.images is None):
            raise ValueError("give either generator_turns or images")
        return self

    @property
    def unit(self) -> Literal["generator_turns", "images"]:
        return "images" if self.generator_turns is None else "generator_turns"

    @property
    def amount(self) -> int:
        return self.generator_turns or self.images or 0


class Claim(ConfigModel):
    """A claim file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Text
    about: Text
    source: Text  # the paper, with the table
    suite: Text
    published: Scale | None = None  # None: the paper does not state it
    runs: Annotated[int, Field(ge=1)] = 1  # trainings behind each published mean
    differences: list[Text] = Field(
        default_factory=list
    )  # of the suite from the paper, other than the length
    price: str = ""  # of the suite at the published scale
    arms: dict[str, ArmNames] = Field(min_length=1)
    within: dict[str, Annotated[Finite, Field(gt=0)]] = Field(
        default_factory=dict
    )  # by metric: the largest difference that counts as equal
    values: list[PublishedValue] = Field(default_factory=list)
    orders: list[PublishedOrder] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits_together(self) -> "Claim":
        if not self.values and not self.orders:
            raise ValueError("it claims nothing: give values or orders")
        for i, value in enumerate(self.values):
            self._check_arm(value.arm, ("values", i, "arm"))
            if value.metric not in self.within:
                text = f"[within] has no {value.metric}: give the largest difference that counts as equal"
                raise SuiteValidationError(("values", i, "metric"), text)
            key = "sd" if value.sd else "error"
            if self.error_of(value) and self.runs < MIN_RUNS:
                text = f"an {key} needs runs of at least {MIN_RUNS}"
                raise SuiteValidationError(("values", i, key), text)
        for i, order in enumerate(self.orders):
            self._check_arm(order.better, ("orders", i, "better"))
            self._check_arm(order.worse, ("orders", i, "worse"))
        return self

    def error_of(self, value: PublishedValue) -> float:
        """Returns the standard error of a published mean; 0 if none is published."""
        return value.error or value.sd / math.sqrt(self.runs)

    def _check_arm(self, name: str, location: tuple[int | str, ...]) -> None:
        if name not in self.arms:
            raise SuiteValidationError(
                location, f"there is no arm {name!r}{suggest(name, self.arms)}"
            )


def load_claim(path: Path) -> Claim:
    """Reads and checks a claim; raises ClaimError with all errors."""
    text = read_claim_text(path)
    try:
        content = parse_toml(text)
    except (ValueError, RecursionError) as error:
        raise ClaimError(f"{path}: {explain_syntax(text, error)}") from None
    try:
        claim = Claim.model_validate(content)
    except ValidationError as error:
        problems = [format_problem(path, text, details) for details in error.errors()]
        raise ClaimError("\n".join(problems)) from None
    if fault := name_fault(claim.name, path):
        raise ClaimError(f"{path}:{find_line(text, ('name',))}: name: {fault}")
    return claim


def read_claim_text(path: Path) -> str:
    """Reads a claim with the checks of a suite: no device, no large file, UTF-8."""
    try:
        return read_suite_text(path)
    except SuiteError as error:
        raise ClaimError(str(error)) from None


def format_problem(path: Path, text: str, details: Any) -> str:
    """Formats an error as one line: file and line, key, explanation."""
    location = error_location(details)
    line = find_line(text, location)
    where = f"{path}:{line}" if line else str(path)
    return ": ".join(filter(None, [where, format_key(location), explain(details, location)]))


@contextmanager
def locate_misfits(path: Path) -> Iterator[None]:
    """Adds file, line and key to the error of a claim that does not fit its suite."""
    try:
        yield
    except ClaimMisfit as error:
        line = find_line(read_claim_text(path), error.location)
        where = f"{path}:{line}" if line else str(path)
        raise ClaimError(f"{where}: {format_key(error.location)}: {error}") from None


def explain(details: Any, location: tuple[int | str, ...]) -> str:
    if details["type"] == "extra_forbidden":
        return f"there is no such key{suggest(str(location[-1]), keys_beside(location))}"
    return format_error_sentence(details, location, None)


def keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Returns the keys of the table that an unknown key stands in."""
    tables: dict[str, type[ConfigModel]] = {
        "arms": ArmNames,
        "orders": PublishedOrder,
        "published": Scale,
        "values": PublishedValue,
    }
    return keys_of(tables.get(str(location[0]), Claim) if len(location) > 1 else Claim)


def share_of_published(scale: Scale, budget: dict[str, Any]) -> float:
    """Returns a budget as a share of the published one; NaN in another unit."""
    return float(budget["amount"]) / scale.amount if budget["unit"] == scale.unit else math.nan
