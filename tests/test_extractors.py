"""The shipped classifier is the one that is stated, and a damaged one is refused."""

import hashlib
from pathlib import Path

import pytest
import torch
from conftest import same, split

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Missing
from ganbench.extractors import EXTRACTORS, classifier
from ganbench.extractors.base import extracted
from ganbench.spec import SpecError

every_shipped = pytest.mark.parametrize("of", classifier.SHIPPED)
FOLDER = Path(classifier.__file__).parent / "weights"


@every_shipped
def test_shipped_weights_have_the_stated_hash_and_accuracy(of):
    stated = classifier.SHIPPED[of]
    content = (FOLDER / f"{of}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated.sha256
    extractor, held_out = EXTRACTORS.make(f"classifier(of='{of}')"), split(of).held_out[IMAGE]
    assert extractor.weights() == stated.sha256
    right = (
        (extracted(extractor, held_out.images).logits.argmax(1) == held_out.labels).double().mean()
    )
    assert round(right.item(), 4) == stated.held_out_accuracy


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


def test_a_classifier_is_only_of_what_is_shipped():
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        EXTRACTORS.make("classifier(of='digit')")
    with pytest.raises(SpecError, match="of must be given"):
        EXTRACTORS.make("classifier")


@every_shipped
def test_features_are_those_of_the_last_hidden_layer(of):
    extractor = EXTRACTORS.make(f"classifier(of='{of}')")
    images = split(of).held_out[IMAGE].images
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


@pytest.mark.parametrize("name", DATA.entries)
def test_a_data_sets_own_extractor_measures_it(name):
    data = DATA.make(name)
    found = extracted(EXTRACTORS.make(data.extractor), split(name).held_out[IMAGE].images[:10])
    assert len(found) == 10
    assert found.features.isfinite().all()
