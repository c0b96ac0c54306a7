"""Captions: the sentences of a data set, as words that networks read.

Labels of captioned data are the numbers of their sentences. Where a grammar made the sentences, it
states the value of each attribute, such as the digit and its side. So accuracy can be measured by
attribute, and on combinations that training has never shown.
"""

import difflib
import heapq
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ganbench.errors import GanbenchError

PADDING = 0  # the number that fills up short sentences; words count from 1
UNKNOWN_WORD = "<unknown>"  # instead of a word that the vocabulary lacks
MAX_COMPARED_SENTENCES = 5_000  # with a sentence that is not found
# Chinese and Japanese letters are words of their own, because no spaces stand between words.
WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u3040-\u30ff\u3400-\u9fff])\\w)+")


class UnknownCaption(GanbenchError, ValueError):
    """A sentence is not one of the captions of the data."""


@dataclass(frozen=True)
class Grammar:
    """The values that each sentence of a data set states.

    `values` holds the names of the values of each attribute. `stated` holds the number of each
    sentence's value of each attribute, int64 [K, A]. `is_unseen` marks sentences with a combination
    that no training example shows, bool [K].
    """

    values: Mapping[str, tuple[str, ...]]
    stated: Tensor
    is_unseen: Tensor

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(self.values)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each attribute."""
        return tuple(map(len, self.values.values()))


@dataclass(frozen=True, eq=False)
class Captions:
    """All sentences of a data set [K], and their grammar if one made them.

    `vocabulary` holds the words that networks tell apart, if not all. Others are UNKNOWN_WORD.
    """

    sentences: tuple[str, ...]
    grammar: Grammar | None = None
    vocabulary: tuple[str, ...] | None = None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """All words, sorted. A word's number is its place here plus 1."""
        if self.vocabulary is not None:
            return (*self.vocabulary, UNKNOWN_WORD)
        return tuple(sorted({word for text in self.sentences for word in text.split()}))

    @cached_property
    def tokens(self) -> Tensor:
        """The numbers of each sentence's words, int64 [K, T], with PADDING after the last."""
        number = {word: n for n, word in enumerate(self.words, 1)}
        unknown = len(self.words)  # the last word, if there is a vocabulary
        rows = [[number.get(word, unknown) for word in text.split()] for text in self.sentences]
        longest = max(map(len, rows))
        return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

    def find(self, text: str) -> int:
        """Returns the number of a sentence; raises UnknownCaption with the closest ones."""
        sentence = " ".join(split_words(text))
        if sentence in self.sentences:
            return self.sentences.index(sentence)
        similar = self.select_similar(sentence)
        closest = difflib.get_close_matches(sentence, similar, n=3, cutoff=0.0)
        raise UnknownCaption(f"no caption is {sentence!r}; the closest are: {'; '.join(closest)}")

    def select_similar(self, sentence: str) -> Sequence[str]:
        """Returns the sentences with most words in common, or all if they are few."""
        words = {*sentence.split()}
        if len(self.sentences) <= MAX_COMPARED_SENTENCES:
            return self.sentences
        return heapq.nlargest(
            MAX_COMPARED_SENTENCES, self.sentences, key=lambda text: len(words & {*text.split()})
        )

    def extend(self, texts: Sequence[str]) -> "Captions":
        """Returns captions with further sentences; raises UnknownCaption for one of unknown words."""
        sentences = tuple(" ".join(split_words(text)) for text in texts)
        for text, sentence in zip(texts, sentences, strict=True):
            if not {*sentence.split()} & {*self.words}:
                raise UnknownCaption(f"no word of {text!r} occurs in the training captions")
        return replace(self, sentences=self.sentences + sentences)


def split_words(text: str) -> list[str]:
    """Returns the words of a caption in lower case, without punctuation."""
    return WORD.findall(unicodedata.normalize("NFKC", text).lower())


def add_log_likelihoods(logits: Sequence[Tensor], grammar: Grammar) -> Tensor:
    """Returns the log-likelihood of each sentence from logits: A × [N, V] => [N, K].

    Attributes count as independent, so the log-probabilities of a sentence's values are added.
    """
    stated = grammar.stated.to(logits[0].device)
    parts = zip(logits, stated.unbind(1), strict=True)
    total = [scores.log_softmax(1)[:, values] for scores, values in parts]
    return torch.stack(total).sum(0)
