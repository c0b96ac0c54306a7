"""Encoders of conditions: one code for each label, from its class or from its caption.

Captions are read by a GRU (Cho et al., 2014), or as a bag of words, which ignores their order. The
kind `label` does not read them: each caption has a learned code, so that none is known before it was
trained on. Encoders are trained with the network that they belong to.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ganbench.data.captions import PADDING, Captions

from .recurrent import run_recurrent

EncoderKind = Literal["gru", "bag", "label"]


class CaptionEncoder(nn.Module):
    """Base class: the numbers of captions [N] => codes [N, width]."""

    def __init__(self, captions: Captions, width: int):
        super().__init__()
        self.embedding = nn.Embedding(len(captions.words) + 1, width, padding_idx=PADDING)
        self.register_buffer("tokens", captions.tokens.clone(), persistent=False)
        self.tokens: Tensor

    def forward(self, labels: Tensor) -> Tensor:
        tokens = self.tokens[labels]
        is_word = (tokens != PADDING).unsqueeze(2).to(self.embedding.weight.dtype)
        return self.encode(self.embedding(tokens), is_word)

    def encode(self, words: Tensor, is_word: Tensor) -> Tensor:
        """Maps embedded words [N, T, width], and whether they are words [N, T, 1], to codes."""
        raise NotImplementedError


class BagOfWords(CaptionEncoder):
    """The mean of the embeddings of all words, and a linear layer."""

    def __init__(self, captions: Captions, width: int):
        super().__init__(captions, width)
        self.linear = nn.Linear(width, width)

    def encode(self, words: Tensor, is_word: Tensor) -> Tensor:
        return self.linear((words * is_word).sum(1) / is_word.sum(1))


class RecurrentEncoder(CaptionEncoder):
    """The state of a GRU after the last word."""

    def __init__(self, captions: Captions, width: int):
        super().__init__(captions, width)
        self.cell = nn.GRUCell(width, width)

    def encode(self, words: Tensor, is_word: Tensor) -> Tensor:
        states = run_recurrent(self.cell, words, torch.zeros_like(words[:, 0]))
        last = is_word.sum(1).long()[:, None] - 1
        return states.gather(1, last.expand(-1, 1, states.shape[2]))[:, 0]


ENCODERS: dict[str, type[CaptionEncoder]] = {"gru": RecurrentEncoder, "bag": BagOfWords}


def make_condition_encoder(
    kind: EncoderKind, classes: int, captions: Captions | None, width: int
) -> nn.Module:
    """Returns an encoder of labels [N] => [N, width]; labels without captions are embedded."""
    if captions is None or kind == "label":
        return nn.Embedding(classes, width)
    return ENCODERS[kind](captions, width)


def encode_condition(encoder: Callable[[Tensor], Tensor], label: Tensor) -> Tensor:
    """Returns the codes of labels [N]; codes [N, width] are returned as they are."""
    return label if label.is_floating_point() else encoder(label)
