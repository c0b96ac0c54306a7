"""Commands on parts and on this machine: `list`, `download`, `doctor`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from .base import FAILED, app, fail, out
from .options import InceptionWeights, Json
from .streams import print_json


@app.command("list")
def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(help="data, variants, losses, tricks, metrics, suites, ...; or a part: r1."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List methods, metrics, data sets and suites.

    Each line has the settings with their defaults, and one sentence with the paper. Suites have the number
    of trials for each budget, before exclusions and without untrained references.
    """
    from ganbench.catalog import CATALOG_KINDS, list_entries

    kind = "tasks" if kind == "games" else kind  # the name in release 0.1
    if kind is not None and kind not in CATALOG_KINDS:
        lists = find_entries(kind)
    else:
        lists = {name: list_entries(name) for name in ([kind] if kind else CATALOG_KINDS)}
    if as_json:
        return print_json(lists)
    for name, entries in lists.items():
        table = Table(
            title=name, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False
        )
        for entry in entries:
            table.add_row(entry["spec"], entry["about"])
        out.print(table, markup=False)
        out.print()
    return None


def find_entries(part: str) -> dict[str, list[dict[str, Any]]]:
    """Returns the entries of one part by its kinds; ends the program if there is none."""
    from ganbench.catalog import CATALOG_KINDS, list_entries
    from ganbench.registry import suggest

    lists = {kind: list_entries(kind) for kind in CATALOG_KINDS}
    wanted, names = part.partition("(")[0].lower(), set(CATALOG_KINDS)
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, entries in lists.items():
        for entry in entries:
            name = entry["spec"].partition("(")[0]
            names.add(name)
            if name == wanted:
                found.setdefault(kind, []).append(entry)
    if not found:
        fail(f"no part and no kind of part is called {part!r}{suggest(wanted, sorted(names))}")
    return found


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A data set or extractor: mnist, inception.")],
) -> None:
    """Download a data set or model weights.

    No other command downloads anything.
    """
    from ganbench.data import DATA
    from ganbench.data.paths import Downloadable, data_root
    from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
    from ganbench.registry import parse_spec, suggest

    spec = parse_spec(name)
    registries = (DATA, EXTRACTORS, DISTANCES)
    registry = next((registry for registry in registries if spec.name in registry), None)
    if registry is None:
        names = [name for registry in registries for name in registry]
        fail(f"no data set or extractor is called {spec.name!r}{suggest(spec.name, names)}")
    if spec.settings:
        registry.resolve(name)
    part = registry.load(spec.name)
    if not isinstance(part, Downloadable):
        return out.print(f"{name} needs no download.")
    try:
        part.download(**dict(spec.settings) if registry is EXTRACTORS else {})
    except Exception as error:  # network, disk, archive, or a missing package
        cause = " ".join(str(error).split())
        elsewhere = address_of_weights(name)
        fail(f"{name} could not be downloaded to {data_root()}: {cause}{elsewhere}", FAILED)
    return out.print(f"{name} is on this machine.")


def address_of_weights(name: str) -> str:
    """Returns a sentence with address and place of a weights file; empty for other parts."""
    from ganbench.evaluation.extractors.weight_files import weights_file_of

    file = weights_file_of(name)
    return f". On another machine, download {file.source()}" if file else ""


@app.command()
def doctor(inception_weights: InceptionWeights = None, as_json: Json = False) -> None:
    """Check devices, packages, data and weights.

    Each item that is missing or not installed has a line with the remedy. The exit code is 4 if a required
    item is missing.
    """
    from .doctor import examine_machine

    findings = examine_machine()
    if as_json:
        print_json(findings)
    else:
        for finding in findings:  # one line per item, so that addresses can be copied
            line = f"{finding_state(finding):<15}{finding['item']:<20}{finding['detail']}"
            out.print_line(line)
    raise typer.Exit(
        0 if all(finding["ok"] for finding in findings if finding["needed"]) else FAILED
    )


def finding_state(finding: dict[str, Any]) -> str:
    """Returns `missing` only for an item that is needed."""
    if finding["ok"]:
        return "ok"
    return "missing" if finding["needed"] else "not installed"
