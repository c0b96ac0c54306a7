"""Tricks on images, scores and filters against closed forms."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import BATCH, CPU, same, split, steps, through_a_file, trainer, training_setup
from scipy.ndimage import map_coordinates
from torch import nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import Incompatible
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks.discriminator import AuxiliaryFeaturesHead, Discriminator, Head
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.ada import (
    AugmentationDraws,
    apply_moves,
    blit_transforms,
    geometric_transforms,
    hue_rotation,
    resample_bilinear,
    separates_at_zero,
)
from ganbench.gan.tricks.base import TrickList
from ganbench.gan.tricks.minibatch_std import GroupStandardDeviation
from ganbench.gan.tricks.orthogonal_regularization import filter_similarity, off_diagonal_similarity
from ganbench.rng import RngStreams, StepContext

CONTEXT = StepContext(RngStreams(0, CPU), step=0, turn=0, progress=0.0)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_trick(text: str, p: float | None = None, context: StepContext = CONTEXT):
    """Returns the trick at a step, for ADA with the given probability."""
    trick = TRICKS.make(text)
    trick.begin_step(context)
    if p is not None:
        trick.p.fill_(p)
    return trick


def adversarial_batch(
    weights: torch.Tensor, *tricks: str, shape=(1, 4, 4), count: int = 6
) -> AdversarialBatch:
    """Returns a batch with tricks and the linear discriminator score = weights . x."""
    chain = TrickList({text.split("(")[0]: TRICKS.make(text) for text in tricks})
    chain.begin_step(CONTEXT)
    head = Head(weights.numel(), bias=False)
    head.linear.weight.data = weights.reshape(1, -1).clone()
    discriminator = Discriminator(nn.Flatten(), (weights.numel(),), head)
    real, fake = random(count, *shape, seed=1), random(count, *shape, seed=2)
    batch = AdversarialBatch(IMAGE, IMAGE, nn.Identity(), discriminator, fake, real, fake)
    batch = batch.with_discriminator_input(chain.transform_discriminator_input).with_leaves()
    batch.__dict__["chain"] = chain
    return batch


def terms(batch: AdversarialBatch) -> dict[str, float]:
    return {k: v.item() for k, v in batch.__dict__["chain"].discriminator_terms(batch)}


# All image tricks

IMAGE_TRICKS = ("ada", "consistency", "diffaugment", "frequency_separation", "horizontal_flipping")
INPUT_TRICKS = [("diffaugment", None), ("ada", 1.0), ("ada", 0.5), ("frequency_separation", None)]


@pytest.mark.parametrize("name", IMAGE_TRICKS)
def test_image_trick_rejects_points(name):
    with pytest.raises(Incompatible, match="needs images, and the data are points of 2 numbers"):
        training_setup("gan(width=8)", "ring", tricks=(name,))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("text", "p"), INPUT_TRICKS)
def test_discriminator_input_is_twice_differentiable(text, p, channels):
    """The input is A x + b, so the gradient of |A x + b|^2 / 2 . u must be A' A u."""
    trick = make_trick(text, p)
    x, u, w = (random(5, channels, 8, 8, seed=seed) for seed in range(3))
    x.requires_grad_()
    output = trick.transform_discriminator_input(x, "image/real")
    (gradient,) = torch.autograd.grad(output.square().sum() / 2, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient * u).sum(), x)
    with torch.no_grad():
        along, across = (
            trick.transform_discriminator_input(x + v, "image/real") - output for v in (u, w)
        )
    assert along.abs().max() > 0.1
    assert (gradient * u).sum().item() == pytest.approx((output * along).sum().item(), rel=1e-3)
    assert (second * w).sum().item() == pytest.approx((along * across).sum().item(), rel=1e-3)


