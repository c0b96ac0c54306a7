"""Shipped classifiers are those that are stated, damaged weights are refused, and features are what they should be."""

import hashlib
import io
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from helpers import CPU, same, split
from matplotlib.cbook import get_sample_data
from PIL import Image
from safetensors.torch import save
from sklearn.datasets import load_sample_image
from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP, VisionTransformer
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torchvision.models import MobileNet_V2_Weights

from ganbench.cli.doctor import examine_extractors
from ganbench.data import DATA
from ganbench.data.base import IMAGE, Examples, NotDownloaded, Split
from ganbench.data.digits import Digits
from ganbench.data.mnist import MNIST
from ganbench.data.stacked import stack_split
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import (
    EXTRACTORS,
    classifier,
    clip,
    dinov2,
    efficientnet_lite0,
    inception,
    published,
    vgg16,
)
from ganbench.evaluation.extractors.base import extract_features
from ganbench.registry import SpecError

every_shipped = pytest.mark.parametrize("of", classifier.SHIPPED_CLASSIFIERS)
FOLDER = Path(classifier.__file__).parent / "weights"


def here(of: str) -> Split:
    try:
        return split(of)
    except NotDownloaded as missing:
        pytest.skip(str(missing))


@every_shipped
def test_shipped_weights_have_the_stated_hash_and_accuracy(of):
    stated = classifier.SHIPPED_CLASSIFIERS[of]
    content = (FOLDER / f"{of}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated.sha256
    extractor, held_out = EXTRACTORS.make(f"classifier(of='{of}')"), here(of).held_out[IMAGE]
    assert extractor.weights_hash() == stated.sha256
    right = (
        (extract_features(extractor, held_out.images).logits.argmax(1) == held_out.labels)
        .double()
        .mean()
    )
    # Another machine's arithmetic may tip one or two images of 10,000, which is nothing.
    assert right.item() == pytest.approx(stated.held_out_accuracy, abs=3e-4)


def test_every_file_of_weights_is_stated():
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(
        classifier.SHIPPED_CLASSIFIERS
    )


@every_shipped
@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c[:100], lambda c: b""]
)
def test_a_damaged_file_is_refused_in_a_sentence(of, damage, tmp_path, monkeypatch):
    content = (FOLDER / f"{of}.safetensors").read_bytes()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{of}.safetensors").write_bytes(damage(content))
    monkeypatch.setattr(classifier, "files", lambda package: tmp_path)
    with pytest.raises(NotDownloaded, match="differ from those that ganbench ships: reinstall"):
        EXTRACTORS.make(f"classifier(of='{of}')")


@every_shipped
def test_a_missing_file_is_refused_in_a_sentence(of, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "files", lambda package: tmp_path)
    with pytest.raises(NotDownloaded, match="reinstall"):
        EXTRACTORS.make(f"classifier(of='{of}')")


def test_a_classifier_is_only_of_data_with_labels():
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        EXTRACTORS.make("classifier(of='digit')")
    with pytest.raises(SpecError, match="of must be given"):
        EXTRACTORS.make("classifier")
    with pytest.raises(SpecError, match="ring has no labels"):
        EXTRACTORS.make("classifier(of='ring')")
    with pytest.raises(SpecError, match="no data set is called"):
        EXTRACTORS.make("classifier(of='stl10(size=32)')")


def test_shipped_weights_are_small():
    assert all(path.stat().st_size < 400_000 for path in FOLDER.iterdir())


@every_shipped
def test_features_are_those_of_the_last_hidden_layer(of):
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    images = here(of).held_out[IMAGE].images
    found = extract_features(extractor, images)
    assert found.features.shape == (len(images), classifier.CLASSIFIER_FEATURES)
    assert found.logits.shape == (len(images), DATA.make(of).classes)
    assert (found.features >= 0).all()  # behind a ReLU
    last = extractor.network[-1]
    torch.testing.assert_close(
        found.features @ last.weight.T + last.bias, found.logits, rtol=1e-4, atol=1e-4
    )
    assert not any(p.requires_grad for p in extractor.parameters())
    alone = extract_features(extractor, images[:3])
    torch.testing.assert_close(alone.features, found.features[:3], rtol=1e-4, atol=1e-4)


