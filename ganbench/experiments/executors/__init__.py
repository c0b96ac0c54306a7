"""Executors by their names in a spec: ways to run trials. A new one is a new file and a line here."""

from ganbench.registry import Registry

EXECUTORS = Registry(
    "executor",
    "ganbench.experiments.executors",
    "ganbench.executors",
    {
        "inline": "inline:Inline",
        "local": "local:Local",
    },
)


def executor_label(text: str, workers: int) -> str:
    """Returns the one spelling of an executor, with a number of workers where it leaves that open.

    `auto` is `inline` for no workers and `local` for any. Raises SpecError for what cannot be.
    """
    if text == "auto":
        text = "local" if workers else "inline"
    spec = EXECUTORS.resolve(text)
    if "workers" not in dict(spec.settings) or "workers=" in text.replace(" ", ""):
        return EXECUTORS.label(text)
    return EXECUTORS.label(f"{spec.name}(workers={max(1, workers)})")
