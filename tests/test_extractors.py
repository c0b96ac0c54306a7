"""Shipped classifiers are those that are stated, damaged weights are refused, and features are what they should be."""

import hashlib
import io
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import CPU, same, split
from safetensors.torch import save
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Examples, Missing, Split
from ganbench.data.digits import Digits
from ganbench.data.mnist import Mnist
from ganbench.data.stacks import stacked
from ganbench.evaluate import Yardstick
from ganbench.extractors import EXTRACTORS, classifier, inception
from ganbench.extractors.base import extracted
from ganbench.spec import SpecError

every_shipped = pytest.mark.parametrize("of", classifier.SHIPPED)
FOLDER = Path(classifier.__file__).parent / "weights"


def here(of: str) -> Split:
    try:
        return split(of)
    except Missing as missing:
        pytest.skip(str(missing))


@every_shipped
def test_shipped_weights_have_the_stated_hash_and_accuracy(of):
    stated = classifier.SHIPPED[of]
    content = (FOLDER / f"{of}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated.sha256
    extractor, held_out = EXTRACTORS.make(f"classifier(of='{of}')"), here(of).held_out[IMAGE]
    assert extractor.weights() == stated.sha256
    right = (
        (extracted(extractor, held_out.images).logits.argmax(1) == held_out.labels).double().mean()
    )
    # Another machine's arithmetic may tip one or two images of 10,000, which is nothing.
    assert right.item() == pytest.approx(stated.held_out_accuracy, abs=3e-4)


def test_every_file_of_weights_is_stated():
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(classifier.SHIPPED)


@every_shipped
@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c[:100], lambda c: b""]
)
def test_a_damaged_file_is_refused_in_a_sentence(of, damage, tmp_path, monkeypatch):
    content = (FOLDER / f"{of}.safetensors").read_bytes()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{of}.safetensors").write_bytes(damage(content))
    monkeypatch.setattr(classifier, "files", lambda package: tmp_path)
    with pytest.raises(Missing, match="are not those that ganbench ships: reinstall it"):
        EXTRACTORS.make(f"classifier(of='{of}')")


@every_shipped
def test_a_missing_file_is_refused_in_a_sentence(of, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "files", lambda package: tmp_path)
    with pytest.raises(Missing, match="reinstall"):
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
    found = extracted(extractor, images)
    assert found.features.shape == (len(images), classifier.FEATURES)
    assert found.logits.shape == (len(images), DATA.make(of).classes)
    assert (found.features >= 0).all()  # behind a ReLU
    last = extractor.network[-1]
    torch.testing.assert_close(
        found.features @ last.weight.T + last.bias, found.logits, rtol=1e-4, atol=1e-4
    )
    assert not any(p.requires_grad for p in extractor.parameters())
    alone = extracted(extractor, images[:3])
    torch.testing.assert_close(alone.features, found.features[:3], rtol=1e-4, atol=1e-4)


def test_points_are_their_own_features():
    points = split("ring").held_out[IMAGE].images
    found = extracted(EXTRACTORS.make("identity"), points)
    assert same(found.features, points)
    assert found.logits is None
    assert EXTRACTORS.make("identity").weights() is None


@pytest.mark.parametrize("name", sorted({*DATA.entries} - {"folder"}))
def test_a_data_sets_own_extractor_measures_it(name):
    images = here(name).held_out[IMAGE].images[:10]
    try:
        extractor = EXTRACTORS.make(DATA.load(name).extractor)
    except Missing as missing:
        pytest.skip(str(missing))
    found = extracted(extractor, images)
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
    content = save(classifier.network(DATA.make(of)).state_dict())
    classifier.local(of).parent.mkdir(parents=True, exist_ok=True)
    classifier.local(of).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("extractor", ["classifier", "stacked"])
def test_weights_that_are_not_shipped_say_how_they_are_trained(extractor, place):
    with pytest.raises(Missing) as told:
        EXTRACTORS.make(f"{extractor}(of='mnist')")
    assert str(told.value) == (
        f"no weights are shipped for classifier(of='mnist'), and {place}/weights/mnist.safetensors is "
        "not there: train them by `python -m ganbench.extractors.classifier mnist`"
    )


@pytest.mark.parametrize("of", ["mnist", "cifar10", "stl10"])
def test_weights_that_were_trained_here_are_used_and_told_by_their_hash(of, place):
    sha256 = write_weights(of)
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    assert extractor.weights() == sha256
    shape = DATA.make(of).shapes[IMAGE]
    found = extracted(extractor, torch.zeros(3, *shape, dtype=torch.uint8))
    assert (found.features.shape, found.logits.shape) == ((3, classifier.FEATURES), (3, 10))


@pytest.mark.parametrize("content", [b"", b"no weights", save({"0.weight": torch.zeros(2)})])
def test_weights_that_do_not_fit_are_refused_in_a_sentence(content, place):
    write_weights("mnist")
    classifier.local("mnist").write_bytes(content)
    with pytest.raises(Missing, match=r"mnist\.safetensors does not fit: train them by"):
        EXTRACTORS.make("classifier(of='mnist')")