@pytest.mark.parametrize(("text", "p"), INPUT_TRICKS[:3])
def test_noise_differs_per_role_and_step(text, p):
    x = random(BATCH, 1, 8, 8)
    real = make_trick(text, p).transform_discriminator_input(x, "image/real")
    assert torch.equal(real, make_trick(text, p).transform_discriminator_input(x, "image/real"))
    assert not torch.equal(real, make_trick(text, p).transform_discriminator_input(x, "image/fake"))
    next_step = StepContext(RngStreams(0, CPU), step=0, turn=1, progress=0.0)
    assert not torch.equal(
        real, make_trick(text, p, next_step).transform_discriminator_input(x, "image/real")
    )
    used = make_trick(text, p)
    used.transform_discriminator_input(x, "image/gradient_penalty")  # another input first
    assert torch.equal(real, used.transform_discriminator_input(x, "image/real"))


@pytest.mark.parametrize("text", ["diffaugment", "ada(kimg=0.02, every=1, target=-0.9)"])
@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty", "dragan"])
def test_penalties_act_through_augmentations(text, penalty):
    alone, both = trainer(tricks=(penalty,)), trainer(tricks=(penalty, text))
    terms = [[log[penalty] for log in steps(training, 3)] for training in (alone, both)]
    assert terms[0][1:] != terms[1][1:]
    assert all(np.isfinite(terms[1]))


@pytest.mark.parametrize(
    "text",
    [
        "diffaugment(colour=false, translation=false, cutout=false)",
        *("ada(target=1)", "ada(kimg=0)", "ada(every=0)", "ada(groups='')", "ada(groups='gb')"),
        *("consistency(weight=-1)", "consistency(fakes=-1)", "consistency(weight=0)"),
        *("consistency(shift=0.6)", "consistency(flip=false, shift=0)"),
        *("lecam(weight=0)", "lecam(decay=1)", "lecam(start=0)"),
        *("orthogonal_regularization(weight=0)", "orthogonal_regularization(of='all')"),
        *("minibatch_std(group=1)", "frequency_separation(kernel=4)"),
        "frequency_separation(kernel=1)",
    ],
)
def test_invalid_setting_raises_value_error(text):
    with pytest.raises(ValueError, match=r"must|needs|there are|did you mean") as raised:
        TRICKS.make(text)
    assert len(str(raised.value).split()) > 4


# DiffAugment

COLOUR = "diffaugment(translation=false, cutout=false)"
TRANSLATION = "diffaugment(colour=false, cutout=false)"
CUTOUT = "diffaugment(colour=false, translation=false)"


def test_diffaugment_colour_equals_paper_per_image():
    x = random(20, 3, 5, 6)
    draws = torch.rand((3, 20), generator=CONTEXT.of("image/real").random).numpy()
    for image, augmented, (b, s, c) in zip(
        x.numpy(),
        make_trick(COLOUR).transform_discriminator_input(x, "image/real"),
        draws.T,
        strict=True,
    ):
        bright = image + (b - 0.5)
        grey = bright.mean(0)
        saturated = np.stack([(channel - grey) * 2 * s + grey for channel in bright])
        expected = (saturated - saturated.mean()) * (c + 0.5) + saturated.mean()
        np.testing.assert_allclose(augmented, expected, rtol=1e-4, atol=1e-5)


def test_diffaugment_colour_stays_in_published_ranges():
    x = random(500, 1, 8, 8)
    augmented = make_trick(COLOUR).transform_discriminator_input(x, "image/real")
    added = (augmented - x).mean((1, 2, 3))  # contrast keeps the mean
    assert added.min() < -0.48
    assert 0.48 < added.max() < 0.5
    contrast = augmented.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.5 <= contrast.min() < 0.52
    assert 1.48 < contrast.max() <= 1.5


@pytest.mark.parametrize(("height", "width", "down", "right"), [(8, 8, 1, 1), (16, 28, 2, 4)])
def test_translation_moves_whole_pixels_with_zero_padding(height, width, down, right):
    x = random(400, 2, height, width) + 5
    moves = set()
    for image, augmented in zip(
        x.numpy(),
        make_trick(TRANSLATION).transform_discriminator_input(x, "image/real"),
        strict=True,
    ):
        padded = np.pad(image, ((0, 0), (down, down), (right, right)))
        fits = [
            (i, j)
            for i in range(2 * down + 1)
            for j in range(2 * right + 1)
            if np.array_equal(augmented, padded[:, i : i + height, j : j + width])
        ]
        assert len(fits) == 1
        moves |= set(fits)
    assert len(moves) == (2 * down + 1) * (2 * right + 1)