def test_points_are_their_own_features():
    points = split("ring").held_out[IMAGE].images
    found = extract_features(EXTRACTORS.make("identity"), points)
    assert same(found.features, points)
    assert found.logits is None
    assert EXTRACTORS.make("identity").weights_hash() is None


@pytest.mark.parametrize("name", sorted({*DATA.entries} - {"folder", "unpaired"}))
def test_a_data_sets_own_extractor_measures_it(name):
    *_, examples = here(name).held_out.values()
    images = examples.images[:10]
    try:
        extractor = EXTRACTORS.make(DATA.load(name).extractor)
    except NotDownloaded as missing:
        pytest.skip(str(missing))
    found = extract_features(extractor, images)
    assert len(found) == 10
    assert found.features.isfinite().all()


# Weights that were trained on this machine


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder for data and weights."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "data"


def write_weights(of: str, seed: int = 0) -> str:
    """Untrained weights where trained ones would lie; their SHA-256."""
    torch.manual_seed(seed)
    content = save(classifier.build_classifier(DATA.make(of)).state_dict())
    classifier.local_weights_path(of).parent.mkdir(parents=True, exist_ok=True)
    classifier.local_weights_path(of).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("extractor", ["classifier", "stacked"])
def test_weights_that_are_not_shipped_say_how_they_are_trained(extractor, place):
    with pytest.raises(NotDownloaded) as told:
        EXTRACTORS.make(f"{extractor}(of='mnist')")
    assert str(told.value) == (
        f"ganbench ships no weights for classifier(of='mnist'), and {place}/weights/mnist.safetensors does "
        "not exist: train the weights with `python -m ganbench.evaluation.extractors.classifier mnist`"
    )


@pytest.mark.parametrize("of", ["mnist", "cifar10", "stl10"])
def test_weights_that_were_trained_here_are_used_and_told_by_their_hash(of, place):
    sha256 = write_weights(of)
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    assert extractor.weights_hash() == sha256
    shape = DATA.make(of).shapes[IMAGE]
    found = extract_features(extractor, torch.zeros(3, *shape, dtype=torch.uint8))
    assert (found.features.shape, found.logits.shape) == (
        (3, classifier.CLASSIFIER_FEATURES),
        (3, 10),
    )


@pytest.mark.parametrize("content", [b"", b"no weights", save({"0.weight": torch.zeros(2)})])
def test_weights_that_do_not_fit_are_refused_in_a_sentence(content, place):
    write_weights("mnist")
    classifier.local_weights_path("mnist").write_bytes(content)
    with pytest.raises(NotDownloaded, match=r"mnist\.safetensors does not fit the classifier: train the weights"):
        EXTRACTORS.make("classifier(of='mnist')")


def test_other_weights_make_another_protocol(place, monkeypatch):
    monkeypatch.setattr(MNIST, "load", blank)
    monkeypatch.setattr(MNIST, "extractor", "classifier(of='mnist')")
    found = []
    for seed in (0, 1, 0):
        sha256 = write_weights("mnist", seed)
        found.append(Evaluator("mnist", CPU).protocol)
        assert found[-1].weights == sha256
    assert found[0].id == found[2].id != found[1].id


def blank(self) -> Split:
    images = Examples(torch.zeros(4, 1, 32, 32, dtype=torch.uint8), torch.zeros(4).long())
    return Split({IMAGE: images}, {IMAGE: images})


