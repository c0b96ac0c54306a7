"""The order of a study's items for a rater, drawn from the rater's name.

The page draws the same order in JavaScript. The reader of answers draws it again to check that a file has
each item once, in the order shown. FNV-1a hashes the name to a seed, and mulberry32 draws numbers from the
seed. Both take a few lines in either language.
"""

from collections.abc import Callable, Sequence

UINT32_MASK = 0xFFFFFFFF

Random = Callable[[], int]  # 32 bits at a time


def item_order(
    study: str, groups: Sequence[Sequence[str]], catches: Sequence[str], rater: str
) -> list[str]:
    """Draws the order of a rater's items: shuffled blocks with one item of each group.

    Catch trials are spread among the blocks. All groups have equally many items. So each arm occurs as often in
    the first half of a session as in the second, and fatigue affects all arms alike.
    """
    random = mulberry32(fnv1a(f"{study}/{rater}"))
    lists = [shuffle_items(group, random) for group in groups]
    blocks = [shuffle_items([items[k] for items in lists], random) for k in range(len(lists[0]))]
    items = [item for block in blocks for item in block]
    mixed = shuffle_items(catches, random)
    step = len(items) // max(1, len(mixed))
    # A catch trial is inserted before the item at its place. Older studies may have more catch trials than
    # items: their pages show all of them first.
    places = [n * step + random() % max(1, step) for n in range(len(mixed))]
    for place, item in reversed(list(zip(places, mixed, strict=True))):
        items.insert(place, item)
    return items


def shuffle_items(items: Sequence[str], random: Random) -> list[str]:
    """Shuffles items with the algorithm of Fisher and Yates."""
    shuffled_items = list(items)
    for last in range(len(shuffled_items) - 1, 0, -1):
        other = random() % (last + 1)
        shuffled_items[last], shuffled_items[other] = shuffled_items[other], shuffled_items[last]
    return shuffled_items


def fnv1a(text: str) -> int:
    """Computes the 32-bit FNV-1a hash of a text in UTF-8."""
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
