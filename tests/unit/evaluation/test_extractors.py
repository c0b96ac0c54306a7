"""Extractors: shipped classifiers, rejected weights, and features equal to references."""

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
from ganbench.data import DATA, label_classifier
from ganbench.data.base import IMAGE, Examples, NotDownloaded, Split
from ganbench.data.digits import Digits
from ganbench.data.label_classifier import weights_name
from ganbench.data.mnist import MNIST
from ganbench.data.stacked import stack_split
from ganbench.deprecation import GanbenchDeprecationWarning
from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import (
    EXTRACTORS,
    attribute_classifier,
    classifier,
    clip,
    dinov2,
    efficientnet_lite0,
    inception,
    published,
    vgg16,
    weight_files,
)
from ganbench.evaluation.extractors.base import Extractor, extract_features
from ganbench.registry import SpecError, parse_spec

SHIPPED = {
    f"classifier(of='{of}')": stated for of, stated in label_classifier.SHIPPED_CLASSIFIERS.items()
} | {
    f"attribute_classifier(of='{of}')": stated
    for of, stated in attribute_classifier.SHIPPED_ATTRIBUTE_CLASSIFIERS.items()
}
every_shipped = pytest.mark.parametrize("name", SHIPPED)
WEIGHTS_FOLDER = Path(label_classifier.__file__).parent / "weights"


def data_of(name: str) -> str:
    """Returns the data set of a classifier's spec."""
    return str(dict(parse_spec(name).settings)["of"])


def load_or_skip(of: str) -> Split:
    try:
        return split(of)
    except NotDownloaded as missing:
        pytest.skip(str(missing))


@every_shipped
def test_shipped_weights_match_stated_hash_and_accuracy(name):
    stated, of = SHIPPED[name], data_of(name)
    content = (WEIGHTS_FOLDER / f"{weights_name(of)}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated.sha256
    extractor, held_out = (
        EXTRACTORS.make(name),
        load_or_skip(of).held_out[IMAGE],
    )
    assert extractor.weights_hash() == stated.sha256
    accuracy = (
        (extract_features(extractor, held_out.images).logits.argmax(1) == held_out.labels)
        .double()
        .mean()
    )
    # On other machines, rounding may change the class of one or two of 10,000 images.
    assert accuracy.item() == pytest.approx(stated.held_out_accuracy, abs=3e-4)


def test_every_weights_file_is_registered():
    names = {path.stem for path in WEIGHTS_FOLDER.glob("*.safetensors")}
    assert names == {
        *map(weights_name, map(data_of, SHIPPED)),
        "moving_digits",
    }  # the last of clip_classifier


@every_shipped
@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c[:100], lambda c: b""]
)
def test_corrupt_shipped_weights_raise_not_downloaded(name, damage, tmp_path, monkeypatch):
    file = f"{weights_name(data_of(name))}.safetensors"
    content = (WEIGHTS_FOLDER / file).read_bytes()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file).write_bytes(damage(content))
    monkeypatch.setattr(label_classifier, "files", lambda package: tmp_path)
    with pytest.raises(NotDownloaded, match="differ from those that ganbench ships: reinstall"):
        EXTRACTORS.make(name)


@every_shipped
def test_missing_shipped_weights_raise_not_downloaded(name, tmp_path, monkeypatch):
    monkeypatch.setattr(label_classifier, "files", lambda package: tmp_path)
    with pytest.raises(NotDownloaded, match="reinstall"):
        EXTRACTORS.make(name)


def test_attribute_classifier_needs_captions_of_a_grammar():
    with pytest.raises(SpecError, match="digits has no captions of a grammar"):
        EXTRACTORS.make("attribute_classifier(of='digits')")


