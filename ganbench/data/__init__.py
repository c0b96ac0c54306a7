"""Data sets by their names in a spec. A new data set is a new file and a line here."""

from ganbench.registry import Registry

DATA = Registry(
    "data set",
    "ganbench.data",
    "ganbench.data",
    {
        "celeba": "celeba:Celeba",
        "cifar10": "cifar10:Cifar10",
        "cifar100": "cifar100:Cifar100",
        "digits": "digits:Digits",
        "fashion_mnist": "fashion_mnist:FashionMnist",
        "folder": "folder:Folder",
        "grid": "grid:Grid",
        "mnist": "mnist:Mnist",
        "restyled_digits": "restyled_digits:RestyledDigits",
        "ring": "ring:Ring",
        "stacked_digits": "stacked_digits:StackedDigits",
        "stacked_mnist": "stacked_mnist:StackedMnist",
        "stl10": "stl10:Stl10",
        "svhn": "svhn:Svhn",
        "unpaired": "unpaired:Unpaired",
    },
)
