"""Suites: TOML files that declare cells, their training, measurement and comparison.

A suite is checked completely before training starts. Each error names the file, the line, the key and
valid values.
"""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from ganbench.data import DATA
from ganbench.errors import escape_control_characters
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.possible_values import POSSIBLE_VALUES
from ganbench.evaluation.protocols import PROTOCOLS, protocol_label
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import resolve_variant, variant_label, variant_settings
from ganbench.registry import (
    Registry,
    SpecError,
    parse_spec,
    suggest,
)
from ganbench.training.budget import Budget

from .cells import OWN_LOSS, Cell, apply_axes, count_cells, expand_cells
from .config_model import AtMost, AtMostDistinct, ConfigModel, Finite, Several, SeveralDistinct
from .durations import parse_seconds
from .factorial import count_fractional_chains, cross_axes, list_chains
from .numerics_axes import NumericsAxes
from .suite_errors import SuiteError, SuiteValidationError, located
from .suite_files import ADAPTIVE, DEFAULT_ROUNDS
from .suite_limits import (
    MAX_GENERATOR_TURNS,
    MAX_IMAGES,
    MAX_SECONDS,
    MAX_TRIALS,
    check_cell_count,
    check_limit_seconds,
    check_settings,
    count_combinations,
)
from .suite_paths import find_beside_suite

MAX_SEEDS = 10_000
MAX_ROUNDS = 20  # of adaptive seeds
MAX_HOURS = MAX_SECONDS // 3600
MAX_MARGIN = 1000  # of a gate: in the metric's unit, or a share
MAX_NAME = 64  # characters of a suite's name
RESERVED_SUITE_NAMES = (
    "bundles",
    "floors",
    "published",
    "trials",
)  # folders of a store that a suite's folder must not overwrite


def spec_validator(registry: Registry) -> AfterValidator:
    """Returns a validator of specs of this registry; it yields the canonical spelling."""

    def to_label(text: str) -> str:
        registry.make(text)
        check_settings(registry, text)
        return registry.label(text)

    return AfterValidator(to_label)


def _unreserved(name: str) -> str:
    if name in RESERVED_SUITE_NAMES:
        raise ValueError(f"a suite cannot be called {' or '.join(RESERVED_SUITE_NAMES)}")
    return name


def _refuse_none(text: str) -> str:
    if text.strip().lower() == "none":
        raise ValueError("leave it out: a design always includes the arm without tricks")
    return text


def _variant_label(text: str) -> str:
    check_variant_settings(text)
    recipe = resolve_variant(text)
    for registry, part in [(NETWORKS, recipe.network), (TASKS, recipe.task)]:
        registry.make(part)
        check_settings(registry, part)
    for trick in recipe.tricks:
        check_settings(TRICKS, trick)
    return variant_label(text)


def check_variant_settings(text: str) -> None:
    """Raises SpecError for a setting that a variant does not have, with all that it has."""
    spec = parse_spec(text)
    known = variant_settings(resolve_variant(spec.name))
    for name, _ in spec.settings:
        if name not in known:
            raise SpecError(f"variant {spec.name} has no setting {name!r}{suggest(name, known)}")


def _loss_label(text: str) -> str:
    if text == OWN_LOSS:
        return text
    if parse_spec(text).name == OWN_LOSS:
        raise SpecError(
            f"{text!r}: {OWN_LOSS!r} is the variant's own loss and has no settings; "
            "name a loss to change its settings"
        )
    LOSSES.make(text)
    check_settings(LOSSES, text)
    return LOSSES.label(text)


def _duration_text(text: str) -> str:
    check_limit_seconds(text, parse_seconds(text))
    return text


def _protocol_label(text: str) -> str:
    label = protocol_label(text)
    check_settings(PROTOCOLS, label)
    return label


def _data_beside_suite(text: str, info: ValidationInfo) -> str:
    return find_beside_suite(text, (info.context or {}).get("folder"))


