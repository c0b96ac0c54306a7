"""CLIP's text encoder (Radford et al., 2021): sentences in the space of image embeddings.

Words are split by byte pair encoding (Sennrich et al., 2016) with OpenAI's vocabulary file, which
`ganbench download clip` brings with the weights. Tests compare the splits with those of OpenAI's code.
"""

import gzip
import html
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import LayerNorm, Transformer

from ganbench.errors import NotDownloaded

from .published import PublishedWeights, Weights

VOCABULARY_URL = "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz"
VOCABULARY_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MERGES = 49_152 - 256 - 2  # lines of the file that are used
HEAD_FEATURES = 64  # of an attention head
SENTENCES_AT_ONCE = 256
END_OF_WORD = "</w>"
PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")

Merges = Mapping[tuple[str, str], int]  # the rank of each merge


class VocabularyFile(PublishedWeights):
    """OpenAI's file of merges."""

    @property
    def environment_variable(self) -> str:
        return "GANBENCH_CLIP_VOCABULARY"

    def missing_facts(self) -> str:
        first, *remedies = super().missing_facts().splitlines()
        return "\n".join([first.replace("clip's weights are", "clip's vocabulary is"), *remedies])


def vocabulary_file() -> VocabularyFile:
    return VocabularyFile("clip", VOCABULARY_URL, Path(VOCABULARY_URL).name, VOCABULARY_SHA256)


class Tokenizer:
    """Splits sentences into numbers of word parts."""

    def __init__(self, merges: Sequence[tuple[str, str]]):
        letters = list(byte_letters().values())
        parts = [*letters, *(x + END_OF_WORD for x in letters), *map("".join, merges)]
        self.number = {part: number for number, part in enumerate(parts)}
        self.start, self.end = len(parts), len(parts) + 1
        self.split_word = lru_cache(maxsize=2**16)(self.split_word_once)
        self.ranks = {merge: rank for rank, merge in enumerate(merges)}

    def encode(self, text: str) -> list[int]:
        """Returns the numbers of a sentence's parts."""
        plain = " ".join(html.unescape(html.unescape(text)).split()).lower()
        return [number for word in PIECE.findall(plain) for number in self.split_word(word)]

    def split_word_once(self, word: str) -> list[int]:
        letters = [byte_letters()[byte] for byte in word.encode()]
        parts = merge_parts([*letters[:-1], letters[-1] + END_OF_WORD], self.ranks)
        return [self.number[part] for part in parts]

    def encode_all(self, texts: Sequence[str], length: int) -> Tensor:
        """Returns numbers between marks of start and end, cut or filled up with 0: [N, length]."""
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            numbers = [self.start, *self.encode(text)[: length - 2], self.end]
            row[: len(numbers)] = torch.tensor(numbers)
        return rows


@cache
def byte_letters() -> dict[int, str]:
    """Returns a visible letter for each byte: itself, or one from 256 on for the others."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + number) for number, byte in enumerate(others)
    }


def merge_parts(parts: list[str], ranks: Merges) -> list[str]:
    """Merges neighbours, first those of the lowest rank, until no merge is left."""
    while known := [pair for pair in pairwise(parts) if pair in ranks]:
        best = min(known, key=ranks.__getitem__)
        merged: list[str] = []
        for part in parts:
            if merged and (merged[-1], part) == best:
                merged[-1] += part
            else:
                merged.append(part)
        parts = merged
    return parts


def read_tokenizer() -> Tokenizer:
    """Returns the published tokenizer; raises NotDownloaded if its file is missing or damaged."""
    file = vocabulary_file()
    content = file.read()
    try:
        lines = gzip.decompress(content).decode().split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, ValueError) as error:
        raise NotDownloaded(
            f"{file.describe_file()} is no vocabulary of CLIP: {file.remedy()}"
        ) from error
    merges = [tuple(line.split()) for line in lines]
    if len(merges) != MERGES or any(len(merge) != 2 for merge in merges):
        raise NotDownloaded(f"{file.describe_file()} is no vocabulary of CLIP: {file.remedy()}")
    return Tokenizer(merges)  # type: ignore[arg-type]


class TextTower(nn.Module):
    """CLIP's transformer of texts: numbers of word parts [N, T] => embeddings [N, F]."""

    def __init__(self, words: int, length: int, width: int, layers: int, embedding: int):
        super().__init__()
        self.length = length
        self.token_embedding = nn.Embedding(words, width)
        self.positional_embedding = nn.Parameter(torch.empty(length, width))
        mask = torch.full((length, length), float("-inf")).triu(1)  # no part sees later ones
        self.transformer = Transformer(width, layers, width // HEAD_FEATURES, mask)
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embedding))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.positional_embedding
        x = self.ln_final(self.transformer(x.transpose(0, 1)).transpose(0, 1))
        end = tokens.argmax(1)  # the mark of the end has the largest number
        return x[torch.arange(len(x), device=x.device), end] @ self.text_projection

    @torch.no_grad()
    def encode_sentences(self, texts: Sequence[str]) -> Tensor:
        """Returns the embeddings of sentences [N, F]; raises NotDownloaded without a vocabulary."""
        rows = read_tokenizer().encode_all(texts, self.length)
        place = self.positional_embedding.device
        return torch.cat([self(part.to(place)) for part in rows.split(SENTENCES_AT_ONCE)])


def build_text_tower(weights: Weights) -> TextTower | None:
    """Returns the text encoder in CLIP's weights, or None if they have none."""
    own = {k: v.float() for k, v in weights.items() if not k.startswith("visual.")}
    if "token_embedding.weight" not in own:
        return None
    words, width = own["token_embedding.weight"].shape
    layers = len({key.split(".")[2] for key in own if key.startswith("transformer.resblocks.")})
    tower = TextTower(
        words, len(own["positional_embedding"]), width, layers, own["text_projection"].shape[1]
    )
    tower.load_state_dict({key: own[key] for key in tower.state_dict()})
    return tower.requires_grad_(False).eval()
