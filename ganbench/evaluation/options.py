"""Options of an evaluation, declared once for `ganbench.evaluate` and `ganbench eval`.

This module imports neither torch nor the metrics, so that the help of the command is fast.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

from ganbench.devices import usable_cpus
from ganbench.registry import SpecError

MAX_DECODING_THREADS = 8
MIN_IMAGES_PER_SIDE = 10  # fewer images per side make no metric meaningful
FEW_IMAGES = "metrics compare distributions, which fewer images per side do not show"


def option(default: Any, text: str, **command: Any) -> Any:
    """Declares an option: its default, its help, and settings (`flag`, `min`, `why` of `min`)."""
    return field(default=default, metadata={"help": text, **command})


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """The keyword arguments of `ganbench.evaluate`, and the flags of `ganbench eval`.

    Raises SpecError for a number that is too small, and for a latent shape that cannot be parsed.
    """

    extractor: str | None = option(
        None, "Feature extractor. Default: that of the data set, or inception."
    )
    metrics: str | Sequence[str] = option(
        "fid,kid,precision,recall", "Metrics, separated by commas."
    )
    held_out: object | None = option(None, "Held-out real images, for the floors.")
    count: int | None = option(
        None,
        "Number of generated images. Default: all, or as many as real.",
        min=MIN_IMAGES_PER_SIDE,
        why=FEW_IMAGES,
    )
    reals: int | None = option(
        None, "Number of real images. Default: all.", min=MIN_IMAGES_PER_SIDE, why=FEW_IMAGES
    )
    seed: int = option(0, "Random seed of generators and of drawing images.", min=0)
    size: int | None = option(None, "Crop and resize all images to this side in pixels.")
    protocol: str = option("ganbench", "Estimators: ganbench or torch-fidelity.")
    batch: int = option(50, "Images per call of the extractor.", min=1)
    workers: int | None = option(None, "Decoding threads; 0: none. Default: CPU cores.", min=0)
    device: str = option("auto", "auto, cpu, cuda or mps.")
    value_range: str = option(
        "auto", "Range of float images: auto, 0,1 or -1,1 or 0,255.", flag="--range"
    )
    latent: str | int | Sequence[int] | None = option(
        None, "Shape of a generator's latents: 128 or 512x1x1."
    )
    trust: bool = option(False, "Open exported networks, which can run code.", flag="--trust")
    skip_unreadable: bool = option(
        False, "Skip images that cannot be read.", flag="--skip-unreadable"
    )
    floor: bool = option(True, "Score real images too.")

    def __post_init__(self) -> None:
        if self.size is not None and not isinstance(self.size, Integral):
            raise SpecError(f"--size must be a whole number, not {self.size!r}")
        for each in fields(self):
            value, least = getattr(self, each.name), each.metadata.get("min")
            if value is None or least is None:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise SpecError(f"--{each.name} must be a whole number, not {value!r}")
            if value < least:
                reason = f": {each.metadata['why']}" if "why" in each.metadata else ""
                raise SpecError(f"--{each.name} must be at least {least}, not {value}{reason}")
        for name in ("extractor", "protocol"):
            if not isinstance(getattr(self, name), str | None):
                raise SpecError(
                    f"--{name} must be a text, not a {type(getattr(self, name)).__name__}"
                )
        _ = self.latent_shape  # raises for a text that is no shape

    @property
    def threads(self) -> int:
        """The number of decoding threads."""
        if self.workers is None:
            return min(MAX_DECODING_THREADS, usable_cpus())
        return self.workers

    @property
    def latent_shape(self) -> tuple[int, ...] | None:
        """The shape of latents, parsed from `512x1x1`, a number or a sequence."""
        if self.latent is None:
            return None
        parts = self.latent.split("x") if isinstance(self.latent, str) else self.latent
        numbers = [str(part) for part in (parts if isinstance(parts, Iterable) else [parts])]
        if not numbers or not all(part.isdecimal() and int(part) for part in numbers):
            raise SpecError(f"--latent must be a shape such as 128 or 512x1x1, not {self.latent!r}")
        return tuple(map(int, numbers))

    @classmethod
    def signature(cls) -> inspect.Signature:
        """Returns the signature of `ganbench.evaluate`, which takes these options by keyword."""
        sides = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=object)
            for name in ("fake", "real")
        ]
        show = inspect.Parameter("show", inspect.Parameter.KEYWORD_ONLY, default=None)
        return inspect.Signature([*sides, *inspect.signature(cls).parameters.values(), show])

    @classmethod
    def describe(cls) -> str:
        """Returns one line of help per option."""
        return "\n".join(f"- `{each.name}`: {each.metadata['help']}" for each in fields(cls))