def test_other_weights_make_another_protocol(place, monkeypatch):
    monkeypatch.setattr(Mnist, "load", blank)
    monkeypatch.setattr(Mnist, "extractor", "classifier(of='mnist')")
    found = []
    for seed in (0, 1, 0):
        sha256 = write_weights("mnist", seed)
        found.append(Yardstick("mnist", CPU).protocol)
        assert found[-1].weights == sha256
    assert found[0].id == found[2].id != found[1].id


def blank(self) -> Split:
    images = Examples(torch.zeros(4, 1, 32, 32, dtype=torch.uint8), torch.zeros(4).long())
    return Split({IMAGE: images}, {IMAGE: images})


def test_training_leaves_weights_where_they_are_found(place, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "STEPS", 200)
    classifier.main("digits")
    content = classifier.local("digits").read_bytes()
    assert hashlib.sha256(content).hexdigest() in capsys.readouterr().out
    assert (
        EXTRACTORS.make("classifier(of='digits')").weights() != hashlib.sha256(content).hexdigest()
    )
    monkeypatch.delitem(classifier.SHIPPED, "digits")  # what is shipped prevails
    extractor, held_out = (
        EXTRACTORS.make("classifier(of='digits')"),
        split("digits").held_out[IMAGE],
    )
    assert extractor.weights() == hashlib.sha256(content).hexdigest()
    assert classifier.accuracy(extractor.network, held_out) > 0.9


# Stacks


def test_stacks_are_told_as_their_channels_are():
    whole, each = (
        EXTRACTORS.make("stacked(of='digits')"),
        EXTRACTORS.make("classifier(of='digits')"),
    )
    images = stacked(Digits().load(), 10, 200).held_out[IMAGE].images
    found = extracted(whole, images)
    channels = [extracted(each, images[:, [c]]) for c in range(3)]
    assert same(found.features, torch.cat([part.features for part in channels], 1))
    digits = torch.stack([part.logits.argmax(1) for part in channels], 1)
    assert same(found.logits.argmax(1), digits @ torch.tensor([100, 10, 1]))
    joint = found.logits.softmax(1).view(-1, 10, 10, 10)
    for channel, part in enumerate(channels):
        others = [1 + c for c in range(3) if c != channel]
        torch.testing.assert_close(joint.sum(others), part.logits.softmax(1))
    assert whole.weights() == each.weights()


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
def random_inception(place, monkeypatch):
    """Inception, wired as it is, with random weights where the published ones would lie."""
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(random_weights()).hexdigest()[:8])
    path = inception.places()[1]
    path.parent.mkdir(parents=True)
    path.write_bytes(random_weights())
    return EXTRACTORS.make("inception")


def test_inception_that_is_not_here_says_what_to_do(place):
    with pytest.raises(Missing) as told:
        EXTRACTORS.make("inception")
    assert str(told.value) == (
        "Inception's weights are not on this machine: run `ganbench download inception`, or put "
        f"weights-inception-2015-12-05-6726825d.pth into {place / 'weights'}"
    )
    assert not place.exists()


@pytest.mark.parametrize("number", [0, 1])
def test_other_weights_in_the_place_of_inceptions_are_refused(place, number):
    path = inception.places()[number]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(Missing, match=r"6726825d\.pth is damaged: delete it and run"):
        EXTRACTORS.make("inception")


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 8, 8), (3, 300, 310)])
def test_inception_makes_features_and_logits_of_images_of_any_size(random_inception, shape):
    images = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    found = extracted(random_inception, images)
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
    found = extracted(random_inception, images)
    torch.testing.assert_close(found.features, features)
    torch.testing.assert_close(found.logits, logits)
    grey = extracted(random_inception, images[:, :1])
    colours = extracted(random_inception, images[:, :1].repeat(1, 3, 1, 1))
    assert same(grey.features, colours.features)
    assert random_inception.weights() == hashlib.sha256(random_weights()).hexdigest()


class Malicious:
    def __reduce__(self):
        return exec, ("raise SystemExit('this ran')",)


def test_weights_that_would_run_code_are_not_opened(place, monkeypatch):
    content = io.BytesIO()
    torch.save({"fc.bias": Malicious()}, content)
    with pytest.raises(SystemExit, match="this ran"):
        torch.load(io.BytesIO(content.getvalue()), weights_only=False)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(content.getvalue()).hexdigest()[:8])
    inception.places()[0].parent.mkdir(parents=True)
    inception.places()[0].write_bytes(content.getvalue())
    with pytest.raises(Missing, match="holds more than weights"):
        EXTRACTORS.make("inception")


@pytest.mark.skipif(
    not any(path.is_file() for path in inception.places()),
    reason="Inception's weights are not on this machine: run `ganbench download inception`",
)
def test_the_published_inception_agrees_with_torch_fidelity():
    (path,) = [path for path in inception.places() if path.is_file()][:1]
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(path),
    )
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    found = extracted(EXTRACTORS.make("inception"), images)
    for ours, published in zip((found.features, found.logits), theirs(images), strict=True):
        torch.testing.assert_close(ours, published)
