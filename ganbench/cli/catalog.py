"""Commands about what there is: `list`, `download`, `doctor`."""

from typing import Annotated

import typer
from rich.table import Table

from .base import FAILED, InceptionWeights, Json, answer, app, fail, out


@app.command("list")
def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="data, variants, losses, tricks, metrics, ...")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what suites can name, with settings and their defaults."""
    from ganbench.catalog import KINDS, listing
    from ganbench.registry import nearest

    if kind is not None and kind not in KINDS:
        fail(f"there is no list of {kind!r}{nearest(kind, KINDS)}")
    found = {name: listing(name) for name in ([kind] if kind else KINDS)}
    if as_json:
        return answer(found)
    for name, entries in found.items():
        table = Table(
            title=name, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False
        )
        for entry in entries:
            table.add_row(entry["spec"], entry["about"])
        out.print(table, markup=False)
        out.print()
    return None


@app.command()
def download(
    name: Annotated[
        str, typer.Argument(help="A data set, or an extractor: mnist, inception, dinov2.")
    ],
) -> None:
    """Download a data set or an extractor's weights. No other command downloads anything."""
    from ganbench.data import DATA
    from ganbench.data.paths import Downloadable, root
    from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
    from ganbench.registry import nearest, parse

    spec = parse(name)
    registries = (DATA, EXTRACTORS, DISTANCES)
    registry = next((registry for registry in registries if spec.name in registry), None)
    if registry is None:
        names = [name for registry in registries for name in registry]
        fail(f"no data set or extractor is called {spec.name!r}{nearest(spec.name, names)}")
    if spec.settings:
        registry.resolve(name)
    part = registry.load(spec.name)
    if not isinstance(part, Downloadable):
        return out.print(f"{name} needs no download.")
    try:
        part.download(**dict(spec.settings) if registry is EXTRACTORS else {})
    except Exception as error:  # of the net, the disk, an archive, a package that is not there
        told = " ".join(str(error).split())
        fail(f"{name} could not be downloaded to {root()}: {told}", FAILED)
    return out.print(f"{name} is on this machine.")


@app.command()
def doctor(inception_weights: InceptionWeights = None, as_json: Json = False) -> None:
    """Say what of devices, packages, data and extractors is here, and what to do about the rest."""
    from .doctor import examination

    found = examination()
    if as_json:
        answer(found)
    else:
        for item in found:  # a line each, so that addresses can be copied
            state = "ok" if item["ok"] else "missing"
            line = f"{state:<9}{item['what']:<20}{item['told']}"
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if all(item["ok"] for item in found if item["needed"]) else FAILED)
