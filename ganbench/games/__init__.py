"""Games by their names in a spec. A new game is a new file and a line here."""

from ..spec import Index

GAMES = Index(
    "game",
    "ganbench.games",
    {
        "contrastive": "contrastive:Contrastive",
        "cycle": "cycle:Cycle",
        "inpainting": "inpainting:Inpainting",
        "super_resolution": "super_resolution:SuperResolution",
        "unconditional": "unconditional:Unconditional",
    },
)
