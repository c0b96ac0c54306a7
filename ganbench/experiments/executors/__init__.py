"""The registry of executors. A new executor is a new file and a line here."""

from ganbench.registry import Registry, Spec, parse_spec

EXECUTORS = Registry(
    "executor",
    "ganbench.experiments.executors",
    "ganbench.executors",
    {
        "inline": "inline:Inline",
        "local": "local:Local",
        "ray": "ray:Ray",
        "slurm": "slurm:Slurm",
        "stacked": "stacked:Stacked",
    },
)


def executor_label(text: str, workers: int) -> str:
    """Returns the canonical spec of an executor; adds a missing number of workers.

    `auto` means `inline` for 0 workers and `local` otherwise. Raises SpecError for an invalid spec.
    """
    if text == "auto":
        text = "local" if workers else "inline"
    settings = dict(EXECUTORS.resolve(text).settings)
    given = parse_spec(text)
    if "workers" not in settings or "workers" in dict(given.settings):
        return EXECUTORS.label(text)
    counted = (*given.settings, ("workers", workers))
    return EXECUTORS.label(str(Spec(given.name, counted)))