def test_classifier_needs_labelled_data():
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        EXTRACTORS.make("classifier(of='digit')")
    with pytest.raises(SpecError, match="of must be given"):
        EXTRACTORS.make("classifier")
    with pytest.raises(SpecError, match="ring has no labels"):
        EXTRACTORS.make("classifier(of='ring')")
    with pytest.raises(SpecError, match=r"size must be 8, 16 or 32, not 12"):
        EXTRACTORS.make("classifier(of='fashion_mnist(size=12)')")


def test_settings_at_their_defaults_name_no_other_classifier():
    assert (
        EXTRACTORS.make("classifier(of='fashion_mnist(size=32)')").weights_hash()
        == EXTRACTORS.make("classifier(of='fashion_mnist')").weights_hash()
    )


def test_training_command_quotes_settings(data_folder):
    with pytest.raises(NotDownloaded, match=r"classifier 'stl10\(size=32\)'`"):
        EXTRACTORS.make("classifier(of='stl10(size=32)')")


def test_shipped_weights_are_small():
    assert all(path.stat().st_size < 1_000_000 for path in WEIGHTS_FOLDER.iterdir())


@pytest.mark.parametrize("of", label_classifier.SHIPPED_CLASSIFIERS)
def test_features_are_last_hidden_layer(of):
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    images = load_or_skip(of).held_out[IMAGE].images
    output = extract_features(extractor, images)
    assert output.features.shape == (len(images), label_classifier.CLASSIFIER_FEATURES)
    assert output.logits.shape == (len(images), DATA.make(of).classes)
    assert (output.features >= 0).all()  # after a ReLU
    last = extractor.network[-1]
    torch.testing.assert_close(
        output.features @ last.weight.T + last.bias, output.logits, rtol=1e-4, atol=1e-4
    )
    assert not any(p.requires_grad for p in extractor.parameters())
    alone = extract_features(extractor, images[:3])
    torch.testing.assert_close(alone.features, output.features[:3], rtol=1e-4, atol=1e-4)


def test_identity_returns_points_as_features():
    points = split("ring").held_out[IMAGE].images
    output = extract_features(EXTRACTORS.make("identity"), points)
    assert same(output.features, points)
    assert output.logits is None
    assert EXTRACTORS.make("identity").weights_hash() is None


NEED_FILES = {"captioned_folder", "clip_folder", "folder", "moving_mnist", "paired", "unpaired"}


@pytest.mark.parametrize("name", sorted({*DATA.entries} - NEED_FILES))
def test_default_extractor_accepts_its_data_set(name):
    *_, examples = load_or_skip(name).held_out.values()
    images = examples.images[:10]
    try:
        extractor = EXTRACTORS.make(DATA.load(name).extractor)
    except NotDownloaded as missing:
        pytest.skip(str(missing))
    output = extract_features(extractor, images)
    assert len(output) == 10
    assert output.features.isfinite().all()


# Weights trained on this machine