def test_training_leaves_weights_where_they_are_found(place, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "CLASSIFIER_STEPS", 200)
    classifier.main("digits")
    content = classifier.local_weights_path("digits").read_bytes()
    assert hashlib.sha256(content).hexdigest() in capsys.readouterr().out
    assert (
        EXTRACTORS.make("classifier(of='digits')").weights_hash()
        != hashlib.sha256(content).hexdigest()
    )
    monkeypatch.delitem(classifier.SHIPPED_CLASSIFIERS, "digits")  # what is shipped prevails
    extractor, held_out = (
        EXTRACTORS.make("classifier(of='digits')"),
        split("digits").held_out[IMAGE],
    )
    assert extractor.weights_hash() == hashlib.sha256(content).hexdigest()
    assert classifier.classifier_accuracy(extractor.network, held_out) > 0.9


# Stacks


def test_stacks_are_told_as_their_channels_are():
    whole, each = (
        EXTRACTORS.make("stacked(of='digits')"),
        EXTRACTORS.make("classifier(of='digits')"),
    )
    images = stack_split(Digits().load(), 10, 200).held_out[IMAGE].images
    found = extract_features(whole, images)
    channels = [extract_features(each, images[:, [c]]) for c in range(3)]
    assert same(found.features, torch.cat([part.features for part in channels], 1))
    digits = torch.stack([part.logits.argmax(1) for part in channels], 1)
    assert same(found.logits.argmax(1), digits @ torch.tensor([100, 10, 1]))
    joint = found.logits.softmax(1).view(-1, 10, 10, 10)
    for channel, part in enumerate(channels):
        others = [1 + c for c in range(3) if c != channel]
        torch.testing.assert_close(joint.sum(others), part.logits.softmax(1))
    assert whole.weights_hash() == each.weights_hash()


def test_stacks_need_a_classifier_of_one_channel(place):
    write_weights("cifar10")
    with pytest.raises(SpecError, match="one channel, and cifar10 has 3"):
        EXTRACTORS.make("stacked(of='cifar10')")


# Inception


class Untrained(FeatureExtractorInceptionV3):
    """torch-fidelity's network with the weights that it begins with: it reads none."""

    def load_state_dict(self, state):
        pass


@cache
def random_weights() -> bytes:
    empty, content = io.BytesIO(), io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    torch.manual_seed(0)
    network = Untrained("inception-v3-compat", ["2048"], feature_extractor_weights_path=empty)
    torch.save(network.state_dict(), content)
    return content.getvalue()


@pytest.fixture
def random_inception(place, monkeypatch, tmp_path):
    """Inception, wired as it is, with random weights in a file that the user names."""
    path = tmp_path / "random.pth"
    path.write_bytes(random_weights())
    monkeypatch.setenv("GANBENCH_INCEPTION", str(path))
    return EXTRACTORS.make("inception")


PUBLISHED = {
    "inception": inception.published_inception(),
    "vgg16": vgg16.VGG16_FILE,
    "clip": clip.published_clip(clip.DEFAULT_CLIP_MODEL),
    "clip(model='vit-l-14')": clip.published_clip("vit-l-14"),
    "dinov2": dinov2.published_dinov2(dinov2.DEFAULT_DINOV2_MODEL),
    "dinov2(model='vit-s-14')": dinov2.published_dinov2("vit-s-14"),
}
every_published = pytest.mark.parametrize("spec", PUBLISHED)
SMALL = [spec for spec in PUBLISHED if spec != "vgg16"]  # it takes seconds to build


def test_inception_that_is_not_here_says_what_to_do(place):
    with pytest.raises(NotDownloaded) as told:
        EXTRACTORS.make("inception")
    assert str(told.value) == (
        "inception's weights are not on this machine: run `ganbench download inception`, which downloads "
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth (SHA-256 6726825d...), put that file into "
        f"{place / 'weights'} as weights-inception-2015-12-05-6726825d.pth, or give its path with "
        "--inception-weights or GANBENCH_INCEPTION"
    )
    assert not place.exists()


@every_published
def test_weights_that_are_not_here_say_where_they_are_and_where_they_go(spec, place, monkeypatch):
    file = PUBLISHED[spec]
    with pytest.raises(NotDownloaded) as told:
        EXTRACTORS.make(spec)
    for part in (
        file.url,
        file.file,
        file.environment_variable,
        str(place / "weights"),
        file.sha256[:8],
    ):
        assert part in str(told.value)
    monkeypatch.setenv(file.environment_variable, str(place / "nothing"))
    with pytest.raises(
        NotDownloaded, match=f"nothing, which {file.environment_variable} names: run"
    ):
        EXTRACTORS.make(spec)


