"""Datasets, DataLoaders, lists and networks score like the same images in an array."""

import functools
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import ganbench
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.options import EvaluationOptions
from ganbench.registry import SpecError

COUNT, SIDE = 24, 8
FAKES = np.random.default_rng(1).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
REALS = np.random.default_rng(2).integers(0, 200, (COUNT, SIDE, SIDE, 3), np.uint8)
TENSORS = torch.from_numpy(FAKES).permute(0, 3, 1, 2).contiguous()
FLOATS = TENSORS / 255
LABELS = torch.arange(COUNT) % 3
OPTIONS = {"extractor": "identity", "metrics": "kid", "floor": False, "device": "cpu"}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


def score(fake, **options):
    return ganbench.evaluate(fake, REALS, **{**OPTIONS, **options})


def expected():
    return score(FAKES)["kid"]


class Entries(Dataset):
    """A Dataset of any entries."""

    def __init__(self, entries):
        self.entries = entries

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, number):
        return self.entries[number]


class Unsized(Dataset):
    def __getitem__(self, number):
        return TENSORS[number], 1


class Stream(IterableDataset):
    def __iter__(self):
        return iter(TENSORS)


HOLED = [*TENSORS[:20], None, *TENSORS[20:]]


class Holed(IterableDataset):
    def __iter__(self):
        return iter(HOLED)


PICTURES = [Image.fromarray(image) for image in FAKES]

