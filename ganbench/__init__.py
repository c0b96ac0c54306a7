"""ganbench measures which tricks stabilize a GAN, where, by how much and how reliably."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganbench.analysis.rows import load
    from ganbench.evaluation.evaluate import evaluate

from .deprecation import install_renamed_modules

install_renamed_modules()

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load"]


def __getattr__(name: str) -> Any:
    """Imports `evaluate` and `load` on first access, which keeps `import ganbench` fast."""
    if name == "load":
        from ganbench.analysis.rows import load

        return load
    if name == "evaluate":
        from ganbench.evaluation.evaluate import evaluate

        return evaluate
    raise AttributeError(f"module 'ganbench' has no attribute {name!r}")
