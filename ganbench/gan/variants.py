"""The named GANs, each a line of the same parts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points

from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import GAMES
from ganbench.gan.tricks import TRICKS
from ganbench.registry import Index, Spec, SpecError, Value, nearest, parse, settings_of

from .hyperparameters import Plan
from .recipe import Recipe

STYLEGAN2 = ("path_length", "minibatch_std", "ema(decay=0.998)")
PLAN_OF_STYLEGAN2 = Plan(
    batch=32,
    latent=512,
    generator_lr=2e-3,
    discriminator_lr=2e-3,
    generator_betas=(0.0, 0.99),
    discriminator_betas=(0.0, 0.99),
)

# fmt: off
SNGAN = Plan(latent=128, discriminator_turns=5, decay=0.0,
             generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9))
R3GAN = Plan(batch=512, generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9))
R3GAN_TRICKS = ("ema(decay=0.9999, ramp=0.05)", "r1(weight=0.05)", "r2(weight=0.05)")

VARIANTS: dict[str, Recipe] = {
    "gan":   Recipe("The GAN of perceptrons (Goodfellow et al., 2014).", "mlp"),
    "dcgan": Recipe("Deep convolutional GAN (Radford et al., 2016).", "dcgan"),
    "gan_conv": Recipe("The GAN of perceptrons, judged by convolutions and their global average.", "pooled"),
    "gan2d": Recipe("Plain GAN for points of the plane, in PacGAN's setting (Lin et al., 2018).", "maxout",
                    plan=Plan(batch=100, latent=2, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.8, 0.999), discriminator_betas=(0.8, 0.999))),
    "wgan":  Recipe("Wasserstein GAN by weight clipping (Arjovsky et al., 2017).",
                    "dcgan", "wasserstein", ("weight_clipping",),
                    Plan(discriminator_turns=5, optimizer="rmsprop", generator_lr=5e-5, discriminator_lr=5e-5)),
    "wgan_gp": Recipe("Wasserstein GAN by a gradient penalty (Gulrajani et al., 2017).",
                    "dcgan(norm='layer')", "wasserstein", ("gradient_penalty",),
                    Plan(discriminator_turns=5, generator_lr=1e-4, discriminator_lr=1e-4,
                         generator_betas=(0.5, 0.9), discriminator_betas=(0.5, 0.9))),
    "lsgan": Recipe("Least-squares GAN (Mao et al., 2017).", "dcgan", "least_squares"),
    "dragan": Recipe("GAN with unit slope near the reals (Kodali et al., 2017).",
                    "dcgan(norm='layer')", tricks=("dragan",),
                    plan=Plan(generator_lr=1e-4, discriminator_lr=1e-4)),
    "improved_gan": Recipe("Improved techniques, without labels and virtual batch norm (Salimans et al., 2016).",
                    "dcgan", tricks=("label_smoothing", "minibatch_discrimination"),
                    plan=Plan(batch=100, latent=100, generator_lr=3e-4, discriminator_lr=3e-4)),
    "pacgan": Recipe("DCGAN that judges two images at once (Lin et al., 2018).", "dcgan", tricks=("pacgan",)),
    "unrolled": Recipe("GAN that answers the discriminator's next moves (Metz et al., 2017).",
                    "mlp", tricks=("unrolled",), plan=Plan(generator_lr=1e-3, discriminator_lr=1e-4)),
    "began": Recipe("Boundary equilibrium: an autoencoder judges by its error (Berthelot et al., 2017).",
                    "autoencoder", "wasserstein", ("equilibrium",),
                    Plan(batch=16, generator_lr=1e-4, discriminator_lr=1e-4)),
    # Papers of translation weigh terms beside the squared distance of scores, and least_squares is half of it.
    "cyclegan": Recipe("Translation between unpaired domains, there and back (Zhu et al., 2017).",
                    "cyclegan", "least_squares", ("image_pool",), Plan(batch=1, decay=0.5), "cycle(cycle=5)"),
    "cut": Recipe("One-sided translation that keeps the content of patches (Park et al., 2020).",
                    "cyclegan", "least_squares", plan=Plan(batch=1, decay=0.5),
                    game="contrastive(identity=0.5, patches=0.5)"),
    "srgan": Recipe("Super-resolution that looks sharp (Ledig et al., 2017).", "srgan",
                    plan=Plan(batch=16, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.9, 0.999), discriminator_betas=(0.9, 0.999)),
                    game="super_resolution"),
    "inpainting": Recipe("What is missing in the middle (Pathak et al., 2016), by CycleGAN's networks.",
                    "cyclegan", game="inpainting"),
    "cdcgan": Recipe("DCGAN told labels, beside the latents and by projection (Miyato and Koyama, 2018).",
                    "dcgan", game="conditional"),
    "acgan": Recipe("DCGAN whose discriminator also tells classes (Odena et al., 2017).",
                    "dcgan", plan=Plan(batch=100, latent=100), game="auxiliary"),
    "infogan": Recipe("DCGAN whose fakes tell what codes they were made of (Chen et al., 2016).",
                    "dcgan", plan=Plan(batch=128, latent=62, generator_lr=1e-3), game="information"),
    "sngan": Recipe("Residual networks, spectral norm and five turns (Miyato et al., 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN),
    "projection": Recipe("SNGAN told labels, by projection (Miyato and Koyama, 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN, "conditional"),
    "sagan": Recipe("Residual networks that attend to themselves (Zhang et al., 2019).",
                    "sagan", "hinge", ("spectral_norm(generator=true)",),
                    Plan(batch=256, latent=128, generator_lr=1e-4, discriminator_lr=4e-4,
                         generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9)), "conditional"),
    "biggan": Recipe("Large batches, split latents and a shared embedding of classes (Brock et al., 2019).",
                    "biggan", "hinge",
                    ("ema(decay=0.9999, ramp=0.05)", "orthogonal_regularization", "spectral_norm(generator=true)"),
                    Plan(batch=2048, latent=120, discriminator_turns=2, generator_lr=5e-5,
                         generator_betas=(0.0, 0.999), discriminator_betas=(0.0, 0.999)), "conditional"),
    # At the rates and weights that its schedules begin with; its averages reach further back, the longer it trains.
    "r3gan": Recipe("Relativistic pairs, R1, R2 and networks without norms (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN),
    "cr3gan": Recipe("R3GAN told labels, as published for CIFAR-10 (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN, "conditional"),
    "progan": Recipe("Progressive growing of a Wasserstein GAN (Karras et al., 2018).", "progan", "wasserstein",
                    ("progressive_growing", "gradient_penalty", "drift", "minibatch_std", "ema"),
                    Plan(batch=16, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                         generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan": Recipe("Styles by adaptive instance norm, growing (Karras et al., 2019).", "stylegan",
                    tricks=("progressive_growing", "r1", "minibatch_std", "ema"),
                    plan=Plan(batch=32, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                              generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan2": Recipe("Styles by modulated weights, in one size from the start (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16)", *STYLEGAN2), plan=PLAN_OF_STYLEGAN2),
    "stylegan2_ada": Recipe("StyleGAN2 for few images, by adaptive augmentation (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16, side=1024)", *STYLEGAN2, "ada"), plan=PLAN_OF_STYLEGAN2),
}
# fmt: on


@cache
def variants() -> dict[str, Recipe]:
    """All that are known: ours, and what plugins offer as entry points `ganbench.variants`."""
    return {
        point.name: point.load() for point in entry_points(group="ganbench.variants")
    } | VARIANTS


def variant(text: str) -> Recipe:
    """The recipe of `dcgan` or `dcgan(width=32)`: a variant's settings are its network's and its game's.

    A trick that it has is a setting too, and takes that trick's first one: `wgan_gp(gradient_penalty=1)`.
    """
    spec = parse(text)
    if spec.name not in variants():
        raise SpecError(f"no variant is called {spec.name!r}{nearest(spec.name, variants())}")
    recipe, given = variants()[spec.name], dict(spec.settings)
    playing = settings_of(GAMES.load(parse(recipe.game).name)).keys() & given.keys()
    game = {key: given.pop(key) for key in playing}
    tuned = {key: given.pop(key) for key in map(name_of, recipe.tricks) if key in given}
    return replace(
        recipe,
        tricks=tuple(tuned_trick(text, tuned) for text in recipe.tricks),
        network=changed(NETWORKS, recipe.network, given),
        game=changed(GAMES, recipe.game, game),
    )


def name_of(text: str) -> str:
    return parse(text).name


def tuned_trick(text: str, tuned: Mapping[str, Value]) -> str:
    """A trick of a variant, of another strength where one is given."""
    name = name_of(text)
    if name not in tuned:
        return text
    if (first := strength(name)) is None:
        raise SpecError(f"trick {name} has no settings")
    return changed(TRICKS, text, {first: tuned[name]})


def strength(trick: str) -> str | None:
    """A trick's first setting: its weight, its rate, its number."""
    return next(iter(settings_of(TRICKS.load(trick))), None)


def changed(index: Index, text: str, settings: Mapping[str, Value]) -> str:
    """A part's label with some of its settings changed."""
    own = parse(text)
    return index.label(str(Spec(own.name, tuple({**dict(own.settings), **settings}.items()))))


def variant_label(text: str) -> str:
    """The one spelling: settings that the variant has anyway are left out."""
    plain = parse(text).name
    usual, given = settings(variant(plain)), settings(variant(text))
    return str(Spec(plain, tuple((k, v) for k, v in given.items() if v != usual[k])))


def settings(recipe: Recipe) -> dict[str, Value]:
    """Those of its game and of its network, and the strengths of its tricks, by name."""
    parts = (GAMES.resolve(recipe.game), NETWORKS.resolve(recipe.network))
    found = [pair for part in parts for pair in part.settings]
    for trick in map(TRICKS.resolve, recipe.tricks):
        found += [(trick.name, v) for key, v in trick.settings if key == strength(trick.name)]
    return dict(sorted(found))