@pytest.mark.parametrize("number", [0, 1])
@every_published
def test_other_weights_under_the_published_name_are_refused(spec, number, place):
    path = PUBLISHED[spec].candidate_paths()[number]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    reason = "is damaged \\(its SHA-256 begins" if PUBLISHED[spec].sha256 else "or no weights: ganbench does not"
    with pytest.raises(NotDownloaded, match=reason) as told:
        EXTRACTORS.make(spec)
    assert str(path) in str(told.value)
    assert PUBLISHED[spec].url in str(told.value)


@pytest.mark.parametrize("spec", SMALL)
@pytest.mark.parametrize("content", ["tensors", "list", "short"])
def test_a_named_file_that_holds_something_else_is_refused(spec, content, place, monkeypatch):
    path = place.parent / "mine.pth"
    saved = {"tensors": {"fc.bias": torch.zeros(3)}, "list": [1, 2], "short": {}}[content]
    torch.save(saved, path)
    if content == "short":
        path.write_bytes(path.read_bytes()[:-20])
    monkeypatch.setenv(PUBLISHED[spec].environment_variable, str(path))
    with pytest.raises(NotDownloaded) as told:
        EXTRACTORS.make(spec)
    assert str(told.value).startswith(f"{path} ")
    assert PUBLISHED[spec].url in str(told.value)


def test_the_doctor_tells_which_weights_are_here(place):
    found = {item["what"]: item for item in examine_extractors()}
    assert found["efficientnet_lite0"]["told"] == "SHA-256 57934424..."
    for name in ("clip", "dinov2", "inception", "vgg16", "lpips"):
        assert not found[name]["ok"]
        assert not found[name]["needed"]
        assert f"run `ganbench download {name}`" in found[name]["told"]


def test_other_weights_are_called_other_weights(random_inception):
    sha256 = hashlib.sha256(random_weights()).hexdigest()
    assert random_inception.weights_hash() == sha256
    called = random_inception.label_with_weights("inception")
    assert called == f"inception with other weights ({sha256[:8]})"


def test_the_option_names_the_weights_to_all_that_measures(ganbench, tmp_path):
    path = tmp_path / "random.pth"
    path.write_bytes(random_weights())
    arguments = ("floor", "digits", "--metrics", "is(splits=1)", "--json")
    arguments += ("--protocol", "ganbench(extractor='inception', fakes=2, reals=2)")
    code, out, err = ganbench(*arguments, "--inception-weights", path)
    assert (code, err) == (0, "")
    protocol = json.loads(out)["protocol"]
    assert protocol["weights"] == hashlib.sha256(random_weights()).hexdigest()
    assert protocol["extractor"].startswith("inception with other weights")
    code, _, err = ganbench(*arguments, "--inception-weights", tmp_path / "no.pth")
    assert code == 2
    assert "there is no file" in err


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 8, 8), (3, 300, 310)])
def test_inception_makes_features_and_logits_of_images_of_any_size(random_inception, shape):
    images = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    found = extract_features(random_inception, images)
    assert (found.features.shape, found.logits.shape) == ((2, 2048), (2, 1008))
    assert found.features.isfinite().all()


def test_inception_is_wired_as_torch_fidelity_wires_it(random_inception):
    """The same random weights give the same numbers, in batches of whatever size; grey is all colours."""
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=io.BytesIO(random_weights()),
    )
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    features, logits = theirs(images)
    found = extract_features(random_inception, images)
    torch.testing.assert_close(found.features, features)
    torch.testing.assert_close(found.logits, logits)
    grey = extract_features(random_inception, images[:, :1])
    colours = extract_features(random_inception, images[:, :1].repeat(1, 3, 1, 1))
    assert same(grey.features, colours.features)


