"""Data sets: their content, their splits, and their batches."""

import hashlib
from math import sqrt

import numpy as np
import pytest
import torch
from helpers import CPU, split
from sklearn.datasets import load_digits

from ganbench.data import DATA
from ganbench.data.base import IMAGE, BatchLoader, Examples, NotDownloaded, to_uint8, to_unit_range
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import extract_features
from ganbench.evaluation.metrics import METRICS
from ganbench.registry import SpecError
from ganbench.rng import RngStreams

UNKNOWN_FINGERPRINT = ""  # not downloaded yet: then enter the value that the test shows
GOLDEN = {  # (training, held-out examples, fingerprint) identify a data set
    "captioned_digits": (
        *(8_000, 2_000),
        "7573e6c7e93948bc2e7a9d79e4c26f1cadf7d489ae1e5e0f171c23a0a43dbb62",
    ),
    "captioned_moving_digits": (
        *(8_000, 2_000),
        "274adb8baec934cd18412109662a820523bfa7d2336bc86c9c52db9d93f7285b",
    ),
    "celeba": (162_770, 19_962, UNKNOWN_FINGERPRINT),
    "cifar10": (50_000, 10_000, UNKNOWN_FINGERPRINT),
    "cifar100": (50_000, 10_000, UNKNOWN_FINGERPRINT),
    "digits": (1197, 600, "4e56a5321cb2ca6e182395029a64e44d9af1410c5b70e457b085d4b1847bb0b5"),
    "fashion_mnist": (
        *(60_000, 10_000),
        "a06343268ac7c6880300457a2914b1274beefce91dfad06fd8b0ebaa3de1be2f",
    ),
    "grid": (100_000, 2_500, "02ded03b9b00da9aaf95c3f97ad857ce43b6b1e46c4d2294a97e6be531a3a4f7"),
    "mnist": (60_000, 10_000, UNKNOWN_FINGERPRINT),
    "moving_digits": (
        *(8_000, 2_000),
        "8182ded5eab51205e2afe00cb601c4a85e8548b7d187f5b438b0dec7bce7da54",
    ),
    "ring": (100_000, 2_500, "8bbb7f6af9418ef5766bb3057085ed125f46aa71907d470b4cd921d875b06e10"),
    "stacked_digits": (
        *(50_000, 10_000),
        "9e546465d69a1ad05bee29799e2871cfbf35a9e65ae1cdd5c5d15c838cdfb193",
    ),
    "stacked_mnist": (128_000, 26_000, UNKNOWN_FINGERPRINT),
    "stl10": (5_000, 8_000, UNKNOWN_FINGERPRINT),
    "svhn": (73_257, 26_032, UNKNOWN_FINGERPRINT),
}
every_data = pytest.mark.parametrize("name", GOLDEN)


def test_every_data_set_is_tested():
    # Files of their own test folders of images and clips, and sets of two domains.
    others = {
        "captioned_folder",
        "clip_folder",
        "folder",
        "moving_mnist",
        "paired",
        "restyled_digits",
        "restyled_motion",
        "unpaired",
    }
    assert set(GOLDEN) == {*DATA.entries} - others


