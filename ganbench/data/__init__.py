"""Data sets by their names in a spec. A new data set is a new file and a line here."""

from ..spec import Index

DATA = Index(
    "data set",
    "ganbench.data",
    {
        "digits": "digits:Digits",
        "grid": "grid:Grid",
        "ring": "ring:Ring",
    },
)
