"""The order in which a rater sees a study's items: drawn from the rater's name, here as in the page.

The page draws it in JavaScript; the reader of answers draws it once more, and knows by it that a file
holds every item once and in the place where the rater saw it. FNV-1a makes a seed of the name,
mulberry32 makes numbers of the seed: both are a few lines in either language.
"""

from collections.abc import Callable, Sequence

UINT32_MASK = 0xFFFFFFFF

Random = Callable[[], int]  # 32 bits at a time


def item_order(
    study: str, groups: Sequence[Sequence[str]], catches: Sequence[str], rater: str
) -> list[str]:
    """Blocks that hold one item of every group, each block shuffled; catch trials spread among them.

    All groups have as many items. So every arm comes as often in the first half of a session as in
    the second, and fatigue favours none.
    """
    random = mulberry32(fnv1a(f"{study}/{rater}"))
    lists = [shuffle_items(group, random) for group in groups]
    blocks = [shuffle_items([items[k] for items in lists], random) for k in range(len(lists[0]))]
    items = [item for block in blocks for item in block]
    mixed = shuffle_items(catches, random)
    step = len(items) // max(1, len(mixed))
    places = [n * step + random() % step for n in range(len(mixed))]  # before which each comes
    for place, item in sorted(zip(places, mixed, strict=True), reverse=True):
        items.insert(place, item)
    return items


def shuffle_items(items: Sequence[str], random: Random) -> list[str]:
    """Fisher and Yates."""
    shuffled_items = list(items)
    for last in range(len(shuffled_items) - 1, 0, -1):
        other = random() % (last + 1)
        shuffled_items[last], shuffled_items[other] = shuffled_items[other], shuffled_items[last]
    return shuffled_items


def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of a text's UTF-8."""
    hash_value = 0x811C9DC5
    for byte in text.encode():
        hash_value = (hash_value ^ byte) * 0x01000193 & UINT32_MASK
    return hash_value


def mulberry32(seed: int) -> Random:
    state = seed

    def draw_number() -> int:
        nonlocal state
        state = (state + 0x6D2B79F5) & UINT32_MASK
        mixed = (state ^ state >> 15) * (state | 1) & UINT32_MASK
        mixed ^= (mixed + ((mixed ^ mixed >> 7) * (mixed | 61) & UINT32_MASK)) & UINT32_MASK
        return mixed ^ mixed >> 14

    return draw_number
