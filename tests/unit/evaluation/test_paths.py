"""Path length and smoothness: closed forms, torch-fidelity's function on the same generator, and a trial's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch_fidelity
import torchvision
from helpers import CPU, split, training_setup
from torch import nn
from torch_fidelity.metric_ppl import calculate_ppl
from torch_fidelity.noise import batch_slerp_any
from torch_fidelity.sample_similarity_base import SampleSimilarityBase
from torch_fidelity.sample_similarity_lpips import SampleSimilarityLPIPS

from ganbench.data.base import IMAGE
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import lpips, vgg16
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.gan.latent_sampler import LatentSampler, slerp
from ganbench.rng import RngStreams
from ganbench.training.sampling import GeneratedSamples, with_fixed_layer_noise

REAL = FeatureSet(torch.zeros(2, 1))


def normal(width):
    return lambda count, random: torch.randn(count, width, generator=random)


def points(make, width=4, **kwargs) -> FeatureSet:
    """Fakes of a generator of points, which are their own features."""
    plain = {"features": lambda images: images.flatten(1)}
    sampler = LatentSampler(
        normal(width), width, lambda z, labels: make(z), CPU, **(plain | kwargs)
    )
    return FeatureSet(torch.zeros(2, 1), sampler=sampler)


def value(metric, fake):
    return METRICS.make(metric)(fake, REAL)


MATRIX = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))


def test_the_path_of_a_linear_generator_has_its_closed_form():
    """On the line E |W (b - a)|² is 2 |W|² of Frobenius."""
    told = value("ppl(interpolation='lerp', discard=0)", points(lambda z: z @ MATRIX))
    expected = 2 * float(MATRIX.square().sum())
    assert told.value == pytest.approx(expected, abs=4 * told.standard_error)
    assert told.standard_error < expected / 20


def test_twice_as_far_is_four_times_the_length_and_a_collapsed_generator_has_none():
    one, two = (value("ppl", points(lambda z, k=k: (k * z @ MATRIX).sin())) for k in (1, 2))
    assert two.value > 2 * one.value
    plain, double = (value("ppl", points(lambda z, k=k: k * (z @ MATRIX))) for k in (1, 2))
    assert double.value == pytest.approx(4 * plain.value, rel=1e-5)
    assert value("ppl", points(lambda z: torch.ones(len(z), 3))).value == 0
    with pytest.raises(MetricNotApplicable, match="images do not move"):
        value("smoothness", points(lambda z: torch.ones(len(z), 3)))


def test_single_precision_does():
    """The same generator and features in double precision, to three digits."""
    mlp = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 6), nn.Tanh())
    mlp.requires_grad_(False)
    single = value("ppl", points(lambda z: mlp(z))).value
    mlp.double()
    draw = normal(4)
    fake = points(mlp)
    fake.sampler = replace(fake.sampler, latents=lambda n, random: draw(n, random).double())
    assert single == pytest.approx(value("ppl", fake).value, rel=1e-3)


class SquaredDistance(SampleSimilarityBase):
    """Of pixels, for torch-fidelity."""

    def __init__(self, name, sample_similarity_resize=None, sample_similarity_dtype=None, **kwargs):
        super().__init__(name)

    def forward(self, x, y):
        return (x - y).flatten(1).square().sum(1)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.net = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 3 * 8 * 8), nn.Tanh())

    def forward(self, z):
        return self.net(z).view(-1, 3, 8, 8)


@pytest.mark.parametrize("way", ["lerp", "slerp"])
def test_path_length_is_torch_fidelitys(way, monkeypatch):
    """On the same latents; its own percentiles ask NumPy for an argument that has gone, so they are tested apart."""
    torch_fidelity.register_sample_similarity("squared", SquaredDistance)
    try:
        theirs = calculate_ppl(
            1,
            input1=torch_fidelity.GenerativeModelModuleWrapper(Tiny(), 5, "normal", 0),
            input1_model_num_samples=600,
            ppl_sample_similarity="squared",
            ppl_z_interp_mode={"slerp": "slerp_any"}.get(way, way),
            ppl_reduction="none",
            ppl_discard_percentile_lower=None,
            ppl_discard_percentile_higher=None,
            cuda=False,
            verbose=False,
        )
    finally:
        torch_fidelity.registry.SAMPLE_SIMILARITY_REGISTRY.pop("squared")
    random = np.random.RandomState(2020)
    tiny = Tiny()
    fake = points(tiny, 5)
    draws = lambda count, _: torch.from_numpy(random.randn(count, 5)).float()  # noqa: E731
    fake.sampler = replace(fake.sampler, latents=draws)
    told = value(f"ppl(pairs=600, interpolation='{way}', discard=0)", fake)
    assert told.value == pytest.approx(theirs["perceptual_path_length_mean"], rel=1e-5)
    raw = theirs["perceptual_path_length_raw"]
    low, high = (np.percentile(raw, share, method=m) for share, m in ((1, "lower"), (99, "higher")))
    random.seed(2020)
    cut = value(f"ppl(pairs=600, interpolation='{way}')", fake)
    assert cut.value == pytest.approx(raw[(low <= raw) & (raw <= high)].mean(), rel=1e-5)


def test_arcs_are_torch_fidelitys():
    a, b = torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(0))
    b[0], b[1] = a[0], -2 * a[1]  # parallel
    for t in (0.0, 1e-4, 0.3, 1.0):
        torch.testing.assert_close(slerp(a, b, torch.full((1, 1), t)), batch_slerp_any(a, b, t))


@pytest.mark.parametrize("metric", ["ppl(pairs=300)", "smoothness(paths=100)"])
def test_errors_are_those_of_drawing_again(metric, monkeypatch):
    fake = points(lambda z: (z @ MATRIX).sin())
    found = []
    for seed in range(120):
        monkeypatch.setattr("ganbench.evaluation.metrics.ppl.PATH_SEED", seed)
        found.append(value(metric, fake))
    values = np.array([told.value for told in found])
    errors = np.array([told.standard_error for told in found])
    assert errors.mean() / values.std(ddof=1) == pytest.approx(1, abs=0.2)


def test_even_motion_is_smooth_and_a_jump_is_not():
    straight = points(lambda z: z @ MATRIX)
    even = value("smoothness(interpolation='lerp', steps=8)", straight)
    assert even.value == pytest.approx(1, abs=1e-4)
    jump = value(
        "smoothness(steps=8, interpolation='lerp')", points(lambda z: (z[:, :1] > 0) * 1.0)
    )
    assert jump.value == pytest.approx(1 / 8)
    between = value("smoothness(steps=8)", points(lambda z: (5 * z[:, :1]).tanh()))
    assert jump.value < between.value < even.value


# What a sampler gives


def test_codes_and_labels_stay_as_they_are_on_a_path():
    seen = []

    def images(z, labels):
        seen.append((z, labels))
        return z[:, :2]

    sampler = LatentSampler(normal(5), 2, images, CPU, features=lambda x: x)
    fake = FeatureSet(torch.zeros(3, 1), labels=torch.tensor([4, 5, 6]), sampler=sampler)
    value("ppl(pairs=7)", fake)
    (a, ours), (b, theirs) = seen
    assert torch.equal(a[:, 2:], b[:, 2:])
    assert not torch.equal(a[:, :2], b[:, :2])
    assert ours.tolist() == theirs.tolist() == [4, 5, 6, 4, 5, 6, 4]


def test_in_w_the_path_is_a_line_between_mapped_latents():
    halves = {"mapping": lambda z: z**2, "synthesis": lambda w: w @ MATRIX}
    fake = points(lambda z: z, **halves)
    told = value("ppl(space='w', discard=0)", fake)
    # of squared normals the difference has variance 2 + 2
    assert told.value == pytest.approx(
        4 * float(MATRIX.square().sum()), abs=4 * told.standard_error
    )
    with pytest.raises(MetricNotApplicable, match="maps latents to w, and this one does not"):
        value("ppl(space='w')", points(lambda z: z))


def test_what_is_missing_is_told_in_a_sentence():
    with pytest.raises(MetricNotApplicable, match="needs the generator itself"):
        value("ppl", FeatureSet(torch.zeros(2, 1)))
    for metric in ("ppl", "smoothness"):
        with pytest.raises(
            MetricNotApplicable, match="accepts unrounded images, and this one accepts bytes only"
        ):
            value(metric, points(lambda z: z, features=None))
    with pytest.raises(MetricNotApplicable, match="needs LPIPS"):
        value("ppl(distance='lpips')", points(lambda z: z))
    for wrong in ("pairs=1", "epsilon=0", "discard=50", "distance='lipps'", "space='x'"):
        with pytest.raises(ValueError, match=r"must|did you mean|there are"):
            METRICS.make(f"ppl({wrong})")


def test_lpips_without_its_weights_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ruler = Evaluator("digits", CPU)
    task = training_setup().task
    sampler = ruler.with_feature_extractor(task.latent_sampler(task.generators))
    with pytest.raises(
        MetricNotApplicable, match=r"lpips's weights are not .*weights-vgg16-lpips\.pth"
    ):
        value("ppl(distance='lpips')", FeatureSet(torch.zeros(2, 1), sampler=sampler))


@pytest.mark.slow  # 550 MB of weights
def test_lpips_is_torch_fidelitys(tmp_path, monkeypatch):
    """With random weights, where torch.hub and torchvision would leave them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    lins = {
        f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1, generator=random)
        for n, c in enumerate(lpips.LPIPS_CHANNELS)
    }
    torch.save(lins, folder / lpips.LPIPS_FILE.file)
    network = torchvision.models.vgg16()
    torch.save(network.state_dict(), folder / "vgg16-397923af.pth")
    monkeypatch.setattr(vgg16, "VGG16_FILE", replace(vgg16.VGG16_FILE, sha256=""))
    loaded = "torch_fidelity.sample_similarity_lpips.torchvision_load_pretrained_vgg16"
    monkeypatch.setattr(loaded, lambda: network)
    theirs = SampleSimilarityLPIPS("lpips-vgg16", sample_similarity_resize=64)
    x, y = torch.rand(2, 3, 3, 40, 40, generator=random) * 2 - 1
    ours = lpips.LPIPS()
    expected = theirs((x + 1) * 127.5, (y + 1) * 127.5)
    torch.testing.assert_close(ours(x, y), expected)
    assert expected.min() > 0
    torch.testing.assert_close(
        ours(x[:, :1], y[:, :1]), ours(*(s[:, :1].repeat(1, 3, 1, 1) for s in (x, y)))
    )


