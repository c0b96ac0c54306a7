"""Numerics of a suite: the arithmetic of trainings as axes, specs and labels."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ganbench.devices import MAX_GPUS, Dtype, MemoryFormat, Numerics
from ganbench.registry import Spec, format_literal, parse_spec

from .config_model import ConfigModel, SeveralDistinct
from .factorial import cross_axes

if TYPE_CHECKING:
    from .suite import Suite

GPUCount = Annotated[
    int,
    Field(ge=1, le=MAX_GPUS, description="Processes of a trial. Never executed on several GPUs."),
]


class NumericsAxes(ConfigModel):
    """The arithmetic of trainings: one value, or a list of values to cross."""

    dtype: Dtype | SeveralDistinct[Dtype] | None = None
    tf32: bool | SeveralDistinct[bool] | None = None
    memory_format: MemoryFormat | SeveralDistinct[MemoryFormat] | None = None
    graph: bool | SeveralDistinct[bool] | None = None
    compile: bool | SeveralDistinct[bool] | None = None
    stacked: bool | SeveralDistinct[bool] | None = None
    gpus: GPUCount | SeveralDistinct[GPUCount] | None = None

    def list_specs(self, defaults: "NumericsAxes") -> list[str]:
        """Returns the specs of all combinations; the neutral one is empty."""
        axes = {key: value for both in (defaults, self) for key, value in both if value is not None}
        return list(dict.fromkeys(map(numerics_spec, cross_axes(axes))))


def with_numerics(suite: "Suite", settings: dict[str, Any]) -> "Suite":
    """Returns the suite with numerics for all grids, where the suite leaves them out."""
    missing = {k: value for k, value in settings.items() if getattr(suite.numerics, k) is None}
    return suite.model_copy(update={"numerics": suite.numerics.model_copy(update=missing)})


def numerics_spec(settings: dict[str, Any]) -> str:
    """Returns the spec of numerics without neutral settings; empty if all are neutral."""
    neutral = asdict(Numerics())
    changed = {key: value for key, value in settings.items() if value != neutral[key]}
    return str(Spec("numerics", tuple(sorted(changed.items())))) if changed else ""


def format_numerics(spec: str) -> str:
    """Returns the label of numerics in tables: `dtype=bfloat16, graph=true`."""
    settings = parse_spec(spec).settings if spec else ()
    return ", ".join(
        f"{key}={value if isinstance(value, str) else format_literal(value)}"
        for key, value in settings
    )
