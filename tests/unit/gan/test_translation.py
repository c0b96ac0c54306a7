"""Translation: CycleGAN's game and networks, restoration, unpaired data, the image pool, and their metrics."""

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
from trick_cases import TRICK, every_trick, trains_or_objects

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

TINY = "cyclegan(width=4, blocks=1, downs=1, strided=1)"


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def batches(data="restyled_digits", count=6):
    return {k: v.make_batch(torch.arange(count)) for k, v in split(data).train.items()}


# Networks


@pytest.mark.parametrize(("blocks", "count"), [(9, 11_378_179), (6, 7_837_699)])
def test_a_translator_has_the_published_size(blocks, count):
    """The authors' code prints 11.378 M for 9 blocks and 7.838 M for 6, of three channels."""
    with META_DEVICE:
        made = NETWORKS.make(f"cyclegan(blocks={blocks})").build_translator(
            (3, 256, 256), (3, 256, 256)
        )
    assert parameters(made) == count
    assert made(torch.empty(1, 3, 256, 256, device=META_DEVICE)).shape == (1, 3, 256, 256)


def test_a_discriminator_has_the_published_size_and_map():
    """Their 70x70 PatchGAN has 2.765 M parameters and makes 30x30 scores of 256x256 pixels."""
    with META_DEVICE:
        made = NETWORKS.make("cyclegan").build_discriminator((3, 256, 256))
    assert parameters(made) == 2_764_737
    assert made(torch.empty(2, 3, 256, 256, device=META_DEVICE)).shape == (2, 30, 30)