@pytest.mark.parametrize(("side", "size", "centres"), [(8, 4, 9), (6, 3, 6)])
def test_cutout_is_square_cut_at_border(side, size, centres):
    x = torch.ones(600, 2, side, side)
    holes = (make_trick(CUTOUT).transform_discriminator_input(x, "image/real") == 0).numpy()
    assert (holes[:, 0] == holes[:, 1]).all()
    augmented = make_trick(CUTOUT).transform_discriminator_input(x, "image/real")
    assert set(np.unique(augmented)) == {0, 1}
    for axis in (2, 1):
        lines = holes[:, 0].any(axis)  # affected rows, or columns
        assert (lines[:, :, None] & holes[:, 0].any(3 - axis)[:, None]).sum() == holes[:, 0].sum()
        full = np.zeros(side + 2 * size, bool)
        expected = {
            tuple(np.roll(full | (np.arange(len(full)) < size), size + centre - size // 2))[
                size : size + side
            ]
            for centre in range(centres)
        }
        assert {tuple(line) for line in lines} == expected


# ADA


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("groups", ["b", "g", "c", "bgc"])
def test_ada_is_identity_at_probability_0(groups, channels):
    x, text = random(30, channels, 8, 7), f"ada(groups='{groups}')"
    assert torch.equal(make_trick(text).transform_discriminator_input(x, "image/real"), x)
    augmented = make_trick(text, p=1.0).transform_discriminator_input(x, "image/real")
    assert (augmented - x).abs().amax((1, 2, 3)).gt(1e-3).float().mean() > 0.8


@pytest.mark.parametrize("side", [7, 8])
def test_ada_blits_mirror_rotate_and_move(side):
    x = random(300, 2, side, side)
    symmetries = set()
    for image, augmented in zip(
        x.numpy(),
        make_trick("ada(groups='b')", p=1.0).transform_discriminator_input(x, ""),
        strict=True,
    ):
        fits = []
        for flip in (False, True):
            for turns in range(4):
                turned = np.rot90(image[:, :, ::-1] if flip else image, turns, (1, 2))
                padded = np.pad(turned, ((0, 0), (1, 1), (1, 1)), "reflect")
                fits += [
                    (flip, turns)
                    for i in range(3)
                    for j in range(3)
                    if np.allclose(augmented, padded[:, i : i + side, j : j + side], atol=1e-4)
                ]
        assert len(fits) == 1
        symmetries |= set(fits)
    assert len(symmetries) == 8


def test_ada_changes_images_with_given_probability():
    p, x = 0.4, random(8000, 1, 8, 8)
    spared = (
        (make_trick("ada(groups='b')", p).transform_discriminator_input(x, "") == x)
        .flatten(1)
        .all(1)
        .float()
        .mean()
        .item()
    )
    # chance of the identity: 1 of 2 flips, 1 of 4 rotations, 1 of 2 x 2 moves
    expected = (1 - p / 2) * (1 - p * 3 / 4) ** 2
    assert spared == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 8000) ** 0.5)


def test_resampling_is_bilinear_with_mirrored_borders():
    x = random(3, 2, 6, 9)
    row, column = 12 * random(3, 54, seed=1), 12 * random(3, 54, seed=2)
    resampled = resample_bilinear(x, row, column)
    for n in range(3):
        for c in range(2):
            expected = map_coordinates(
                x[n, c].numpy().astype(float), [row[n], column[n]], order=1, mode="mirror"
            )
            np.testing.assert_allclose(resampled[n, c].flatten(), expected, atol=1e-4)


def test_moves_map_output_pixels_to_sources():
    x, steps_back = random(1, 1, 6, 9), [(random(1, 2, 2, seed=n), random(1, 2, 1)) for n in (1, 2)]
    for i in range(6):
        for j in range(9):
            place = np.array([j - 4, i - 2.5])
            for matrix, offset in steps_back:
                place = matrix[0].numpy() @ (place + offset[0, :, 0].numpy())
            there = [[place[1] + 2.5], [place[0] + 4]]
            expected = map_coordinates(x[0, 0].double().numpy(), there, order=1, mode="mirror")
            assert apply_moves(x, steps_back)[0, 0, i, j].item() == pytest.approx(
                expected[0], abs=1e-4
            )


