"""The registry of executors. A new executor is a new file and a line here."""

from ganbench.registry import Registry

EXECUTORS = Registry(
    "executor",
    "ganbench.experiments.executors",
    "ganbench.executors",
    {
        "inline": "inline:Inline",
        "local": "local:Local",
        "stacked": "stacked:Stacked",
    },
)


def executor_label(text: str, workers: int) -> str:
    """Returns the canonical spec of an executor; adds a missing number of workers.

    `auto` means `inline` for 0 workers and `local` otherwise. Raises SpecError for an invalid spec.
    """
    if text == "auto":
        text = "local" if workers else "inline"
    spec = EXECUTORS.resolve(text)
    if "workers" not in dict(spec.settings) or "workers=" in text.replace(" ", ""):
        return EXECUTORS.label(text)
    return EXECUTORS.label(f"{spec.name}(workers={max(1, workers)})")
