"""Network families by their names in a spec. A new family is a new file and a line here."""

from ganbench.registry import Index

NETWORKS = Index(
    "network",
    "ganbench.gan.networks",
    "ganbench.networks",
    {
        "autoencoder": "autoencoder:Autoencoder",
        "biggan": "biggan:Biggan",
        "cyclegan": "cyclegan:Cyclegan",
        "dcgan": "dcgan:Dcgan",
        "maxout": "maxout:Maxout",
        "mlp": "mlp:Mlp",
        "pooled": "pooled:Pooled",
        "progan": "progan:Progan",
        "r3gan": "r3gan:R3Gan",
        "sagan": "sagan:Sagan",
        "sngan": "sngan:Sngan",
        "srgan": "srgan:Srgan",
        "stylegan": "stylegan:Stylegan",
        "stylegan2": "stylegan2:Stylegan2",
    },
)
