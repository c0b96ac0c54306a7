"""Places in the loop where tricks and losses act, and the parts that they work with.

Hooks come from the classes, their descriptions from docs/hooks.md, and compatible parts from the
table that `studies/compatibility.py` writes.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss, TargetedLoss
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick

HOOKS_PAGE = Path(__file__).parent / "hooks.md"
COMPATIBILITY = Path(__file__).parents[1] / "tests" / "contract" / "compatibility.csv"
HOOK_ROW = re.compile(r"^\| `(?P<call>(?P<name>\w+)\(.*?\))` \| (?P<changes>.*) \|$")
REFUSALS = {"incompatibility", "slicing_incompatibility"}  # they change nothing in the loop


@dataclass(frozen=True)
class Hook:
    """A hook at one place of the loop: a row of docs/hooks.md."""

    name: str
    call: str
    section: str  # heading of the page, such as "In every generator step"
    changes: str


@cache
def list_hooks() -> tuple[Hook, ...]:
    """Returns the hooks in the order of the loop; some run in both steps."""
    hooks: list[Hook] = []
    for block in re.split(r"^## ", HOOKS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        section, _, text = block.partition("\n")
        rows = [row for line in text.splitlines() if (row := HOOK_ROW.match(line))]
        hooks += [Hook(row["name"], row["call"], section, row["changes"]) for row in rows]
    first = {hook.name: hook.changes for hook in reversed(hooks)}
    return tuple(
        Hook(h.name, h.call, h.section, first[h.name] if h.changes == "as above" else h.changes)
        for h in hooks
        if hasattr(Trick, h.name)
    )


def hooks_of(trick: str) -> list[Hook]:
    """Returns the hooks that a trick overrides, without those that only refuse."""
    part = TRICKS.load(trick)
    return [
        hook
        for hook in list_hooks()
        if hook.name not in REFUSALS and getattr(part, hook.name) is not getattr(Trick, hook.name)
    ]


def render_hooks(trick: str) -> str:
    """Returns a Markdown table of the hooks that a trick overrides."""
    rows = [
        f"| [{hook.section}](../../hooks.md#{slug(hook.section)}) | `{hook.call}` | {hook.changes} |"
        for hook in hooks_of(trick)
    ]
    return render_table("| when | hook | changes |", rows)


def slug(heading: str) -> str:
    return re.sub(r"[^\w ]", "", heading.lower()).replace(" ", "-")


def loss_methods(loss: str) -> list[str]:
    """Returns the two methods of a loss that its class, or a base of it, defines."""
    part = LOSSES.load(loss)
    methods = ("discriminator_loss", "generator_loss")
    return [name for name in methods if getattr(part, name) is not getattr(Loss, name)]


def render_loss_place(loss: str) -> str:
    """Returns sentences on the scores that a loss reads in each step."""
    part = LOSSES.load(loss)
    reads = "the scores of fakes"
    if part().needs_real_scores:
        reads = "the scores of fakes and reals, so that reals are scored in this step too"
    sentences = [
        "- `discriminator_loss(real, fake)` reads all scores of the discriminator's step.",
        f"- `generator_loss(fake, real)` reads {reads}.",
    ]
    tricks = link_all("tricks", ("label_smoothing", "label_flipping"))
    targets = f"- Its targets for scores can be changed by {tricks}."
    return "\n".join(sentences + [targets] * issubclass(part, TargetedLoss))


@cache
def load_compatibility() -> tuple[dict[str, str], ...]:
    """Returns one row per variant and trick, with compatible losses and reasons for the others."""
    with COMPATIBILITY.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def render_compatibility(kind: str, name: str, of: str) -> str:
    """Returns a table of the parts `of` a kind that work with a trick or a variant, by losses."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in load_compatibility():
        if row[kind] == name:
            key = row["compatible losses"], row["reasons for the others"]
            groups[key].append(row[of])
    if not groups:
        return "The table of compatible parts does not list it: `ganbench plan` checks a suite."
    rows = [
        f"| {describe_losses(losses)} | {link_all(f'{of}s', names)} | {join_reasons(reasons)} |"
        for (losses, reasons), names in sorted(groups.items(), key=lambda item: -len(item[0][0]))
    ]
    return render_table(f"| losses | {of}s | reason |", rows)


def join_reasons(reasons: str) -> str:
    """Returns each reason once; the table repeats those that several losses share."""
    return "; ".join(dict.fromkeys(reasons.replace(" | ", "; ").split("; ")))


def describe_losses(losses: str) -> str:
    """Returns `all`, `none`, or links to the losses."""
    names = losses.split()
    if not names:
        return "none"
    return "all" if set(names) >= set(LOSSES) else link_all("losses", names)


def render_loss_compatibility(loss: str) -> str:
    """Returns the tricks that no variant trains with a loss, although others can."""
    rows = load_compatibility()
    usable = {row["trick"] for row in rows if row["compatible losses"]}
    with_loss = {row["trick"] for row in rows if loss in row["compatible losses"].split()}
    if not with_loss:
        return "The table of compatible parts does not list it: `ganbench plan` checks a suite."
    refused = sorted(usable - with_loss)
    if not refused:
        return "Each trick that can be added to some variant can be added with this loss too."
    return (
        f"No variant combines this loss with {link_all('tricks', refused)}. Their pages give the "
        "reasons. Each other trick that can be added to some variant can be added with this loss too."
    )


def link_all(kind: str, names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](#{kind}-{name})" for name in names)


def render_table(head: str, rows: Iterable[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows])
