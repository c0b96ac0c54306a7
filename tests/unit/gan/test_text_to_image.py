"""Text to image: encoders of captions, Reed's and DF-GAN's networks, and their tricks."""

from dataclasses import replace

import pytest
import torch
from helpers import CPU, split, steps, trainer
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.captions import Captions
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import Incompatible, build_training
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.condition_encoder import BagOfWords, RecurrentEncoder
from ganbench.gan.networks.dfgan import Affine, ShareDownBlock
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.mismatch import choose_other_labels
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams

CAPTIONS = Captions(("a b", "b a", "a b c"))
TEXT_VARIANTS = [
    "reed(width=4, code=8)",
    "reed(width=4, code=8, encoder='bag')",
    "dfgan(width=4, code=8)",
    "dfgan(width=4, code=8, encoder='label')",
]


def test_a_bag_ignores_the_order_of_words_and_a_gru_does_not():
    bag, recurrent = BagOfWords(CAPTIONS, 6), RecurrentEncoder(CAPTIONS, 6)
    labels = torch.arange(3)
    torch.testing.assert_close(bag(labels)[0], bag(labels)[1])
    assert not torch.allclose(bag(labels)[0], bag(labels)[2])
    assert not torch.allclose(recurrent(labels)[0], recurrent(labels)[1])


def test_recurrent_codes_equal_those_of_pytorchs_gru():
    """PyTorch's GRU reads one sentence without padding, with the weights of the cell."""
    encoder, gru = RecurrentEncoder(CAPTIONS, 6), nn.GRU(6, 6, batch_first=True)
    gru.load_state_dict({f"{k}_l0": v for k, v in encoder.cell.state_dict().items()})
    for label, words in enumerate(([1, 2], [2, 1], [1, 2, 3])):
        _, last = gru(encoder.embedding(torch.tensor([words])))
        torch.testing.assert_close(encoder(torch.tensor([label])), last[0])


def test_spectral_norm_iterates_once_in_a_sentence():
    """The power iteration of a pass is that of one product, however many words there are."""
    encoder = RecurrentEncoder(CAPTIONS, 6)
    spectral_norm(encoder.cell, "weight_hh")
    norm = encoder.cell.parametrizations.weight_hh[0]
    calls = []
    norm.register_forward_hook(lambda *_: calls.append(1))
    encoder(torch.arange(3))
    assert len(calls) == 1


def count_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_dfgan_has_the_published_parameters():
    """Those of the authors' code at 256x256: NetG, NetD and NetC without a text encoder.

    Their discriminator also has three layers that are never used, of 256 · 256 + 256 weights each.
    """
    with torch.device("meta"):
        family = replace(NETWORKS.make("dfgan"), classes=1)
        generator = family.build_generator(100, (3, 256, 256))
        discriminator = family.build_discriminator((3, 256, 256))
    embedding = 256  # of one class, in the place of a text encoder
    assert count_parameters(generator) - embedding == 9_744_131
    assert count_parameters(discriminator.body) == 6_619_206 - 3 * (256 * 256 + 256)
    assert count_parameters(discriminator.head) - embedding == 295_936