DataSpec = Annotated[str, AfterValidator(_data_beside_suite), spec_validator(DATA)]
ProtocolSpec = Annotated[str, AfterValidator(_protocol_label)]
MetricSpec = Annotated[str, spec_validator(METRICS)]
TrickSpec = Annotated[str, spec_validator(TRICKS)]
ArmSpec = Annotated[str, AfterValidator(_refuse_none), spec_validator(TRICKS)]
VariantSpec = Annotated[str, AfterValidator(_variant_label)]
LossSpec = Annotated[str, AfterValidator(_loss_label)]
PlainText = Annotated[str, AfterValidator(escape_control_characters)]
Duration = Annotated[str, AfterValidator(_duration_text)]
Betas = Annotated[tuple[Finite, Finite], Field(strict=False)]
Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=MAX_NAME), AfterValidator(_unreserved)
]


def _distinct(seeds: list[int]) -> list[int]:
    ((seed, count),) = Counter(seeds).most_common(1)
    if count > 1:
        raise ValueError(f"seed {seed} stands there {count} times")
    return seeds


FixedSeeds = (
    Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    | Annotated[
        list[Annotated[int, Field(ge=0, lt=2**31)]],
        Field(min_length=1, max_length=MAX_SEEDS),
        AfterValidator(_distinct),
    ]
)


class AdaptiveSeeds(ConfigModel):
    """Adaptive seeds: arms of undecided effects get more seeds, in rounds and within a budget."""

    rounds: list[Annotated[int, Field(ge=2, le=MAX_SEEDS)]] = Field(
        default=list(DEFAULT_ROUNDS), min_length=2, max_length=MAX_ROUNDS
    )  # number of seeds of an undecided arm after each round
    trainings: int | None = Field(default=None, ge=1, le=MAX_TRIALS)  # of the whole run, at most
    hours: Finite | None = Field(default=None, gt=0, le=MAX_HOURS)  # of training, at most
    error: float = Field(
        default=0.05, ge=1e-6, le=0.2
    )  # of all claims about effects over the grid together
    chance: float = Field(default=0.1, ge=0, lt=1)  # of a decision, below which seeds end

    @model_validator(mode="after")
    def _grows(self) -> "AdaptiveSeeds":
        if any(after <= before for before, after in itertools.pairwise(self.rounds)):
            raise SuiteValidationError(
                ("rounds",), f"each round has more seeds than the one before, not {self.rounds}"
            )
        return self


def _spelled_out(seeds: Any) -> Any:
    """Returns the table of `seeds = "adaptive"`; raises ValueError for other texts."""
    if not isinstance(seeds, str):
        return seeds
    if seeds != ADAPTIVE:
        hint = suggest(seeds, [ADAPTIVE])
        hint = hint if "did you mean" in hint else ""
        raise ValueError(f'seeds are a number, a list or "{ADAPTIVE}", not {seeds!r}{hint}')
    return {}


def _kind_of_seeds(seeds: Any) -> str:
    return "seeds(adaptive)" if isinstance(seeds, dict | AdaptiveSeeds) else "seeds(fixed)"


Seeds = Annotated[
    Annotated[FixedSeeds, Tag("seeds(fixed)")] | Annotated[AdaptiveSeeds, Tag("seeds(adaptive)")],
    Discriminator(_kind_of_seeds),
    BeforeValidator(
        _spelled_out, json_schema_input_type=Literal["adaptive"] | FixedSeeds | AdaptiveSeeds
    ),
]