@pytest.mark.parametrize(("strided", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_the_published_patch(strided, patch):
    judge = NETWORKS.make(f"cyclegan(width=2, strided={strided}, norm='none')").build_discriminator(
        (1, 128, 128)
    )
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    middle = judge(x).shape[1] // 2
    (slope,) = torch.autograd.grad(judge(x)[0, middle, middle], x)
    rows = slope[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch


def test_srgan_makes_images_four_times_as_large():
    """SRResNet of 16 blocks and 64 channels has about 1.5 M parameters (Ledig et al., 2017, Fig. 4)."""
    with META_DEVICE:
        made = NETWORKS.make("srgan").build_translator((3, 32, 32), (3, 128, 128))
    assert made(torch.empty(2, 3, 32, 32, device=META_DEVICE)).shape == (2, 3, 128, 128)
    assert parameters(made) == pytest.approx(1.55e6, rel=0.02)


@pytest.mark.parametrize("downs", [1, 2])
def test_a_translator_that_is_too_deep_says_what_to_do(downs):
    why = NETWORKS.make(f"cyclegan(downs={downs}, strided=3)").incompatibility((1, 8, 8))
    assert "set downs and strided to less" in why


# The cycle


def test_a_cycle_owes_what_comes_back_changed_and_what_should_not_have_changed():
    task = training_setup(TINY.replace("(", "(cycle=10, identity=0.5, "), "restyled_digits").task
    pairs = task.make_pairs(batches(), None)
    terms = list(task.generator_terms(pairs))
    to, images = task.generators, {k: v.images for k, v in batches().items()}
    expected = [
        ("cycle", 10 * (to["b"](to["a"](images["b"])) - images["b"]).abs().mean()),
        ("identity", 5 * (to["a"](images["a"]) - images["a"]).abs().mean()),
        ("cycle", 10 * (to["a"](to["b"](images["a"])) - images["a"]).abs().mean()),
        ("identity", 5 * (to["b"](images["b"]) - images["b"]).abs().mean()),
    ]
    assert [name for name, _ in terms] == [name for name, _ in expected]
    for (_, term), (_, wanted) in zip(terms, expected, strict=True):
        assert term.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_each_domain_is_judged_by_its_own_discriminator():
    task = training_setup(TINY, "restyled_digits").task
    one, other = task.make_pairs(batches(), None)
    assert (one.name, other.name) == ("a", "b")
    assert one.discriminator is task.discriminators["a"]
    assert torch.equal(one.source, batches()["b"].images)
    assert torch.equal(one.real, other.source)


def test_fakes_know_their_source_their_truth_and_their_way_back():
    task, sources = training_setup(TINY, "restyled_digits").task, batches()
    fakes = task.sample(task.generators, sources, None)
    asked, returned = task.conditioning(sources), task.translate_back(task.generators, fakes)
    assert torch.equal(asked["b"].source, sources["a"].images)
    assert torch.equal(asked["b"].truth, sources["a"].truth)
    assert torch.equal(returned["b"], task.generators["a"](fakes["b"]))


def test_weights_are_the_papers_beside_its_squared_distance_of_scores():
    """CycleGAN: 10 to 1. CUT: 1 to 1. Least squares is half a squared distance."""
    score = torch.tensor([3.0])
    adversarial = (
        LOSSES.make(resolve_variant("cyclegan").loss).generator_loss(score, None) / (score - 1) ** 2
    )
    cycle, contrastive = (TASKS.make(resolve_variant(name).task) for name in ("cyclegan", "cut"))
    assert cycle.cycle / adversarial == 10
    assert contrastive.patches / adversarial == contrastive.identity / adversarial == 1


def test_without_a_cycle_weight_there_is_no_term():
    task = training_setup(
        "cyclegan(width=4, blocks=1, downs=1, strided=1, cycle=0)", "restyled_digits"
    ).task
    assert list(task.generator_terms(task.make_pairs(batches(), None))) == []


@pytest.mark.parametrize(
    ("text", "data", "why"),
    [
        (TINY, "digits", "a cycle needs two domains, and the data have 1"),
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
def test_what_has_no_meaning_is_told_in_a_sentence(text, data, why):
    with pytest.raises(Incompatible, match=why):
        build_training(resolve_variant(text), DATA.make(data), RngStreams(0, META_DEVICE))


def test_settings_of_a_variant_reach_its_network_and_its_game():
    recipe = resolve_variant("cyclegan(width=8, cycle=7)")
    assert recipe.network == "cyclegan(width=8)"
    assert recipe.task == "cycle(cycle=7)"
    assert variant_label("cyclegan(identity=0, cycle=5, width=64)") == "cyclegan"
    with pytest.raises(SpecError, match="has no setting 'cycel'"):
        resolve_variant("cyclegan(cycel=5)")


# Patches


def test_patches_are_told_by_cross_entropy_among_those_of_their_image():
    """InfoNCE written out, vector by vector."""
    asked, known = (
        normalize(torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(s)), dim=-1)
        for s in (0, 1)
    )
    expected = []
    for image, others in zip(asked, known, strict=True):
        for place, vector in enumerate(image):
            alike = torch.exp(torch.stack([vector @ other for other in others]) / 0.07)
            expected.append(-torch.log(alike[place] / alike.sum()))
    assert info_nce(asked, known).item() == pytest.approx(
        torch.stack(expected).mean().item(), rel=1e-5
    )


def test_a_fake_that_is_its_source_is_told_better_than_another_image():
    task = training_setup(f"cut{TINY[8:]}", "restyled_digits").task
    x = batches()["a"].images
    assert task.patch_loss(x, x) < task.patch_loss(x, x.flip(0))


def test_both_the_translator_and_the_heads_learn_from_patches():
    task = training_setup(f"cut{TINY[8:]}", "restyled_digits").task
    terms = dict(task.generator_terms(task.make_pairs(batches(), None)))
    assert set(terms) == {"patches", "identity"}
    terms["patches"].backward()
    learned = [
        p.grad is not None and bool(p.grad.any()) for p in task.generators["patches"].parameters()
    ]
    assert all(learned)
    encoder = task.generators["b"][1].weight.grad
    assert encoder is not None
    assert encoder.any()


# The pool


def shown_by(size, batch, count):
    """Numbers that a pool shows when it is given 0, 1, 2, ... in batches."""
    pair = training_setup(TINY, "restyled_digits", batch=batch).task.make_pairs(
        batches(count=batch), None
    )[1]
    pool = ImagePool(size)
    built = training_setup(
        TINY, "restyled_digits", tricks=(f"image_pool(size={size})",), batch=batch
    )
    pool = next(iter(built.trick))
    streams, shown = RngStreams(0, CPU), []
    for step in range(count // batch):
        pool.begin_step(StepContext(streams, step, 0, 0.0))
        numbers = torch.arange(step * batch, (step + 1) * batch, dtype=torch.float32)
        fake = numbers[:, None, None, None].expand(-1, 1, 8, 8)
        shown += pool.transform_pair(replace(pair, fake=fake)).fake[:, 0, 0, 0].int().tolist()
    return shown


@pytest.mark.parametrize("batch", [1, 4])
def test_a_pool_shows_half_old_fakes_each_once_and_none_twice(batch):
    shown = shown_by(size=20, batch=batch, count=4000)
    assert shown[:20] == list(range(20))  # while it fills
    older = [number < place - place % batch for place, number in enumerate(shown)][20:]
    assert np.mean(older) == pytest.approx(0.5, abs=4 * 0.5 / len(older) ** 0.5)
    again = [number for number in shown if shown.count(number) > 1]
    assert set(again) <= set(range(4000))
    assert max(shown.count(number) for number in set(shown)) == 2  # when it came, and when it left
    first_time = [n for p, n in enumerate(shown) if n == p]
    assert len(first_time) + sum(older) == 4000


def test_a_pool_that_cannot_hold_a_batch_objects():
    with pytest.raises(Incompatible, match="a pool of 4 images cannot hold a batch of 8"):
        training_setup(TINY, "restyled_digits", tricks=("image_pool(size=4)",))


# Restoration


def test_small_images_are_means_of_squares():
    x = torch.rand(2, 1, 8, 8)
    small = SuperResolution(factor=2).damage(x)
    assert small.shape == (2, 1, 4, 4)
    assert torch.allclose(small[0, 0, 1, 2], x[0, 0, 2:4, 4:6].mean())


def test_a_hole_is_in_the_middle_and_what_is_known_stays():
    task = Inpainting(hole=0.5)
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    damaged = task.damage(x)
    assert damaged[:, 1].sum() == 3 * 16
    assert damaged[:, 1, 2:6, 2:6].all()
    restored = task.make_restorer(nn.Conv2d(2, 1, 1))(damaged)
    known = damaged[:, -1:] == 0
    assert torch.equal(restored[known], x[known])
    assert not torch.equal(restored[~known], x[~known])


@pytest.mark.parametrize(
    "text",
    ["srgan(width=4, blocks=1, factor=2)", "inpainting(width=4, blocks=1, downs=1, strided=1)"],
)
def test_restoration_learns_the_content_it_is_asked_for(text):
    logs = steps(trainer(text, generator_lr=2e-3, budget=None, batch=16), 8)
    assert logs[-1]["content"] < logs[0]["content"]


# Data


def test_restyled_digits_are_the_ones_that_are_stated():
    stated = "ccf6b3a156fe46e99c9a716ec7075ba655e5b0f4eb64c57919b7641eae1c47c3"
    assert split("restyled_digits").fingerprint() == stated


@pytest.mark.parametrize("inverted", [True, False])
def test_the_answer_of_restyled_digits_is_known_both_ways(inverted):
    data = RestyledDigits(inverted=inverted)
    found, restyled = data.load(), data.restyle
    for side in (found.train, found.held_out):
        assert torch.equal(side["a"].truth, restyled(side["a"].images))
        assert torch.equal(side["b"].images, restyled(side["b"].truth))
    paper, ink = (restyled(torch.full((1, 1, 1, 8), x, dtype=torch.uint8)) for x in (0, 255))
    assert paper[0, 0, 0, [0, -1]].tolist() == ([255, 145] if inverted else [0, 110])
    assert ink.unique().tolist() == ([0] if inverted else [255])


def test_no_digit_is_in_both_domains_of_the_training_split():
    train = split("restyled_digits").train
    ours, theirs = (
        {x.numpy().tobytes() for x in side} for side in (train["a"].images, train["b"].truth)
    )
    digits = split("digits").train[IMAGE].images
    assert len(train["a"]) + len(train["b"]) == len(digits)
    twice = len(digits) - len({x.numpy().tobytes() for x in digits})
    assert len(ours & theirs) <= twice


@pytest.fixture
def horses(tmp_path):
    """Folders in CycleGAN's layout, of noise."""
    random = np.random.default_rng(0)
    for part, count in (("train", 10), ("test", 5)):
        for domain in "AB":
            (tmp_path / f"{part}{domain}").mkdir()
            for number in range(count):
                pixels = random.integers(256, size=(20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"{part}{domain}" / f"{number}.png")
    return tmp_path


def test_unpaired_folders_are_two_domains(horses):
    data = DATA.make(f"unpaired(path={str(horses)!r}, size=16)")
    found = data.load()
    assert data.shapes == {"a": (3, 16, 16), "b": (3, 16, 16)}
    assert [len(side[domain]) for side in (found.train, found.held_out) for domain in "ab"] == [
        10,
        10,
        5,
        5,
    ]
    assert found.train["a"].images.shape == (10, 3, 16, 16)


def test_a_folder_that_is_missing_or_empty_is_named(horses):
    for path in (horses / "testB").iterdir():
        path.unlink()
    with pytest.raises(NotDownloaded, match="testB has 0 images, and 4 are needed"):
        DATA.make(f"unpaired(path={str(horses)!r})").load()
    (horses / "testB").rmdir()
    with pytest.raises(NotDownloaded, match=r"there is no folder .*testB"):
        DATA.make(f"unpaired(path={str(horses)!r})").load()


# Metrics


def translated(count=12, side=16):
    """Samples of noise with sources, truths and ways back."""
    random = torch.Generator().manual_seed(0)
    images = [
        torch.randint(256, (count, 3, side, side), generator=random, dtype=torch.uint8)
        for _ in range(4)
    ]
    fake = FeatureSet(torch.randn(count, 4, generator=random), None, images[0])
    fake.truth, fake.source, fake.returned = images[1:]
    return fake


def test_psnr_and_ssim_are_those_of_torchmetrics():
    fake = translated()
    ours, theirs = fake.images.double(), fake.truth.double()
    psnr = oracle.peak_signal_noise_ratio(
        ours, theirs, data_range=255.0, dim=(1, 2, 3), reduction="none"
    )
    ssim = oracle.structural_similarity_index_measure(ours, theirs, data_range=255.0)
    assert METRICS.make("psnr")(fake, fake).value == pytest.approx(float(psnr.mean()), rel=1e-6)
    assert METRICS.make("ssim")(fake, fake).value == pytest.approx(float(ssim), rel=1e-4)


def test_an_answer_that_is_right_has_no_error_and_finite_decibels():
    fake = translated()
    fake.images = fake.truth
    assert METRICS.make("translation_error")(fake, fake).value == 0
    assert METRICS.make("ssim")(fake, fake).value == pytest.approx(1)
    assert METRICS.make("psnr")(fake, fake).value == pytest.approx(10 * np.log10(12 * 255**2))


def test_errors_are_mean_absolute_differences_of_images_in_the_unit_range():
    fake = translated()
    differences = (fake.images.double() - fake.truth.double()).abs().mean((1, 2, 3)) / 255
    found = METRICS.make("translation_error")(fake, fake)
    assert found.value == pytest.approx(float(differences.mean()))
    assert found.standard_error == pytest.approx(float(differences.std() / len(fake) ** 0.5))
    back = (fake.returned.double() - fake.source.double()).abs().mean() / 255
    assert METRICS.make("cycle_error")(fake, fake).value == pytest.approx(float(back))


def test_backward_is_the_metric_of_the_other_direction():
    fake, real = translated(), translated()
    other, theirs = FeatureSet(2 * fake.features), FeatureSet(fake.features + 1)
    fake.back, real.back = other, theirs
    assert METRICS.make("backward(of='fid')")(fake, real) == METRICS.make("fid")(other, theirs)
    assert METRICS.make("backward(of='recall(k=5)')").direction == "higher"
    with pytest.raises(SpecError, match="no third way of translation"):
        METRICS.make("""backward(of="backward(of='fid')")""")


# Tricks


@every_trick
@pytest.mark.parametrize(
    ("text", "data"),
    [
        (TINY, "restyled_digits"),
        (f"cut{TINY[8:]}", "restyled_digits"),
        ("srgan(width=4, blocks=1, factor=2)", "digits"),
        ("inpainting(width=4, blocks=1, downs=1, strided=1)", "digits"),
    ],
)
def test_a_trick_trains_in_a_translation_or_says_why_not(name, text, data):
    trains_or_objects(text, data, (TRICK[name],), "least_squares")


def test_most_tricks_have_a_meaning_in_a_cycle():
    endings = {
        name: trains_or_objects(TINY, "restyled_digits", (TRICK[name],), "non_saturating")
        for name in ("label_flipping", "minibatch_std", "pacgan", "r1", "top_k", "unrolled")
    }
    assert set(endings.values()) == {"trained"}


# From end to end

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


def test_a_suite_of_translations_is_measured_in_both_directions(ganbench, tmp_path):
    (tmp_path / "translate.toml").write_text(SUITE)
    code, _, err = ganbench("run", "translate.toml", "--workers", "0")
    assert code == 0, err
    code, out, _ = ganbench("show", "translate", "cyclegan", "--json")
    for trial in json.loads(out):
        told = {row["metric"]: row for row in trial["metrics"]}
        for metric in ("fid", "backward", "translation_error", "cycle_error", "ssim"):
            assert told[metric]["value"] is not None, told[metric]
    _, out, _ = ganbench("show", "translate", "srgan", "--json")
    told = {row["metric"]: row for row in json.loads(out)[0]["metrics"]}
    assert told["translation_error"]["value"] > 0
    assert "no way back" in told["cycle_error"]["reason"]
    assert "two domains" in told["backward"]["reason"]