def test_fusion_begins_as_the_identity_and_shares_begin_at_zero():
    x = torch.randn(2, 3, 4, 4)
    affine = Affine(5, 3)
    torch.testing.assert_close(affine(x, torch.randn(2, 5)), x)
    block = ShareDownBlock(3, 3)
    torch.testing.assert_close(block(x), nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize("text", [*TEXT_VARIANTS, "cdcgan(width=4)"])
def test_conditional_variants_train_on_captions(text):
    recipe = resolve_variant(text)
    training = trainer(text, "captioned_digits", recipe.tricks, loss=recipe.loss)
    for log in steps(training, 2):
        assert all(value == value for value in log.values())
    labels = split("captioned_digits").train[IMAGE].labels[:4]
    latents = torch.randn(1, training.task.latent).expand(4, -1)
    generator = training.task.generators[IMAGE].eval()
    images = generator(latents, labels)
    assert images.shape == (4, 1, 16, 16)
    assert images.flatten(1).unique(dim=0).shape[0] == labels.unique().shape[0]


@pytest.mark.parametrize("text", TEXT_VARIANTS)
def test_networks_accept_codes_as_labels(text):
    data = DATA.make("captioned_digits")
    task = build_training(resolve_variant(text), data, RngStreams(0, CPU)).task.eval()
    labels, latents = torch.tensor([3, 500, 1359]), torch.randn(3, task.latent)
    generator, discriminator = task.generators[IMAGE], task.discriminators[IMAGE]
    images = generator(latents, labels)
    assert torch.equal(images, generator(latents, generator.encode_label(labels)))
    codes = discriminator.head.encode_label(labels)
    assert torch.equal(discriminator(images, labels), discriminator(images, codes))


def test_other_labels_are_the_next_different_ones():
    assert choose_other_labels(torch.tensor([1, 1, 2, 3])).tolist() == [2, 2, 3, 1]
    assert choose_other_labels(torch.tensor([5, 5])).tolist() == [5, 5]


class LinearScore(nn.Module):
    """Scores <w, x> + <v, code>, with the label's one-hot code."""

    def __init__(self):
        super().__init__()
        self.image, self.condition = torch.tensor([3.0, 4.0]), torch.tensor([12.0, 0.0, 1.0])

    def features(self, x, label=None):
        return x

    def head(self, features, label):
        code = label if label.is_floating_point() else self.encode_label(label)
        return features @ self.image + code @ self.condition

    def encode_label(self, label):
        return nn.functional.one_hot(label, 3).float()


def linear_pair(labels):
    discriminator = LinearScore()
    discriminator.head = HeadOf(discriminator)
    real = torch.randn(len(labels), 2).requires_grad_()
    fake = torch.randn(len(labels), 2)
    return AdversarialBatch(
        *(IMAGE, IMAGE, nn.Identity(), discriminator, fake, real, fake, labels, labels)
    )


class HeadOf:
    """The head of a linear score, as the tricks call it."""

    def __init__(self, discriminator):
        self.score, self.encode_label = discriminator.head, discriminator.encode_label

    def __call__(self, features, label):
        return self.score(features, label)


@pytest.mark.parametrize("power", [1.0, 2.0, 6.0])
def test_matching_penalty_of_a_linear_score(power):
    """Its gradient is (3, 4) by the image and (12, 0, 1) by the code, of length sqrt(170)."""
    trick = TRICKS.make(f"matching_penalty(weight=2, power={power})")
    terms = dict(trick.discriminator_terms(linear_pair(torch.tensor([0, 2, 1]))))
    assert terms["matching_penalty"].item() == pytest.approx(2 * 170 ** (power / 2), rel=1e-5)


def test_mismatch_gives_half_of_the_fakes_wrong_labels():
    labels = torch.tensor([0, 1, 2])
    pair, loss = linear_pair(labels), LOSSES.make("hinge")
    wrong = pair.discriminator.head(pair.real_features, torch.tensor([1, 2, 0]))
    expected = (
        (1 - pair.real_score).relu().mean()
        + 0.5 * (1 + pair.fake_score).relu().mean()
        + 0.5 * (1 + wrong).relu().mean()
    )
    changed = TRICKS.make("mismatch").transform_loss(loss, pair)
    result = changed.discriminator_loss(pair.real_score, pair.fake_score)
    torch.testing.assert_close(result, expected)
    assert changed.generator_loss(pair.fake_score, None) == loss.generator_loss(
        pair.fake_score, None
    )


def test_interpolated_labels_add_the_loss_of_fakes_between():
    training = trainer("reed(width=4, code=8)", "captioned_digits", ("label_interpolation",))
    (pair,) = training.make_pairs(0, 0)
    loss, trick = LOSSES.make("non_saturating"), training.trick.tricks[0]
    generator, head = pair.generator.eval(), pair.discriminator.eval().head
    others = choose_other_labels(pair.fake_label)
    between = [
        0.5 * (network.encode_label(pair.fake_label) + network.encode_label(others))
        for network in (generator, head)
    ]
    score = head(pair.discriminator.features(generator(pair.source, between[0])), between[1])
    expected = loss.generator_loss(pair.fake_score, None) + loss.generator_loss(score, None)
    result = trick.transform_loss(loss, pair).generator_loss(pair.fake_score, None)
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("trick", ["mismatch", "matching_penalty", "label_interpolation"])
def test_tricks_of_labels_refuse_unlabelled_scores(trick):
    for text in ("gan(width=8)", "acgan(width=4, norm='layer')"):
        with pytest.raises(Incompatible, match="a discriminator that scores images with labels"):
            trainer(text, "digits", (trick,))


def test_spectral_norm_of_dfgans_generator_explains_its_zeros():
    trainer("dfgan(width=4, code=8)", "digits", ("spectral_norm",))
    with pytest.raises(Incompatible, match="some weights of dfgan begin at zero"):
        trainer("dfgan(width=4, code=8)", "digits", ("spectral_norm(generator=true)",))
