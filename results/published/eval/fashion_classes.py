"""Distances between Fashion-MNIST's classes: `python results/published/eval/fashion_classes.py`.

Each class is scored as fakes against each other class as reals, with images from the 10,000 held-out ones.
The diagonal has half of a class against its other half.
"""

import json
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ganbench.data.fashion_mnist import FashionMnist
from ganbench.evaluation import evaluate

PLACE = Path(__file__).parent
NAMES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
LOOKS = (
    ("classifier(of='fashion_mnist')", "fid", 1000),
    ("efficientnet_lite0", "kid", 200),
)  # extractor, metric, images of a class: the unbiased metric where images are fewer than features


def classes(count: int) -> list[np.ndarray]:
    held_out = FashionMnist().load().held_out["image"]
    return [
        held_out.images[held_out.labels == label][:count].numpy() for label in range(len(NAMES))
    ]


def matrix(extractor: str, metric: str, count: int) -> np.ndarray:
    """Distances between the classes [K, K]."""
    sides, found = classes(count), np.zeros((len(NAMES), len(NAMES)))
    for place, images in enumerate(sides):
        (row,) = evaluate(images, images, extractor=extractor, metrics=metric).rows
        found[place, place] = row.floor
    for one, other in combinations(range(len(NAMES)), 2):
        value = evaluate(sides[one], sides[other], extractor=extractor, metrics=metric, floor=False)
        found[one, other] = found[other, one] = value[metric]
    return found


def nearest(found: np.ndarray) -> list[str]:
    """Returns each class with its nearest class."""
    others = found + np.diag(np.full(len(found), np.inf))
    return [f"{name}: {NAMES[others[place].argmin()]}" for place, name in enumerate(NAMES)]


def table(found: np.ndarray) -> list[str]:
    lines = ["| | " + " | ".join(NAMES) + " |", "|---" * (len(NAMES) + 1) + "|"]
    for name, row in zip(NAMES, found, strict=True):
        lines.append(f"| **{name}** | " + " | ".join(f"{value:.3g}" for value in row) + " |")
    return lines


def draw(axes: plt.Axes, found: np.ndarray, title: str) -> None:
    axes.imshow(np.sqrt(np.clip(found, 0, None)), cmap="viridis")
    axes.set_title(title)
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=60, ha="right")
    axes.set_yticks(range(len(NAMES)), NAMES)
    for row, column in np.ndindex(found.shape):
        light = found[row, column] < 0.35 * found.max()
        text = (
            f"{found[row, column]:.2g}"
            if abs(found[row, column]) < 100
            else f"{found[row, column]:.0f}"
        )
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=6,
            color="white" if light else "black",
        )


def main() -> None:
    figure, panels = plt.subplots(1, len(LOOKS), figsize=(12, 6), layout="constrained")
    lines, kept = [ABOUT], {}
    for axes, (extractor, metric, count) in zip(panels, LOOKS, strict=True):
        found = matrix(extractor, metric, count)
        title = f"{metric.upper()} on {extractor}, {count} images of a class"
        draw(axes, found, title)
        lines += [
            f"## {title}",
            "",
            *table(found),
            "",
            f"Nearest: {'; '.join(nearest(found))}.",
            "",
        ]
        kept[extractor] = {
            "metric": metric,
            "count": count,
            "classes": NAMES,
            "matrix": found.tolist(),
        }
    figure.savefig(PLACE / "fashion_classes.png", dpi=110)
    (PLACE / "fashion_classes.md").write_text("\n".join(lines))
    (PLACE / "fashion_classes.json").write_text(json.dumps(kept, indent=1) + "\n")


ABOUT = """\
# Fashion-MNIST's classes against each other

`python results/published/eval/fashion_classes.py` writes this page. The diagonal shows the score of half of a class
against its other half.

![distances between the classes; colours show their square roots](fashion_classes.png)
"""

if __name__ == "__main__":
    main()
