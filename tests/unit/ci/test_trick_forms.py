"""Closed forms of tricks: one for each, silent for ours, and a name for each planted fault."""

from contextlib import nullcontext
from dataclasses import replace
from functools import wraps

import pytest
import torch
from torch import nn
from trick_cases import HOME

from ganbench.ci.methods.base import CheckedMethod, run_check
from ganbench.ci.methods.cells import CheckedCell
from ganbench.ci.methods.tricks import TRICK_CHECKS
from ganbench.devices import Numerics
from ganbench.gan.networks.discriminator import Head
from ganbench.gan.tricks import (
    TRICKS,
    ada,
    diffaugment,
    fd_loss,
    horizontal_flipping,
    label_interpolation,
    mismatch,
    orthogonal_regularization,
    path_length,
)
from ganbench.gan.tricks.ada import ADA
from ganbench.gan.tricks.base import Trick
from ganbench.gan.tricks.consistency import Consistency
from ganbench.gan.tricks.dragan import DRAGAN
from ganbench.gan.tricks.equilibrium import Equilibrium
from ganbench.gan.tricks.finite_difference import FiniteDifference, ScoredImages
from ganbench.gan.tricks.gradient_penalty import GradientPenalty
from ganbench.gan.tricks.historical_averaging import ParameterHistory
from ganbench.gan.tricks.image_pool import ImagePool, PoolExchange
from ganbench.gan.tricks.instance_noise import InstanceNoise
from ganbench.gan.tricks.lecam import LeCam
from ganbench.gan.tricks.minibatch_discrimination import KernelCloseness
from ganbench.gan.tricks.minibatch_std import GroupStandardDeviation
from ganbench.gan.tricks.past_discriminators import PastDiscriminators
from ganbench.gan.tricks.path_length import PathLength
from ganbench.gan.tricks.progressive_growing import ProgressiveGrowing
from ganbench.gan.tricks.spectral_norm import SpectralNorm
from ganbench.gan.tricks.top_k import TopK
from ganbench.gan.tricks.unrolled import AdamStep
from ganbench.gan.variants import resolve_variant

PLAIN = {"text": "gan(width=8)", "loss": "non_saturating"}


@pytest.fixture(autouse=True)
def one_thread():
    Numerics("cpu").apply()


def run(text: str) -> CheckedMethod:
    """Runs the check of a trick in a cell that can have it."""
    spec = TRICKS.resolve(text)
    home = HOME.get(spec.name, PLAIN)
    recipe = resolve_variant(home["text"])
    others = [t for t in recipe.tricks if t.partition("(")[0] != spec.name]
    recipe = replace(recipe, loss=home.get("loss", recipe.loss), tricks=(*others, text))
    cell = CheckedCell("cell", recipe, "digits")
    settings = dict(spec.settings)
    return run_check("cell", text, lambda: TRICK_CHECKS[spec.name](cell, str(spec), settings))


def sentences(text: str) -> list[str]:
    checked = run(text)
    assert checked.error == ""
    return [fault.sentence for fault in checked.faults]


def test_every_trick_has_a_form_and_a_fault():
    assert set(TRICK_CHECKS) == set(TRICKS.entries)
    assert {text.partition("(")[0] for text, _, _ in FAULTS.values()} == set(TRICKS.entries)


@pytest.mark.parametrize("name", TRICKS.entries)
def test_trick_agrees_with_its_form(name):
    assert sentences(name) == []


@pytest.mark.parametrize(
    "text",
    [
        "ada(kimg=0.02, every=1, target=-0.9)",
        "consistency(weight=0, fakes=3, flip=false)",
        "diffaugment(colour=false)",
        "dragan(method='finite_difference')",
        "ema(decay=0.9, ramp=0.05)",
        "frequency_separation(kernel=3)",
        "gradient_penalty(method='finite_difference', share=0.5)",
        "gradient_penalty(one_sided=true, target=0)",
        "horizontal_flipping(share=0.2)",
        "image_pool(size=16)",
        "lecam(start=1, decay=0.5)",
        "label_interpolation(weight=0.3)",
        "matching_penalty(weight=3, power=1)",
        "mismatch(weight=0.25)",
        "orthogonal_regularization(of='both', weight=3)",
        "past_discriminators(every=1, keep=1)",
        "path_length(every=1)",
        "progressive_growing(until=1)",
        "r1(method='finite_difference', epsilon=0.1, share=0.25)",
        "r1(weight=3, every=4)",
        "r2(side=8)",
        "spectral_norm(generator=true)",
        "unrolled(turns=2, order=1)",
    ],
)
def test_settings_are_checked(text):
    assert sentences(text) == []