OBJECTS = {
    "list of tensors": lambda: list(TENSORS),
    "list of float tensors": lambda: list(FLOATS),
    "list of symmetric floats": lambda: list(FLOATS * 2 - 1),
    "list of float tensors with gradients": lambda: list(FLOATS.clone().requires_grad_()),
    "list of arrays": lambda: list(FAKES),
    "list of batches": lambda: list(TENSORS.split(10)),
    "tuple of PIL images": lambda: tuple(PICTURES),
    "list of pairs": lambda: list(zip(PICTURES, LABELS, strict=True)),
    "list of dicts": lambda: [{"image": p, "label": "cat"} for p in PICTURES],
    "list of dicts with unknown key": lambda: [{"face": t, "label": 1} for t in TENSORS],
    "dict of a list": lambda: {"image": PICTURES, "label": [1] * COUNT},
    "pair of arrays": lambda: (FAKES, LABELS.numpy()),
    "Dataset without a length": Unsized,
    "dict of an array": lambda: {"images": TENSORS, "labels": LABELS},
    "generator of tensors": lambda: (t for t in TENSORS),
    "generator of batches": lambda: ((b, 0) for b in TENSORS.split(7)),
    "map": lambda: map(Image.fromarray, FAKES),
    "TensorDataset": lambda: TensorDataset(TENSORS),
    "TensorDataset with labels": lambda: TensorDataset(FLOATS, LABELS),
    "Dataset of PIL images and labels": lambda: Entries([(p, "a") for p in PICTURES]),
    "Dataset of dicts": lambda: Entries([{"pixel_values": t, "id": 3} for t in TENSORS]),
    "IterableDataset": Stream,
    "DataLoader of tensors": lambda: DataLoader(TENSORS, 7),
    "DataLoader of tuples": lambda: DataLoader(TensorDataset(TENSORS, LABELS), 5),
    "DataLoader of dicts": lambda: DataLoader(
        Entries([{"img": t, "label": 1} for t in TENSORS]), 10
    ),
    "DataLoader of one-hot labels": lambda: DataLoader(
        TensorDataset(FLOATS, nn.functional.one_hot(LABELS).float()), 10
    ),
    "DataLoader without batches": lambda: DataLoader(TensorDataset(TENSORS), batch_size=None),
    "DataLoader of lists": lambda: DataLoader(Entries(PICTURES), 9, collate_fn=list),
    "DataLoader of pairs": lambda: DataLoader(
        Entries([(p, 1) for p in PICTURES]), 9, collate_fn=list
    ),
    "DataLoader of columns": lambda: DataLoader(
        Entries([(t, {"boxes": 1}) for t in TENSORS]),
        9,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
    ),
    "DataLoader of a stream": lambda: DataLoader(Stream(), 5),
    "DataLoader with a worker": lambda: DataLoader(TENSORS, 8, num_workers=1),
    "DataLoader with a batch sampler": lambda: DataLoader(
        TENSORS, batch_sampler=torch.utils.data.BatchSampler(range(COUNT), 5, False)
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_object_scores_like_its_array(kind):
    assert score(OBJECTS[kind]())["kid"] == expected()


def test_paths_score_like_their_images(tmp_path):
    for number, picture in enumerate(PICTURES):
        picture.save(tmp_path / f"{number:02}.png")
    paths = sorted(tmp_path.glob("*.png"))
    for given in (paths, list(map(str, paths)), [path.read_bytes() for path in paths]):
        assert score(given)["kid"] == expected()


def test_objects_serve_as_reals_and_held_out():
    given = ganbench.evaluate(
        DataLoader(TENSORS, 7), TensorDataset(torch.from_numpy(REALS)), held_out=PICTURES,
        **{**OPTIONS, "floor": True},
    )  # fmt: skip
    assert given["kid"] == expected()
    assert "24 held-out images of list[24]" in given.floor


def test_floor_of_fewer_held_out_images_is_named():
    given = ganbench.evaluate(
        DataLoader(TENSORS, 7), TensorDataset(torch.from_numpy(REALS)), held_out=PICTURES[:12],
        **{**OPTIONS, "floor": True},
    )  # fmt: skip
    assert given.floor == (
        "12 held-out images of list[12] instead of the fakes; so few are too high a floor for "
        f"{len(TENSORS)} fakes, read the one by theory"
    )


def test_unknown_option_is_named_with_a_suggestion():
    with pytest.raises(TypeError, match=r"no option 'metric'.*did you mean 'metrics'"):
        ganbench.evaluate(FAKES, REALS, metric="fid")


def test_shuffled_loader_is_read_once_per_seed():
    loader = DataLoader(TENSORS, 5, shuffle=True)
    state = torch.random.get_rng_state()
    first, second = (score(loader, metrics="fid") for _ in range(2))
    assert first["fid"] == second["fid"]
    assert first["fid"] == pytest.approx(score(FAKES, metrics="fid")["fid"], rel=1e-6)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_generator_of_a_loader_is_restored():
    random = torch.Generator().manual_seed(3)
    state = random.get_state()
    score(DataLoader(TENSORS, 5, shuffle=True, generator=random))
    assert torch.equal(random.get_state(), state)


def test_random_transforms_repeat_in_every_pass():
    class Flipped(Entries):
        def __getitem__(self, number):
            image = self.entries[number]
            return image.flip(-1) if torch.rand(()) < 0.5 else image

    options = {"metrics": "kid,ms_ssim(pairs=20)", "size": 32}
    values = [score(Flipped(TENSORS), **options).as_dict()["metrics"] for _ in range(2)]
    assert values[0] == values[1]


def test_count_selects_entries_of_a_dataset():
    values = {score(given, count=12)["kid"] for given in (FAKES, TensorDataset(TENSORS))}
    assert len(values) == 1
    assert score(DataLoader(TENSORS, 5), count=12)["kid"] in values


def test_dropped_images_are_noted():
    scores = score(DataLoader(TENSORS, 10, drop_last=True))
    assert scores.terms.fakes == 20
    assert "fakes: 4 left out by drop_last of the DataLoader" in scores.notes


def test_turned_pictures_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path / "x"
    folder.mkdir()
    for number, picture in enumerate(PICTURES):
        picture.save(folder / f"{number:02}.png", exif=exif)
    opened = [Image.open(path) for path in sorted(folder.iterdir())]
    ours, files = score(opened), score(folder)
    assert ours["kid"] == files["kid"] != expected()
    assert ours.notes == files.notes


def test_vectors_of_a_dataset_are_features():
    vectors = torch.randn(COUNT, 5, generator=torch.Generator().manual_seed(0))
    reals = torch.randn(COUNT, 5, generator=torch.Generator().manual_seed(1))
    wanted = ganbench.evaluate(vectors, reals, **OPTIONS)["kid"]
    for given in (TensorDataset(vectors, LABELS), DataLoader(TensorDataset(vectors, LABELS), 7)):
        assert ganbench.evaluate(given, reals, **OPTIONS)["kid"] == wanted


class Broken(Entries):
    def __getitem__(self, number):
        if number == 3:
            raise KeyError("gone")
        return self.entries[number]


def test_error_of_a_dataset_names_its_line():
    line = Broken.__getitem__.__code__.co_firstlineno + 2
    message = rf"Broken\[24\]\[3\] raised KeyError: 'gone' \(line {line} of .*, in __getitem__\)"
    with pytest.raises(Unreadable, match=message):
        score(Broken(TENSORS))
    scores = score(Broken(TENSORS), skip_unreadable=True)
    assert scores.terms.fakes == COUNT - 1


@pytest.mark.parametrize("workers", [0, 1])
def test_error_in_a_loader_names_its_line(workers):
    line = Broken.__getitem__.__code__.co_firstlineno + 2
    with pytest.raises(Unreadable, match=rf"raised KeyError: .*gone.* \(line {line} of .*"):
        score(DataLoader(Broken(TENSORS), 7, num_workers=workers))


REFUSED = {
    "is empty": list,
    r"list\[24\]\[0\] holds no image, only int": lambda: [(1, 2)] * COUNT,
    "holds 2 images, and which one is meant is unclear": lambda: TensorDataset(TENSORS, TENSORS),
    "is one image: pass a list of images": lambda: PICTURES[0],
    "is a dict of a, b, and its image is unclear": lambda: [{"a": TENSORS[0], "b": FLOATS[0]}] * 20,
    "a int cannot be read as images": lambda: 3,
    "cannot be read as images": lambda: None,
    "is a class: pass an object of it": lambda: Entries,
    "has more than 8 bits per channel": lambda: [Image.new("I", (8, 8))] * COUNT,
    "has dtype int64": lambda: list(TENSORS.long()),
    "neither in \\[0, 1\\] nor in": lambda: list(FLOATS * 300),
    "no_such.png is not a regular file": lambda: ["no_such.png"] * COUNT,
    "holds floats, but the first image does not": lambda: [*TENSORS[:12], *FLOATS[12:]],
    "has shape": lambda: [torch.zeros(5, 8, 8)] * COUNT,
}


@pytest.mark.parametrize(
    "make", [lambda: (entry for entry in HOLED), lambda: DataLoader(Holed(), batch_size=None)]
)
def test_none_does_not_end_the_images(make):
    with pytest.raises(Unreadable, match=r"20.* is a NoneType, not an image"):
        score(make())


def test_sparse_tensor_has_a_remedy():
    with pytest.raises(Unreadable, match=r"sparse, .* pass a dense one, as from to_dense\(\)"):
        score(TENSORS.to_sparse())


@pytest.mark.parametrize("message", REFUSED)
def test_unclear_object_is_refused_with_reason(message):
    with pytest.raises(Unreadable, match=message):
        score(REFUSED[message]())


def test_value_that_is_not_finite_is_skipped():
    given = [*FLOATS, torch.full((3, 8, 8), torch.nan)]
    with pytest.raises(
        Unreadable, match=r"list\[25\]\[24\]: 1 of 1 images have values that are not"
    ):
        score(given)
    assert score(given, skip_unreadable=True)["kid"] == expected()
    with pytest.raises(Unreadable, match="all images have values that are not finite"):
        score([torch.full((3, 8, 8), torch.nan)] * 20)


def test_range_may_be_a_pair():
    assert score(list(TENSORS.float()), value_range=(0, 255))["kid"] == expected()
    assert score(list(FLOATS * 2 - 1), value_range=(-1.0, 1.0))["kid"] == expected()


def test_opened_npz_file_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", images=FAKES, words=np.array([{}], dtype=object))
    assert score(np.load(tmp_path / "x.npz"))["kid"] == expected()


@pytest.mark.parametrize("options", [{"metrics": [3]}, {"extractor": 3}, {"protocol": []}])
def test_option_of_another_type_is_refused(options):
    with pytest.raises(ganbench.registry.SpecError, match=r"name a metric|must be a text"):
        score(FAKES, **options)


def test_endless_iterator_is_refused(monkeypatch):
    monkeypatch.setattr("ganbench.evaluation.inputs.python_objects.MAX_HELD_BYTES", 10_000)
    with pytest.raises(Unreadable, match=r"pass a Dataset, or a part of it by itertools\.islice"):
        score(itertools.cycle(TENSORS))


# Networks


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(16, 192)
        self.norm = nn.BatchNorm1d(192)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z):
        self.calls += 1
        return torch.tanh(self.drop(self.norm(self.linear(z)))).view(-1, 3, 8, 8)

    def sample(self, count, seed):
        return self(torch.randn(count, 16))


MODEL = None  # a network of the module, as in a notebook


def generate_by_global(count, seed):
    def generate(z):
        return MODEL(z)

    return generate(torch.randn(count, 16))


def set_global(network):
    global MODEL
    MODEL = network
    return generate_by_global


def latents_of(network):
    @torch.no_grad()
    def generate(count, seed):
        return network(torch.randn(count, 16))

    return generate


class Sampler:
    def __init__(self, network):
        self.network = network

    def __call__(self, z):
        return self.network(z)


CALLS = {
    "network": lambda network: (network, {"latent": 16}),
    "function of latents": lambda network: (lambda z: network(z), {"latent": "16"}),
    "function of a count": lambda network: (latents_of(network), {}),
    "function of a global": lambda network: (set_global(network), {}),
    "method": lambda network: (network.sample, {}),
    "partial": lambda network: (functools.partial(lambda n, z: n(z), network), {"latent": (16,)}),
    "object": lambda network: (Sampler(network), {"latent": [16]}),
}


@pytest.mark.parametrize("kind", CALLS)
def test_network_is_measured_in_evaluation_mode(kind):
    scores = []
    for trained in (True, False):
        network = Network().train(trained)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        network.drop.eval()
        modes = [module.training for module in network.modules()]
        fake, options = CALLS[kind](network)
        scores.append(score(fake, count=100, **options))
        after = network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert [module.training for module in network.modules()] == modes
    assert scores[0]["kid"] == scores[1]["kid"]
    note = "fakes: Network is measured in evaluation mode, and left unchanged in training mode"
    assert note in scores[0].notes
    assert note not in scores[1].notes


def test_failed_network_keeps_its_mode():
    network = Network().train()
    with pytest.raises(Unreadable, match=r"Network raised RuntimeError: mat1 and mat2"):
        score(network, latent=7)
    assert network.training
    assert network.calls == 0


def test_network_without_latent_is_explained():
    with pytest.raises(Unreadable, match=r"Network is a network: .*latent=128 in Python"):
        score(Network())


def test_half_network_gets_half_latents():
    assert score(Network().half().eval(), latent=16).terms.fakes == COUNT


@pytest.mark.parametrize("latent", [0, -1, 1.5, True, [], [4, 0], "4x", (1.0,)])
def test_impossible_latent_is_refused(latent):
    with pytest.raises(ganbench.registry.SpecError, match="--latent must be a shape such as 128"):
        EvaluationOptions(latent=latent)


def test_number_of_latents_is_a_shape():
    assert EvaluationOptions(latent=16).latent_shape == (16,)
    assert EvaluationOptions(latent=np.int64(16)).latent_shape == (16,)


@pytest.mark.parametrize("option", [{"count": 10.5}, {"seed": "1"}, {"batch": True}])
def test_fractional_number_is_refused(option):
    with pytest.raises(ganbench.registry.SpecError, match="must be a whole number"):
        EvaluationOptions(**option)


RESULTS = {
    "list of PIL images": lambda images: [Image.fromarray(x) for x in images],
    "list of tensors": lambda images: list(torch.from_numpy(images)),
    "tuple with latents": lambda images: (torch.from_numpy(images), torch.zeros(len(images), 4)),
    "dict": lambda images: {"images": images, "seed": 3},
    "nested numbers": lambda images: (images / 255).tolist(),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_generator_may_return_any_images(kind):
    def make(count, seed):
        return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)

    wanted = score(make, count=20)["kid"]
    assert score(lambda n, seed: RESULTS[kind](make(n, seed)), count=20)["kid"] == wanted


def test_list_of_grayscale_arrays_equals_their_stack():
    gray = FAKES[..., 0]
    reals = REALS[..., :1]
    one, other = (ganbench.evaluate(given, reals, **OPTIONS)["kid"] for given in (gray, list(gray)))
    assert one == other


def test_images_are_refused_by_an_extractor_of_clips():
    with pytest.raises(Unreadable, match=r"cannot process list\[24\]: .* two frames"):
        score(list(TENSORS), extractor="frame_features(of='identity')")


def test_size_is_a_whole_number():
    with pytest.raises(SpecError, match=r"--size must be a whole number, not 8\.0"):
        score(FAKES, size=8.0)
