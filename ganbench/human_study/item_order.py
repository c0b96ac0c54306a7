"""The order in which a rater sees a study's items: drawn from the rater's name, here as in the page.

The page draws it in JavaScript; the reader of answers draws it once more, and knows by it that a file
holds every item once and in the place where the rater saw it. FNV-1a makes a seed of the name,
mulberry32 makes numbers of the seed: both are a few lines in either language.
"""

from collections.abc import Callable, Sequence

WORD = 0xFFFFFFFF

Random = Callable[[], int]  # 32 bits at a time


def order(
    study: str, groups: Sequence[Sequence[str]], catches: Sequence[str], rater: str
) -> list[str]:
    """Blocks that hold one item of every group, each block shuffled; catch trials spread among them.

    All groups have as many items. So every arm comes as often in the first half of a session as in
    the second, and fatigue favours none.
    """
    random = mulberry32(fnv1a(f"{study}/{rater}"))
    lists = [shuffled(group, random) for group in groups]
    blocks = [shuffled([items[k] for items in lists], random) for k in range(len(lists[0]))]
    items = [item for block in blocks for item in block]
    mixed = shuffled(catches, random)
    step = len(items) // max(1, len(mixed))
    places = [n * step + random() % step for n in range(len(mixed))]  # before which each comes
    for place, item in sorted(zip(places, mixed, strict=True), reverse=True):
        items.insert(place, item)
    return items


def shuffled(items: Sequence[str], random: Random) -> list[str]:
    """Fisher and Yates."""
    found = list(items)
    for last in range(len(found) - 1, 0, -1):
        other = random() % (last + 1)
        found[last], found[other] = found[other], found[last]
    return found


def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of a text's UTF-8."""
    found = 0x811C9DC5
    for byte in text.encode():
        found = (found ^ byte) * 0x01000193 & WORD
    return found


def mulberry32(seed: int) -> Random:
    state = seed

    def draw() -> int:
        nonlocal state
        state = (state + 0x6D2B79F5) & WORD
        mixed = (state ^ state >> 15) * (state | 1) & WORD
        mixed ^= (mixed + ((mixed ^ mixed >> 7) * (mixed | 61) & WORD)) & WORD
        return mixed ^ mixed >> 14

    return draw