class Malicious:
    def __reduce__(self):
        return exec, ("raise SystemExit('this ran')",)


@every_published
def test_weights_that_would_run_code_are_not_opened(spec, place, monkeypatch):
    path = place.parent / "malicious.pth"
    torch.save({"fc.bias": Malicious()}, path)
    with pytest.raises(SystemExit, match="this ran"):
        torch.load(path, weights_only=False)
    monkeypatch.setenv(PUBLISHED[spec].environment_variable, str(path))
    with pytest.raises(NotDownloaded, match="holds more than weights"):
        EXTRACTORS.make(spec)


@pytest.mark.skipif(
    not any(path.is_file() for path in inception.published_inception().candidate_paths()),
    reason="Inception's weights are not on this machine: run `ganbench download inception`",
)
def test_the_published_inception_agrees_with_torch_fidelity():
    (path,) = [
        path for path in inception.published_inception().candidate_paths() if path.is_file()
    ][:1]
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(path),
    )
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    found = extract_features(EXTRACTORS.make("inception"), images)
    for ours, expected in zip((found.features, found.logits), theirs(images), strict=True):
        torch.testing.assert_close(ours, expected)


# Others of torch-fidelity's networks, with random weights


def seeded(weights, std=0.05):
    """Normal weights, the same on every machine, for each name; buffers as they are."""
    random = torch.Generator().manual_seed(0)
    return {
        name: std * torch.randn(tensor.shape, generator=random)
        if tensor.is_floating_point() and "running" not in name
        else tensor
        for name, tensor in weights.items()
    }


def named(spec, weights, monkeypatch, folder):
    """The extractor, with these weights in a file that its variable names."""
    path = folder / "seeded.pth"
    torch.save(weights, path)
    monkeypatch.setenv(PUBLISHED[spec].environment_variable, str(path))
    return EXTRACTORS.make(spec)


