"""CLIPScore: CLIP's text encoder, its splits of words, the formula, and the way from captions."""

import gzip
from itertools import islice, product

import pytest
import torch
from helpers import CPU
from torch.nn.functional import layer_norm, scaled_dot_product_attention
from torch_fidelity.feature_extractor_clip import VisionTransformer

from ganbench.data.base import IMAGE
from ganbench.data.paths import data_root
from ganbench.errors import NotDownloaded
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.clip_text import (
    MERGES,
    Tokenizer,
    build_text_tower,
    byte_letters,
    read_tokenizer,
    vocabulary_file,
)
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.clip_score import clip_scores
from ganbench.evaluation.metrics.feature_set import FeatureSet

WORDS, LENGTH, WIDTH, LAYERS, EMBEDDING = 49_408, 16, 128, 2, 32


def random_weights(shapes):
    random = torch.Generator().manual_seed(0)
    return {name: 0.1 * torch.randn(shape, generator=random) for name, shape in shapes.items()}


def text_weights():
    """Returns weights of a small text encoder, with the names of OpenAI's."""
    shapes = {
        "token_embedding.weight": (WORDS, WIDTH),
        "positional_embedding": (LENGTH, WIDTH),
        "text_projection": (WIDTH, EMBEDDING),
        "ln_final.weight": (WIDTH,),
        "ln_final.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        block = f"transformer.resblocks.{layer}"
        shapes |= {
            f"{block}.{norm}.{x}": (WIDTH,) for norm in ("ln_1", "ln_2") for x in ("weight", "bias")
        }
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * WIDTH, WIDTH),
            f"{block}.attn.in_proj_bias": (3 * WIDTH,),
            f"{block}.attn.out_proj.weight": (WIDTH, WIDTH),
            f"{block}.attn.out_proj.bias": (WIDTH,),
            f"{block}.mlp.c_fc.weight": (4 * WIDTH, WIDTH),
            f"{block}.mlp.c_fc.bias": (4 * WIDTH,),
            f"{block}.mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
            f"{block}.mlp.c_proj.bias": (WIDTH,),
        }
    return random_weights(shapes)


