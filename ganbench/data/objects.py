"""Objects that captioned and moving data show: handwritten digits, or garments.

Digits are those of scikit-learn, 8x8. Garments are those of Fashion-MNIST, 28x28 without its padding.
Each has ten classes with names that captions use.
"""

from typing import Literal

from .base import IMAGE, Examples
from .digits import Digits
from .fashion_mnist import FashionMNIST
from .mnist import MARGIN_PIXELS

ObjectKind = Literal["digits", "fashion_mnist"]
OBJECT_NAMES: dict[str, tuple[str, ...]] = {
    "digits": tuple(map(str, range(10))),
    "fashion_mnist": (
        *("tshirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "boot"),
    ),
}


def load_objects(of: ObjectKind) -> tuple[Examples, Examples]:
    """Returns training and held-out objects [N, 1, S, S] with their classes.

    Raises NotDownloaded if Fashion-MNIST is not on this machine.
    """
    if of == "digits":
        split = Digits().load()
        return split.train[IMAGE], split.held_out[IMAGE]
    split = FashionMNIST().load()
    return without_padding(split.train[IMAGE]), without_padding(split.held_out[IMAGE])


def without_padding(garments: Examples) -> Examples:
    inside = slice(MARGIN_PIXELS, -MARGIN_PIXELS)
    return Examples(garments.images[:, :, inside, inside], garments.labels)
