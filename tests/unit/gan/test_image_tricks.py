"""The evidence for the tricks that change images, and for those that came with them, in closed form."""

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

MOMENT = StepContext(RngStreams(0, CPU), step=0, turn=0, progress=0.0)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trick(text: str, p: float | None = None, context: StepContext = MOMENT):
    """The trick at a moment, ADA at the given p."""
    made = TRICKS.make(text)
    made.begin_step(context)
    if p is not None:
        made.p.fill_(p)
    return made


def adversarial_batch(
    slope: torch.Tensor, *tricks: str, shape=(1, 4, 4), count: int = 6
) -> AdversarialBatch:
    """Reals and fakes before the discriminator score = slope . x, and a chain of tricks to view them by."""
    chain = TrickList({text.split("(")[0]: TRICKS.make(text) for text in tricks})
    chain.begin_step(MOMENT)
    head = Head(slope.numel(), bias=False)
    head.linear.weight.data = slope.reshape(1, -1).clone()
    judge = Discriminator(nn.Flatten(), (slope.numel(),), head)
    real, fake = random(count, *shape, seed=1), random(count, *shape, seed=2)
    made = AdversarialBatch(IMAGE, IMAGE, nn.Identity(), judge, fake, real, fake)
    made = made.with_discriminator_input(chain.transform_discriminator_input).with_leaves()
    made.__dict__["chain"] = chain
    return made


def terms(of: AdversarialBatch) -> dict[str, float]:
    return {k: v.item() for k, v in of.__dict__["chain"].discriminator_terms(of)}


# What every trick on images promises.

ON_IMAGES = ("ada", "consistency", "diffaugment", "frequency_separation")
VIEWS = [("diffaugment", None), ("ada", 1.0), ("ada", 0.5), ("frequency_separation", None)]


@pytest.mark.parametrize("name", ON_IMAGES)
def test_a_trick_on_images_objects_to_points_in_a_sentence(name):
    with pytest.raises(Incompatible, match="needs images, and the data are points of 2 numbers"):
        training_setup("gan(width=8)", "ring", tricks=(name,))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("text", "p"), VIEWS)
def test_a_view_is_differentiable_twice(text, p, channels):
    """Views are A x + b, so that the gradient of |A x + b|^2 / 2 . u must be A' A u."""
    shown = trick(text, p)
    x, u, w = (random(5, channels, 8, 8, seed=seed) for seed in range(3))
    x.requires_grad_()
    seen = shown.transform_discriminator_input(x, "image/real")
    (gradient,) = torch.autograd.grad(seen.square().sum() / 2, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient * u).sum(), x)
    with torch.no_grad():
        along, across = (
            shown.transform_discriminator_input(x + v, "image/real") - seen for v in (u, w)
        )
    assert along.abs().max() > 0.1
    assert (gradient * u).sum().item() == pytest.approx((seen * along).sum().item(), rel=1e-3)
    assert (second * w).sum().item() == pytest.approx((along * across).sum().item(), rel=1e-3)


@pytest.mark.parametrize(("text", "p"), VIEWS[:3])
def test_noise_is_each_roles_own_and_each_turns(text, p):
    x = random(BATCH, 1, 8, 8)
    real = trick(text, p).transform_discriminator_input(x, "image/real")
    assert torch.equal(real, trick(text, p).transform_discriminator_input(x, "image/real"))
    assert not torch.equal(real, trick(text, p).transform_discriminator_input(x, "image/fake"))
    other = StepContext(RngStreams(0, CPU), step=0, turn=1, progress=0.0)
    assert not torch.equal(
        real, trick(text, p, other).transform_discriminator_input(x, "image/real")
    )
    moved = trick(text, p)
    moved.transform_discriminator_input(
        x, "image/gradient_penalty"
    )  # what another trick has shown before
    assert torch.equal(real, moved.transform_discriminator_input(x, "image/real"))


