"""The registry of data sets.

A new data set is a new file here plus one line in the registry.
"""

from ganbench.registry import Registry

DATA = Registry(
    "data set",
    "ganbench.data",
    "ganbench.data",
    {
        "captioned_digits": "captioned_digits:CaptionedDigits",
        "captioned_folder": "captioned_folder:CaptionedFolder",
        "captioned_moving_digits": "captioned_moving_digits:CaptionedMovingDigits",
        "celeba": "celeba:CelebA",
        "cifar10": "cifar10:CIFAR10",
        "cifar100": "cifar100:CIFAR100",
        "clip_folder": "clip_folder:ClipFolder",
        "digits": "digits:Digits",
        "fashion_mnist": "fashion_mnist:FashionMNIST",
        "folder": "folder:Folder",
        "grid": "grid:Grid",
        "mnist": "mnist:MNIST",
        "moving_digits": "moving_digits:MovingDigits",
        "moving_mnist": "moving_mnist:MovingMNIST",
        "paired": "paired:Paired",
        "restyled_digits": "restyled_digits:RestyledDigits",
        "restyled_motion": "restyled_motion:RestyledMotion",
        "ring": "ring:Ring",
        "stacked_digits": "stacked_digits:StackedDigits",
        "stacked_mnist": "stacked_mnist:StackedMnist",
        "stl10": "stl10:STL10",
        "svhn": "svhn:SVHN",
        "unpaired": "unpaired:Unpaired",
    },
)