# Planted faults


def change(owner, attribute, make):
    """Returns a planter that replaces an attribute by a function of the usual one."""
    return lambda patch: patch.setattr(owner, attribute, make(getattr(owner, attribute)))


def with_setting(cls, **settings):
    """Returns a planter of another value of a setting, whatever was given."""

    def make(usual):
        @wraps(usual)  # settings are read from the signature
        def begin(self, *arguments, **given):
            usual(self, *arguments, **given)
            for name, value in settings.items():
                setattr(self, name, value(getattr(self, name)))

        return begin

    return change(cls, "__init__", make)


def of_trick(name, **settings):
    return with_setting(TRICKS.load(name), **settings)


def sum_path_lengths(images, styles, random, plain=path_length.path_lengths):
    return plain(images, styles, random) * styles.shape[1] ** 0.5


def double(value):
    return 2 * value


def without_hook(name, hook):
    return lambda patch: patch.setattr(TRICKS.load(name), hook, getattr(Trick, hook))


def clamped_away(patch):
    patch.setattr(TRICKS.load("weight_clipping"), "begin_step", Trick.begin_step)
    for hook in ("after_discriminator_step", "transform_gradients", "setup"):
        patch.setattr(TRICKS.load("weight_clipping"), hook, getattr(Trick, hook))


def smooth_fakes(usual):
    return lambda self, loss, pair: replace(loss, real_target=self.real, fake_target=1 - self.real)


def penalize_fakes(usual):
    return lambda self, pair: ScoredImages(pair.fake_score, pair.fake, "fake", pair.fake_label)


def penalize_reals(usual):
    return lambda self, pair: ScoredImages(pair.real_score, pair.real, "real", pair.real_label)


def skip_first_layer(usual):
    def normalize(self, network, kinds):
        layers = [m for m in network.modules() if isinstance(m, kinds) and not m.weight.is_meta]
        for layer in layers[1:]:
            nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=self.iterations)

    return normalize


def swap_anchors(usual):
    return lambda self, task, pairs: (
        usual(self, task, pairs),
        self.anchors.copy_(self.anchors.flip(1)),
    )


def keep_snapshot_zero(usual):
    return lambda self, context: None if usual(self, context) is None else 0


def fade_at_once(usual):
    return lambda self, context: float(round(usual(self, context)))


def never_swap(usual):
    return lambda self, pool, new: usual(
        replace(self, swapped=torch.zeros_like(self.swapped)), pool, new
    )


def with_own_bound(usual):
    return lambda self, features: usual(self, features) + 1


def with_diagonal(usual):
    return lambda matrix: usual(matrix) + matrix.square().sum(1).square().sum()


def fixed_shift(usual):
    return lambda x, share, padding, random: usual(x, share, padding, random).roll(1, 3)


