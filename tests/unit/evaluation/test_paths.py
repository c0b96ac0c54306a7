"""Path length and smoothness against closed forms and torch-fidelity, and for trials."""

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

REAL_FEATURES = FeatureSet(torch.zeros(2, 1))


def normal_latents(width):
    return lambda count, random: torch.randn(count, width, generator=random)


def point_samples(generate, width=4, **kwargs) -> FeatureSet:
    """Returns fakes of a point generator, with points as features."""
    defaults = {"features": lambda images: images.flatten(1)}
    sampler = LatentSampler(
        normal_latents(width), width, lambda z, labels: generate(z), CPU, **(defaults | kwargs)
    )
    return FeatureSet(torch.zeros(2, 1), sampler=sampler)


def measure(metric, fake):
    return METRICS.make(metric)(fake, REAL_FEATURES)


LINEAR_MAP = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))


def test_linear_generator_path_has_closed_form():
    """For linear interpolation, E |W (b - a)|² equals 2 |W|² (Frobenius norm)."""
    measurement = measure(
        "ppl(interpolation='lerp', discard=0)", point_samples(lambda z: z @ LINEAR_MAP)
    )
    expected = 2 * float(LINEAR_MAP.square().sum())
    assert measurement.value == pytest.approx(expected, abs=4 * measurement.standard_error)
    assert measurement.standard_error < expected / 20


def test_path_length_is_quadratic_in_scale():
    single, two = (
        measure("ppl", point_samples(lambda z, k=k: (k * z @ LINEAR_MAP).sin())) for k in (1, 2)
    )
    assert two.value > 2 * single.value
    plain, double = (
        measure("ppl", point_samples(lambda z, k=k: k * (z @ LINEAR_MAP))) for k in (1, 2)
    )
    assert double.value == pytest.approx(4 * plain.value, rel=1e-5)
    assert measure("ppl", point_samples(lambda z: torch.ones(len(z), 3))).value == 0
    with pytest.raises(MetricNotApplicable, match="images do not change"):
        measure("smoothness", point_samples(lambda z: torch.ones(len(z), 3)))


def test_ppl_in_float32_equals_float64():
    """Float32 and float64 agree to three digits."""
    mlp = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 6), nn.Tanh())
    mlp.requires_grad_(False)
    float32_value = measure("ppl", point_samples(lambda z: mlp(z))).value
    mlp.double()
    draw_latents = normal_latents(4)
    fake = point_samples(mlp)
    fake.sampler = replace(fake.sampler, latents=lambda n, random: draw_latents(n, random).double())
    assert float32_value == pytest.approx(measure("ppl", fake).value, rel=1e-3)


class SquaredDistance(SampleSimilarityBase):
    """Squared pixel distance as a torch-fidelity similarity."""

    def __init__(self, name, sample_similarity_resize=None, sample_similarity_dtype=None, **kwargs):
        super().__init__(name)

    def forward(self, x, y):
        return (x - y).flatten(1).square().sum(1)


class TinyGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.net = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 3 * 8 * 8), nn.Tanh())

    def forward(self, z):
        return self.net(z).view(-1, 3, 8, 8)


@pytest.mark.parametrize("interpolation", ["lerp", "slerp"])
def test_ppl_equals_torch_fidelity(interpolation, monkeypatch):
    """Uses the same latents. Percentiles are recomputed here.

    torch-fidelity passes NumPy a removed argument for them.
    """
    torch_fidelity.register_sample_similarity("squared", SquaredDistance)
    try:
        expected = calculate_ppl(
            1,
            input1=torch_fidelity.GenerativeModelModuleWrapper(TinyGenerator(), 5, "normal", 0),
            input1_model_num_samples=600,
            ppl_sample_similarity="squared",
            ppl_z_interp_mode={"slerp": "slerp_any"}.get(interpolation, interpolation),
            ppl_reduction="none",
            ppl_discard_percentile_lower=None,
            ppl_discard_percentile_higher=None,
            cuda=False,
            verbose=False,
        )
    finally:
        torch_fidelity.registry.SAMPLE_SIMILARITY_REGISTRY.pop("squared")
    random = np.random.RandomState(2020)
    tiny = TinyGenerator()
    fake = point_samples(tiny, 5)
    draw_latents = lambda count, _: torch.from_numpy(random.randn(count, 5)).float()  # noqa: E731
    fake.sampler = replace(fake.sampler, latents=draw_latents)
    measurement = measure(f"ppl(pairs=600, interpolation='{interpolation}', discard=0)", fake)
    assert measurement.value == pytest.approx(expected["perceptual_path_length_mean"], rel=1e-5)
    raw = expected["perceptual_path_length_raw"]
    low, high = (
        np.percentile(raw, share, method=method) for share, method in ((1, "lower"), (99, "higher"))
    )
    random.seed(2020)
    trimmed = measure(f"ppl(pairs=600, interpolation='{interpolation}')", fake)
    assert trimmed.value == pytest.approx(raw[(low <= raw) & (raw <= high)].mean(), rel=1e-5)


