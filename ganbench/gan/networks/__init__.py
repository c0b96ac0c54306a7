"""Network families by their names in a spec. A new family is a new file and a line here."""

from ganbench.registry import Registry

NETWORKS = Registry(
    "network",
    "ganbench.gan.networks",
    "ganbench.networks",
    {
        "autoencoder": "autoencoder:Autoencoder",
        "beyond_mse": "beyond_mse:BeyondMSE",
        "biggan": "biggan:BigGAN",
        "cyclegan": "cyclegan:CycleGAN",
        "dcgan": "dcgan:DCGAN",
        "dfgan": "dfgan:DFGAN",
        "dvdgan": "dvdgan:DVDGAN",
        "framewise": "framewise:Framewise",
        "maxout": "maxout:Maxout",
        "mlp": "mlp:MLP",
        "mocogan": "mocogan:MoCoGAN",
        "monkeynet": "monkeynet:MonkeyNet",
        "pix2pix": "pix2pix:Pix2Pix",
        "pooled": "pooled:Pooled",
        "progan": "progan:ProGAN",
        "r3gan": "r3gan:R3GAN",
        "reed": "reed:Reed",
        "sagan": "sagan:SAGAN",
        "sngan": "sngan:SNGAN",
        "srgan": "srgan:SRGAN",
        "stylegan": "stylegan:StyleGAN",
        "stylegan2": "stylegan2:StyleGAN2",
        "tgan": "tgan:TGAN",
        "vgan": "vgan:VGAN",
    },
)
