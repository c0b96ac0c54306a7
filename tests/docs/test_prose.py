"""The style of docstrings, messages, comments, help and pages."""

import pytest
import typer.main
from prose import CLAUSE, SPOKEN, Text, collect_texts, find_faults

from ganbench.cli import app

TEXTS = collect_texts()
MAX_CLAUSES_PER_THOUSAND_WORDS = 1.0
MAX_SPOKEN_PER_THOUSAND_WORDS = 0.5
EXEMPT = {  # texts that only look like prose: settings, programs in strings
    "ganbench/evaluation/metrics/linear_probe.py",
    "ganbench/ci/performance/harness/test_counts.py",
}


def help_texts():
    program = typer.main.get_command(app)
    commands = dict(program.commands)
    for name in ("baseline", "study"):
        commands |= {f"{name} {sub}": each for sub, each in program.commands[name].commands.items()}
    for name, command in commands.items():
        yield Text("help", name, command.help or "")
        yield from (Text("help", name, each.help or "") for each in command.params if each.help)


def per_thousand_words(pattern, texts):
    words = sum(len(text.text.split()) for text in texts)
    return 1000 * sum(len(pattern.findall(text.text)) for text in texts) / words


@pytest.mark.parametrize("kind", ["docstring", "message", "comment", "page"])
def test_texts_have_no_fault(kind):
    chosen = [t for t in TEXTS if t.kind == kind and t.place.split(":")[0] not in EXEMPT]
    assert len(chosen) > 100
    assert [f"{t.place}: {fault}" for t in chosen for fault in find_faults(t)] == []


@pytest.mark.parametrize("kind", ["docstring", "message", "comment", "page"])
def test_clauses_and_spoken_verbs_are_rare(kind):
    chosen = [text for text in TEXTS if text.kind == kind]
    assert per_thousand_words(CLAUSE, chosen) <= MAX_CLAUSES_PER_THOUSAND_WORDS
    assert per_thousand_words(SPOKEN, chosen) <= MAX_SPOKEN_PER_THOUSAND_WORDS


def test_help_has_no_fault():
    texts = list(help_texts())
    assert len(texts) > 150
    assert [f"{t.place}: {fault}" for t in texts for fault in find_faults(t)] == []
    assert [t.text for t in texts if CLAUSE.search(t.text)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Of FID the geometric mean.", "begins with 'Of'"),
        ("A row a worker.", "per"),
        ("The reason is told.", "told"),
        ("Two cells have no meaning.", "no meaning"),
        ("x " * 26 + ".", "25 words"),
        ("y" * 89, "88 characters"),
    ],
)
def test_faults_are_found(text, fault):
    assert fault in " ".join(find_faults(Text("docstring", "file:1", text)))
