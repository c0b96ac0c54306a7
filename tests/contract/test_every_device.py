"""Contract of devices: every variant and trick trains, resumes and samples on `--device`.

`pytest tests/contract/test_every_device.py --device cuda -n 8` checks a GPU.
"""

import math
from dataclasses import replace

import pytest
import torch
from helpers import BATCH, CPU, LATENT, same, split, steps, through_a_file
from trick_cases import HOME, TRICK_SPECS
from variant_cases import home_data, small_recipe

from ganbench.data import DATA
from ganbench.data.base import IMAGE, BatchLoader, Examples
from ganbench.data.mapped_file import MappedFile
from ganbench.devices import Numerics
from ganbench.gan.build import build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import VARIANTS, resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.build_trainer import make_trainer as build_trainer
from ganbench.training.sampling import draw_samples_of_task
from ganbench.training.trainer import Trainer

pytestmark = pytest.mark.heavy

COUNT = 2 * BATCH  # samples
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4  # float32 sums in another order


def trick_recipe(name: str) -> Recipe:
    """Returns the recipe of the variant and loss that a trick is tried with."""
    home = {"text": "gan(width=8)", "loss": "non_saturating", **HOME.get(name, {})}
    sizes = Hyperparameters(batch=BATCH, latent=home.get("latent", LATENT))
    recipe = resolve_variant(home["text"])
    return replace(recipe, loss=home["loss"], tricks=(TRICK_SPECS[name],), hyperparameters=sizes)


CASES = {f"variant-{name}": (small_recipe(name), home_data(name)) for name in VARIANTS}
CASES |= {f"trick-{name}": (trick_recipe(name), "digits") for name in TRICK_SPECS}
every_case = pytest.mark.parametrize(("recipe", "data"), CASES.values(), ids=CASES)


def make_trainer(recipe: Recipe, data: str, device: torch.device, **numerics) -> Trainer:
    streams = RngStreams(0, device)
    setup = build_training(recipe, DATA.make(data), streams)
    loader = BatchLoader(split(data).train, setup.hyperparameters.batch, streams)
    settings = Numerics(device.type, **numerics)
    return build_trainer(setup, loader, streams, Budget("generator_turns", 24), settings)


def loss_terms(log: dict[str, float]) -> dict[str, float]:
    """Returns the terms of a step without the share of pairs, which jumps where scores are close."""
    return {name: value for name, value in log.items() if name != "told_apart"}


@every_case
def test_two_steps_have_finite_terms(recipe, data, device):
    logs = steps(make_trainer(recipe, data, device), 2)
    assert all({"discriminator", "generator"} <= log.keys() for log in logs)
    assert all(math.isfinite(value) for log in logs for value in log.values())


@every_case
def test_checkpoint_continues_equally(recipe, data, device):
    unbroken, resumed = (make_trainer(recipe, data, device) for _ in range(2))
    steps(unbroken, 2)
    state = through_a_file(unbroken.state_dict())
    resumed.load_state_dict(state)
    assert same(resumed.task.state_dict(), unbroken.task.state_dict())
    (expected,), (log,) = steps(unbroken, 1), steps(resumed, 1)
    tolerance = {"rel": RELATIVE_TOLERANCE, "abs": ABSOLUTE_TOLERANCE}
    assert loss_terms(log) == pytest.approx(loss_terms(expected), **tolerance)


@every_case
def test_samples_are_finite_images(recipe, data, device):
    training = make_trainer(recipe, data, device)
    steps(training, 1)
    generators, sources = training.sampling_generators(), split(data).held_out
    samples = draw_samples_of_task(
        training.task, generators, sources, training.streams, "test", COUNT
    )
    *_, shape = DATA.make(data).shapes.values()
    assert samples.images.shape == (COUNT, *shape)
    assert samples.images.device.type == device.type
    assert samples.images.isfinite().all()


@every_case
def test_initial_weights_equal_those_of_cpu(recipe, data, device):
    setups = [
        build_training(recipe, DATA.make(data), RngStreams(0, place)) for place in (CPU, device)
    ]
    on_cpu, on_device = (setup.task.to(CPU).state_dict() for setup in setups)
    assert same(on_cpu, on_device)


@every_case
def test_bfloat16_terms_are_finite(recipe, data, device):
    training = make_trainer(recipe, data, device, dtype="bfloat16", memory_format="channels_last")
    logs = steps(training, 2)
    assert all(math.isfinite(value) for log in logs for value in log.values())
    assert all(x.dtype == torch.float32 for x in training.task.parameters())


GRAPHED_STEPS = 16  # twice as many as R1 and path length need for a graph of their lazy steps
CHAOTIC = ("variant-cut", "variant-stylegan")  # two eager trainings differ by more than this


@every_case
def test_graphs_equal_eager_steps(recipe, data, device, request):
    if device.type != "cuda":
        pytest.skip("CUDA graphs need a CUDA device")
    eager = steps(make_trainer(recipe, data, device), GRAPHED_STEPS)
    training = make_trainer(recipe, data, device, graph=True)
    graphed = steps(training, GRAPHED_STEPS)
    assert not getattr(training, "eager_reason", "")
    if request.node.callspec.id in CHAOTIC:
        eager, graphed = eager[:8], graphed[:8]
    for expected, log in zip(eager, graphed, strict=True):
        assert loss_terms(log) == pytest.approx(loss_terms(expected), rel=1e-3, abs=1e-4)


# Data that do not fit on the device


@pytest.fixture
def on_disk(tmp_path, monkeypatch) -> dict[str, Examples]:
    """The training digits in a mapped file, on a machine whose devices are too small for them."""
    monkeypatch.setattr("ganbench.data.base.fits_on_device", lambda size, device: False)
    digits = split("digits").train[IMAGE]
    (tmp_path / "images").write_bytes(digits.images.numpy().tobytes())
    file = MappedFile(tmp_path / "images", digits.images.shape)
    return {IMAGE: Examples(file.as_tensor(), digits.labels, file=file)}


def test_host_batches_equal_those_of_device(device, on_disk):
    digits = split("digits").train[IMAGE].to(device)
    streams = RngStreams(0, device)
    loader = BatchLoader(on_disk, 50, streams)
    assert loader.host_batches is not None
    for number in (0, 1, 2, 23, 24, 3):
        batch = loader.batches(number)[IMAGE]
        expected = digits.make_batch(batch.index)
        assert batch.index.device.type == device.type
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.labels, expected.labels)
    random = streams.generator("data", IMAGE, 0)
    order = torch.randperm(len(digits), generator=random, device=device)
    assert torch.equal(loader.batches(0)[IMAGE].index, order[:50])


@pytest.mark.parametrize("graph", [False, True])
def test_training_from_host_equals_device(device, on_disk, graph):
    if graph and device.type != "cuda":
        pytest.skip("CUDA graphs need a CUDA device")
    recipe, logs = small_recipe("dcgan"), []
    for examples in (split("digits").train, on_disk):
        streams = RngStreams(0, device)
        setup = build_training(recipe, DATA.make("digits"), streams)
        placed = {domain: own.to(device) for domain, own in examples.items()}
        loader = BatchLoader(examples if examples is on_disk else placed, BATCH, streams)
        assert (loader.host_batches is None) == (examples is not on_disk)
        settings = Numerics(device.type, graph=graph)
        budget = Budget("generator_turns", GRAPHED_STEPS)
        training = build_trainer(setup, loader, streams, budget, settings)
        logs.append(steps(training, GRAPHED_STEPS))
        assert not getattr(training, "eager_reason", "")
    for ours, theirs in zip(*logs, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
