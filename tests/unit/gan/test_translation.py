"""Translation: CycleGAN, CUT, restoration, unpaired data, the image pool, and their metrics."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as oracle
from helpers import CPU, split, steps, trainer, training_setup
from PIL import Image
from torch import nn
from torch.nn.functional import normalize
from trick_cases import (
    SINGLE_SETUPS,
    TINY_CYCLEGAN,
    TRICK_SPECS,
    assert_outcomes_of_table,
    every_trick,
    training_outcome,
)

from ganbench.data import DATA
from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.data.restyled_digits import RestyledDigits
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.gan.build import META_DEVICE, Incompatible, build_training
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.cut import info_nce
from ganbench.gan.tasks.inpainting import Inpainting
from ganbench.gan.tasks.super_resolution import SuperResolution
from ganbench.gan.tricks.image_pool import ImagePool
from ganbench.gan.variants import resolve_variant, variant_label
from ganbench.registry import SpecError
from ganbench.rng import RngStreams, StepContext


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def batches(data="restyled_digits", count=6):
    return {k: v.make_batch(torch.arange(count)) for k, v in split(data).train.items()}


# Networks


@pytest.mark.parametrize(("blocks", "count"), [(9, 11_378_179), (6, 7_837_699)])
def test_translator_has_published_size(blocks, count):
    """The authors' code prints 11.378 M for 9 blocks and 7.838 M for 6, with three channels."""
    with META_DEVICE:
        translator = NETWORKS.make(f"cyclegan(blocks={blocks})").build_translator(
            (3, 256, 256), (3, 256, 256)
        )
    assert parameter_count(translator) == count
    assert translator(torch.empty(1, 3, 256, 256, device=META_DEVICE)).shape == (1, 3, 256, 256)


def test_discriminator_has_published_size_and_map():
    """The 70x70 PatchGAN has 2.765 M parameters and maps 256x256 pixels to 30x30 scores."""
    with META_DEVICE:
        discriminator = NETWORKS.make("cyclegan").build_discriminator((3, 256, 256))
    assert parameter_count(discriminator) == 2_764_737
    assert discriminator(torch.empty(2, 3, 256, 256, device=META_DEVICE)).shape == (2, 30, 30)


