"""Texts of the answers to a claim, for the terminal and as Markdown."""

from collections.abc import Sequence

from tabulate import tabulate

from .claim_file import Claim
from .judge_claim import Answer, ClaimVerdict, count_verdicts

COLUMNS = ("claim", "published", "measured", "answer")


def list_rows(answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    return [(a.claim, a.published, a.measured, a.verdict_text) for a in answers]


def list_reasons(answers: Sequence[Answer]) -> list[str]:
    """Returns each reason once, with its verdict, and then what "at this scale" means."""
    reasons = [f"{a.verdict_text}: {a.reason}" for a in answers if a.reason]
    judged = [a for a in answers if a.verdict is not ClaimVerdict.NOT_COMPARABLE]
    scales = [f"at this scale: {a.scale}" for a in judged if a.scale]
    return list(dict.fromkeys([*reasons, *scales]))


def format_summary(claim: Claim, answers: Sequence[Answer]) -> str:
    """Returns the number of answers by verdict, and the price of the published scale."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in count_verdicts(answers).items())
    price = f" The published scale costs {claim.price}." if claim.price else ""
    return f"{claim.name}, by suite {claim.suite}: {counts}.{price}"


def render_answers(claim: Claim, answers: Sequence[Answer]) -> str:
    """Returns the answers as a Markdown page."""
    table = tabulate(list_rows(answers), headers=COLUMNS, tablefmt="github")
    reasons = "\n".join(f"- {sentence}" for sentence in list_reasons(answers))
    parts = [f"# {claim.name}", claim.about, claim.source, table, reasons]
    return "\n\n".join(filter(None, [*parts, format_summary(claim, answers)])) + "\n"