def test_ada_applies_geometry_after_blits():
    """Blits followed by geometry agree with both at once, except near the border."""
    x = random(100, 1, 41, 41)
    draws = AugmentationDraws(100, torch.tensor(1.0), CONTEXT.of("").random)
    geometry, blits = geometric_transforms(draws, x.shape), blit_transforms(draws, x.shape)
    in_turn = apply_moves(apply_moves(x, [blits]), [geometry])[:, :, 18:23, 18:23]
    at_once = make_trick("ada(groups='bg')", p=1.0).transform_discriminator_input(x, "")[
        :, :, 18:23, 18:23
    ]
    assert torch.isclose(in_turn, at_once, atol=1e-3).flatten(1).all(1).float().mean() > 0.9


def augmentation_draws(p: float, count: int = 20_000) -> AugmentationDraws:
    return AugmentationDraws(count, torch.tensor(p), torch.Generator().manual_seed(3))


def test_ada_geometry_follows_published_distributions():
    matrix, offset = geometric_transforms(augmentation_draws(1.0), (0, 0, 16, 32))
    scale = matrix.det().log2() / 2  # anisotropic scaling keeps areas
    assert scale.std().item() == pytest.approx(0.2, rel=0.03)
    assert scale.mean().item() == pytest.approx(0, abs=0.01)
    ratio = torch.linalg.svdvals(matrix).log2().diff(dim=1) / 2
    assert ratio.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.03)
    for moves, side in zip(offset.squeeze(2).T, (32, 16), strict=True):
        assert moves.std().item() == pytest.approx(side / 8, rel=0.03)
    rotated = geometric_transforms(augmentation_draws(0.36), (0, 0, 8, 8))[0][:, 0, 1] != 0
    assert rotated.float().mean().item() == pytest.approx(0.36, abs=0.015)


def test_ada_blits_follow_published_distributions():
    matrix, offset = blit_transforms(augmentation_draws(0.8), (0, 0, 16, 16))
    assert (matrix.det() < 0).float().mean().item() == pytest.approx(0.4, abs=0.015)
    counts = torch.bincount((offset[:, 0, 0] + 2).long(), minlength=5) / 20_000
    expected = torch.tensor([0.1, 0.2, 0.2 + 0.2, 0.2, 0.1])  # [-2, 2) rounded, or unchanged
    torch.testing.assert_close(counts, expected, atol=0.015, rtol=0)


