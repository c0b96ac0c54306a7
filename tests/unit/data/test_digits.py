"""Digits: images, labels and split equal those of scikit-learn."""

import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ganbench.data.base import IMAGE
from ganbench.data.digits import Digits, read_digits


def test_images_equal_scikit_learn():
    pixels, labels = load_digits(return_X_y=True)
    images, own_labels = read_digits()
    assert np.array_equal(images.view(-1, 64).numpy(), np.round(pixels * (255 / 16)))
    assert np.array_equal(own_labels.numpy(), labels)


def test_split_is_stratified_by_scikit_learn():
    labels = load_digits().target
    index = train_test_split(range(1797), test_size=600, random_state=2014, stratify=labels)
    images, _ = read_digits()
    split = Digits().load()
    for side, chosen in zip((split.train, split.held_out), index, strict=True):
        assert side[IMAGE].images.equal(images[chosen])


def test_training_imports_no_heavy_library():
    script = (
        "import sys; import ganbench.experiments.run_trial; from ganbench.data import DATA;"
        "DATA.make('digits').load();"
        "print([n for n in ('sklearn', 'torchvision', 'scipy', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n"