class TrickAxes(ConfigModel):
    """The chains of tricks that a grid crosses with its other axes."""

    design: Literal["one_at_a_time", "full_factorial", "fractional_factorial"] | None = None
    of: AtMostDistinct[ArmSpec] = Field(default=[])
    chains: AtMostDistinct[AtMost[TrickSpec]] = Field(default=[])

    @model_validator(mode="after")
    def _one_way(self) -> "TrickAxes":
        if bool(self.design) == bool(self.chains):
            raise ValueError("give either a design with `of`, or `chains`")
        if self.design and not self.of:
            raise ValueError(f"the design {self.design} needs `of`, a list of tricks")
        if self.of and not self.design:
            raise ValueError(
                "`of` needs a design: one_at_a_time, full_factorial or fractional_factorial"
            )
        crossed = self.design in ("full_factorial", "fractional_factorial")
        for chain in [self.of] if crossed else self.chains:
            names = [parse_spec(trick).name for trick in chain]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{twice[0]} is twice in one chain")
        # count_chains also raises ValueError for too few tricks of a fraction
        check_cell_count(self.count_chains(), "this design has {} chains")
        return self

    def count_chains(self) -> int:
        """Returns the number of chains without building them."""
        if self.design == "one_at_a_time":
            return 1 + len(self.of)
        if self.design == "full_factorial":
            return 2 ** len(self.of)
        if self.design == "fractional_factorial":
            return count_fractional_chains(self.of)
        return len(self.chains)

    def list_chains(self) -> list[tuple[str, ...]]:
        """Returns the chains, each sorted by its labels."""
        return list_chains(self.design, self.of, self.chains)


class HyperparameterAxes(ConfigModel):
    """Hyperparameters that a grid changes: one value, or a list of values to cross."""

    lr: Finite | SeveralDistinct[Finite] | None = None  # of generator and discriminator
    generator_lr: Finite | SeveralDistinct[Finite] | None = None
    discriminator_lr: Finite | SeveralDistinct[Finite] | None = None
    betas: Betas | SeveralDistinct[Betas] | None = None  # of generator and discriminator
    generator_betas: Betas | SeveralDistinct[Betas] | None = None
    discriminator_betas: Betas | SeveralDistinct[Betas] | None = None
    batch: int | SeveralDistinct[int] | None = None
    latent: int | SeveralDistinct[int] | None = None
    discriminator_turns: int | SeveralDistinct[int] | None = None
    optimizer: Literal["adam", "rmsprop"] | SeveralDistinct[Literal["adam", "rmsprop"]] | None = (
        None
    )
    decay: Finite | SeveralDistinct[Finite] | None = None

    @model_validator(mode="after")
    def _plans(self) -> "HyperparameterAxes":
        for key in ("lr", "betas"):
            one = {f"generator_{key}", f"discriminator_{key}"} & self.model_fields_set
            if one and key in self.model_fields_set:
                raise ValueError(f"{key} sets both sides: give it or {min(one)}, not both")
        check_cell_count(self.count_changes(), "these hyperparameters have {} combinations")
        for key, axis in self:
            for value in axis if isinstance(axis, list) else [axis]:
                with located((key,)):
                    apply_axes(Hyperparameters(), {} if value is None else {key: value})
        return self

    def count_changes(self) -> int:
        """Returns the number of combinations without building them."""
        return count_combinations(value for _, value in self)

    def list_changes(self) -> list[dict[str, Any]]:
        return cross_axes({key: value for key, value in self if value is not None})


class GridConfig(ConfigModel):
    """A grid of cells: every combination of these axes."""

    data: SeveralDistinct[DataSpec] | None = None  # default: the suite's data
    variants: SeveralDistinct[VariantSpec]
    losses: SeveralDistinct[LossSpec] = Field(default=[OWN_LOSS])
    tricks: TrickAxes = Field(default_factory=lambda: TrickAxes(chains=[[]]))
    plan: HyperparameterAxes = Field(default_factory=HyperparameterAxes)
    numerics: NumericsAxes = Field(default_factory=NumericsAxes)  # before the suite's