@pytest.fixture
def data_folder(tmp_path, monkeypatch) -> Path:
    """Returns a data folder that does not exist yet."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "data"


def write_weights(of: str, seed: int = 0) -> str:
    """Writes untrained weights to the local weights path and returns their SHA-256."""
    torch.manual_seed(seed)
    content = save(label_classifier.build_classifier(DATA.make(of)).state_dict())
    label_classifier.local_weights_path(of).parent.mkdir(parents=True, exist_ok=True)
    label_classifier.local_weights_path(of).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("extractor", ["classifier", "stacked"])
def test_unshipped_weights_message_names_training_command(extractor, data_folder):
    with pytest.raises(NotDownloaded) as error:
        EXTRACTORS.make(f"{extractor}(of='mnist')")
    assert str(error.value) == (
        f"ganbench ships no weights for classifier(of='mnist'), and {data_folder}/weights/mnist.safetensors does "
        "not exist: train the weights with `python -m ganbench.evaluation.extractors.classifier mnist`"
    )


@pytest.mark.parametrize("of", ["mnist", "cifar10", "stl10"])
def test_local_weights_are_used_and_hashed(of, data_folder):
    sha256 = write_weights(of)
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    assert extractor.weights_hash() == sha256
    shape = DATA.make(of).shapes[IMAGE]
    output = extract_features(extractor, torch.zeros(3, *shape, dtype=torch.uint8))
    assert (output.features.shape, output.logits.shape) == (
        (3, label_classifier.CLASSIFIER_FEATURES),
        (3, 10),
    )


@pytest.mark.parametrize("content", [b"", b"no weights", save({"0.weight": torch.zeros(2)})])
def test_incompatible_weights_raise_not_downloaded(content, data_folder):
    write_weights("mnist")
    label_classifier.local_weights_path("mnist").write_bytes(content)
    with pytest.raises(
        NotDownloaded, match=r"mnist\.safetensors does not fit the classifier: train the weights"
    ):
        EXTRACTORS.make("classifier(of='mnist')")


def test_other_weights_change_protocol_id(data_folder, monkeypatch):
    monkeypatch.setattr(MNIST, "load", load_blank_images)
    monkeypatch.setattr(MNIST, "extractor", "classifier(of='mnist')")
    protocols = []
    for seed in (0, 1, 0):
        sha256 = write_weights("mnist", seed)
        protocols.append(Evaluator("mnist", CPU).protocol)
        assert protocols[-1].weights == sha256
    assert protocols[0].id == protocols[2].id != protocols[1].id


def load_blank_images(self) -> Split:
    images = Examples(torch.zeros(4, 1, 32, 32, dtype=torch.uint8), torch.zeros(4).long())
    return Split({IMAGE: images}, {IMAGE: images})


def test_trained_weights_are_saved_and_loaded(data_folder, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "CLASSIFIER_STEPS", 200)
    classifier.main("digits")
    content = label_classifier.local_weights_path("digits").read_bytes()
    assert hashlib.sha256(content).hexdigest() in capsys.readouterr().out
    assert (
        EXTRACTORS.make("classifier(of='digits')").weights_hash()
        != hashlib.sha256(content).hexdigest()
    )
    monkeypatch.delitem(
        label_classifier.SHIPPED_CLASSIFIERS, "digits"
    )  # shipped weights take precedence
    extractor, held_out = (
        EXTRACTORS.make("classifier(of='digits')"),
        split("digits").held_out[IMAGE],
    )
    assert extractor.weights_hash() == hashlib.sha256(content).hexdigest()
    assert classifier.classifier_accuracy(extractor.network, held_out) > 0.9


# Stacks


def test_stacked_logits_combine_channel_logits():
    stacked_extractor, channel_extractor = (
        EXTRACTORS.make("stacked(of='digits')"),
        EXTRACTORS.make("classifier(of='digits')"),
    )
    images = stack_split(Digits().load(), 10, 200).held_out[IMAGE].images
    stacked = extract_features(stacked_extractor, images)
    channels = [extract_features(channel_extractor, images[:, [c]]) for c in range(3)]
    assert same(stacked.features, torch.cat([part.features for part in channels], 1))
    digits = torch.stack([part.logits.argmax(1) for part in channels], 1)
    assert same(stacked.logits.argmax(1), digits @ torch.tensor([100, 10, 1]))
    joint = stacked.logits.softmax(1).view(-1, 10, 10, 10)
    for channel, part in enumerate(channels):
        others = [1 + c for c in range(3) if c != channel]
        torch.testing.assert_close(joint.sum(others), part.logits.softmax(1))
    assert stacked_extractor.weights_hash() == channel_extractor.weights_hash()


def test_stacked_needs_one_channel_classifier(data_folder):
    write_weights("cifar10")
    with pytest.raises(SpecError, match="one channel, and cifar10 has 3"):
        EXTRACTORS.make("stacked(of='cifar10')")


# Inception


class UntrainedInception(FeatureExtractorInceptionV3):
    """torch-fidelity's network with its initial random weights."""

    def load_state_dict(self, state):
        pass