@pytest.mark.parametrize("text", ["diffaugment", "ada(kimg=0.02, every=1, target=-0.9)"])
@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty", "dragan"])
def test_penalties_teach_through_augmentations(text, penalty):
    alone, both = trainer(tricks=(penalty,)), trainer(tricks=(penalty, text))
    terms = [[log[penalty] for log in steps(made, 3)] for made in (alone, both)]
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
def test_a_setting_without_meaning_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"must|needs|there are|did you mean") as told:
        TRICKS.make(text)
    assert len(str(told.value).split()) > 4


# DiffAugment

COLOUR = "diffaugment(translation=false, cutout=false)"
TRANSLATION = "diffaugment(colour=false, cutout=false)"
CUTOUT = "diffaugment(colour=false, translation=false)"


def test_diffaugments_colour_is_the_papers_image_by_image():
    x = random(20, 3, 5, 6)
    draws = torch.rand((3, 20), generator=MOMENT.of("image/real").random).numpy()
    for image, seen, (b, s, c) in zip(
        x.numpy(),
        trick(COLOUR).transform_discriminator_input(x, "image/real"),
        draws.T,
        strict=True,
    ):
        bright = image + (b - 0.5)
        grey = bright.mean(0)
        saturated = np.stack([(channel - grey) * 2 * s + grey for channel in bright])
        expected = (saturated - saturated.mean()) * (c + 0.5) + saturated.mean()
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)


def test_diffaugments_colour_spares_what_it_should():
    x = random(500, 1, 8, 8)
    seen = trick(COLOUR).transform_discriminator_input(x, "image/real")
    added = (seen - x).mean((1, 2, 3))  # contrast leaves the mean where brightness put it
    assert added.min() < -0.48
    assert 0.48 < added.max() < 0.5
    contrast = seen.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.5 <= contrast.min() < 0.52
    assert 1.48 < contrast.max() <= 1.5


@pytest.mark.parametrize(("height", "width", "down", "right"), [(8, 8, 1, 1), (16, 28, 2, 4)])
def test_translation_moves_by_whole_pixels_and_zeros_come_in(height, width, down, right):
    x = random(400, 2, height, width) + 5
    found = set()
    for image, seen in zip(
        x.numpy(), trick(TRANSLATION).transform_discriminator_input(x, "image/real"), strict=True
    ):
        padded = np.pad(image, ((0, 0), (down, down), (right, right)))
        fits = [
            (i, j)
            for i in range(2 * down + 1)
            for j in range(2 * right + 1)
            if np.array_equal(seen, padded[:, i : i + height, j : j + width])
        ]
        assert len(fits) == 1
        found |= set(fits)
    assert len(found) == (2 * down + 1) * (2 * right + 1)


@pytest.mark.parametrize(("side", "size", "centres"), [(8, 4, 9), (6, 3, 6)])
def test_cutout_is_one_square_that_may_hang_over_the_border(side, size, centres):
    x = torch.ones(600, 2, side, side)
    holes = (trick(CUTOUT).transform_discriminator_input(x, "image/real") == 0).numpy()
    assert (holes[:, 0] == holes[:, 1]).all()
    assert set(np.unique(trick(CUTOUT).transform_discriminator_input(x, "image/real"))) == {0, 1}
    for axis in (2, 1):
        lines = holes[:, 0].any(axis)  # which rows, or columns, are hit
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
def test_ada_is_the_identity_bit_for_bit_at_probability_0(groups, channels):
    x, text = random(30, channels, 8, 7), f"ada(groups='{groups}')"
    assert torch.equal(trick(text).transform_discriminator_input(x, "image/real"), x)
    seen = trick(text, p=1.0).transform_discriminator_input(x, "image/real")
    assert (seen - x).abs().amax((1, 2, 3)).gt(1e-3).float().mean() > 0.8


@pytest.mark.parametrize("side", [7, 8])
def test_adas_blits_are_mirrored_turned_and_moved_images(side):
    x = random(300, 2, side, side)
    symmetries = set()
    for image, seen in zip(
        x.numpy(), trick("ada(groups='b')", p=1.0).transform_discriminator_input(x, ""), strict=True
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
                    if np.allclose(seen, padded[:, i : i + side, j : j + side], atol=1e-4)
                ]
        assert len(fits) == 1
        symmetries |= set(fits)
    assert len(symmetries) == 8