class ExclusionConfig(ConfigModel):
    """Excluded cells: cells that match all given keys, with the reason for the exclusion."""

    data: DataSpec | None = None
    variant: VariantSpec | None = None
    loss: LossSpec | None = None
    tricks: TrickSpec | None = None  # a trick that the cell's chain contains
    reason: PlainText = Field(min_length=1)

    def matches(self, cell: Cell) -> bool:
        pairs = ((self.data, cell.data), (self.variant, cell.variant), (self.loss, cell.loss))
        same = all(wanted in (None, values) for wanted, values in pairs)
        return same and (self.tricks is None or self.tricks in cell.tricks)


class BudgetProfile(ConfigModel):
    """The training budget on one kind of machine, in one unit, equal for every arm."""

    images: int | None = Field(default=None, ge=1, le=MAX_IMAGES)
    generator_turns: int | None = Field(default=None, ge=1, le=MAX_GENERATOR_TURNS)
    seconds: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    seeds: Seeds | None = None  # instead of the suite's

    @model_validator(mode="after")
    def _one_unit(self) -> "BudgetProfile":
        if sum(unit is not None for unit in (self.images, self.generator_turns, self.seconds)) != 1:
            raise ValueError("give one of images, generator_turns and seconds")
        return self

    def budget(self) -> Budget:
        if self.images is not None:
            return Budget("images", self.images)
        if self.generator_turns is not None:
            return Budget("generator_turns", self.generator_turns)
        assert self.seconds is not None
        return Budget("seconds", self.seconds)


class LimitsConfig(ConfigModel):
    """Time limits of a trial: in total (wall), and without any progress (stall)."""

    wall: Duration = "24 h"
    stall: Duration = "10 min"


class AnalysisConfig(ConfigModel):
    """The comparison of arms, declared before the run."""

    outcome: MetricSpec = "fid"
    baseline: Literal["none"] = "none"
    paired: bool = True
    equivalence: float = Field(default=0.02, ge=0, lt=1)
    collapse: float = Field(default=0.1, gt=0, lt=1)  # the share of the floor's modes or recall
    target: Finite | None = None  # of the outcome; default: the mean of arms without tricks


def suggest_metric(name: str, metrics: Sequence[str]) -> str:
    """Returns the hint for an unmeasured metric: the same one with settings, or to measure it."""
    same = [metric for metric in metrics if parse_spec(metric).name == parse_spec(name).name]
    return f"; write it with its settings: {same[0]!r}" if same else ": add it to `metrics`"


def profile_remedies(device: str, profiles: Iterable[str]) -> str:
    """Returns the remedies for a suite without a budget for this device."""
    choices = " or ".join(f"`--profile {name}`" for name in sorted(profiles))
    return f" for this device, {device}: choose {choices}, or add [budget.{device}] to the suite"


class GateConfig(ConfigModel):
    """The margins of `ganbench gate`: how much worse each metric may become."""

    margins: dict[MetricSpec, Annotated[float, Field(gt=0, le=MAX_MARGIN)]] = Field(
        min_length=1
    )  # for a logarithmic metric a share: 0.25 allows 1.25 times the baseline
    reference: int = Field(
        default=24, ge=4, le=10_000
    )  # number of trainings of each cell in a baseline
    false_alarms: float = Field(default=0.01, ge=1e-6, le=0.01)  # for all tests of a gate together