@cache
def random_weights() -> bytes:
    empty, content = io.BytesIO(), io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    torch.manual_seed(0)
    network = UntrainedInception(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=empty
    )
    torch.save(network.state_dict(), content)
    return content.getvalue()


@pytest.fixture
def random_inception(data_folder, monkeypatch, tmp_path):
    """Returns Inception with random weights from a file named by the user."""
    path = tmp_path / "random.pth"
    path.write_bytes(random_weights())
    monkeypatch.setenv("GANBENCH_INCEPTION", str(path))
    return EXTRACTORS.make("inception")


PUBLISHED_FILES = {
    "inception": inception.published_inception(),
    "vgg16": vgg16.VGG16_FILE,
    "clip": clip.published_clip(clip.DEFAULT_CLIP_MODEL),
    "clip(model='vit-l-14')": clip.published_clip("vit-l-14"),
    "dinov2": dinov2.published_dinov2(dinov2.DEFAULT_DINOV2_MODEL),
    "dinov2(model='vit-s-14')": dinov2.published_dinov2("vit-s-14"),
}
every_published = pytest.mark.parametrize("spec", PUBLISHED_FILES)
FAST_SPECS = [spec for spec in PUBLISHED_FILES if spec != "vgg16"]  # vgg16 takes seconds to build


def test_missing_inception_message_names_remedies(data_folder):
    with pytest.raises(NotDownloaded) as error:
        EXTRACTORS.make("inception")
    assert str(error.value) == (
        "inception's weights are not on this machine.\n"
        "  download:  ganbench download inception\n"
        "  file:      --inception-weights FILE or GANBENCH_INCEPTION=FILE\n"
        "  other:     --extractor efficientnet_lite0, no download"
    )
    assert not data_folder.exists()


@every_published
def test_missing_weights_message_is_short(spec, data_folder, monkeypatch):
    file = PUBLISHED_FILES[spec]
    with pytest.raises(NotDownloaded) as error:
        EXTRACTORS.make(spec)
    assert error.value.download == spec
    assert file.environment_variable in str(error.value)
    assert max(map(len, str(error.value).splitlines())) <= 80
    for part in (file.url, str(data_folder / "weights" / file.file), file.sha256[:8]):
        assert part in file.source()
    monkeypatch.setenv(file.environment_variable, str(data_folder / "nothing"))
    with pytest.raises(NotDownloaded, match=f"nothing, which {file.environment_variable} names."):
        EXTRACTORS.make(spec)


@pytest.mark.parametrize("number", [0, 1])
@every_published
def test_wrong_hash_under_published_name_is_rejected(spec, number, data_folder):
    path = PUBLISHED_FILES[spec].candidate_paths()[number]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    reason = (
        "is damaged \\(its SHA-256 begins"
        if PUBLISHED_FILES[spec].sha256
        else "or no weights: ganbench does not"
    )
    with pytest.raises(NotDownloaded, match=reason) as error:
        EXTRACTORS.make(spec)
    assert str(path) in str(error.value)
    assert PUBLISHED_FILES[spec].download_command() in str(error.value)


@pytest.mark.parametrize("spec", FAST_SPECS)
@pytest.mark.parametrize("content", ["tensors", "list", "short"])
def test_file_without_matching_weights_is_rejected(spec, content, data_folder, monkeypatch):
    path = data_folder.parent / "mine.pth"
    saved = {"tensors": {"fc.bias": torch.zeros(3)}, "list": [1, 2], "short": {}}[content]
    torch.save(saved, path)
    if content == "short":
        path.write_bytes(path.read_bytes()[:-20])
    monkeypatch.setenv(PUBLISHED_FILES[spec].environment_variable, str(path))
    with pytest.raises(NotDownloaded) as error:
        EXTRACTORS.make(spec)
    assert str(error.value).startswith(f"{path} ")
    assert PUBLISHED_FILES[spec].download_command() in str(error.value)


