"""Differences of two protocols in words: counts, extractors and images instead of hashes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ganbench.evaluation.metric_names import features_of_extractor, features_of_protocol_text

SHA256 = re.compile(r"[0-9a-f]{64}")
FIELD_WORDS = {
    "rules": "estimators",
    "rules_version": "version of the estimators",
    "data": "data set",
    "fingerprint": "content of the data set",
    "extractor": "extractor",
    "extractor_version": "version of the extractor",
    "weights": "weights of the extractor",
    "resize": "resizing",
    "channels": "colour channels",
    "real": "real images",
    "reals": "number of real images",
    "fake": "number of fakes",
    "fakes": "number of fakes",
    "seed": "seed of the latents",
    "split": "split",
    "rounding": "rounding",
    "decoding": "decoding",
    "version": "version of the protocol",
}
UNNAMED_DIFFERENCE = "the content of the real images or of the weights differs"


def describe_protocol_change(
    before: Mapping[str, Any], after: Mapping[str, Any], texts: tuple[str, str]
) -> str:
    """Returns the differences of two protocols by their fields.

    `before` is empty in baselines of earlier releases; then the `texts` before and after are compared.
    """
    changes = field_changes(before, after) if before else text_changes(*texts)
    return "; ".join(changes) or UNNAMED_DIFFERENCE


def field_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yields a phrase per differing field: `number of fakes: 120 in the baseline, 100 now`."""
    for name, now in after.items():
        was = before.get(name)
        if was == now or name not in FIELD_WORDS:
            continue
        word = "number of real images" if isinstance(now, int) and name == "real" else None
        yield describe_field(word or FIELD_WORDS[name], was, now)


def describe_field(word: str, before: Any, after: Any) -> str:
    """Describes a field that differs; hashes only as changed."""
    if any(SHA256.fullmatch(str(value)) for value in (before, after)):
        return f"the {word} changed"
    return f"{word}: {format_field(before)} in the baseline, {format_field(after)} now"


def format_field(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def text_changes(before: str, after: str) -> Iterator[str]:
    """Yields the parts of two protocols' texts that differ, without their ids."""
    sides = [text.rpartition(" [")[0].split(", ") for text in (before, after)]
    gone, new = ([part for part in one if part not in other] for one, other in (sides, sides[::-1]))
    if gone or new:
        yield f"{', '.join(gone) or 'nothing'} in the baseline, {', '.join(new) or 'nothing'} now"


def features_of_protocol(fields: Mapping[str, Any], text: str) -> str:
    """Returns the features of a protocol by its fields, or else by its text."""
    if extractor := fields.get("extractor"):
        return features_of_extractor(extractor)
    return features_of_protocol_text(text)