def test_ada_spares_images_with_the_probability_of_each_change():
    p, x = 0.4, random(8000, 1, 8, 8)
    spared = (
        (trick("ada(groups='b')", p).transform_discriminator_input(x, "") == x)
        .flatten(1)
        .all(1)
        .float()
        .mean()
        .item()
    )
    # a flip of 2, a turn of 4 and a move of 2 x 2 halves leave an image alone by chance, too
    expected = (1 - p / 2) * (1 - p * 3 / 4) ** 2
    assert spared == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 8000) ** 0.5)


def test_resampling_is_bilinear_and_mirrors_at_the_borders():
    x = random(3, 2, 6, 9)
    row, column = 12 * random(3, 54, seed=1), 12 * random(3, 54, seed=2)
    found = resample_bilinear(x, row, column)
    for n in range(3):
        for c in range(2):
            expected = map_coordinates(
                x[n, c].numpy().astype(float), [row[n], column[n]], order=1, mode="mirror"
            )
            np.testing.assert_allclose(found[n, c].flatten(), expected, atol=1e-4)


def test_moves_lead_from_a_place_back_to_where_it_was():
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


def test_ada_bends_images_that_it_has_blitted():
    """Blitting first and bending then agree with both at once, wherever no border is in sight."""
    x = random(100, 1, 41, 41)
    draws = AugmentationDraws(100, torch.tensor(1.0), MOMENT.of("").random)
    bent, blitted = geometric_transforms(draws, x.shape), blit_transforms(draws, x.shape)
    apart = apply_moves(apply_moves(x, [blitted]), [bent])[:, :, 18:23, 18:23]
    at_once = trick("ada(groups='bg')", p=1.0).transform_discriminator_input(x, "")[
        :, :, 18:23, 18:23
    ]
    assert torch.isclose(apart, at_once, atol=1e-3).flatten(1).all(1).float().mean() > 0.9


def dice(p: float, count: int = 20_000) -> AugmentationDraws:
    return AugmentationDraws(count, torch.tensor(p), torch.Generator().manual_seed(3))


def test_adas_geometry_has_the_papers_laws():
    matrix, offset = geometric_transforms(dice(1.0), (0, 0, 16, 32))
    scale = matrix.det().log2() / 2  # stretching keeps areas
    assert scale.std().item() == pytest.approx(0.2, rel=0.03)
    assert scale.mean().item() == pytest.approx(0, abs=0.01)
    ratio = torch.linalg.svdvals(matrix).log2().diff(dim=1) / 2
    assert ratio.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.03)
    for found, side in zip(offset.squeeze(2).T, (32, 16), strict=True):
        assert found.std().item() == pytest.approx(side / 8, rel=0.03)
    turned = geometric_transforms(dice(0.36), (0, 0, 8, 8))[0][:, 0, 1] != 0
    assert turned.float().mean().item() == pytest.approx(0.36, abs=0.015)


def test_adas_blits_have_the_papers_laws():
    matrix, offset = blit_transforms(dice(0.8), (0, 0, 16, 16))
    assert (matrix.det() < 0).float().mean().item() == pytest.approx(0.4, abs=0.015)
    counts = torch.bincount((offset[:, 0, 0] + 2).long(), minlength=5) / 20_000
    expected = torch.tensor([0.1, 0.2, 0.2 + 0.2, 0.2, 0.1])  # of [-2, 2), rounded, or untouched
    torch.testing.assert_close(counts, expected, atol=0.015, rtol=0)