PICTURES = torch.randint(
    0, 256, (3, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def agrees(extractor, theirs, width):
    """Features are those of torch-fidelity's extractor with the same weights, grey ones too."""
    found = extract_features(extractor, PICTURES)
    assert found.features.shape == (3, width)
    assert found.logits is None
    assert found.features.std(0).max() > 0
    torch.testing.assert_close(found.features, theirs(PICTURES)[0])
    grey = PICTURES[:, :1]
    torch.testing.assert_close(
        extract_features(extractor, grey).features, theirs(grey.repeat(1, 3, 1, 1))[0]
    )


@pytest.mark.slow  # 550 MB of weights
def test_vgg16_is_torch_fidelitys(place, monkeypatch, tmp_path):
    network = torchvision.models.vgg16()
    ours = named("vgg16", network.state_dict(), monkeypatch, tmp_path)
    theirs = FeatureExtractorVGG16(
        "vgg16",
        ["fc2_relu"],
        feature_extractor_weights_path=published.weights_as_file(network.state_dict()),
    )
    agrees(ours, theirs, 4096)


def small_clip():
    """A CLIP of two blocks: the networks' sizes are read from their weights."""
    visual = VisionTransformer(16, 4, 64, 2, 1, 32)
    weights = seeded({f"visual.{name}": value for name, value in visual.state_dict().items()})
    return weights | {"text_projection": torch.zeros(8, 32)}


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_clip_is_torch_fidelitys(place, monkeypatch, tmp_path):
    weights = small_clip()
    ours = named("clip", dict(weights), monkeypatch, tmp_path)
    scripted = tmp_path / "clip.pt"

    class Holder(torch.nn.Module):
        """A program whose state is the weights, as the published files are."""

        def __init__(self):
            super().__init__()
            self.visual = VisionTransformer(16, 4, 64, 2, 1, 32)
            self.text_projection = torch.nn.Parameter(weights["text_projection"])

        def forward(self):
            return self.text_projection

    holder = Holder()
    holder.load_state_dict(weights)
    torch.jit.save(torch.jit.script(holder), scripted)
    theirs = FeatureExtractorCLIP(
        "clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(scripted)
    )
    agrees(ours, theirs, 32)

    content = scripted.read_bytes()
    monkeypatch.setenv("GANBENCH_CLIP", str(scripted))
    with pytest.raises(NotDownloaded, match=r"clip\.pt"):  # a program, and not OpenAI's
        EXTRACTORS.make("clip")
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(clip.MODEL_METADATA["clip-vit-b-32"], "hash", sha256)
    agrees(EXTRACTORS.make("clip"), theirs, 32)


def small_dino(size):
    """Weights of two blocks of 128 features, whose positions were trained at this size."""
    return seeded(dinov2.VisionTransformer(128, 2, (size // 14) ** 2, 14).state_dict(), 0.3)


def test_dinov2_looks_through_torch_fidelitys_preprocessing(place, monkeypatch, tmp_path):
    weights = small_dino(518)
    spec = "dinov2(model='vit-s-14')"
    ours = named(spec, weights | {"mask_token": torch.zeros(1, 128)}, monkeypatch, tmp_path)
    assert (
        ours.label_with_weights(spec) == f"{spec} with weights {ours.weights_hash()[:8]}"
    )  # no checksum is stated
    monkeypatch.setattr(torch.hub, "load", lambda *_: dinov2.build_transformer(weights))
    agrees(ours, FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"]), 128)


# What Meta's own `vision_transformer.py` (the package dinov2 0.0.1.dev2) makes of these weights and images.
METAS = {
    224: [0.17743, 0.143847, 0.107542, -0.211508, -0.013336, 0.08416, -0.184319, -0.298304],
    518: [0.122865, 0.142453, 0.125074, -0.208445, -0.01737, 0.073596, -0.178238, -0.297556],
}


@pytest.mark.parametrize("size", METAS)
def test_the_network_of_dinov2_is_metas(size):
    network = dinov2.build_transformer(small_dino(518))
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = network(image)[0]
    torch.testing.assert_close(found[:8], torch.tensor(METAS[size]), rtol=1e-4, atol=1e-5)


# EfficientNet-Lite0


def photograph(name):
    if name == "grace_hopper.jpg":
        with get_sample_data(name) as file:
            pixels = np.array(Image.open(file))
    else:
        pixels = load_sample_image(name).copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


CLASSES = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]


@pytest.fixture(scope="module")
def efficientnet():
    return EXTRACTORS.make("efficientnet_lite0")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flower.jpg", ["daisy"]),
        ("china.jpg", ["bell cote", "palace", "boathouse", "monastery", "stupa"]),
        ("grace_hopper.jpg", ["military uniform"]),
    ],
)
def test_efficientnet_names_photographs_rightly(efficientnet, name, expected):
    found = extract_features(efficientnet, photograph(name))
    assert found.features.shape == (1, 1280)
    assert CLASSES[int(found.logits.argmax())] in expected


def test_efficientnet_sees_what_its_packages_network_sees(efficientnet):
    images = torch.cat([PICTURES, PICTURES.flip(3)])
    found = extract_features(efficientnet, images)
    whole = efficientnet.network(efficientnet_lite0.prepare_images(images))
    torch.testing.assert_close(found.logits, whole, rtol=1e-3, atol=1e-3)
    floats = efficientnet(images.float().div(127.5).sub(1))[0]
    torch.testing.assert_close(floats, found.features, rtol=1e-3, atol=1e-3)
    grey = extract_features(efficientnet, images[:, :1])
    colours = extract_features(efficientnet, images[:, :1].repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey.features, colours.features)
    assert not efficientnet.tells_the_datas_classes


def test_efficientnet_without_its_packages_says_how_they_are_had(monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "EFFICIENTNET_FILE", "models/.gitignore")
    with pytest.raises(NotDownloaded, match=r"differ from the published ones: pip install"):
        EXTRACTORS.make("efficientnet_lite0")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(NotDownloaded, match=r"needs two packages: pip install"):
        EXTRACTORS.make("efficientnet_lite0")
