"""Selects trials of a plan by words of their cells' names, or by the begin of their ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.registry import suggest

SEARCHED_FIELDS = ("role", "data", "variant", "loss", "tricks", "plan")
ID_DIGITS = 16  # of a trial's id in tables and folder names
UNTRAINED = "untrained"

PlanItem = dict[str, Any]  # a trial in plan.json


class NoSuchTrial(GanbenchError, ValueError):
    """No trial of a plan has the given words in its name."""


@dataclass(frozen=True)
class TrialSelection:
    """The trials of a plan that one run trains. The plan and the tables keep all trials."""

    words: str = ""  # of the cells' names; empty: all trials
    limit: int | None = None  # the largest number of trials
    retry: bool = False  # only trials that failed
    from_scratch: bool = False  # without their results and checkpoints so far


def searched_name(item: PlanItem) -> str:
    """Returns the text of a trial that words are searched in."""
    return " ".join([*(item[key] for key in SEARCHED_FIELDS), item["trial"][:ID_DIGITS]])


def has_all_words(name: str, words: str) -> bool:
    return all(word in name for word in words.split())


def select_items(items: Sequence[PlanItem], words: str, suite: str) -> list[PlanItem]:
    """Returns the trials with all the words in their names.

    Untrained references are chosen only if they are named, or if no other trial matches. Raises
    NoSuchTrial, with a similar word, if no trial matches.
    """
    chosen = [item for item in items if has_all_words(searched_name(item), words)]
    if not chosen:
        hint = suggest_word(map(searched_name, items), words)
        raise NoSuchTrial(f"no trial of {suite} has all the words {words!r} in its name{hint}")
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
    unknown = [word for word in words.split() if not any(word in name for name in known)]
    if not unknown:
        return ""
    hint = suggest(unknown[0], {part for name in known for part in name.split()})
    return hint if "did you mean" in hint else ""
