"""Variants: the named GANs, each a recipe of the same parts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points

from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.local_files import is_local, load_local_value, part_of
from ganbench.registry import (
    LocalPart,
    Registry,
    Spec,
    SpecError,
    Value,
    parse_spec,
    settings_of,
    suggest,
)

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

# Recipes without a batch or latents have 64 of both. Papers of the DCGAN family have batches of 64 to 128 and
# 100 or 128 latents.
VARIANTS: dict[str, Recipe] = {
    "gan":   Recipe("GAN of multilayer perceptrons (Goodfellow et al., 2014).", "mlp"),
    "dcgan": Recipe("Deep convolutional GAN (Radford et al., 2016).", "dcgan"),
    "gan_conv": Recipe("Generator of perceptrons, discriminator of convolutions with global pooling.", "pooled"),
    "gan2d": Recipe("Plain GAN for points in the plane, with PacGAN's settings (Lin et al., 2018).", "maxout",
                    hyperparameters=Hyperparameters(batch=100, latent=2, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.8, 0.999), discriminator_betas=(0.8, 0.999))),
    "wgan":  Recipe("Wasserstein GAN with weight clipping (Arjovsky et al., 2017).",
                    "dcgan", "wasserstein", ("weight_clipping",),
                    Hyperparameters(discriminator_turns=5, optimizer="rmsprop",
                                    generator_lr=5e-5, discriminator_lr=5e-5)),
    "wgan_gp": Recipe("Wasserstein GAN with a gradient penalty (Gulrajani et al., 2017).",
                    "dcgan(norm='layer')", "wasserstein", ("gradient_penalty",),
                    Hyperparameters(discriminator_turns=5, generator_lr=1e-4, discriminator_lr=1e-4,
                         generator_betas=(0.5, 0.9), discriminator_betas=(0.5, 0.9))),
    "lsgan": Recipe("Least-squares GAN (Mao et al., 2017).", "dcgan", "least_squares"),
    "dragan": Recipe("GAN with gradients of norm 1 near the reals (Kodali et al., 2017).",
                    "dcgan(norm='layer')", tricks=("dragan",),
                    hyperparameters=Hyperparameters(generator_lr=1e-4, discriminator_lr=1e-4)),
    "improved_gan": Recipe("Improved techniques, without labels and virtual batch norm (Salimans et al., 2016).",
                    "dcgan", tricks=("label_smoothing", "minibatch_discrimination"),
                    hyperparameters=Hyperparameters(batch=100, latent=100, generator_lr=3e-4, discriminator_lr=3e-4)),
    "pacgan": Recipe("DCGAN that scores two images at once (Lin et al., 2018).", "dcgan", tricks=("pacgan",)),
    "unrolled": Recipe("GAN with a generator trained against the discriminator's next steps (Metz et al., 2017).",
                    "mlp", tricks=("unrolled",),
                    hyperparameters=Hyperparameters(generator_lr=1e-3, discriminator_lr=1e-4)),
    "began": Recipe("Boundary equilibrium: an autoencoder scores by its error (Berthelot et al., 2017).",
                    "autoencoder", "wasserstein", ("equilibrium",),
                    Hyperparameters(batch=16, generator_lr=1e-4, discriminator_lr=1e-4)),
    # The papers use the squared distance of scores. least_squares is half of it, so the weights are halved too.
    "cyclegan": Recipe("Translation between unpaired domains with cycle consistency (Zhu et al., 2017).",
                    "cyclegan", "least_squares", ("image_pool",),
                    Hyperparameters(batch=1, decay=0.5), "cycle(cycle=5)"),
    "cut": Recipe("One-sided translation with a contrastive loss on patches (Park et al., 2020).",
                    "cyclegan", "least_squares", hyperparameters=Hyperparameters(batch=1, decay=0.5),
                    task="contrastive(identity=0.5, patches=0.5)"),
    "pix2pix": Recipe("Translation that learns from pairs, by a U-Net (Isola et al., 2017).",
                    "pix2pix", hyperparameters=Hyperparameters(batch=1), task="paired_translation"),
    "srgan": Recipe("Super-resolution with an adversarial loss (Ledig et al., 2017).", "srgan",
                    hyperparameters=Hyperparameters(batch=16, generator_lr=1e-4, discriminator_lr=1e-4,
                              generator_betas=(0.9, 0.999), discriminator_betas=(0.9, 0.999)),
                    task="super_resolution"),
    "inpainting": Recipe("Inpainting of a square (Pathak et al., 2016), with CycleGAN's networks.",
                    "cyclegan", task="inpainting"),
    "cdcgan": Recipe("DCGAN with labels in the generator's input and by projection (Miyato and Koyama, 2018).",
                    "dcgan", task="conditional"),
    "acgan": Recipe("DCGAN with a discriminator that also predicts classes (Odena et al., 2017).",
                    "dcgan", hyperparameters=Hyperparameters(batch=100, latent=100), task="auxiliary"),
    "infogan": Recipe("DCGAN with latent codes that are predicted from the fakes (Chen et al., 2016).",
                    "dcgan", hyperparameters=Hyperparameters(batch=128, latent=62, generator_lr=1e-3),
                    task="information"),
    "sngan": Recipe("Residual networks, spectral norm, five discriminator steps (Miyato et al., 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN_HYPERPARAMETERS),
    "projection": Recipe("SNGAN with labels, by projection (Miyato and Koyama, 2018).",
                    "sngan", "hinge", ("spectral_norm",), SNGAN_HYPERPARAMETERS, "conditional"),
    "sagan": Recipe("Residual networks with self-attention (Zhang et al., 2019).",
                    "sagan", "hinge", ("spectral_norm(generator=true)",),
                    Hyperparameters(batch=256, latent=128, generator_lr=1e-4, discriminator_lr=4e-4,
                         generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9)), "conditional"),
    "biggan": Recipe("Large batches, split latents and a shared class embedding (Brock et al., 2019).",
                    "biggan", "hinge",
                    ("ema(decay=0.9999, ramp=0.05)", "orthogonal_regularization", "spectral_norm(generator=true)"),
                    Hyperparameters(batch=2048, latent=120, discriminator_turns=2, generator_lr=5e-5,
                         generator_betas=(0.0, 0.999), discriminator_betas=(0.0, 0.999)), "conditional"),
    "reed": Recipe("Text to image by DCGAN with matching-aware pairs, GAN-INT-CLS (Reed et al., 2016).",
                    "reed", tricks=("label_interpolation", "mismatch"),
                    hyperparameters=Hyperparameters(latent=100), task="conditional"),
    "dfgan": Recipe("Text to image in one stage, with a matching-aware penalty (Tao et al., 2022).",
                    "dfgan", "hinge", ("mismatch", "matching_penalty"),
                    Hyperparameters(batch=32, latent=100, generator_lr=1e-4, discriminator_lr=4e-4,
                         generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9)), "conditional"),
    # Learning rates and weights are the initial values of the paper's schedules; ramp lengthens the EMA over time.
    "r3gan": Recipe("Relativistic pairing, R1, R2 and networks without normalization (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN_HYPERPARAMETERS),
    "cr3gan": Recipe("R3GAN with labels, as published for CIFAR-10 (Huang et al., 2024).",
                    "r3gan", "relativistic", R3GAN_TRICKS, R3GAN_HYPERPARAMETERS, "conditional"),
    "progan": Recipe("Wasserstein GAN with progressive growing (Karras et al., 2018).", "progan", "wasserstein",
                    ("progressive_growing", "gradient_penalty", "drift", "minibatch_std", "ema"),
                    Hyperparameters(batch=16, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                         generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan": Recipe("Styles by adaptive instance norm, with progressive growing (Karras et al., 2019).", "stylegan",
                    tricks=("progressive_growing", "r1", "minibatch_std", "ema(decay=0.998)"),
                    hyperparameters=Hyperparameters(batch=32, latent=512, generator_lr=1e-3, discriminator_lr=1e-3,
                              generator_betas=(0.0, 0.99), discriminator_betas=(0.0, 0.99))),
    "stylegan2": Recipe("Styles by modulated weights, at full size from the start (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16)", *STYLEGAN2_TRICKS), hyperparameters=STYLEGAN2_HYPERPARAMETERS),
    "stylegan2_ada": Recipe("StyleGAN2 for few images, with adaptive augmentation (Karras et al., 2020).", "stylegan2",
                    tricks=("r1(every=16, side=1024)", *STYLEGAN2_TRICKS, "ada"),
                    hyperparameters=STYLEGAN2_HYPERPARAMETERS),
    "vgan":  Recipe("Clips of a masked foreground over a still background (Vondrick et al., 2016).", "vgan",
                    hyperparameters=Hyperparameters(latent=100), task="layered"),
    "tgan":  Recipe("Clips whose frames have latents from a temporal generator (Saito et al., 2017).", "tgan",
                    "wasserstein", ("singular_value_clipping",),
                    Hyperparameters(batch=32, latent=100, optimizer="rmsprop",
                                    generator_lr=5e-5, discriminator_lr=5e-5)),
    "mocogan": Recipe("Clips of one content and recurrent motion (Tulyakov et al., 2018).", "mocogan",
                    hyperparameters=Hyperparameters(batch=32, latent=50), task="video"),
    "dvdgan": Recipe("Residual recurrent networks with labels, and two discriminators (Clark et al., 2019).",
                    "dvdgan", "hinge", ("spectral_norm(generator=true)",),
                    Hyperparameters(batch=512, latent=120, discriminator_turns=2, generator_lr=1e-4,
                         discriminator_lr=5e-4, generator_betas=(0.0, 0.999), discriminator_betas=(0.0, 0.999)),
                    "conditional_video"),
    "framewise": Recipe("Baseline for clips: MoCoGAN with independent latents for the frames.", "framewise",
                    hyperparameters=Hyperparameters(batch=32, latent=50), task="video"),
    # The paper trains by gradient descent without momentum, which is not offered.
    "beyond_mse": Recipe("Prediction of frames with a gradient difference loss (Mathieu et al., 2016).", "beyond_mse",
                    hyperparameters=Hyperparameters(batch=8), task="prediction"),
    # As for cyclegan, least_squares is half of the paper's term, so the weight of reconstruction is halved too.
    "monkeynet": Recipe("Motion transfer by key points that need no labels (Siarohin et al., 2019).", "monkeynet",
                    "least_squares", task="motion_transfer(reconstruction=5)"),
}
# fmt: on


@cache
def all_variants() -> dict[str, Recipe]:
    """Returns the built-in variants and those of plugins (entry points `ganbench.variants`)."""
    return {
        point.name: point.load() for point in entry_points(group="ganbench.variants")
    } | VARIANTS


def resolve_variant(text: str) -> Recipe:
    """Returns the recipe of a spec such as `dcgan` or `dcgan(width=32)`.

    A variant's settings are those of its network and its task. The name of each of its tricks is a
    setting too, for the first setting of that trick: `wgan_gp(gradient_penalty=1)`. Raises
    SpecError for an unknown variant or setting.
    """
    spec = parse_spec(text)
    recipe, given = find_recipe(spec.name), dict(spec.settings)
    playing = settings_of(TASKS.load(parse_spec(recipe.task).name)).keys() & given.keys()
    task = {key: given.pop(key) for key in playing}
    tuned = {key: given.pop(key) for key in map(part_name, recipe.tricks) if key in given}
    return replace(
        recipe,
        tricks=tuple(tune_trick(text, tuned) for text in recipe.tricks),
        network=change_settings(NETWORKS, recipe.network, given),
        task=change_settings(TASKS, recipe.task, task),
    )


def find_recipe(name: str) -> Recipe:
    """Returns the recipe of a variant's name; raises SpecError if there is none."""
    if is_local(name):
        with LocalPart(f"variant {name}", name.rpartition(":")[0], name).explained_errors():
            recipe = load_local_value(name)
        if not isinstance(recipe, Recipe):
            raise SpecError(f"variant {name} is no Recipe: write {part_of(name)} = Recipe(...)")
        return recipe
    if name not in all_variants():
        raise SpecError(f"no variant is called {name!r}{suggest(name, all_variants(), 'variants')}")
    return all_variants()[name]


