"""ganbench: which stabilization trick helps a GAN, where, by how much, and how surely."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.rows import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Imports `load` when it is first asked for, so that `import ganbench` stays instant."""
    if name == "load":
        from .analysis.rows import load

        return load
    raise AttributeError(f"module 'ganbench' has no attribute {name!r}")