class Suite(ConfigModel):
    """A suite file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    about: PlainText = ""
    data: SeveralDistinct[DataSpec]
    metrics: SeveralDistinct[MetricSpec]
    protocol: ProtocolSpec = "ganbench"  # the evaluation protocol of all metrics
    seeds: Seeds = 3
    points: int = Field(default=8, ge=1, le=1000)  # number of points of each learning curve
    grid: Several[GridConfig]
    numerics: NumericsAxes = Field(default_factory=NumericsAxes)
    exclude: AtMost[ExclusionConfig] = Field(default=[])
    budget: dict[str, BudgetProfile] = Field(min_length=1)
    limits: LimitsConfig = LimitsConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    gate: GateConfig | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Suite":
        if (outcome := self.analysis.outcome) not in self.metrics:
            raise SuiteValidationError(
                ("analysis", "outcome"),
                f"{outcome} is not among the metrics{suggest_metric(outcome, self.metrics)}",
            )
        self._check_target()
        for metric in self.gate.margins if self.gate else ():
            if metric not in self.metrics:
                hint = suggest(metric, self.metrics)
                raise SuiteValidationError(
                    ("gate", "margins", metric), f"it is not among the metrics{hint}"
                )
        self._check_counts()
        included, _ = expand_cells(self)
        if not included:
            raise ValueError("no cell is left: everything is excluded")
        if not any(cell.tricks for cell in included):
            self._refuse_adaptive_seeds()
        return self

    def _check_target(self) -> None:
        """Raises an error for a target that the outcome can never have."""
        analysis = self.analysis
        low, high = POSSIBLE_VALUES[METRICS.make(analysis.outcome).transform]
        if analysis.target is not None and not low <= analysis.target <= high:
            bounds = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise SuiteValidationError(
                ("analysis", "target"),
                f"values of {analysis.outcome} are {bounds}, not {analysis.target:g}",
            )

    def _refuse_adaptive_seeds(self) -> None:
        """Raises an error for adaptive seeds in a suite without tricks."""
        for name in self.budget:
            if self.adaptive_seeds_of(name):
                own = self.budget[name].seeds is not None
                raise SuiteValidationError(
                    ("budget", name, "seeds") if own else ("seeds",),
                    "adaptive seeds decide effects of tricks, and no cell of this suite has a trick",
                )

    def _check_counts(self) -> None:
        """Raises an error if there are too many cells or trials, before any is built."""
        counts = [count_cells(self, grid) for grid in self.grid]
        for i, count in enumerate(counts):
            with located(("grid", i)):
                check_cell_count(count, "this grid has {} cells")
        check_cell_count(sum(counts), "its grids have {} cells")
        for name in self.budget:
            adaptive = self.adaptive_seeds_of(name)
            seeds = adaptive.rounds[-1] if adaptive else len(self.seeds_of(name))
            if sum(counts) * seeds > MAX_TRIALS:
                raise ValueError(
                    f"{sum(counts):,} cells with {seeds:,} seeds of budget.{name} are "
                    f"{sum(counts) * seeds:,} trials, and a suite may have {MAX_TRIALS:,}"
                )

    def select_profile(self, wanted: str | None, device: str) -> str:
        """Returns the name of the wanted budget profile, or of the profile for this device."""
        for name in [wanted] if wanted else [device, "gpu" if device != "cpu" else "cpu"]:
            if name in self.budget:
                return name
        name = wanted or device
        hint = suggest(name, self.budget) if wanted else profile_remedies(device, self.budget)
        raise SuiteError(f"suite {self.name} has no [budget.{name}]{hint}")

    def adaptive_seeds_of(self, profile: str) -> AdaptiveSeeds | None:
        """Returns the adaptive seeds of a profile, or None if its seeds are fixed."""
        chosen = self.budget[profile].seeds or self.seeds
        return chosen if isinstance(chosen, AdaptiveSeeds) else None

    def seeds_of(self, profile: str) -> list[int]:
        """Returns the seeds of every arm; those of the first round if they are adaptive."""
        chosen = self.budget[profile].seeds or self.seeds
        if isinstance(chosen, AdaptiveSeeds):
            return list(range(chosen.rounds[0]))
        return list(range(chosen)) if isinstance(chosen, int) else sorted(chosen)

    def count_processes(self) -> int:
        """Returns the largest number of processes of a trial, which is that of its GPUs."""
        specs = {spec for grid in self.grid for spec in grid.numerics.list_specs(self.numerics)}
        return max(
            (int(dict(parse_spec(s).settings).get("gpus", 1)) for s in specs if s), default=1
        )


def suite_json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of suite files, for editors."""
    content = Suite.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


if __name__ == "__main__":
    print(json.dumps(suite_json_schema(), indent=2))