@pytest.fixture(autouse=True)
def skip_missing_data(request):
    """Skips data sets that are not downloaded."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name:
        try:
            split(name)
        except NotDownloaded as missing:
            pytest.skip(str(missing))


def all_examples(name):
    split_data = split(name)
    return [
        examples for side in (split_data.train, split_data.held_out) for examples in side.values()
    ]


@every_data
def test_data_set_matches_its_fingerprint(name):
    train, held_out, fingerprint = GOLDEN[name]
    again = DATA.make(name).load()
    assert [len(side[IMAGE]) for side in (again.train, again.held_out)] == [train, held_out]
    assert split(name).fingerprint() == again.fingerprint()
    assert again.fingerprint() == (fingerprint or again.fingerprint())


@every_data
def test_examples_have_the_declared_shape(name):
    data = DATA.make(name)
    for domain, shape in data.shapes.items():
        for examples in (split(name).train[domain], split(name).held_out[domain]):
            assert examples.images.shape[1:] == shape
            assert examples.images.dtype == (torch.uint8 if len(shape) > 1 else torch.float32)
            assert (examples.labels is None) == (data.classes == 0)
            if examples.labels is not None:
                assert examples.labels.dtype == torch.int64
                assert examples.labels.shape == (len(examples),)
                assert set(examples.labels.tolist()) <= set(range(data.classes))
                if not data.captions:
                    assert examples.labels.unique().tolist() == list(range(data.classes))


@every_data
def test_splits_share_no_example(name):
    train, held_out = (
        {row.tobytes() for row in side.images.numpy()} for side in all_examples(name)
    )
    assert not train & held_out


@every_data
def test_fingerprint_depends_on_every_byte(name):
    changed = DATA.make(name).load()
    before = changed.fingerprint()
    changed.held_out[IMAGE].images[-1].view(-1)[-1] += 1
    assert changed.fingerprint() != before


@pytest.mark.parametrize("side", [8, 16])
def test_smaller_fashion_mnist_has_the_means_of_blocks(side):
    """Compares with NumPy, to the half level of rounding."""
    try:
        whole = split("fashion_mnist").held_out[IMAGE]
    except NotDownloaded as missing:
        pytest.skip(str(missing))
    data = DATA.make(f"fashion_mnist(size={side})")
    small, block = data.load().held_out[IMAGE], 32 // side
    blocks = whole.images.numpy().reshape(-1, side, block, side, block).mean((2, 4))
    assert data.shapes == {IMAGE: (1, side, side)}
    assert np.abs(small.images[:, 0].numpy() - blocks).max() <= 0.5
    assert torch.equal(small.labels, whole.labels)


def test_fashion_mnist_has_three_sizes():
    with pytest.raises(SpecError, match="size must be 8, 16 or 32, not 64"):
        DATA.make("fashion_mnist(size=64)")


def test_digits_are_stratified():
    shares = [side.labels.bincount() / len(side) for side in all_examples("digits")]
    assert (shares[0] - shares[1]).abs().max() < 1 / 600


def test_digits_equal_scikit_learn_pixels():
    pixels = np.concatenate(
        [side.images.numpy().reshape(-1, 64) for side in all_examples("digits")]
    )
    levels = np.round(pixels / 255 * 16)
    assert (np.round(levels * 255 / 16) == pixels).all()
    assert sorted(map(tuple, levels)) == sorted(map(tuple, load_digits().data))


@every_data
def test_images_survive_conversion_to_unit_range(name):
    images = all_examples(name)[0].images[:500]
    assert torch.equal(to_uint8(to_unit_range(images)), images)


def test_bytes_map_to_unit_range_and_back():
    all_bytes = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert (to_unit_range(all_bytes).min(), to_unit_range(all_bytes).max()) == (-1, 1)
    assert torch.equal(to_uint8(to_unit_range(all_bytes)), all_bytes)
    others = torch.tensor([-3.0, -1.0, -0.9961, -0.0001, 0.0041, 1.0, 7.0]).view(1, 1, 1, 7)
    assert to_uint8(others).flatten().tolist() == [0, 0, 0, 127, 128, 255, 255]


def test_ring_matches_its_mixture():
    ring = split("ring")
    centres = ring.mixture.centres.double().numpy()
    angles = 2 * np.pi * np.arange(8) / 8
    np.testing.assert_allclose(centres, np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-7)
    for side in all_examples("ring"):
        points, count = side.images.double().numpy(), len(side)
        distances = np.linalg.norm(points[:, None] - centres, axis=2)
        share = (distances.min(1) <= 3 * 0.01).mean()
        # 0.98889, the share of an isotropic Gaussian within three deviations
        ideal = 1 - np.exp(-4.5)
        assert abs(share - ideal) < 4 * sqrt(ideal * (1 - ideal) / count)
        modes = np.bincount(distances.argmin(1), minlength=8)
        assert (abs(modes - count / 8) < 5 * sqrt(count * 7 / 64)).all()
        assert (points - centres[distances.argmin(1)]).std() == pytest.approx(0.01, rel=0.03)


def test_ring_refuses_impossible_settings():
    ring = DATA.make("ring(modes=3, radius=2.0, std=0.1)").load()
    assert ring.mixture.centres.shape == (3, 2)
    assert ring.mixture.centres.norm(dim=1).tolist() == pytest.approx([2, 2, 2])
    for invalid in ("ring(modes=0)", "ring(std=0)", "ring(std=-1)"):
        with pytest.raises(ValueError, match="at least one mode"):
            DATA.make(invalid)


def test_stack_channels_spell_the_label():
    digits, stacks = split("digits"), split("stacked_digits")
    for side in ("train", "held_out"):
        digit_side, stack_side = getattr(digits, side)[IMAGE], getattr(stacks, side)[IMAGE]
        label = dict(
            zip(map(image_bytes, digit_side.images[:, 0]), digit_side.labels.tolist(), strict=True)
        )
        for stack, number in zip(
            stack_side.images[:500], stack_side.labels[:500].tolist(), strict=True
        ):
            assert [label[image_bytes(channel)] for channel in stack] == list(
                map(int, f"{number:03}")
            )


def image_bytes(image):
    return image.numpy().tobytes()


def test_stack_modes_are_equally_frequent():
    for side in all_examples("stacked_digits"):
        counts, fair = side.labels.bincount(minlength=1000), len(side) / 1000
        assert ((counts - fair).abs() < 6 * sqrt(fair)).all()
        assert counts.double().var() < 2 * fair


def test_held_out_stacks_reach_every_mode():
    """With N fakes and M reals a perfect sampler of K modes scores (K - 1) / 2 (1/N + 1/M)."""
    data, stacks = DATA.make("stacked_digits"), split("stacked_digits")
    extractor = EXTRACTORS.make(data.extractor)
    fake = extract_features(extractor, stacks.held_out[IMAGE].images)
    real = extract_features(extractor, stacks.train[IMAGE].images[: data.reference])
    assert METRICS.make("modes")(fake, real).value == 1000
    bias = 999 / 2 * (1 / len(fake) + 1 / len(real))
    assert METRICS.make("reverse_kl")(fake, real).value == pytest.approx(bias, rel=0.1)
    collapsed = extract_features(extractor, stacks.held_out[IMAGE].images[:1].repeat(500, 1, 1, 1))
    assert METRICS.make("modes")(collapsed, real).value == 1
    assert METRICS.make("reverse_kl")(collapsed, real).value == pytest.approx(
        np.log(1000), rel=0.05
    )


def batch_loader(count=10, size=4, seed=0):
    examples = Examples(
        torch.arange(count, dtype=torch.float32)[:, None].repeat(1, 2), torch.arange(count)
    )
    return BatchLoader({IMAGE: examples}, size, RngStreams(seed, CPU))


def test_epoch_contains_every_example_once():
    loader, epochs = batch_loader(), []
    indices = torch.cat([loader.batches(n)[IMAGE].index for n in range(10)]).view(4, 10)
    for epoch in indices:
        assert sorted(epoch.tolist()) == list(range(10))
        epochs.append(tuple(epoch.tolist()))
    assert len(set(epochs)) == 4  # in another order


def test_batch_is_independent_of_earlier_batches():
    in_order = [batch_loader().batches(n)[IMAGE].index.tolist() for n in range(8)]
    loader = batch_loader()
    for n in (7, 0, 3, 3, 6, 1, 7, 2, 5, 4):
        assert loader.batches(n)[IMAGE].index.tolist() == in_order[n]
    assert batch_loader(seed=1).batches(0)[IMAGE].index.tolist() != in_order[0]


def test_batch_carries_images_labels_and_index():
    batch = batch_loader().batches(5)[IMAGE]
    assert torch.equal(batch.labels, batch.index)
    assert torch.equal(batch.images[:, 0].long(), batch.index)


def test_batch_may_exceed_the_data():
    indices = batch_loader(count=3, size=7).batches(0)[IMAGE].index.tolist()
    assert sorted(indices[:3]) == sorted(indices[3:6]) == [0, 1, 2]


@every_data
def test_real_batch_matches_network_input(name):
    batch = BatchLoader(split(name).train, 16, RngStreams(0, CPU)).batches(3)[IMAGE]
    assert batch.images.shape == (16, *DATA.make(name).shapes[IMAGE])
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images, to_unit_range(split(name).train[IMAGE].images[batch.index]))


def test_seeds_derive_from_sha256():
    expected = int.from_bytes(hashlib.sha256(b'[7, "data", "image", 0]').digest()[:8], "big") >> 1
    assert RngStreams(7, CPU).derive_seed("data", "image", 0) == expected


def test_seeded_draws_keep_global_state():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with RngStreams(0, CPU).seeded_globally("x"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with RngStreams(0, CPU).seeded_globally("x"):
        assert torch.equal(torch.rand(3), inside)
