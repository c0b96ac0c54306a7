"""Claim files: those that are shipped, and mistakes in one's own."""

import os
import re
from pathlib import Path

import pandas as pd
import pytest

import ganbench as gb
from ganbench.claims.claim_file import load_claim
from ganbench.claims.format_answers import render_answers
from ganbench.claims.judge_claim import judge_claim, select_arm
from ganbench.claims.known_claims import ClaimError, find_claim_file, known_claims, list_claims
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_files import find_suite_file
from ganbench.experiments.suite_loader import load_suite

ROOT = Path(__file__).parents[3]
GOOD = """schema = 1
name = "mine"
about = "More is better."
source = "me"
suite = "bench"
published = { images = 1000 }
orders = [
    { better = "a", worse = "b", data = "digits", metric = "fid" },
]
[arms]
a = { tricks = "ema" }
b = { tricks = "none" }
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def cells_of(suite):
    """Returns the cells of a suite as rows of its table."""
    cells = expand_cells(suite)[0]
    rows = [
        dict(role="trial", data=c.data, variant=c.variant, loss=c.loss, plan=c.plan)
        | dict(tricks=" + ".join(c.tricks) or "none")
        for c in cells
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", known_claims())
def test_shipped_claim_names_arms_of_its_suite(name):
    declared = load_claim(known_claims()[name])
    assert declared.name == name
    suite = load_suite(find_suite_file(declared.suite))
    cells = cells_of(suite)
    places = [(v.arm, v.data, v.metric) for v in declared.values]
    places += [(arm, o.data, o.metric) for o in declared.orders for arm in (o.better, o.worse)]
    assert {metric for _, _, metric in places} <= set(suite.metrics)
    counts = {place: len(select_arm(declared.arms[place[0]], place[1], cells)) for place in places}
    assert set(counts.values()) == {1}, counts


def test_own_claim(tmp_path):
    assert load_claim(write(tmp_path, GOOD)).orders[0].better == "a"


MISTAKES = {
    "unknown key": ("suite =", "siute =", ":5: siute: there is no such key; did you mean 'suite'?"),
    "unknown key of an order": ("worse =", "wose =", "there is no such key; did you mean 'worse'?"),
    "missing key": ('source = "me"\n', "", "source: this key is required"),
    "wrong type": ('"me"', "3", "source: input should be a valid string, not 3"),
    "unknown arm": ('better = "a"', 'better = "c"', "there is no arm 'c'; there are a, b"),
    "no scale": ("{ images = 1000 }", "{}", "published: give either generator_turns or images"),
    "broken TOML": ("schema = 1", "schema = ", "mine.toml: "),
    "nothing claimed": (
        'orders = [\n    { better = "a", worse = "b", data = "digits", metric = "fid" },\n]\n',
        "",
        "it claims nothing: give values or orders",
    ),
    "value without a margin": (
        "orders = [",
        'values = [{ arm = "a", data = "digits", metric = "fid", value = 3.0 }]\norders = [',
        "[within] has no fid: give the largest difference that counts as equal",
    ),
    "error of one run": (
        "orders = [",
        'within = { fid = 1.0 }\nvalues = [{ arm = "a", data = "digits", metric = "fid", '
        "value = 3.0, error = 1.0 }]\norders = [",
        "an error needs runs of at least 2",
    ),
}


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named(tmp_path, old, new, sentence):
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ClaimError) as error:
        load_claim(path)
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)


def test_pipe_and_deep_nesting_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ClaimError, match=r"is a device or a pipe: name a \.toml file"):
        load_claim(tmp_path / "pipe.toml")
    with pytest.raises(ClaimError, match="nested too deeply"):
        load_claim(write(tmp_path, f"{'a.' * 5_000}b = 1"))


def test_claims_of_this_folder_are_known(tmp_path, monkeypatch):
    (tmp_path / "claims").mkdir()
    write(tmp_path / "claims", GOOD)
    monkeypatch.chdir(tmp_path)
    assert "mine" in known_claims()


def test_program_lists_and_judges(ganbench, tmp_path):
    code, out, _ = ganbench("claim")
    assert code == 0
    assert "pacgan: A discriminator that judges" in out
    published = ROOT / "results" / "published"
    code, out, err = ganbench("claim", "pacgan", "--results", published, "--to", "answers.md")
    assert (code, err) == (0, "")
    assert "8 undecided, 18 not comparable" in out.replace("\n", " ")
    assert "| modes of ring: gan" in (tmp_path / "answers.md").read_text()


WRONG_CALLS = {
    "unknown claim": (("claim", "pacgna"), "there is no claim 'pacgna'; did you mean 'pacgan'?"),
    "missing file": (("claim", "gone.toml"), "there is no file gone.toml"),
    "no results": (("claim", "pacgan"), "`ganbench run modes` makes one"),
}


@pytest.mark.parametrize(("words", "sentence"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_call_exits_2_with_a_sentence(ganbench, words, sentence):
    code, out, err = ganbench(*words, "--results", "nowhere")
    assert (code, out) == (2, "")
    assert sentence in err


ANSWERED = sorted((ROOT / "results" / "published" / "claims").glob("*.md"))


@pytest.mark.parametrize("path", ANSWERED, ids=lambda path: path.stem)
def test_committed_answers_are_those_of_the_committed_rows(path):
    declared = load_claim(known_claims()[path.stem])
    rows = gb.load(ROOT / "results" / "published" / declared.suite)
    assert render_answers(declared, judge_claim(declared, rows)) == path.read_text()


def test_a_name_unlike_its_file_is_refused_with_both(tmp_path, monkeypatch):
    source = find_claim_file("pacgan").read_text("utf-8")
    (tmp_path / "claims").mkdir()
    path = tmp_path / "claims" / "mine.toml"
    path.write_text(source)
    sentence = "the claim's name is 'pacgan', but its file is mine.toml: write name = \"mine\""
    with pytest.raises(ClaimError, match=re.escape(f"{path}:2: name: {sentence}")):
        load_claim(path)
    monkeypatch.chdir(tmp_path)
    (entry,) = (entry for entry in list_claims() if entry["spec"] == "mine")
    assert sentence in entry["about"]
    path.write_text(source.replace('name = "pacgan"', 'name = "mine"'))
    assert load_claim(path).name == "mine"
