"""Checks the parts of a local file or of an installed package against their contracts."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from ganbench.ci.methods.base import MethodReport, run_check
from ganbench.devices import Numerics
from ganbench.experiments.watched_returns import watched_part, watched_returns
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import resolve_variant
from ganbench.local_files import resolve_beside

from .data import check_data
from .find_parts import REGISTRIES, find_definition, parts_of_file, parts_of_package
from .hook_names import hook_faults
from .losses import check_loss
from .metrics import check_metric
from .networks import check_network, check_variant
from .tricks import check_trick

CHECKS: dict[str, Callable[[str], Iterable[str]]] = {
    "trick": check_trick,
    "loss": check_loss,
    "metric": check_metric,
    "data": check_data,
    "variant": check_variant,
    "network": check_network,
}
WATCHED = {"trick": TRICKS, "loss": LOSSES, "network": NETWORKS}  # with checked returns


def check_file(path: Path) -> MethodReport:
    """Checks the parts of a local file; raises NoSuchParts, or LocalFileError without trust."""
    with resolve_beside(path.absolute().parent):
        parts, skipped = parts_of_file(path)
        return replace(check_parts(str(path), parts), skipped=skipped)


def check_package(name: str) -> MethodReport:
    """Checks the parts of an installed package; raises NoSuchParts."""
    return check_parts(name, parts_of_package(name))


def check_parts(place: str, parts: list[tuple[str, str]]) -> MethodReport:
    Numerics("cpu").apply()
    checked = [
        run_check(
            place,
            f"{kind} {text}",
            partial(check_part, kind, text),
            partial(find_definition, kind, text),
        )
        for kind, text in parts
    ]
    return MethodReport(checked, [])


def check_part(kind: str, text: str) -> Iterator[str]:
    """Yields the violations of a part's contract; raises PluginError for a wrong return value."""
    with ExitStack() as stack:
        if kind in WATCHED:
            stack.enter_context(watched_part(WATCHED[kind], text))
        if kind == "variant":
            stack.enter_context(watched_returns([resolve_variant(text)]))
        if kind in REGISTRIES:
            yield from hook_faults(REGISTRIES[kind], text)
        yield from CHECKS[kind](text)
