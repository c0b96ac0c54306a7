"""Games by their names in a spec. A new game is a new file and a line here."""

from ..spec import Index

GAMES = Index(
    "game",
    "ganbench.games",
    {
        "auxiliary": "auxiliary:Auxiliary",
        "conditional": "conditional:Conditional",
        "contrastive": "contrastive:Contrastive",
        "cycle": "cycle:Cycle",
        "information": "information:Information",
        "inpainting": "inpainting:Inpainting",
        "super_resolution": "super_resolution:SuperResolution",
        "unconditional": "unconditional:Unconditional",
    },
)