def test_adas_colours_of_grey_images_are_contrast_brightness_and_inversion():
    x = random(5000, 1, 4, 4)
    seen = trick("ada(groups='c')", p=1.0).transform_discriminator_input(x, "")
    slope = ((seen - seen.mean((2, 3), keepdim=True)) * x).sum((1, 2, 3)) / (
        (x - x.mean((2, 3), keepdim=True)) * x
    ).sum((1, 2, 3))
    added = seen.mean((1, 2, 3)) / slope - x.mean((1, 2, 3))
    torch.testing.assert_close(
        slope[:, None, None, None] * (x + added[:, None, None, None]), seen, atol=1e-3, rtol=1e-3
    )
    assert slope.abs().log2().std().item() == pytest.approx(0.5, rel=0.05)
    assert added.std().item() == pytest.approx(0.2, rel=0.05)
    assert (slope < 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_adas_colours_turn_and_stretch_around_the_greys():
    x = random(200, 3, 6, 6)
    grey = x.mean(1, keepdim=True).expand_as(x)
    shown = trick("ada(groups='c')", p=1.0)
    of_grey, of_all = (
        shown.transform_discriminator_input(grey, ""),
        shown.transform_discriminator_input(x, ""),
    )
    torch.testing.assert_close(of_grey, of_grey[:, :1].expand_as(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(of_all.mean(1), of_grey.mean(1), atol=1e-4, rtol=1e-4)
    lengths = (of_all - of_grey).norm(dim=1) / (x - grey).norm(dim=1)  # one factor an image
    torch.testing.assert_close(lengths, lengths[:, :1, :1].expand_as(lengths), atol=1e-4, rtol=1e-3)
    assert lengths[:, 0, 0].log2().std() > 0.8


def test_inversion_is_of_luma_and_leaves_two_colours_apart():
    x = random(200, 2, 4, 4)
    seen = trick("ada(groups='c')", p=1.0).transform_discriminator_input(x, "")
    apart = (seen[:, 0] - seen[:, 1]) / (x[:, 0] - x[:, 1])
    assert (apart > 0).all()
    sums = seen.sum(1).flatten(1), x.sum(1).flatten(1)
    inverted = torch.stack([s - s.mean(1, keepdim=True) for s in sums]).prod(0).sum(1) < 0
    assert 0.4 < inverted.float().mean() < 0.6


def test_hue_is_a_turn_by_which_a_third_exchanges_the_colours():
    angle = torch.tensor([0.0, 2 * torch.pi / 3, 1.0])
    turn, one = hue_rotation(angle), torch.eye(3)
    assert torch.equal(turn[0], one)
    assert any(torch.allclose(turn[1], one.roll(by, 0), atol=1e-6) for by in (1, 2))
    torch.testing.assert_close(turn @ turn.mT, one.expand(3, 3, 3))
    torch.testing.assert_close(turn.det(), torch.ones(3))
    assert turn[2].trace().item() == pytest.approx(1 + 2 * np.cos(1), rel=1e-5)


def told(ada, *scores: float, images: int = 10) -> float:
    """p after as many turns as there are scores, of so many reals each."""
    for score in scores:
        seen = SimpleNamespace(
            real=torch.zeros(images, 1, 2, 2), real_score=torch.full((images,), float(score))
        )
        ada.after_discriminator_step(None, [seen])
    return ada.p.item()


def test_ada_crosses_from_0_to_1_and_back_in_as_many_images_as_declared():
    ada = trick("ada(kimg=0.4)")  # 400 images are 40 turns of 10
    path = [told(ada, 1.0) for _ in range(44)]
    expected = [min(1.0, 4 * (turn // 4) / 40) for turn in range(1, 45)]
    assert path == pytest.approx(expected, abs=1e-5)
    back = [told(ada, -1.0) for _ in range(44)]
    assert back == pytest.approx([1 - share for share in expected], abs=1e-5)
    assert min(path + back) >= 0
    assert max(path + back) <= 1


def test_ada_weighs_the_mean_sign_of_its_turns_against_the_target():
    def moved(*scores, target=0.6, every=5):
        ada = trick(f"ada(kimg=1, every={every}, target={target})", p=0.5)
        return round((told(ada, *scores) - 0.5) * 1000)

    assert moved(9, 9, 9, 9, 0.1) == 50
    assert moved(9, 9, 9, -0.1, -0.1) == -50  # a mean sign of 0.2
    assert moved(9, 9, 9, -0.1, -0.1, target=0.1) == 50
    assert moved(9, 9, 9, 9) == 0  # not due yet
    assert moved(-1, 9, every=1) == 0  # down, and up again


def test_ada_adjusts_itself_in_training_and_resumes_bit_for_bit():
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


def test_ada_asks_for_scores_whose_border_is_0():
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

SLOPE = random(1, 4, 4, seed=7)
SYMMETRIC = SLOPE + SLOPE.flip(2)


@pytest.mark.parametrize(("fakes", "flip"), [(0, True), (0, False), (4, True)])
def test_consistency_is_the_squared_difference_of_scores(fakes, flip):
    made = adversarial_batch(
        SLOPE, f"consistency(weight=3, fakes={fakes}, flip={flip}, shift=0.25)"
    )
    random = MOMENT.of("tricks").of("consistency").of(IMAGE).random
    found = terms(made)
    sides = {"real": (3, made.real), "fake": (fakes, made.fake)}
    for side, (weight, x) in sides.items():
        if weight == 0:
            assert f"{side}_consistency" not in found
            continue
        coins = torch.rand(6, generator=random) if flip else torch.ones(6)
        rows, columns = (torch.randint(3, (6,), generator=random) for _ in range(2))
        squares = []
        for image, coin, i, j in zip(x.detach().numpy(), coins, rows, columns, strict=True):
            changed = image[:, :, ::-1] if coin < 0.5 else image
            padded = np.pad(changed, ((0, 0), (1, 1), (1, 1)), "reflect")
            gap = padded[:, i : i + 4, j : j + 4] - image
            squares.append((gap * SLOPE.numpy()).sum() ** 2)
        assert found[f"{side}_consistency"] == pytest.approx(weight * np.mean(squares), rel=1e-4)
        assert found[f"{side}_consistency"] > 0.1


def test_consistency_is_0_for_a_discriminator_that_does_not_mind():
    assert terms(adversarial_batch(SYMMETRIC, "consistency(shift=0)"))["real_consistency"] < 1e-9
    assert terms(adversarial_batch(SLOPE, "consistency(shift=0)"))["real_consistency"] > 0.1


def test_consistency_is_not_about_the_noise_of_other_tricks():
    plain = terms(adversarial_batch(SLOPE, "consistency"))["real_consistency"]
    noisy = terms(adversarial_batch(SLOPE, "consistency", "instance_noise(std=3)"))[
        "real_consistency"
    ]
    assert noisy == pytest.approx(plain, rel=1e-3)


def test_consistency_is_a_function_of_the_fakes_that_unrolling_can_run_through():
    made = adversarial_batch(SLOPE, "consistency(fakes=10)")
    term = dict(made.__dict__["chain"].discriminator_terms(made))["fake_consistency"]
    (gradient,) = torch.autograd.grad(term, made.fake)
    assert (gradient * made.fake).sum().item() == pytest.approx(2 * term.item(), rel=1e-4)


@pytest.mark.parametrize(
    "text", ["consistency(fakes=10)", "orthogonal_regularization(of='both')", "lecam(start=1)"]
)
def test_the_discriminators_terms_can_be_unrolled(text):
    logs = steps(trainer(tricks=(text, "spectral_norm", "unrolled(turns=2)")), 3)
    assert np.isfinite([value for log in logs for value in log.values()]).all()


def test_consistency_is_a_matter_of_the_discriminators_turn():
    made = adversarial_batch(SLOPE, "consistency(fakes=10)")
    assert list(made.__dict__["chain"].generator_terms(made)) == []
    assert set(terms(made)) == {"real_consistency", "fake_consistency"}


# LeCam


def test_lecams_anchors_are_the_moving_average_of_mean_scores_since_its_start():
    made = trainer(tricks=("lecam(start=3, decay=0.8)",))
    logs = steps(made, 7)
    assert ["lecam" in log for log in logs] == [False] * 3 + [True] * 4
    scores = np.array([[log["real_score"], log["fake_score"]] for log in logs])
    expected = 0.8**4 * scores[2] + sum(0.2 * 0.8 ** (6 - n) * scores[n] for n in range(3, 7))
    (anchors,) = made.trick.state_dict().values()
    np.testing.assert_allclose(anchors, expected[None], rtol=1e-4, atol=1e-6)


def test_lecam_draws_reals_to_the_fakes_anchor_and_fakes_to_the_reals():
    made = adversarial_batch(SLOPE)
    lecam = trick("lecam(weight=2, start=5)", context=StepContext(RngStreams(0, CPU), 5, 0, 0.0))
    lecam.setup(SimpleNamespace(discriminators={"other": None, IMAGE: None}), None)
    lecam.anchors[1] = torch.tensor([0.7, -0.4])
    ((_, term),) = lecam.discriminator_terms(made)
    real, fake = (score.detach().numpy() for score in (made.real_score, made.fake_score))
    expected = 2 * (((real + 0.4) ** 2).mean() + ((fake - 0.7) ** 2).mean())
    assert term.item() == pytest.approx(expected, rel=1e-5)
    lecam.begin_step(StepContext(RngStreams(0, CPU), 4, 0, 0.0))
    assert list(lecam.discriminator_terms(made)) == []


def test_lecam_resumes_bit_for_bit_once_it_acts():
    unbroken = trainer(tricks=("lecam(start=2, decay=0.5)",))
    steps(unbroken, 4)
    resumed = trainer(tricks=("lecam(start=2, decay=0.5)",))
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    logs = steps(unbroken, 2)
    assert steps(resumed, 2) == logs
    assert all(log["lecam"] > 0 for log in logs)


# Orthogonal regularization


def orthogonal(*shape: int, scale: float = 3.0) -> torch.Tensor:
    """A tensor whose rows are orthogonal, of this length, everything else flattened."""
    return scale * torch.linalg.qr(random(*shape).flatten(1).T)[0].T.reshape(shape)


@pytest.mark.parametrize("shape", [(3, 5), (5, 5), (40, 5)])
def test_resemblance_is_the_papers_formula(shape):
    matrix = random(*shape)
    gram = matrix.double().numpy() @ matrix.double().numpy().T
    expected = ((gram * (1 - np.eye(len(gram)))) ** 2).sum()
    assert off_diagonal_similarity(matrix).item() == pytest.approx(expected, rel=1e-4)


def test_resemblance_is_0_for_orthogonal_filters_of_any_length():
    layers = nn.Sequential(
        nn.Linear(7, 4), nn.Conv2d(2, 5, 3), nn.ConvTranspose2d(6, 4, 3), nn.BatchNorm2d(4)
    )
    layers[0].weight.data = orthogonal(4, 7)
    layers[1].weight.data = orthogonal(5, 2, 3, 3)
    layers[2].weight.data = orthogonal(4, 6, 3, 3).transpose(0, 1).contiguous()
    assert filter_similarity(layers).item() == pytest.approx(0, abs=1e-2)  # beside 4 * 3^4
    for layer in layers[:3]:
        kept = layer.weight.data
        layer.weight.data = random(*kept.shape)
        assert filter_similarity(layers) > 5
        layer.weight.data = kept


@pytest.mark.parametrize(
    ("of", "names"),
    [
        ("generator", {"generator_resemblance"}),
        ("discriminator", {"discriminator_resemblance"}),
        ("both", {"generator_resemblance", "discriminator_resemblance"}),
    ],
)
def test_orthogonal_regularization_acts_on_the_side_it_is_told_to(of, names):
    made = trainer("dcgan(width=4)", tricks=(f"orthogonal_regularization(of='{of}', weight=0.1)",))
    sides = {
        "generator": made.task.generators[IMAGE],
        "discriminator": made.task.discriminators[IMAGE],
    }
    before = {side: 0.1 * filter_similarity(network).item() for side, network in sides.items()}
    log = steps(made, 1)[0]
    assert {name for name in log if name.endswith("resemblance")} == names
    for name in names:
        assert log[name] == pytest.approx(before[name.removesuffix("_resemblance")], rel=1e-4)
        assert log[name] > 0


def test_orthogonal_regularization_teaches_filters_to_differ():
    made = trainer(tricks=("orthogonal_regularization(weight=100)",), generator_lr=1e-2)
    logs = steps(made, 5)
    assert logs[-1]["generator_resemblance"] < 0.5 * logs[0]["generator_resemblance"]


def test_orthogonal_regularization_leaves_spectral_norms_state_alone():
    both = ("spectral_norm", "orthogonal_regularization(of='discriminator', weight=1e-30)")
    plain, tricked = (trainer(tricks=tricks) for tricks in (both[:1], both))
    steps(plain, 2), steps(tricked, 2)
    ours, theirs = (made.task.discriminators.state_dict() for made in (plain, tricked))
    assert any(key.endswith("._u") for key in ours)
    assert same(ours, theirs)


# Minibatch standard deviation


@pytest.mark.parametrize(
    ("count", "group", "used"),
    [(8, 4, 4), (6, 4, 3), (12, 8, 6), (6, 3, 3), (7, 4, 7), (25, 4, 25)],
)
def test_variety_is_the_mean_deviation_of_a_group(count, group, used):
    features = random(count, 5)
    found = GroupStandardDeviation(group)(features).numpy()
    for begin in range(0, count, used):
        expected = features.numpy()[begin : begin + used].std(0).mean()
        np.testing.assert_allclose(found[begin : begin + used], expected, rtol=1e-3, atol=2e-4)


def test_copies_of_an_image_have_no_variety_and_a_finite_gradient():
    features = random(1, 5).expand(8, 5).clone().requires_grad_()
    variety = GroupStandardDeviation(4)(features)
    assert variety.abs().max() < 2e-4
    (gradient,) = torch.autograd.grad(variety.sum(), features, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), features)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_the_head_scores_variety_as_one_more_feature():
    judge = training_setup(tricks=("minibatch_std",)).task.discriminators[IMAGE]
    plain = training_setup().task.discriminators[IMAGE]
    assert isinstance(judge.head, AuxiliaryFeaturesHead)
    assert judge.head.head.linear.in_features == plain.head.linear.in_features + 1
    apart = random(BATCH, 1, 8, 8)
    copies = apart[:1].expand(BATCH, -1, -1, -1)
    assert (judge(copies)[0] - judge(apart)[0]).abs() > 1e-3
    torch.testing.assert_close(plain(copies)[0], plain(apart)[0])
    both = training_setup(tricks=("minibatch_std", "minibatch_discrimination(kernels=7)"))
    assert both.task.discriminators[IMAGE](apart).shape == (BATCH,)


def test_minibatch_std_objects_to_a_head_without_weights():
    with pytest.raises(Incompatible, match="minibatch_std adds features to a head"):
        training_setup("began(width=4, code=8)", tricks=("minibatch_std",), loss="wasserstein")


# Frequency separation


@pytest.mark.parametrize("kernel", [3, 5])
def test_bands_are_the_mean_of_each_neighbourhood_and_the_rest(kernel):
    x, reach = random(2, 2, 6, 7), kernel // 2
    seen = trick(f"frequency_separation(kernel={kernel})").transform_discriminator_input(x, "")
    assert seen.shape == (2, 4, 6, 7)
    low, high = seen.chunk(2, 1)
    torch.testing.assert_close(low + high, x)
    for i in range(6):
        for j in range(7):
            near = x[:, :, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            torch.testing.assert_close(low[:, :, i, j], near.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_constant_images_have_no_high_band():
    seen = trick("frequency_separation").transform_discriminator_input(
        torch.full((2, 1, 8, 8), 0.7), ""
    )
    torch.testing.assert_close(seen[:, 0], torch.full((2, 8, 8), 0.7))
    assert seen[:, 1].abs().max() < 1e-6


def test_bands_are_of_the_augmented_image_and_packed_image_by_image():
    names = ("frequency_separation", "pacgan", "diffaugment", "instance_noise")
    chain = TrickList({name: TRICKS.make(name) for name in names})
    assert chain.names == ("diffaugment", "instance_noise", "frequency_separation", "pacgan")
    x = split("digits").train[IMAGE].make_batch(torch.arange(6)).images
    packed = TrickList(
        {name: TRICKS.make(name) for name in names[:2]}
    ).transform_discriminator_input(x, "")
    assert packed.shape == (3, 4, 8, 8)
    bands = trick("frequency_separation").transform_discriminator_input(x, "")
    assert torch.equal(packed[:, :2], bands[0::2])
    assert torch.equal(packed[:, 2:], bands[1::2])