@pytest.mark.parametrize(("strided", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_score_depends_on_published_patch(strided, patch):
    discriminator = NETWORKS.make(
        f"cyclegan(width=2, strided={strided}, norm='none')"
    ).build_discriminator((1, 128, 128))
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    middle = discriminator(x).shape[1] // 2
    (gradient,) = torch.autograd.grad(discriminator(x)[0, middle, middle], x)
    rows = gradient[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch


def test_srgan_enlarges_images_four_times():
    """SRResNet of 16 blocks and 64 channels has about 1.5 M parameters (Ledig et al., 2017, Fig. 4)."""
    with META_DEVICE:
        translator = NETWORKS.make("srgan").build_translator((3, 32, 32), (3, 128, 128))
    assert translator(torch.empty(2, 3, 32, 32, device=META_DEVICE)).shape == (2, 3, 128, 128)
    assert parameter_count(translator) == pytest.approx(1.55e6, rel=0.02)


@pytest.mark.parametrize("downs", [1, 2])
def test_too_deep_translator_names_the_remedy(downs):
    reason = NETWORKS.make(f"cyclegan(downs={downs}, strided=3)").incompatibility((1, 8, 8))
    assert "set downs and strided to less" in reason


# The cycle


def test_cycle_and_identity_terms_equal_formulas():
    task = training_setup(
        TINY_CYCLEGAN.replace("(", "(cycle=10, identity=0.5, "), "restyled_digits"
    ).task
    pairs = task.make_pairs(batches(), None)
    terms = list(task.generator_terms(pairs))
    generators, images = task.generators, {k: v.images for k, v in batches().items()}
    expected = [
        ("cycle", 10 * (generators["b"](generators["a"](images["b"])) - images["b"]).abs().mean()),
        ("identity", 5 * (generators["a"](images["a"]) - images["a"]).abs().mean()),
        ("cycle", 10 * (generators["a"](generators["b"](images["a"])) - images["a"]).abs().mean()),
        ("identity", 5 * (generators["b"](images["b"]) - images["b"]).abs().mean()),
    ]
    assert [name for name, _ in terms] == [name for name, _ in expected]
    for (_, term), (_, expected_term) in zip(terms, expected, strict=True):
        assert term.item() == pytest.approx(expected_term.item(), rel=1e-6)


def test_each_domain_has_its_own_discriminator():
    task = training_setup(TINY_CYCLEGAN, "restyled_digits").task
    pair_a, pair_b = task.make_pairs(batches(), None)
    assert (pair_a.name, pair_b.name) == ("a", "b")
    assert pair_a.discriminator is task.discriminators["a"]
    assert torch.equal(pair_a.source, batches()["b"].images)
    assert torch.equal(pair_a.real, pair_b.source)


def test_translations_keep_source_truth_and_way_back():
    task, sources = training_setup(TINY_CYCLEGAN, "restyled_digits").task, batches()
    fakes = task.sample(task.generators, sources, None)
    conditioning, returned = task.conditioning(sources), task.translate_back(task.generators, fakes)
    assert torch.equal(conditioning["b"].source, sources["a"].images)
    assert torch.equal(conditioning["b"].truth, sources["a"].truth)
    assert torch.equal(returned["b"], task.generators["a"](fakes["b"]))


def test_term_weights_match_papers():
    """CycleGAN: 10 to 1. CUT: 1 to 1. Least squares is half a squared distance."""
    score = torch.tensor([3.0])
    adversarial = (
        LOSSES.make(resolve_variant("cyclegan").loss).generator_loss(score, None) / (score - 1) ** 2
    )
    cycle, contrastive = (TASKS.make(resolve_variant(name).task) for name in ("cyclegan", "cut"))
    assert cycle.cycle / adversarial == 10
    assert contrastive.patches / adversarial == contrastive.identity / adversarial == 1


def test_zero_cycle_weight_gives_no_terms():
    task = training_setup(
        "cyclegan(width=4, blocks=1, downs=1, strided=1, cycle=0)", "restyled_digits"
    ).task
    assert list(task.generator_terms(task.make_pairs(batches(), None))) == []


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        (TINY_CYCLEGAN, "digits", "a cycle needs two domains, and the data have 1"),
        (
            "dcgan(width=4)",
            "restyled_digits",
            "this task needs one domain, and the data have a and b",
        ),
        ("srgan(width=4)", "restyled_digits", "restoration has one domain, not a and b"),
        ("srgan(width=4, factor=8)", "digits", "cannot be downsampled by a factor of 8"),
        ("inpainting(width=4, downs=1, strided=1, hole=0.01)", "digits", "is less than a pixel"),
    ],
)
def test_incompatible_data_is_rejected_with_reason(text, data, reason):
    with pytest.raises(Incompatible, match=reason):
        build_training(resolve_variant(text), DATA.make(data), RngStreams(0, META_DEVICE))


def test_variant_settings_reach_network_and_task():
    recipe = resolve_variant("cyclegan(width=8, cycle=7)")
    assert recipe.network == "cyclegan(width=8)"
    assert recipe.task == "cycle(cycle=7)"
    assert variant_label("cyclegan(identity=0, cycle=5, width=64)") == "cyclegan"
    with pytest.raises(SpecError, match="has no setting 'cycel'"):
        resolve_variant("cyclegan(cycel=5)")


# Patches


def test_info_nce_equals_cross_entropy_of_patches():
    """InfoNCE written out, vector by vector."""
    queries, keys = (
        normalize(torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(s)), dim=-1)
        for s in (0, 1)
    )
    expected = []
    for image, others in zip(queries, keys, strict=True):
        for place, vector in enumerate(image):
            similarity = torch.exp(torch.stack([vector @ other for other in others]) / 0.07)
            expected.append(-torch.log(similarity[place] / similarity.sum()))
    assert info_nce(queries, keys).item() == pytest.approx(
        torch.stack(expected).mean().item(), rel=1e-5
    )


