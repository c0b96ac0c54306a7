"""Suites for the HTML page, names that try to inject markup, and a parser of its elements."""

import hashlib
import io
from functools import cache
from html.parser import HTMLParser

from PIL import Image
from synthetic_rows import arms, floor, frame, row

from ganbench.report.report import SuiteReport

HOSTILE = [
    "<script>alert(1)</script>",
    '"onload="alert(1)',
    "</style><b>bold</b>",
    "</script><img src=x onerror=alert(1)>",
    "'};alert(1)//{{ 7 * 7 }}",
    "<!--<script>",
    "$x^2$ & co",
]


VOID = {"meta", "link", "img", "input", "br", "wbr", "hr"}


class Elements(HTMLParser):
    """Parser that collects elements, script texts, and mismatched end tags."""

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open, self.scripts, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.found[-1][1].get("type"), data))

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def rows_of(names=("r1", "ema"), losses=("hinge", "minimax"), data="digits", **more):
    """Makes a small suite with a good and a bad trick, curves, flags, failures and a floor."""
    good, bad = names
    rows = [
        each
        for n, loss in enumerate(losses)
        for each in arms({good: 0.5, bad: 2.0}, seeds=4, loss=loss, data=data, random=n, **more)
    ]
    curves = [
        row(tricks, seed, 9.0 / step, loss=loss, data=data, plan="cell=0", kind="curve",
            checkpoint=None, images=64 * step, step=step, **more)
        for loss in losses for tricks in ("none", good, bad) for seed in (0, 1) for step in (1, 2, 3)
    ]  # fmt: skip
    cost = dict(metric="train_seconds", kind="cost", checkpoint=None)
    costs = [{**each, **cost, "value": 10.0 + n % 7} for n, each in enumerate(rows)]
    broken = row("pacgan", loss=losses[0], data=data, reason=f"<b>boom</b> of {good}", **more)
    ends = [broken, floor(0.1, data=data)]
    table = frame(*rows, *curves, *costs, *ends)
    table.loc[table["role"].eq("trial") & table["seed"].eq(0), "collapse_step"] = 2
    table["trial"] = table["trial"].map(sha256, na_action="ignore")
    return table


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hostile(names):
    """Makes the same suite, with the given names wherever names are free."""
    good, bad, hinge, minimax, data, variant, suite = names
    rows = rows_of((good, bad), (hinge, minimax), data, variant=variant)
    rows.attrs["plan"].update(suite=suite, about=suite)
    rows.attrs["plan"]["protocols"]["p"].update(data=data, text=suite)
    return rows


@cache
def usual_report():
    """Returns the report of the small suite."""
    return SuiteReport.of(rows_of())


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