def test_slerp_equals_torch_fidelity():
    a, b = torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(0))
    b[0], b[1] = a[0], -2 * a[1]  # parallel
    for t in (0.0, 1e-4, 0.3, 1.0):
        torch.testing.assert_close(slerp(a, b, torch.full((1, 1), t)), batch_slerp_any(a, b, t))


@pytest.mark.parametrize("metric", ["ppl(pairs=300)", "smoothness(paths=100)"])
def test_standard_error_matches_spread_over_seeds(metric, monkeypatch):
    fake = point_samples(lambda z: (z @ LINEAR_MAP).sin())
    measurements = []
    for seed in range(120):
        monkeypatch.setattr("ganbench.evaluation.metrics.ppl.PATH_SEED", seed)
        measurements.append(measure(metric, fake))
    values = np.array([m.value for m in measurements])
    errors = np.array([m.standard_error for m in measurements])
    assert errors.mean() / values.std(ddof=1) == pytest.approx(1, abs=0.2)


def test_smoothness_is_higher_for_even_motion():
    straight = point_samples(lambda z: z @ LINEAR_MAP)
    even = measure("smoothness(interpolation='lerp', steps=8)", straight)
    assert even.value == pytest.approx(1, abs=1e-4)
    jump = measure(
        "smoothness(steps=8, interpolation='lerp')", point_samples(lambda z: (z[:, :1] > 0) * 1.0)
    )
    assert jump.value == pytest.approx(1 / 8)
    between = measure("smoothness(steps=8)", point_samples(lambda z: (5 * z[:, :1]).tanh()))
    assert jump.value < between.value < even.value


# Samplers


def test_paths_keep_codes_and_labels():
    calls = []

    def images(z, labels):
        calls.append((z, labels))
        return z[:, :2]

    sampler = LatentSampler(normal_latents(5), 2, images, CPU, features=lambda x: x)
    fake = FeatureSet(torch.zeros(3, 1), labels=torch.tensor([4, 5, 6]), sampler=sampler)
    measure("ppl(pairs=7)", fake)
    (start, start_labels), (end, end_labels) = calls
    assert torch.equal(start[:, 2:], end[:, 2:])
    assert not torch.equal(start[:, :2], end[:, :2])
    assert start_labels.tolist() == end_labels.tolist() == [4, 5, 6, 4, 5, 6, 4]


def test_w_path_is_linear_in_mapped_latents():
    halves = {"mapping": lambda z: z**2, "synthesis": lambda w: w @ LINEAR_MAP}
    fake = point_samples(lambda z: z, **halves)
    measurement = measure("ppl(space='w', discard=0)", fake)
    # the difference of squared normals has variance 2 + 2
    assert measurement.value == pytest.approx(
        4 * float(LINEAR_MAP.square().sum()), abs=4 * measurement.standard_error
    )
    with pytest.raises(MetricNotApplicable, match="maps latents to w, but this one does not"):
        measure("ppl(space='w')", point_samples(lambda z: z))


def test_unsupported_inputs_raise_explained_errors():
    with pytest.raises(MetricNotApplicable, match="needs the generator, but"):
        measure("ppl", FeatureSet(torch.zeros(2, 1)))
    for metric in ("ppl", "smoothness"):
        with pytest.raises(
            MetricNotApplicable, match="accepts unrounded images, but this one accepts only bytes"
        ):
            measure(metric, point_samples(lambda z: z, features=None))
    with pytest.raises(MetricNotApplicable, match="needs LPIPS"):
        measure("ppl(distance='lpips')", point_samples(lambda z: z))
    for setting in ("pairs=1", "epsilon=0", "discard=50", "distance='lipps'", "space='x'"):
        with pytest.raises(ValueError, match=r"must|did you mean|there are"):
            METRICS.make(f"ppl({setting})")