def test_ada_colours_of_grey_images_are_affine():
    x = random(5000, 1, 4, 4)
    augmented = make_trick("ada(groups='c')", p=1.0).transform_discriminator_input(x, "")
    contrast = ((augmented - augmented.mean((2, 3), keepdim=True)) * x).sum((1, 2, 3)) / (
        (x - x.mean((2, 3), keepdim=True)) * x
    ).sum((1, 2, 3))
    added = augmented.mean((1, 2, 3)) / contrast - x.mean((1, 2, 3))
    torch.testing.assert_close(
        contrast[:, None, None, None] * (x + added[:, None, None, None]),
        augmented,
        atol=1e-3,
        rtol=1e-3,
    )
    assert contrast.abs().log2().std().item() == pytest.approx(0.5, rel=0.05)
    assert added.std().item() == pytest.approx(0.2, rel=0.05)
    assert (contrast < 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_ada_colours_rotate_and_scale_around_grey():
    x = random(200, 3, 6, 6)
    grey = x.mean(1, keepdim=True).expand_as(x)
    ada = make_trick("ada(groups='c')", p=1.0)
    of_grey, of_all = (
        ada.transform_discriminator_input(grey, ""),
        ada.transform_discriminator_input(x, ""),
    )
    torch.testing.assert_close(of_grey, of_grey[:, :1].expand_as(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(of_all.mean(1), of_grey.mean(1), atol=1e-4, rtol=1e-4)
    lengths = (of_all - of_grey).norm(dim=1) / (x - grey).norm(dim=1)  # one factor per image
    torch.testing.assert_close(lengths, lengths[:, :1, :1].expand_as(lengths), atol=1e-4, rtol=1e-3)
    assert lengths[:, 0, 0].log2().std() > 0.8


def test_luma_inversion_keeps_colour_difference():
    x = random(200, 2, 4, 4)
    augmented = make_trick("ada(groups='c')", p=1.0).transform_discriminator_input(x, "")
    contrast = (augmented[:, 0] - augmented[:, 1]) / (x[:, 0] - x[:, 1])
    assert (contrast > 0).all()
    sums = augmented.sum(1).flatten(1), x.sum(1).flatten(1)
    inverted = torch.stack([s - s.mean(1, keepdim=True) for s in sums]).prod(0).sum(1) < 0
    assert 0.4 < inverted.float().mean() < 0.6


def test_hue_rotation_by_third_permutes_colours():
    angle = torch.tensor([0.0, 2 * torch.pi / 3, 1.0])
    rotation, identity = hue_rotation(angle), torch.eye(3)
    assert torch.equal(rotation[0], identity)
    assert any(torch.allclose(rotation[1], identity.roll(by, 0), atol=1e-6) for by in (1, 2))
    torch.testing.assert_close(rotation @ rotation.mT, identity.expand(3, 3, 3))
    torch.testing.assert_close(rotation.det(), torch.ones(3))
    assert rotation[2].trace().item() == pytest.approx(1 + 2 * np.cos(1), rel=1e-5)


def probability_after(ada, *scores: float, images: int = 10) -> float:
    """Returns the probability after one step per score, each with so many real images."""
    for score in scores:
        batch = SimpleNamespace(
            real=torch.zeros(images, 1, 2, 2), real_score=torch.full((images,), float(score))
        )
        ada.after_discriminator_step(None, [batch])
    return ada.p.item()


def test_ada_probability_crosses_range_in_declared_images():
    ada = make_trick("ada(kimg=0.4)")  # 400 images are 40 steps of 10
    path = [probability_after(ada, 1.0) for _ in range(44)]
    expected = [min(1.0, 4 * (turn // 4) / 40) for turn in range(1, 45)]
    assert path == pytest.approx(expected, abs=1e-5)
    back = [probability_after(ada, -1.0) for _ in range(44)]
    assert back == pytest.approx([1 - share for share in expected], abs=1e-5)
    assert min(path + back) >= 0
    assert max(path + back) <= 1


def test_ada_compares_mean_sign_with_target():
    def change(*scores, target=0.6, every=5):
        ada = make_trick(f"ada(kimg=1, every={every}, target={target})", p=0.5)
        return round((probability_after(ada, *scores) - 0.5) * 1000)

    assert change(9, 9, 9, 9, 0.1) == 50
    assert change(9, 9, 9, -0.1, -0.1) == -50  # a mean sign of 0.2
    assert change(9, 9, 9, -0.1, -0.1, target=0.1) == 50
    assert change(9, 9, 9, 9) == 0  # not due yet
    assert change(-1, 9, every=1) == 0  # down, then up


def test_ada_adapts_and_resumes_bit_for_bit():
    tricks = ("ada(kimg=0.2, every=3, target=-0.9)",)
    unbroken = trainer(tricks=tricks)
    steps(unbroken, 4)
    state = through_a_file(unbroken.state_dict())
    logs = steps(unbroken, 4)
    resumed = trainer(tricks=tricks)
    resumed.load_state_dict(state)
    assert steps(resumed, 4) == logs
    assert same(unbroken.trick.state_dict(), resumed.trick.state_dict())
    (p,) = (v.item() for k, v in resumed.trick.state_dict().items() if k.endswith("p"))
    assert p == pytest.approx(2 * 3 * BATCH / 200)


def test_ada_rejects_losses_without_zero_threshold():
    at_zero = {name for name in LOSSES.entries if separates_at_zero(LOSSES.make(name))}
    assert {"hinge", "minimax", "non_saturating"} <= at_zero
    without = {"least_squares", "relativistic", "relativistic_average", "wasserstein"}
    assert not without & at_zero
    for name in without:
        with pytest.raises(Incompatible, match="separates reals from fakes at a score of 0"):
            training_setup(tricks=("ada",), loss=name)
    with pytest.raises(Incompatible, match="reconstruction errors"):
        training_setup("began(width=4, code=8)", tricks=("ada",), loss="hinge")


# Consistency

WEIGHTS = random(1, 4, 4, seed=7)
SYMMETRIC_WEIGHTS = WEIGHTS + WEIGHTS.flip(2)


@pytest.mark.parametrize(("fakes", "flip"), [(0, True), (0, False), (4, True)])
def test_consistency_is_squared_score_difference(fakes, flip):
    batch = adversarial_batch(
        WEIGHTS, f"consistency(weight=3, fakes={fakes}, flip={flip}, shift=0.25)"
    )
    random = CONTEXT.of("tricks").of("consistency").of(IMAGE).random
    values = terms(batch)
    sides = {"real": (3, batch.real), "fake": (fakes, batch.fake)}
    for side, (weight, x) in sides.items():
        if weight == 0:
            assert f"{side}_consistency" not in values
            continue
        coins = torch.rand(6, generator=random) if flip else torch.ones(6)
        rows, columns = (torch.randint(3, (6,), generator=random) for _ in range(2))
        squares = []
        for image, coin, i, j in zip(x.detach().numpy(), coins, rows, columns, strict=True):
            changed = image[:, :, ::-1] if coin < 0.5 else image
            padded = np.pad(changed, ((0, 0), (1, 1), (1, 1)), "reflect")
            difference = padded[:, i : i + 4, j : j + 4] - image
            squares.append((difference * WEIGHTS.numpy()).sum() ** 2)
        assert values[f"{side}_consistency"] == pytest.approx(weight * np.mean(squares), rel=1e-4)
        assert values[f"{side}_consistency"] > 0.1


def test_consistency_is_0_for_symmetric_discriminator():
    assert (
        terms(adversarial_batch(SYMMETRIC_WEIGHTS, "consistency(shift=0)"))["real_consistency"]
        < 1e-9
    )
    assert terms(adversarial_batch(WEIGHTS, "consistency(shift=0)"))["real_consistency"] > 0.1


def test_consistency_ignores_noise_of_other_tricks():
    plain = terms(adversarial_batch(WEIGHTS, "consistency"))["real_consistency"]
    noisy = terms(adversarial_batch(WEIGHTS, "consistency", "instance_noise(std=3)"))[
        "real_consistency"
    ]
    assert noisy == pytest.approx(plain, rel=1e-3)


def test_consistency_is_differentiable_in_generated_images():
    batch = adversarial_batch(WEIGHTS, "consistency(fakes=10)")
    term = dict(batch.__dict__["chain"].discriminator_terms(batch))["fake_consistency"]
    (gradient,) = torch.autograd.grad(term, batch.fake)
    assert (gradient * batch.fake).sum().item() == pytest.approx(2 * term.item(), rel=1e-4)


@pytest.mark.parametrize(
    "text", ["consistency(fakes=10)", "orthogonal_regularization(of='both')", "lecam(start=1)"]
)
def test_discriminator_terms_can_be_unrolled(text):
    logs = steps(trainer(tricks=(text, "spectral_norm", "unrolled(turns=2)")), 3)
    assert np.isfinite([value for log in logs for value in log.values()]).all()


def test_consistency_acts_only_on_discriminator():
    batch = adversarial_batch(WEIGHTS, "consistency(fakes=10)")
    assert list(batch.__dict__["chain"].generator_terms(batch)) == []
    assert set(terms(batch)) == {"real_consistency", "fake_consistency"}


# LeCam


def test_lecam_anchors_are_moving_average_of_scores():
    training = trainer(tricks=("lecam(start=3, decay=0.8)",))
    logs = steps(training, 7)
    assert ["lecam" in log for log in logs] == [False] * 3 + [True] * 4
    scores = np.array([[log["real_score"], log["fake_score"]] for log in logs])
    expected = 0.8**4 * scores[2] + sum(0.2 * 0.8 ** (6 - n) * scores[n] for n in range(3, 7))
    (anchors,) = training.trick.state_dict().values()
    np.testing.assert_allclose(anchors, expected[None], rtol=1e-4, atol=1e-6)


def test_lecam_pulls_scores_to_opposite_anchor():
    batch = adversarial_batch(WEIGHTS)
    lecam = make_trick(
        "lecam(weight=2, start=5)", context=StepContext(RngStreams(0, CPU), 5, 0, 0.0)
    )
    lecam.setup(SimpleNamespace(discriminators={"other": None, IMAGE: None}), None)
    lecam.anchors[1] = torch.tensor([0.7, -0.4])
    ((_, term),) = lecam.discriminator_terms(batch)
    real, fake = (score.detach().numpy() for score in (batch.real_score, batch.fake_score))
    expected = 2 * (((real + 0.4) ** 2).mean() + ((fake - 0.7) ** 2).mean())
    assert term.item() == pytest.approx(expected, rel=1e-5)
    lecam.begin_step(StepContext(RngStreams(0, CPU), 4, 0, 0.0))
    assert list(lecam.discriminator_terms(batch)) == []


def test_lecam_resumes_bit_for_bit():
    unbroken = trainer(tricks=("lecam(start=2, decay=0.5)",))
    steps(unbroken, 4)
    resumed = trainer(tricks=("lecam(start=2, decay=0.5)",))
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    logs = steps(unbroken, 2)
    assert steps(resumed, 2) == logs
    assert all(log["lecam"] > 0 for log in logs)


# Orthogonal regularization


def orthogonal(*shape: int, scale: float = 3.0) -> torch.Tensor:
    """Returns a tensor whose flattened rows are orthogonal with length `scale`."""
    return scale * torch.linalg.qr(random(*shape).flatten(1).T)[0].T.reshape(shape)


@pytest.mark.parametrize("shape", [(3, 5), (5, 5), (40, 5)])
def test_filter_similarity_equals_paper(shape):
    matrix = random(*shape)
    gram = matrix.double().numpy() @ matrix.double().numpy().T
    expected = ((gram * (1 - np.eye(len(gram)))) ** 2).sum()
    assert off_diagonal_similarity(matrix).item() == pytest.approx(expected, rel=1e-4)


def test_filter_similarity_is_0_for_orthogonal_filters():
    layers = nn.Sequential(
        nn.Linear(7, 4), nn.Conv2d(2, 5, 3), nn.ConvTranspose2d(6, 4, 3), nn.BatchNorm2d(4)
    )
    layers[0].weight.data = orthogonal(4, 7)
    layers[1].weight.data = orthogonal(5, 2, 3, 3)
    layers[2].weight.data = orthogonal(4, 6, 3, 3).transpose(0, 1).contiguous()
    assert filter_similarity(layers).item() == pytest.approx(0, abs=1e-2)  # relative to 4 * 3^4
    for layer in layers[:3]:
        weight = layer.weight.data
        layer.weight.data = random(*weight.shape)
        assert filter_similarity(layers) > 5
        layer.weight.data = weight


@pytest.mark.parametrize(
    ("of", "names"),
    [
        ("generator", {"generator_resemblance"}),
        ("discriminator", {"discriminator_resemblance"}),
        ("both", {"generator_resemblance", "discriminator_resemblance"}),
    ],
)
def test_orthogonal_regularization_acts_on_chosen_side(of, names):
    training = trainer(
        "dcgan(width=4)", tricks=(f"orthogonal_regularization(of='{of}', weight=0.1)",)
    )
    sides = {
        "generator": training.task.generators[IMAGE],
        "discriminator": training.task.discriminators[IMAGE],
    }
    before = {side: 0.1 * filter_similarity(network).item() for side, network in sides.items()}
    log = steps(training, 1)[0]
    assert {name for name in log if name.endswith("resemblance")} == names
    for name in names:
        assert log[name] == pytest.approx(before[name.removesuffix("_resemblance")], rel=1e-4)
        assert log[name] > 0


def test_orthogonal_regularization_lowers_similarity():
    training = trainer(tricks=("orthogonal_regularization(weight=100)",), generator_lr=1e-2)
    logs = steps(training, 5)
    assert logs[-1]["generator_resemblance"] < 0.5 * logs[0]["generator_resemblance"]


def test_orthogonal_regularization_keeps_spectral_norm_state():
    both = ("spectral_norm", "orthogonal_regularization(of='discriminator', weight=1e-30)")
    plain, tricked = (trainer(tricks=tricks) for tricks in (both[:1], both))
    steps(plain, 2), steps(tricked, 2)
    plain_state, tricked_state = (
        training.task.discriminators.state_dict() for training in (plain, tricked)
    )
    assert any(key.endswith("._u") for key in plain_state)
    assert same(plain_state, tricked_state)


# Minibatch standard deviation


@pytest.mark.parametrize(
    ("count", "group", "used"),
    [(8, 4, 4), (6, 4, 3), (12, 8, 6), (6, 3, 3), (7, 4, 7), (25, 4, 25)],
)
def test_minibatch_std_is_mean_group_deviation(count, group, used):
    features = random(count, 5)
    deviations = GroupStandardDeviation(group)(features).numpy()
    for begin in range(0, count, used):
        expected = features.numpy()[begin : begin + used].std(0).mean()
        np.testing.assert_allclose(deviations[begin : begin + used], expected, rtol=1e-3, atol=2e-4)


def test_minibatch_std_of_copies_has_finite_gradient():
    features = random(1, 5).expand(8, 5).clone().requires_grad_()
    deviation = GroupStandardDeviation(4)(features)
    assert deviation.abs().max() < 2e-4
    (gradient,) = torch.autograd.grad(deviation.sum(), features, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), features)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_minibatch_std_adds_one_head_feature():
    discriminator = training_setup(tricks=("minibatch_std",)).task.discriminators[IMAGE]
    plain = training_setup().task.discriminators[IMAGE]
    assert isinstance(discriminator.head, AuxiliaryFeaturesHead)
    assert discriminator.head.head.linear.in_features == plain.head.linear.in_features + 1
    apart = random(BATCH, 1, 8, 8)
    copies = apart[:1].expand(BATCH, -1, -1, -1)
    assert (discriminator(copies)[0] - discriminator(apart)[0]).abs() > 1e-3
    torch.testing.assert_close(plain(copies)[0], plain(apart)[0])
    both = training_setup(tricks=("minibatch_std", "minibatch_discrimination(kernels=7)"))
    assert both.task.discriminators[IMAGE](apart).shape == (BATCH,)


def test_minibatch_std_rejects_head_without_weights():
    with pytest.raises(Incompatible, match="minibatch_std adds features to a head"):
        training_setup("began(width=4, code=8)", tricks=("minibatch_std",), loss="wasserstein")


# Frequency separation


@pytest.mark.parametrize("kernel", [3, 5])
def test_low_band_is_neighbourhood_mean(kernel):
    x, reach = random(2, 2, 6, 7), kernel // 2
    bands = make_trick(f"frequency_separation(kernel={kernel})").transform_discriminator_input(
        x, ""
    )
    assert bands.shape == (2, 4, 6, 7)
    low, high = bands.chunk(2, 1)
    torch.testing.assert_close(low + high, x)
    for i in range(6):
        for j in range(7):
            near = x[:, :, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            torch.testing.assert_close(low[:, :, i, j], near.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_constant_images_have_no_high_band():
    bands = make_trick("frequency_separation").transform_discriminator_input(
        torch.full((2, 1, 8, 8), 0.7), ""
    )
    torch.testing.assert_close(bands[:, 0], torch.full((2, 8, 8), 0.7))
    assert bands[:, 1].abs().max() < 1e-6


def test_bands_follow_augmentation_and_precede_packing():
    names = ("frequency_separation", "pacgan", "diffaugment", "instance_noise")
    chain = TrickList({name: TRICKS.make(name) for name in names})
    assert chain.names == ("diffaugment", "instance_noise", "frequency_separation", "pacgan")
    x = split("digits").train[IMAGE].make_batch(torch.arange(6)).images
    packed = TrickList(
        {name: TRICKS.make(name) for name in names[:2]}
    ).transform_discriminator_input(x, "")
    assert packed.shape == (3, 4, 8, 8)
    bands = make_trick("frequency_separation").transform_discriminator_input(x, "")
    assert torch.equal(packed[:, :2], bands[0::2])
    assert torch.equal(packed[:, 2:], bands[1::2])
