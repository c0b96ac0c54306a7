"""Rows of simulated runs, for tests of the analysis and of reports."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from ganbench.analysis.rows import (
    ROW_SCHEMA,
    SCHEMA_VERSION,
    pandas_type,
)

FACTS = {
    "fid": {"direction": "lower", "transform": "log", "unit": ""},
    "is": {"direction": "higher", "transform": "log", "unit": ""},
    "kid": {"direction": "lower", "transform": "none", "unit": ""},
    "modes": {"direction": "higher", "transform": "logit", "unit": ""},
}


def row(tricks="none", seed=0, value=None, outcome=None, reason="", **names):
    """Makes a row of a trial; its outcome is `done` if it has a value, else `diverged`."""
    entry = dict(role="trial", data="digits", variant="gan", loss="hinge", plan="", metric="fid")
    entry |= dict(checkpoint="last", kind="quality", suite="s", schema_version=SCHEMA_VERSION)
    entry |= dict(protocol="p")
    outcome = outcome or ("diverged" if value is None else "done")
    entry |= dict(tricks=tricks, seed=seed, value=value, outcome=outcome, reason=reason, **names)
    trial = "/".join(str(entry[k]) for k in ("data", "variant", "loss", "tricks", "plan", "seed"))
    return {"trial": trial, **entry}


def floor(value, **names):
    return {**row(role="floor", value=value), "seed": None, "trial": None, "tricks": None,
            "variant": None, "loss": None, "plan": None, "checkpoint": None, **names}  # fmt: skip


def frame(*rows, outcome="fid", paired=True, equivalence=0.02, **plan) -> pd.DataFrame:
    """Makes a frame of rows with a plan, like `collect_rows`."""
    table = pa.Table.from_pylist(list(rows), schema=ROW_SCHEMA).to_pandas(types_mapper=pandas_type)
    protocol = {"id": "p", "text": "identity, 9 fakes [p]", "data": "digits", "fake": 9, "real": 9}
    table.attrs["plan"] = {
        "schema": 1,
        "suite": "s",
        "about": "made up",
        "profile": "cpu",
        "device": "cpu",
        "budget": {"unit": "images", "amount": 64000},
        "seeds": sorted({r["seed"] for r in rows if r["seed"] is not None}),
        "analysis": {
            "outcome": outcome,
            "baseline": "none",
            "paired": paired,
            "equivalence": equivalence,
            "collapse": 0.1,
        },
        "metrics": FACTS,
        "protocols": {"p": protocol},
        "excluded": [],
        "provenance": {"ganbench": "0", "code": "c", "torch": "t"},
        **plan,
    }
    return table


def arms(tricks: dict[str, float], seeds=5, cells=(1.0,), noise=0.1, random=0, **names):
    """Makes rows of a grid: each trick multiplies the level of each cell by its factor."""
    rng = np.random.default_rng(random)
    return [
        row(trick, seed, level * factor * math.exp(noise * rng.normal()), plan=f"cell={n}", **names)
        for n, level in enumerate(cells)
        for trick, factor in {"none": 1.0, **tricks}.items()
        for seed in range(seeds)
    ]
