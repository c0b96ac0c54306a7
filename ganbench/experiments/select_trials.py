"""Selects trials of a plan by words of their cells' names, or by the begin of their ids."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .plan_names import PlanItem, short_id

SEARCHED_FIELDS = ("role", "data", "variant", "loss", "tricks", "plan")
BEGIN_OF_ID = re.compile("[0-9a-f]{6,}")  # a shorter text is a word, such as `ada`
UNTRAINED = "untrained"


class NoSuchTrial(GanbenchError, ValueError):
    """No trial of a plan has the given words in its name."""


@dataclass(frozen=True)
class TrialSelection:
    """The trials of a plan that one run trains. The plan and the tables keep all trials."""

    words: str = ""  # of the cells' names; empty: all trials
    limit: int | None = None  # the largest number of trials
    retry: bool = False  # only trials that failed
    from_scratch: bool = False  # without their results and checkpoints so far


def searched_name(item: Mapping[str, Any]) -> str:
    """Returns the text of a trial that words are searched in."""
    return " ".join(item[key] for key in SEARCHED_FIELDS)


def split_words(words: str) -> list[str]:
    """Returns the words of a selection, without the slashes of a name that was copied."""
    return [word for word in words.split() if word != "/"]


def has_all_words(name: str, words: str) -> bool:
    return all(word in name for word in split_words(words))


def is_selected(item: Mapping[str, Any], words: str) -> bool:
    """Returns whether each word is in the names of a trial's cell, or begins the trial's id."""
    name = searched_name(item)
    return all(word in name or is_begin_of_id(word, item["trial"]) for word in split_words(words))


def is_begin_of_id(word: str, trial: str) -> bool:
    return trial.startswith(short_id(word)) and BEGIN_OF_ID.fullmatch(word) is not None


def names_an_id(words: str) -> bool:
    """Returns whether some word may be the begin of a trial's id."""
    return any(BEGIN_OF_ID.fullmatch(word) for word in split_words(words))


def select_items(items: Sequence[PlanItem], words: str, suite: str) -> list[PlanItem]:
    """Returns the trials that match words; raises NoSuchTrial, with a similar word, for none."""
    chosen = match_items(items, words)
    if not chosen:
        hint = suggest_word(map(searched_name, items), words)
        raise NoSuchTrial(f"no trial of {suite} has all the words {words!r} in its name{hint}")
    return chosen


def match_items(items: Sequence[PlanItem], words: str) -> list[PlanItem]:
    """Returns the trials with all the words in their names; a word may be the begin of an id.

    Untrained references are chosen only if they are named, or if no other trial matches.
    """
    chosen = [item for item in items if is_selected(item, words)]
    trained = [item for item in chosen if item["role"] != UNTRAINED]
    return chosen if not trained or UNTRAINED in words.split() else trained


def select_items_with_references(
    items: Sequence[PlanItem], words: str, suite: str
) -> list[PlanItem]:
    """Returns the trials with all the words, and the untrained references of their cells."""
    chosen = select_items(items, words, suite)
    ids = {item["trial"] for item in chosen}
    starts = {(item["data"], item["variant"], item["seed"]) for item in chosen}
    return [
        item
        for item in items
        if item["trial"] in ids
        or (item["role"] == UNTRAINED and (item["data"], item["variant"], item["seed"]) in starts)
    ]


def suggest_word(names: Iterable[str], words: str) -> str:
    """Returns a hint with a similar word for the first word that no name has."""
    known = set(names)
    unknown = [word for word in split_words(words) if not any(word in name for name in known)]
    if not unknown:
        return ""
    hint = suggest(unknown[0], {part for name in known for part in name.split()})
    return hint if "did you mean" in hint else ""