def test_missing_lpips_weights_message_names_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    evaluator = Evaluator("digits", CPU)
    task = training_setup().task
    sampler = evaluator.with_feature_extractor(task.latent_sampler(task.generators))
    with pytest.raises(
        MetricNotApplicable, match=r"lpips's weights are not .* `ganbench download lpips`"
    ):
        measure("ppl(distance='lpips')", FeatureSet(torch.zeros(2, 1), sampler=sampler))


@pytest.mark.slow  # 550 MB of weights
def test_lpips_equals_torch_fidelity(tmp_path, monkeypatch):
    """Uses random weights in the folders of torch.hub and torchvision."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    linear_weights = {
        f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1, generator=random)
        for n, c in enumerate(lpips.LPIPS_CHANNELS)
    }
    torch.save(linear_weights, folder / lpips.LPIPS_FILE.file)
    network = torchvision.models.vgg16()
    torch.save(network.state_dict(), folder / "vgg16-397923af.pth")
    monkeypatch.setattr(vgg16, "VGG16_FILE", replace(vgg16.VGG16_FILE, sha256=""))
    vgg16_loader = "torch_fidelity.sample_similarity_lpips.torchvision_load_pretrained_vgg16"
    monkeypatch.setattr(vgg16_loader, lambda: network)
    torch_fidelity_lpips = SampleSimilarityLPIPS("lpips-vgg16", sample_similarity_resize=64)
    x, y = torch.rand(2, 3, 3, 40, 40, generator=random) * 2 - 1
    ganbench_lpips = lpips.LPIPS()
    expected = torch_fidelity_lpips((x + 1) * 127.5, (y + 1) * 127.5)
    torch.testing.assert_close(ganbench_lpips(x, y), expected)
    assert expected.min() > 0
    torch.testing.assert_close(
        ganbench_lpips(x[:, :1], y[:, :1]),
        ganbench_lpips(*(s[:, :1].repeat(1, 3, 1, 1) for s in (x, y))),
    )


def test_distances_have_distinct_labels():
    labels = {METRICS.label(f"ppl(distance='{distance}')") for distance in ("extractor", "lpips")}
    assert labels == {"ppl", "ppl(distance='lpips')"}


@pytest.mark.parametrize(
    ("variant", "data"), [("gan(width=8)", "digits"), ("gan(width=8)", "ring")]
)
def test_trial_generator_uses_its_data_extractor(variant, data):
    task = training_setup(variant, data).task
    task.generators.eval()
    evaluator, streams = Evaluator(data, CPU), RngStreams(0, CPU)
    sampler = with_fixed_layer_noise(task.latent_sampler(task.generators), streams)
    random = streams.generator("x")
    latents = sampler.latents(50, random)
    images = sampler.images(latents, None)
    assert images.shape[1:] == split(data).train[IMAGE].images.shape[1:]
    readings = evaluator.measure(
        GeneratedSamples(images.detach(), sampler=sampler),
        ("ppl(pairs=50)", "smoothness(paths=5)", "fid"),
    )
    assert readings["ppl(pairs=50)"].value > 0
    assert 1 / 16 <= readings["smoothness(paths=5)"].value <= 1
    start, end = (
        evaluator.extractor(sampler.images(latents, None).detach())[0]
        for latents in METRICS.make("ppl").draw_ends(sampler, 2)
    )
    assert start.shape == end.shape


def test_fixed_layer_noise_gives_repeatable_images():
    class Noisy(nn.Module):
        def forward(self, z):
            return z + torch.randn_like(z)

    noisy = Noisy()
    plain = LatentSampler(normal_latents(3), 3, lambda z, labels: noisy(z), CPU, synthesis=noisy)
    sampler = with_fixed_layer_noise(plain, RngStreams(0, CPU))
    z = torch.zeros(4, 3)
    assert torch.equal(sampler.images(z, None), sampler.images(z, None))
    assert torch.equal(sampler.synthesis(z), sampler.synthesis(z))
    assert not torch.equal(plain.images(z, None), plain.images(z, None))