def test_patch_loss_is_lower_for_own_source():
    task = training_setup(f"cut{TINY_CYCLEGAN[8:]}", "restyled_digits").task
    x = batches()["a"].images
    assert task.patch_loss(x, x) < task.patch_loss(x, x.flip(0))


def test_translator_and_heads_learn_from_patches():
    task = training_setup(f"cut{TINY_CYCLEGAN[8:]}", "restyled_digits").task
    terms = dict(task.generator_terms(task.make_pairs(batches(), None)))
    assert set(terms) == {"patches", "identity"}
    terms["patches"].backward()
    has_gradient = [
        p.grad is not None and bool(p.grad.any()) for p in task.generators["patches"].parameters()
    ]
    assert all(has_gradient)
    encoder_gradient = task.generators["b"][1].weight.grad
    assert encoder_gradient is not None
    assert encoder_gradient.any()


# The pool


def numbers_from_pool(size, batch, count):
    """Returns the numbers that a pool puts out for the inputs 0, 1, 2, ... in batches."""
    pair = training_setup(TINY_CYCLEGAN, "restyled_digits", batch=batch).task.make_pairs(
        batches(count=batch), None
    )[1]
    pool = ImagePool(size)
    setup = training_setup(
        TINY_CYCLEGAN, "restyled_digits", tricks=(f"image_pool(size={size})",), batch=batch
    )
    pool = next(iter(setup.trick))
    streams, returned = RngStreams(0, CPU), []
    for step in range(count // batch):
        pool.begin_step(StepContext(streams, step, 0, 0.0))
        numbers = torch.arange(step * batch, (step + 1) * batch, dtype=torch.float32)
        fake = numbers[:, None, None, None].expand(-1, 1, 8, 8)
        returned += pool.transform_pair(replace(pair, fake=fake)).fake[:, 0, 0, 0].int().tolist()
    return returned


@pytest.mark.parametrize("batch", [1, 4])
def test_pool_returns_each_old_image_once(batch):
    returned = numbers_from_pool(size=20, batch=batch, count=4000)
    assert returned[:20] == list(range(20))  # while it fills
    is_older = [number < place - place % batch for place, number in enumerate(returned)][20:]
    assert np.mean(is_older) == pytest.approx(0.5, abs=4 * 0.5 / len(is_older) ** 0.5)
    repeated = [number for number in returned if returned.count(number) > 1]
    assert set(repeated) <= set(range(4000))
    assert max(returned.count(number) for number in set(returned)) == 2  # on entry and on exit
    first_time = [number for place, number in enumerate(returned) if number == place]
    assert len(first_time) + sum(is_older) == 4000


def test_pool_smaller_than_batch_is_rejected():
    with pytest.raises(Incompatible, match="a pool of 4 images cannot hold a batch of 8"):
        training_setup(TINY_CYCLEGAN, "restyled_digits", tricks=("image_pool(size=4)",))


# Restoration


def test_downsampling_takes_means_of_blocks():
    x = torch.rand(2, 1, 8, 8)
    small = SuperResolution(factor=2).damage(x)
    assert small.shape == (2, 1, 4, 4)
    assert torch.allclose(small[0, 0, 1, 2], x[0, 0, 2:4, 4:6].mean())


def test_inpainting_keeps_pixels_outside_central_hole():
    task = Inpainting(hole=0.5)
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    damaged = task.damage(x)
    assert damaged[:, 1].sum() == 3 * 16
    assert damaged[:, 1, 2:6, 2:6].all()
    restored = task.make_restorer(nn.Conv2d(2, 1, 1))(damaged)
    outside = damaged[:, -1:] == 0
    assert torch.equal(restored[outside], x[outside])
    assert not torch.equal(restored[~outside], x[~outside])


def test_content_of_inpainting_is_the_mean_over_the_hole():
    """Published: the error is that of the missing pixels, so it does not depend on the hole's share."""
    task = Inpainting(hole=0.5, content=999)
    real = torch.zeros(2, 1, 8, 8)
    fake = real.clone()
    fake[..., 2:6, 2:6] = 3.0
    assert task.content_error(fake, real).item() == 9


@pytest.mark.parametrize(
    "text",
    ["srgan(width=4, blocks=1, factor=2)", "inpainting(width=4, blocks=1, downs=1, strided=1)"],
)
def test_restoration_lowers_content_loss(text):
    logs = steps(trainer(text, generator_lr=2e-3, budget=None, batch=16), 8)
    assert logs[-1]["content"] < logs[0]["content"]


# Data


def test_restyled_digits_have_stated_fingerprint():
    stated = "ccf6b3a156fe46e99c9a716ec7075ba655e5b0f4eb64c57919b7641eae1c47c3"
    assert split("restyled_digits").fingerprint() == stated


@pytest.mark.parametrize("inverted", [True, False])
def test_restyled_digits_have_truth_in_both_directions(inverted):
    data = RestyledDigits(inverted=inverted)
    loaded, restyled = data.load(), data.restyle
    for side in (loaded.train, loaded.held_out):
        assert torch.equal(side["a"].truth, restyled(side["a"].images))
        assert torch.equal(side["b"].images, restyled(side["b"].truth))
    paper, ink = (restyled(torch.full((1, 1, 1, 8), x, dtype=torch.uint8)) for x in (0, 255))
    assert paper[0, 0, 0, [0, -1]].tolist() == ([255, 145] if inverted else [0, 110])
    assert ink.unique().tolist() == ([0] if inverted else [255])


def test_training_domains_share_no_digit():
    train = split("restyled_digits").train
    digits_a, digits_b = (
        {x.numpy().tobytes() for x in side} for side in (train["a"].images, train["b"].truth)
    )
    digits = split("digits").train[IMAGE].images
    assert len(train["a"]) + len(train["b"]) == len(digits)
    duplicates = len(digits) - len({x.numpy().tobytes() for x in digits})
    assert len(digits_a & digits_b) <= duplicates


@pytest.fixture
def unpaired_folders(tmp_path):
    """Creates folders of noise images in CycleGAN's layout."""
    random = np.random.default_rng(0)
    for part, count in (("train", 10), ("test", 5)):
        for domain in "AB":
            (tmp_path / f"{part}{domain}").mkdir()
            for number in range(count):
                pixels = random.integers(256, size=(20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"{part}{domain}" / f"{number}.png")
    return tmp_path


def test_unpaired_folders_form_two_domains(unpaired_folders):
    data = DATA.make(f"unpaired(path={str(unpaired_folders)!r}, size=16)")
    loaded = data.load()
    assert data.shapes == {"a": (3, 16, 16), "b": (3, 16, 16)}
    assert [len(side[domain]) for side in (loaded.train, loaded.held_out) for domain in "ab"] == [
        10,
        10,
        5,
        5,
    ]
    assert loaded.train["a"].images.shape == (10, 3, 16, 16)


def test_missing_or_empty_folder_is_named(unpaired_folders):
    for path in (unpaired_folders / "testB").iterdir():
        path.unlink()
    with pytest.raises(NotDownloaded, match="testB holds no images: it is empty"):
        DATA.make(f"unpaired(path={str(unpaired_folders)!r})").load()
    (unpaired_folders / "testB").rmdir()
    with pytest.raises(NotDownloaded, match=r"there is no folder .*testB"):
        DATA.make(f"unpaired(path={str(unpaired_folders)!r})").load()


# Metrics


def translated_noise(count=12, side=16):
    """Returns noise as translated samples with sources, truths and reconstructions."""
    random = torch.Generator().manual_seed(0)
    images = [
        torch.randint(256, (count, 3, side, side), generator=random, dtype=torch.uint8)
        for _ in range(4)
    ]
    fake = FeatureSet(torch.randn(count, 4, generator=random), None, images[0])
    fake.truth, fake.source, fake.returned = images[1:]
    return fake


def test_psnr_and_ssim_equal_torchmetrics():
    fake = translated_noise()
    images, truth = fake.images.double(), fake.truth.double()
    psnr = oracle.peak_signal_noise_ratio(
        images, truth, data_range=255.0, dim=(1, 2, 3), reduction="none"
    )
    ssim = oracle.structural_similarity_index_measure(images, truth, data_range=255.0)
    assert METRICS.make("psnr")(fake, fake).value == pytest.approx(float(psnr.mean()), rel=1e-6)
    assert METRICS.make("ssim")(fake, fake).value == pytest.approx(float(ssim), rel=1e-4)


def test_perfect_translation_has_no_error_finite_psnr():
    fake = translated_noise()
    fake.images = fake.truth
    assert METRICS.make("translation_error")(fake, fake).value == 0
    assert METRICS.make("ssim")(fake, fake).value == pytest.approx(1)
    assert METRICS.make("psnr")(fake, fake).value == pytest.approx(10 * np.log10(12 * 255**2))


def test_errors_are_mean_absolute_differences():
    fake = translated_noise()
    differences = (fake.images.double() - fake.truth.double()).abs().mean((1, 2, 3)) / 255
    reading = METRICS.make("translation_error")(fake, fake)
    assert reading.value == pytest.approx(float(differences.mean()))
    assert reading.standard_error == pytest.approx(float(differences.std() / len(fake) ** 0.5))
    back = (fake.returned.double() - fake.source.double()).abs().mean() / 255
    assert METRICS.make("cycle_error")(fake, fake).value == pytest.approx(float(back))


def test_backward_measures_the_other_direction():
    fake, real = translated_noise(), translated_noise()
    fake_back, real_back = FeatureSet(2 * fake.features), FeatureSet(fake.features + 1)
    fake.back, real.back = fake_back, real_back
    assert METRICS.make("backward(of='fid')")(fake, real) == METRICS.make("fid")(
        fake_back, real_back
    )
    assert METRICS.make("backward(of='recall(k=5)')").direction == "higher"
    with pytest.raises(SpecError, match="no third way of translation"):
        METRICS.make("""backward(of="backward(of='fid')")""")


# Tricks


@every_trick
@pytest.mark.parametrize(("text", "data", "losses"), SINGLE_SETUPS[4:])
def test_trick_trains_in_the_translation_tasks_of_the_table(name, text, data, losses):
    assert_outcomes_of_table(name, text, data, losses)


def test_common_tricks_train_in_cycle_task():
    outcomes = {
        name: training_outcome(
            TINY_CYCLEGAN, "restyled_digits", (TRICK_SPECS[name],), "non_saturating"
        )
        for name in ("label_flipping", "minibatch_std", "pacgan", "r1", "top_k", "unrolled")
    }
    assert set(outcomes.values()) == {"trained"}


# End to end

SUITE = """
schema = 1
name = "translate"
data = ["restyled_digits"]
metrics = ["fid", "backward(of='fid')", "translation_error", "cycle_error", "ssim", "is"]
seeds = 1
points = 1
[[grid]]
variants = ["cyclegan(width=4, blocks=1, downs=1, strided=1)"]
plan = { batch = 8 }
[[grid]]
data = ["digits"]
variants = ["srgan(width=4, blocks=1, factor=2)"]
plan = { batch = 8 }
[budget.cpu]
images = 160
"""


def test_translation_suite_measures_both_directions(ganbench, tmp_path):
    (tmp_path / "translate.toml").write_text(SUITE)
    code, _, err = ganbench("run", "translate.toml", "--workers", "0")
    assert code == 0, err
    code, out, _ = ganbench("show", "translate", "cyclegan", "--json")
    for trial in json.loads(out):
        readings = {row["metric"]: row for row in trial["metrics"]}
        for metric in ("fid", "backward", "translation_error", "cycle_error", "ssim"):
            assert readings[metric]["value"] is not None, readings[metric]
    _, out, _ = ganbench("show", "translate", "srgan", "--json")
    readings = {row["metric"]: row for row in json.loads(out)[0]["metrics"]}
    assert readings["translation_error"]["value"] > 0
    assert "no inverse translation" in readings["cycle_error"]["reason"]
    assert "two domains" in readings["backward"]["reason"]