FAULTS = {  # trick, planter, part of the sentence
    "ADA that follows the wrong sign": (
        "ada",
        change(ADA, "after_discriminator_step", lambda usual: lambda self, task, pairs: usual(
            self, task, [p.with_fields(real=-p.real) for p in pairs])),
        "p after positive scores",
    ),
    "ADA without rotations": (
        "ada",
        lambda patch: patch.setattr(ada, "rotation_matrix", lambda a: torch.eye(2).expand(len(a), 2, 2)),
        "symmetric image",
    ),
    "ADA's contrast too wide": (
        "ada",
        change(ada, "transform_colours", lambda usual: lambda x, dice: 1.5 * usual(x, dice)),
        "brightness",
    ),
    "a scale that forgets": (
        "adversarial_gradient_normalization",
        of_trick("adversarial_gradient_normalization", decay=lambda decay: decay / 2),
        "the norm of the fakes' gradient",
    ),
    "consistency of other images": (
        "consistency",
        change(Consistency, "augment", lambda usual: lambda self, x, random: usual(self, x.flip(2), random)),
        "the term of the reals",
    ),
    "colours that are too bright": (
        "diffaugment",
        change(diffaugment, "jitter_colours", lambda usual: lambda x, random: usual(x, random) + 0.1),
        "the mean brightness",
    ),
    "shifts to the right": (
        "diffaugment",
        change(diffaugment, "shift_images", fixed_shift),
        "a pixel is not moved",
    ),
    "holes that are too small": (
        "diffaugment",
        change(diffaugment, "cut_places", lambda usual: lambda n, side, random: usual(n, side, random) & (
            torch.arange(side) > 0)),
        "the cut out share",
    ),
    "DRAGAN at the reals": (
        "dragan",
        change(DRAGAN, "images_near_reals", penalize_reals),
        "the penalty near reals",
    ),
    "half a slope": (
        "dragan(method='finite_difference')",
        change(FiniteDifference, "slopes", lambda usual: lambda *a, **k: usual(*a, **k) / 2),
        "the mean of the estimates",
    ),
    "drift of the doubled weight": ("drift", of_trick("drift", weight=double), "the penalty"),
    "an average that does not move": (
        "ema(decay=0.5)",
        without_hook("ema", "after_generator_step"),
        "sampled weights",
    ),
    "an average that is not sampled": (
        "ema(decay=0.5)",
        without_hook("ema", "transform_sampling_generators"),
        "sampled weights",
    ),
    "a balance with the wrong sign": (
        "equilibrium",
        with_setting(Equilibrium, gamma=lambda gamma: -gamma),
        "the weight of the fakes",
    ),
    "a queue that is not read": (
        "fd_loss",
        change(TRICKS.load("fd_loss"), "count_seen", lambda usual: lambda self, batch: 0),
        "the gradient's relative difference",
    ),
    "a distance that is not normalized": (
        "fd_loss",
        lambda patch: patch.setattr(fd_loss, "STABILIZER", 1e3),
        "the gradient's relative difference",
    ),
    "features of the doubled weight": (
        "feature_matching",
        of_trick("feature_matching", weight=double),
        "the generator's term",
    ),
    "a wider band": (
        "frequency_separation",
        of_trick("frequency_separation", kernel=lambda kernel: kernel + 2),
        "the bands are not",
    ),
    "gradients of the doubled norm": (
        "gradient_clipping",
        of_trick("gradient_clipping", norm=double),
        "the norm of a gradient",
    ),
    "a penalty at the reals": (
        "gradient_penalty",
        change(GradientPenalty, "interpolated_images", penalize_reals),
        "between reals and fakes",
    ),
    "a target of 0": (
        "gradient_penalty",
        with_setting(GradientPenalty, target=lambda target: 0),
        "the penalty of a linear score",
    ),
    "a mean that forgets": (
        "historical_averaging",
        change(ParameterHistory, "update_mean", lambda usual: lambda self, module: (
            self.count.fill_(0), usual(self, module))),
        "the term of the discriminator",
    ),
    "images that stand on their heads": (
        "horizontal_flipping",
        change(horizontal_flipping, "flip_chosen", lambda usual: lambda x, chosen: usual(x.mT, chosen).mT),
        "neither mirrored nor kept",
    ),
    "a translation that stays": (
        "horizontal_flipping",
        change(horizontal_flipping, "replace", lambda usual: lambda batch, images, truth: usual(batch, images=images)),
        "not mirrored with its input",
    ),
    "half of all examples": (
        "horizontal_flipping(share=0.3)",
        of_trick("horizontal_flipping", share=lambda share: 0.5),
        "the share of mirrored examples",
    ),
    "a pool that gives nothing back": (
        "image_pool",
        change(PoolExchange, "apply", never_swap),
        "the share of older fakes",
    ),
    "fakes that are not stored": (
        "image_pool",
        change(ImagePool, "draw_exchange", lambda usual: lambda *a: replace(
            usual(*a), kept=torch.zeros_like(usual(*a).kept))),
        "neither new nor stored",
    ),
    "noise that does not fade": (
        "instance_noise",
        change(InstanceNoise, "begin_step", lambda usual: lambda self, context: usual(
            self, replace(context, progress=0.0))),
        "the variance of the noise",
    ),
    "twice as many flips": (
        "label_flipping",
        of_trick("label_flipping", share=double),
        "the share of flipped targets",
    ),
    "codes of the own label": (
        "label_interpolation",
        change(label_interpolation, "choose_other_labels", lambda usual: lambda labels: labels),
        "the generator's loss",
    ),
    "centering of differences": (
        "logit_centering",
        change(TRICKS.load("logit_centering"), "discriminator_terms", lambda usual: lambda self, pair: usual(
            self, pair.with_fields(fake=-pair.fake))),
        "the term",
    ),
    "a pull that does not fade": (
        "transport_pull",
        of_trick("transport_pull", end=lambda end: 0.2),
        "the term",
    ),
    "a power of two": (
        "matching_penalty",
        with_setting(TRICKS.load("matching_penalty"), power=lambda power: 2),
        "the penalty of a linear score",
    ),
    "labels that match": (
        "mismatch",
        change(mismatch, "choose_other_labels", lambda usual: lambda labels: labels),
        "the discriminator's loss",
    ),
    "smoothing of fakes": (
        "label_smoothing",
        change(TRICKS.load("label_smoothing"), "transform_loss", smooth_fakes),
        "the discriminator's loss",
    ),
    "exchanged anchors": (
        "lecam",
        change(LeCam, "after_discriminator_step", swap_anchors),
        "the penalty",
    ),
    "closeness to itself": (
        "minibatch_discrimination",
        change(KernelCloseness, "forward", with_own_bound),
        "the added features are not",
    ),
    "a variance for a deviation": (
        "minibatch_std",
        change(GroupStandardDeviation, "compare", lambda usual: lambda self, x: usual(self, x).square()),
        "the deviation in a group",
    ),
    "a head that ignores the deviation": (
        "minibatch_std",
        lambda patch: patch.setattr(Head, "widen", lambda self, more: Head(self.linear.in_features)),
        "the head does not read",
    ),
    "lengths of filters": (
        "orthogonal_regularization",
        change(orthogonal_regularization, "off_diagonal_similarity", with_diagonal),
        "the term of the generator",
    ),
    "packs in another order": (
        "pacgan",
        change(TRICKS.load("pacgan"), "transform_discriminator_input",
               lambda usual: lambda self, x, role: usual(self, x.flip(0), role)),
        "a pack is not",
    ),
    "alignment of half the images": (
        "representation_alignment",
        change(TRICKS.load("representation_alignment"), "discriminator_terms", lambda usual: lambda self, pair: usual(
            self, pair.with_fields(real=pair.real[:4]))),
        "the term",
    ),
    "one snapshot only": (
        "past_discriminators",
        change(PastDiscriminators, "due_snapshot", keep_snapshot_zero),
        "the generator's loss",
    ),
    "a lazy path without its factor": (
        "path_length",
        change(PathLength, "generator_terms", lambda usual: lambda self, pair: [
            (name, term / self.every) for name, term in usual(self, pair)]),
        "the penalty",
    ),
    "a length of the sum over layers": (
        "path_length",
        lambda patch: patch.setattr(path_length, "path_lengths", sum_path_lengths),
        "the penalty",
    ),
    "an average of half the length": (
        "post_hoc_ema",
        of_trick("post_hoc_ema", length=lambda length: length / 2),
        "the length of the average",
    ),
    "sizes that do not fade": (
        "progressive_growing",
        change(ProgressiveGrowing, "graph_key", fade_at_once),
        "the level after",
    ),
    "reals in full detail": (
        "progressive_growing",
        without_hook("progressive_growing", "transform_batches"),
        "have other detail",
    ),
    "R1 at the fakes": (
        "r1",
        change(TRICKS.load("r1"), "penalized_images", penalize_fakes),
        "the penalty of a quadratic score",
    ),
    "R1 without its lazy factor": (
        "r1(every=16)",
        change(TRICKS.load("r1"), "discriminator_terms", lambda usual: lambda self, pair: [
            (name, term / self.every) for name, term in usual(self, pair)]),
        "the penalty of a quadratic score",
    ),
    "R2 at the reals": (
        "r2",
        change(TRICKS.load("r2"), "penalized_images", penalize_reals),
        "the penalty of a quadratic score",
    ),
    "rates of half the width": (
        "width_scaled_rates",
        of_trick("width_scaled_rates", reference=double),
        "the factor of the rate",
    ),
    "a layer without spectral norm": (
        "spectral_norm",
        change(SpectralNorm, "normalize", skip_first_layer),
        "the norm of layer",
    ),
    "the worst fakes": (
        "top_k",
        change(TopK, "share_at", lambda usual: lambda self, progress: usual(self, progress) / 2),
        "does not train on the best",
    ),
    "a larger singular value": (
        "singular_value_clipping",
        of_trick("singular_value_clipping", limit=double),
        "a step with clipping",
    ),
    "clipping in every step": (
        "singular_value_clipping",
        of_trick("singular_value_clipping", every=lambda every: 1),
        "a step without clipping",
    ),
    "two rates for one": ("ttur", without_hook("ttur", "configure_hyperparameters"), "the ratio"),
    "Adam's step without its correction": (
        "unrolled",
        change(AdamStep, "apply_to", lambda usual: lambda self, p: usual(replace(self, rate=self.rate / 2), p)),
        "the unrolled weights",
    ),
    "no look ahead": (
        "unrolled",
        lambda patch: patch.setattr(TRICKS.load("unrolled"), "lookahead", lambda *_: nullcontext()),
        "does not reach",
    ),
    "a wider box": ("weight_clipping", of_trick("weight_clipping", limit=double), "above the limit"),
    "no box": ("weight_clipping", clamped_away, "above the limit"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_named(fault, monkeypatch):
    text, plant, sentence = FAULTS[fault]
    plant(monkeypatch)
    found = sentences(text)
    assert any(sentence in one for one in found)
