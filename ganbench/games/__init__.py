"""Games by their names in a spec. A new game is a new file and a line here."""

from ..spec import Index

GAMES = Index(
    "game",
    "ganbench.games",
    {
        "unconditional": "unconditional:Unconditional",
    },
)