def encode_by_hand(weights, numbers):
    """CLIP's text encoder of one sentence, written out after the paper and OpenAI's code."""
    x = weights["token_embedding.weight"][numbers] + weights["positional_embedding"][: len(numbers)]
    for layer in range(LAYERS):

        def of(name, block=f"transformer.resblocks.{layer}"):
            return weights[f"{block}.{name}.weight"], weights[f"{block}.{name}.bias"]

        inside = layer_norm(x, (WIDTH,), *of("ln_1"))
        projection = f"transformer.resblocks.{layer}.attn.in_proj"
        qkv = inside @ weights[f"{projection}_weight"].T + weights[f"{projection}_bias"]
        heads = (part.unflatten(1, (WIDTH // 64, 64)).transpose(0, 1) for part in qkv.chunk(3, 1))
        seen = scaled_dot_product_attention(*heads, is_causal=True).transpose(0, 1).flatten(1)
        weight, bias = of("attn.out_proj")
        x = x + seen @ weight.T + bias
        (weight, bias), (last, last_bias) = of("mlp.c_fc"), of("mlp.c_proj")
        hidden = layer_norm(x, (WIDTH,), *of("ln_2")) @ weight.T + bias
        x = x + hidden * (1.702 * hidden).sigmoid() @ last.T + last_bias
    x = layer_norm(x, (WIDTH,), weights["ln_final.weight"], weights["ln_final.bias"])
    return x[-1] @ weights["text_projection"]


def test_text_encoder_equals_its_equations():
    weights = text_weights()
    tower = build_text_tower(dict(weights))
    sentences = [[WORDS - 2, 5, 7, WORDS - 1], [WORDS - 2, 3, WORDS - 1]]
    rows = torch.zeros(2, LENGTH, dtype=torch.long)
    for row, numbers in zip(rows, sentences, strict=True):
        row[: len(numbers)] = torch.tensor(numbers)
    expected = torch.stack([encode_by_hand(weights, numbers) for numbers in sentences])
    torch.testing.assert_close(tower(rows), expected, rtol=1e-4, atol=1e-5)
    assert (
        build_text_tower({"visual.proj": torch.zeros(1), "text_projection": torch.zeros(1, 1)})
        is None
    )


def test_words_are_merged_by_rank():
    tokenizer = Tokenizer([("b", "c</w>"), ("a", "b"), ("a", "bc</w>")])
    parts = {number: part for part, number in tokenizer.number.items()}
    assert [parts[n] for n in tokenizer.encode("ABC ab &amp; a.")] == [
        *("abc</w>", "a", "b</w>", "&</w>", "a</w>", ".</w>")
    ]
    assert len(parts) == 512 + 3
    rows = tokenizer.encode_all(["abc", "a b c a b c"], 5)
    start, end = 515, 516
    assert rows.tolist() == [
        [start, 514, end, 0, 0],
        [start, *(tokenizer.number[x] for x in ("a</w>", "b</w>", "c</w>")), end],
    ]


def test_published_splits():
    """Those of OpenAI's code: their README's example, and words of several parts."""
    if not any(path.is_file() for path in vocabulary_file().candidate_paths()):
        pytest.skip(f"{vocabulary_file().file} is not under {data_root()}")
    tokenizer = read_tokenizer()
    assert (tokenizer.start, tokenizer.end) == (49406, 49407)
    for text, numbers in PUBLISHED_SPLITS.items():
        assert tokenizer.encode(text) == numbers


PUBLISHED_SPLITS = {
    "a diagram": [320, 22697],
    "it's the unbelievable antidisestablishmentarianism, 42!": [
        *(585, 568, 518, 13306, 3120, 4262, 7726, 12658, 1585, 44351, 267, 275, 273, 256)
    ],
    "grüße aus münchen — été": [*(709, 6522, 127, 253, 324, 7630, 41235, 8983, 2005, 3459, 39694)],
    "don't we'll _under_score <b> &amp; 3.14": [
        *(847, 713, 649, 1342, 318, 1798, 318, 4431, 283, 321, 285, 261, 274, 269, 272, 275)
    ],
}


def test_scores_are_scaled_cosines_above_zero():
    images = torch.tensor([[3.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    texts = torch.tensor([[5.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    assert clip_scores(images, texts).tolist() == pytest.approx([2.5, 2.5 / 2**0.5, 0.0])


def feature_set(**changes):
    values = {"labels": torch.tensor([1, 0, 1]), "sentences": ("a cat", "a dog"), **changes}
    return FeatureSet(torch.eye(3), **values)


def test_captions_of_fakes_are_encoded_once_with_the_prefix():
    asked = []

    def encode(texts):
        asked.append(texts)
        return torch.eye(3)[: len(texts)]

    fakes = feature_set(encode_texts=encode)
    measured = METRICS.make("clip_score")(fakes, fakes)
    assert asked == [["A photo depicts a cat", "A photo depicts a dog"]]
    assert measured.value == 0  # image 0 against the second text, and so on
    assert METRICS.make("clip_score(prefix='')")(feature_set(
        encode_texts=encode, labels=torch.tensor([0, 1, 1])), fakes).value == pytest.approx(2 * 2.5 / 3)  # fmt: skip
    assert asked[1] == ["a cat", "a dog"]


def test_score_explains_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CLIP_VOCABULARY", "")
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))

    def measure(**changes):
        fakes = feature_set(**changes)
        return METRICS.make("clip_score")(fakes, fakes)

    with pytest.raises(MetricNotApplicable, match="needs data with captions"):
        measure(sentences=None)
    with pytest.raises(MetricNotApplicable, match=r"protocol = \"ganbench\(extractor='clip'\)\""):
        measure()

    def encode(texts):
        return vocabulary_file().find()

    with pytest.raises(
        MetricNotApplicable,
        match="clip's vocabulary is not on this machine: run `ganbench download clip`",
    ):
        measure(encode_texts=encode)


@pytest.fixture
def clip_files(tmp_path, monkeypatch):
    """Random weights of a small CLIP, and a vocabulary of the published length."""
    visual = VisionTransformer(16, 4, 64, 2, 1, EMBEDDING).state_dict()
    weights = random_weights(
        {f"visual.{name}": tuple(value.shape) for name, value in visual.items()}
    )
    torch.save(weights | text_weights(), tmp_path / "clip.pt")
    merges = (" ".join(pair) for pair in islice(product(byte_letters().values(), repeat=2), MERGES))
    (tmp_path / "words.gz").write_bytes(
        gzip.compress("\n".join(["#version", *merges, ""]).encode())
    )
    monkeypatch.setenv("GANBENCH_CLIP", str(tmp_path / "clip.pt"))
    monkeypatch.setenv("GANBENCH_CLIP_VOCABULARY", str(tmp_path / "words.gz"))
    return tmp_path


def test_held_out_images_are_scored_with_their_captions(clip_files):
    evaluator = Evaluator("captioned_digits", CPU, "ganbench(extractor='clip')")
    measured = evaluator.measure_floor(("clip_score",))["clip_score"]
    extractor = EXTRACTORS.make("clip")
    held_out = evaluator.split.held_out[IMAGE]
    chosen = [0, 7, 1999]
    texts = [
        f"A photo depicts {evaluator.data.captions.sentences[held_out.labels[n]]}" for n in chosen
    ]
    expected = clip_scores(extractor(held_out.images[chosen])[0], extractor.text_encoder()(texts))
    own = evaluator.held_out_features
    part = FeatureSet(own.features[chosen], labels=own.labels[chosen])
    again = METRICS.make("clip_score")(part, evaluator.real_features)
    assert again.value == pytest.approx(expected.mean().item(), rel=1e-4)
    assert 0 <= measured.value <= 2.5


def test_a_damaged_vocabulary_is_refused(clip_files):
    for content in (b"no gzip", gzip.compress(b"#version\na b\n")):
        (clip_files / "words.gz").write_bytes(content)
        with pytest.raises(NotDownloaded, match=r"words.gz is no vocabulary of CLIP"):
            read_tokenizer()