def part_name(text: str) -> str:
    """Returns the name in a spec, without its settings."""
    return parse_spec(text).name


def tune_trick(text: str, tuned: Mapping[str, Value]) -> str:
    """Returns a trick's spec, with its first setting replaced if `tuned` has a value for it."""
    name = part_name(text)
    if name not in tuned:
        return text
    if (first := strength_setting(name)) is None:
        raise SpecError(f"trick {name} has no settings")
    return change_settings(TRICKS, text, {first: tuned[name]})


def strength_setting(trick: str) -> str | None:
    """Returns the name of a trick's first setting, such as its weight, rate or size, or None."""
    return next(iter(settings_of(TRICKS.load(trick))), None)


def change_settings(registry: Registry, text: str, settings: Mapping[str, Value]) -> str:
    """Returns the label of a spec with some of its settings changed."""
    own = parse_spec(text)
    return registry.label(str(Spec(own.name, tuple({**dict(own.settings), **settings}.items()))))


def variant_label(text: str) -> str:
    """Returns the canonical spelling of a variant, without settings that equal its defaults."""
    plain = parse_spec(text).name
    usual, given = variant_settings(resolve_variant(plain)), variant_settings(resolve_variant(text))
    return str(Spec(plain, tuple((k, v) for k, v in given.items() if v != usual[k])))


def variant_settings(recipe: Recipe) -> dict[str, Value]:
    """Returns the settings of task and network and the strengths of tricks, sorted by name."""
    parts = (TASKS.resolve(recipe.task), NETWORKS.resolve(recipe.network))
    pairs = [pair for part in parts for pair in part.settings]
    for trick in map(TRICKS.resolve, recipe.tricks):
        pairs += [
            (trick.name, v) for key, v in trick.settings if key == strength_setting(trick.name)
        ]
    return dict(sorted(pairs))