def test_doctor_lists_available_weights(data_folder):
    checks = {check["item"]: check for check in examine_extractors()}
    assert checks["efficientnet_lite0"]["detail"] == "SHA-256 57934424..."
    for name in ("clip", "dinov2", "inception", "vgg16", "lpips"):
        assert not checks[name]["ok"]
        assert not checks[name]["needed"]
        assert f"run `ganbench download {name}`" in checks[name]["detail"]


def test_label_marks_other_weights(random_inception):
    sha256 = hashlib.sha256(random_weights()).hexdigest()
    assert random_inception.weights_hash() == sha256
    label = random_inception.label_with_weights("inception")
    assert label == f"inception with other weights ({sha256[:8]})"


def test_inception_weights_option_reaches_the_protocol(ganbench, tmp_path):
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
def test_inception_accepts_any_image_size(random_inception, shape):
    images = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    output = extract_features(random_inception, images)
    assert (output.features.shape, output.logits.shape) == ((2, 2048), (2, 1008))
    assert output.features.isfinite().all()


def test_random_inception_equals_torch_fidelity(random_inception):
    """Grey images are repeated over three channels."""
    torch_fidelity_extractor = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=io.BytesIO(random_weights()),
    )
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    features, logits = torch_fidelity_extractor(images)
    output = extract_features(random_inception, images)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.logits, logits)
    grey = extract_features(random_inception, images[:, :1])
    colours = extract_features(random_inception, images[:, :1].repeat(1, 3, 1, 1))
    assert same(grey.features, colours.features)


class Malicious:
    def __reduce__(self):
        return exec, ("raise SystemExit('this ran')",)


@every_published
def test_pickled_code_in_weights_is_not_run(spec, data_folder, monkeypatch):
    path = data_folder.parent / "malicious.pth"
    torch.save({"fc.bias": Malicious()}, path)
    with pytest.raises(SystemExit, match="this ran"):
        torch.load(path, weights_only=False)
    monkeypatch.setenv(PUBLISHED_FILES[spec].environment_variable, str(path))
    with pytest.raises(NotDownloaded, match="holds more than weights"):
        EXTRACTORS.make(spec)


@pytest.mark.skipif(
    not any(path.is_file() for path in inception.published_inception().candidate_paths()),
    reason="Inception's weights are not on this machine: run `ganbench download inception`",
)
def test_published_inception_equals_torch_fidelity():
    (path,) = [
        path for path in inception.published_inception().candidate_paths() if path.is_file()
    ][:1]
    torch_fidelity_extractor = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(path),
    )
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    output = extract_features(EXTRACTORS.make("inception"), images)
    for actual, expected in zip(
        (output.features, output.logits), torch_fidelity_extractor(images), strict=True
    ):
        torch.testing.assert_close(actual, expected)


# Other networks of torch-fidelity, with random weights


def random_state(weights, std=0.05):
    """Replaces weights by seeded normal values and leaves running statistics unchanged."""
    random = torch.Generator().manual_seed(0)
    return {
        name: std * torch.randn(tensor.shape, generator=random)
        if tensor.is_floating_point() and "running" not in name
        else tensor
        for name, tensor in weights.items()
    }


def extractor_with_weights(spec, weights, monkeypatch, folder):
    """Returns the extractor with weights from the file named by its environment variable."""
    path = folder / "seeded.pth"
    torch.save(weights, path)
    monkeypatch.setenv(PUBLISHED_FILES[spec].environment_variable, str(path))
    return EXTRACTORS.make(spec)


