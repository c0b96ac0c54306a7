"""The named GANs, each a line of the same parts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points

from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.registry import Registry, Spec, SpecError, Value, parse_spec, settings_of, suggest

from .hyperparameters import Hyperparameters
from .recipe import Recipe

STYLEGAN2_TRICKS = ("path_length", "minibatch_std", "ema(decay=0.998)")
STYLEGAN2_HYPERPARAMETERS = Hyperparameters(
    batch=32,
    latent=512,
    generator_lr=2e-3,
    discriminator_lr=2e-3,
    generator_betas=(0.0, 0.99),
    discriminator_betas=(0.0, 0.99),
)

# fmt: off
SNGAN_HYPERPARAMETERS = Hyperparameters(latent=128, discriminator_turns=5, decay=0.0,
             generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9))
R3GAN_HYPERPARAMETERS = Hyperparameters(batch=512, generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9))
R3GAN_TRICKS = ("ema(decay=0.9999, ramp=0.05)", "r1(weight=0.05)", "r2(weight=0.05)")

VARIANTS: dict[str, Recipe] = {
    "gan":   Recipe("The GAN of perceptrons (Goodfellow et al., 2014).", "mlp"),
    "dcgan": Recipe("Deep convolutional GAN (Radford et al., 2016).", "dcgan"),
    "gan_conv": Recipe("The GAN of perceptrons, judged by convolutions and their global average.", "pooled"),
    "gan2d": Recipe("Plain GAN for points of the plane, in PacGAN's setting (Lin et al., 2018).", "maxout",
                    hyperparameters=Hyperparameters(batch=100, latent=2, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.8, 0.999), discriminator_betas=(0.8, 0.999))),
    "wgan":  Recipe("Wasserstein GAN by weight clipping (Arjovsky et al., 2017).",
                    "dcgan", "wasserstein", ("weight_clipping",),
                    Hyperparameters(discriminator_turns=5, optimizer="rmsprop",
                                    generator_lr=5e-5, discriminator_lr=5e-5)),
    "wgan_gp": Recipe("Wasserstein GAN by a gradient penalty (Gulrajani et al., 2017).",
                    "dcgan(norm='layer')", "wasserstein", ("gradient_penalty",),
                    Hyperparameters(discriminator_turns=5, generator_lr=1e-4, discriminator_lr=1e-4,
                         generator_betas=(0.5, 0.9), discriminator_betas=(0.5, 0.9))),
    "lsgan": Recipe("Least-squares GAN (Mao et al., 2017).", "dcgan", "least_squares"),
    "dragan": Recipe("GAN with unit slope near the reals (Kodali et al., 2017).",
                    "dcgan(norm='layer')", tricks=("dragan",),
                    hyperparameters=Hyperparameters(generator_lr=1e-4, discriminator_lr=1e-4)),
    "improved_gan": Recipe("Improved techniques, without labels and virtual batch norm (Salimans et al., 2016).",
                    "dcgan", tricks=("label_smoothing", "minibatch_discrimination"),
                    hyperparameters=Hyperparameters(batch=100, latent=100, generator_lr=3e-4, discriminator_lr=3e-4)),
    "pacgan": Recipe("DCGAN that judges two images at once (Lin et al., 2018).", "dcgan", tricks=("pacgan",)),
    "unrolled": Recipe("GAN that answers the discriminator's next moves (Metz et al., 2017).",
                    "mlp", tricks=("unrolled",),
                    hyperparameters=Hyperparameters(generator_lr=1e-3, discriminator_lr=1e-4)),
    "began": Recipe("Boundary equilibrium: an autoencoder judges by its error (Berthelot et al., 2017).",
                    "autoencoder", "wasserstein", ("equilibrium",),
                    Hyperparameters(batch=16, generator_lr=1e-4, discriminator_lr=1e-4)),
    # Papers of translation weigh terms beside the squared distance of scores, and least_squares is half of it.
    "cyclegan": Recipe("Translation between unpaired domains, there and back (Zhu et al., 2017).",
                    "cyclegan", "least_squares", ("image_pool",),
                    Hyperparameters(batch=1, decay=0.5), "cycle(cycle=5)"),
    "cut": Recipe("One-sided translation that keeps the content of patches (Park et al., 2020).",
                    "cyclegan", "least_squares", hyperparameters=Hyperparameters(batch=1, decay=0.5),
                    task="contrastive(identity=0.5, patches=0.5)"),
    "srgan": Recipe("Super-resolution that looks sharp (Ledig et al., 2017).", "srgan",
                    hyperparameters=Hyperparameters(batch=16, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.9, 0.999), discriminator_betas=(0.9, 0.999)),
                    task="super_resolution"),
    "inpainting": Recipe("What is missing in the middle (Pathak et al., 2016), by CycleGAN's networks.",
                    "cyclegan", task="inpainting"),
    "cdcgan": Recipe("DCGAN told labels, beside the latents and by projection (Miyato and Koyama, 2018).",
                    "dcgan", task="conditional"),
    "acgan": Recipe("DCGAN whose discriminator also tells classes (Odena et al., 2017).",
                    "dcgan", hyperparameters=Hyperparameters(batch=100, latent=100), task="auxiliary"),
    "infogan": Recipe("DCGAN whose fakes tell what codes they were made of (Chen et al., 2016).",
                    "dcgan", hyperparameters=Hyperparameters(batch=128, latent=62, generator_lr=1e-3),
                    task="information"),
    "sngan": Recipe("Residual networks, spectral norm and five turns (Miyato et al., 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN_HYPERPARAMETERS),
    "projection": Recipe("SNGAN told labels, by projection (Miyato and Koyama, 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN_HYPERPARAMETERS, "conditional"),
    "sagan": Recipe("Residual networks that attend to themselves (Zhang et al., 2019).",
                    "sagan", "hinge", ("spectral_norm(generator=true)",),
                    Hyperparameters(batch=256, latent=128, generator_lr=1e-4, discriminator_lr=4e-4,
                         generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9)), "conditional"),
    "biggan": Recipe("Large batches, split latents and a shared embedding of classes (Brock et al., 2019).",
                    "biggan", "hinge",
                    ("ema(decay=0.9999, ramp=0.05)", "orthogonal_regularization", "spectral_norm(generator=true)"),
                    Hyperparameters(batch=2048, latent=120, discriminator_turns=2, generator_lr=5e-5,
                         generator_betas=(0.0, 0.999), discriminator_betas=(0.0, 0.999)), "conditional"),
    # At the rates and weights that its schedules begin with; its averages reach further back, the longer it trains.
    "r3gan": Recipe("Relativistic pairs, R1, R2 and networks without norms (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN_HYPERPARAMETERS),
    "cr3gan": Recipe("R3GAN told labels, as published for CIFAR-10 (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN_HYPERPARAMETERS, "conditional"),
    "progan": Recipe("Progressive growing of a Wasserstein GAN (Karras et al., 2018).", "progan", "wasserstein",
                    ("progressive_growing", "gradient_penalty", "drift", "minibatch_std", "ema"),
                    Hyperparameters(batch=16, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                         generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan": Recipe("Styles by adaptive instance norm, growing (Karras et al., 2019).", "stylegan",
                    tricks=("progressive_growing", "r1", "minibatch_std", "ema"),
                    hyperparameters=Hyperparameters(batch=32, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                              generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan2": Recipe("Styles by modulated weights, in one size from the start (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16)", *STYLEGAN2_TRICKS), hyperparameters=STYLEGAN2_HYPERPARAMETERS),
    "stylegan2_ada": Recipe("StyleGAN2 for few images, by adaptive augmentation (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16, side=1024)", *STYLEGAN2_TRICKS, "ada"),
                    hyperparameters=STYLEGAN2_HYPERPARAMETERS),
}
# fmt: on


@cache
def all_variants() -> dict[str, Recipe]:
    """All that are known: ours, and what plugins offer as entry points `ganbench.variants`."""
    return {
        point.name: point.load() for point in entry_points(group="ganbench.variants")
    } | VARIANTS


def resolve_variant(text: str) -> Recipe:
    """The recipe of `dcgan` or `dcgan(width=32)`: a variant's settings are its network's and its game's.

    A trick that it has is a setting too, and takes that trick's first one: `wgan_gp(gradient_penalty=1)`.
    """
    spec = parse_spec(text)
    if spec.name not in all_variants():
        raise SpecError(f"no variant is called {spec.name!r}{suggest(spec.name, all_variants())}")
    recipe, given = all_variants()[spec.name], dict(spec.settings)
    playing = settings_of(TASKS.load(parse_spec(recipe.task).name)).keys() & given.keys()
    task = {key: given.pop(key) for key in playing}
    tuned = {key: given.pop(key) for key in map(part_name, recipe.tricks) if key in given}
    return replace(
        recipe,
        tricks=tuple(tune_trick(text, tuned) for text in recipe.tricks),
        network=change_settings(NETWORKS, recipe.network, given),
        task=change_settings(TASKS, recipe.task, task),
    )


def part_name(text: str) -> str:
    return parse_spec(text).name


def tune_trick(text: str, tuned: Mapping[str, Value]) -> str:
    """A trick of a variant, of another strength where one is given."""
    name = part_name(text)
    if name not in tuned:
        return text
    if (first := strength_setting(name)) is None:
        raise SpecError(f"trick {name} has no settings")
    return change_settings(TRICKS, text, {first: tuned[name]})


def strength_setting(trick: str) -> str | None:
    """A trick's first setting: its weight, its rate, its number."""
    return next(iter(settings_of(TRICKS.load(trick))), None)


def change_settings(registry: Registry, text: str, settings: Mapping[str, Value]) -> str:
    """A part's label with some of its settings changed."""
    own = parse_spec(text)
    return registry.label(str(Spec(own.name, tuple({**dict(own.settings), **settings}.items()))))


def variant_label(text: str) -> str:
    """The one spelling: settings that the variant has anyway are left out."""
    plain = parse_spec(text).name
    usual, given = variant_settings(resolve_variant(plain)), variant_settings(resolve_variant(text))
    return str(Spec(plain, tuple((k, v) for k, v in given.items() if v != usual[k])))


def variant_settings(recipe: Recipe) -> dict[str, Value]:
    """Those of its game and of its network, and the strengths of its tricks, by name."""
    parts = (TASKS.resolve(recipe.task), NETWORKS.resolve(recipe.network))
    pairs = [pair for part in parts for pair in part.settings]
    for trick in map(TRICKS.resolve, recipe.tricks):
        pairs += [
            (trick.name, v) for key, v in trick.settings if key == strength_setting(trick.name)
        ]
    return dict(sorted(pairs))