def test_distances_do_not_share_a_column():
    labels = {METRICS.label(f"ppl(distance='{distance}')") for distance in ("extractor", "lpips")}
    assert labels == {"ppl", "ppl(distance='lpips')"}


@pytest.mark.parametrize(
    ("variant", "data"), [("gan(width=8)", "digits"), ("gan(width=8)", "ring")]
)
def test_a_trials_generator_is_measured_through_its_data_sets_extractor(variant, data):
    task = training_setup(variant, data).task
    task.generators.eval()
    ruler, streams = Evaluator(data, CPU), RngStreams(0, CPU)
    sampler = with_fixed_layer_noise(task.latent_sampler(task.generators), streams)
    random = streams.generator("x")
    latents = sampler.latents(50, random)
    images = sampler.images(latents, None)
    assert images.shape[1:] == split(data).train[IMAGE].images.shape[1:]
    readings = ruler.measure(
        GeneratedSamples(images.detach(), sampler=sampler),
        ("ppl(pairs=50)", "smoothness(paths=5)", "fid"),
    )
    assert readings["ppl(pairs=50)"].value > 0
    assert 1 / 16 <= readings["smoothness(paths=5)"].value <= 1
    a, b = (
        ruler.extractor(sampler.images(end, None).detach())[0]
        for end in METRICS.make("ppl").draw_ends(sampler, 2)
    )
    assert a.shape == b.shape


def test_noise_inside_of_layers_moves_no_image():
    class Noisy(nn.Module):
        def forward(self, z):
            return z + torch.randn_like(z)

    noisy = Noisy()
    plain = LatentSampler(normal(3), 3, lambda z, labels: noisy(z), CPU, synthesis=noisy)
    sampler = with_fixed_layer_noise(plain, RngStreams(0, CPU))
    z = torch.zeros(4, 3)
    assert torch.equal(sampler.images(z, None), sampler.images(z, None))
    assert torch.equal(sampler.synthesis(z), sampler.synthesis(z))
    assert not torch.equal(plain.images(z, None), plain.images(z, None))