TEST_IMAGES = torch.randint(
    0, 256, (3, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def assert_equals_torch_fidelity(extractor, torch_fidelity_extractor, width):
    """Compares features of colour and grey images with those of torch-fidelity."""
    output = extract_features(extractor, TEST_IMAGES)
    assert output.features.shape == (3, width)
    assert output.logits is None
    assert output.features.std(0).max() > 0
    torch.testing.assert_close(output.features, torch_fidelity_extractor(TEST_IMAGES)[0])
    grey = TEST_IMAGES[:, :1]
    torch.testing.assert_close(
        extract_features(extractor, grey).features,
        torch_fidelity_extractor(grey.repeat(1, 3, 1, 1))[0],
    )


@pytest.mark.slow  # 550 MB of weights
def test_vgg16_equals_torch_fidelity(data_folder, monkeypatch, tmp_path):
    network = torchvision.models.vgg16()
    extractor = extractor_with_weights("vgg16", network.state_dict(), monkeypatch, tmp_path)
    torch_fidelity_extractor = FeatureExtractorVGG16(
        "vgg16",
        ["fc2_relu"],
        feature_extractor_weights_path=published.weights_as_file(network.state_dict()),
    )
    assert_equals_torch_fidelity(extractor, torch_fidelity_extractor, 4096)


def small_clip_weights():
    """Returns weights of a CLIP with two blocks; network sizes are read from weights."""
    visual = VisionTransformer(16, 4, 64, 2, 1, 32)
    weights = random_state({f"visual.{name}": value for name, value in visual.state_dict().items()})
    return weights | {"text_projection": torch.zeros(8, 32)}


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_clip_equals_torch_fidelity(data_folder, monkeypatch, tmp_path):
    weights = small_clip_weights()
    extractor = extractor_with_weights("clip", dict(weights), monkeypatch, tmp_path)
    scripted = tmp_path / "clip.pt"

    class Holder(torch.nn.Module):
        """Scripted module whose state is the weights, like the published files."""

        def __init__(self):
            super().__init__()
            self.visual = VisionTransformer(16, 4, 64, 2, 1, 32)
            self.text_projection = torch.nn.Parameter(weights["text_projection"])

        def forward(self):
            return self.text_projection

    holder = Holder()
    holder.load_state_dict(weights)
    torch.jit.save(torch.jit.script(holder), scripted)
    torch_fidelity_extractor = FeatureExtractorCLIP(
        "clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(scripted)
    )
    assert_equals_torch_fidelity(extractor, torch_fidelity_extractor, 32)

    content = scripted.read_bytes()
    monkeypatch.setenv("GANBENCH_CLIP", str(scripted))
    # A TorchScript program is accepted only with OpenAI's hash.
    with pytest.raises(NotDownloaded, match=r"clip\.pt"):
        EXTRACTORS.make("clip")
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(weight_files.CLIP_FILES, "vit-b-32", (sha256, "ViT-B-32"))
    assert_equals_torch_fidelity(EXTRACTORS.make("clip"), torch_fidelity_extractor, 32)


def small_dinov2_weights(size):
    """Returns weights of two blocks of 128 features, with positions for this image size."""
    return random_state(dinov2.VisionTransformer(128, 2, (size // 14) ** 2, 14).state_dict(), 0.3)


def test_dinov2_preprocessing_equals_torch_fidelity(data_folder, monkeypatch, tmp_path):
    weights = small_dinov2_weights(518)
    spec = "dinov2(model='vit-s-14')"
    extractor = extractor_with_weights(
        spec, weights | {"mask_token": torch.zeros(1, 128)}, monkeypatch, tmp_path
    )
    # No checksum is registered, so the label names the hash.
    assert (
        extractor.label_with_weights(spec) == f"{spec} with weights {extractor.weights_hash()[:8]}"
    )
    monkeypatch.setattr(torch.hub, "load", lambda *_: dinov2.build_transformer(weights))
    assert_equals_torch_fidelity(
        extractor, FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"]), 128
    )


# Features by Meta's own `vision_transformer.py` (package dinov2 0.0.1.dev2) for these weights and images.
META_FEATURES = {
    224: [0.17743, 0.143847, 0.107542, -0.211508, -0.013336, 0.08416, -0.184319, -0.298304],
    518: [0.122865, 0.142453, 0.125074, -0.208445, -0.01737, 0.073596, -0.178238, -0.297556],
}


@pytest.mark.parametrize("size", META_FEATURES)
def test_dinov2_network_equals_meta_values(size):
    network = dinov2.build_transformer(small_dinov2_weights(518))
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        features = network(image)[0]
    torch.testing.assert_close(
        features[:8], torch.tensor(META_FEATURES[size]), rtol=1e-4, atol=1e-5
    )


# EfficientNet-Lite0


def load_photograph(name):
    if name == "grace_hopper.jpg":
        with get_sample_data(name) as file:
            pixels = np.array(Image.open(file))
    else:
        pixels = load_sample_image(name).copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


IMAGENET_CLASSES = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]


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
def test_efficientnet_classifies_photographs(efficientnet, name, expected):
    output = extract_features(efficientnet, load_photograph(name))
    assert output.features.shape == (1, 1280)
    assert IMAGENET_CLASSES[int(output.logits.argmax())] in expected


def test_efficientnet_features_equal_its_package(efficientnet):
    images = torch.cat([TEST_IMAGES, TEST_IMAGES.flip(3)])
    output = extract_features(efficientnet, images)
    expected = efficientnet.network(efficientnet_lite0.prepare_images(images))
    torch.testing.assert_close(output.logits, expected, rtol=1e-3, atol=1e-3)
    floats = efficientnet(images.float().div(127.5).sub(1))[0]
    torch.testing.assert_close(floats, output.features, rtol=1e-3, atol=1e-3)
    grey = extract_features(efficientnet, images[:, :1])
    colours = extract_features(efficientnet, images[:, :1].repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey.features, colours.features)
    assert not efficientnet.predicts_classes_of(None)


def test_missing_efficientnet_message_names_packages(monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "EFFICIENTNET_FILE", "models/.gitignore")
    with pytest.raises(NotDownloaded, match=r"differ from the published ones: pip install"):
        EXTRACTORS.make("efficientnet_lite0")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(NotDownloaded, match=r"needs two packages: pip install"):
        EXTRACTORS.make("efficientnet_lite0")


@pytest.mark.parametrize(
    ("extractor", "data", "expected"),
    [
        ("classifier(of='digits')", "digits", True),
        ("classifier(of='digits')", "restyled_digits", True),  # which name it as their own
        ("classifier(of='digits')", "fashion_mnist(size=8)", False),
        ("classifier(of='fashion_mnist(size=8)')", "fashion_mnist(size=8)", True),
        ("stacked(of='digits')", "stacked_digits", True),
        ("stacked(of='digits')", "folder(path='.')", False),
        ("clip_classifier", "moving_digits", True),
        ("clip_classifier", None, False),
        ("attribute_classifier(of='captioned_digits')", "captioned_digits", True),
        ("attribute_classifier(of='captioned_digits')", None, False),
        ("classifier(of='digits')", None, False),  # a folder, an array or a generator
        ("identity", "ring", True),
    ],
)
def test_classifiers_predict_classes_of_their_own_data(extractor, data, expected):
    data = data and DATA.make(data)
    assert EXTRACTORS.make(extractor).predicts_classes_of(data) is expected


def test_images_of_no_data_set_have_no_modes():
    noise = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    result = evaluate(
        noise, "digits:train", metrics=["modes"], extractor="classifier(of='digits')", floor=False
    )
    assert result.rows[0].value is not None  # of the reals' data set
    result = evaluate(
        noise, noise, metrics=["modes"], extractor="classifier(of='digits')", floor=False
    )
    assert "needs the data's own classes as modes" in result.rows[0].reason


def test_flag_of_the_last_release_still_counts():
    with pytest.warns(GanbenchDeprecationWarning, match=r"predicts_classes_of"):
        old = type("Old", (Extractor,), {"tells_the_datas_classes": False})
    assert old().predicts_classes_of(DATA.make("digits")) is False
