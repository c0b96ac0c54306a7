"""Asking people: the design, the page in a browser, answers of every kind, and what they come to."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from ganbench.analysis.agreement import krippendorff_alpha
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import load
from ganbench.files import read_json, write_json
from ganbench.human_study.answers import (
    HOUR_MILLISECONDS,
    answer_checksum,
    parse_answer_file,
    read_answers,
)
from ganbench.human_study.error_rates import (
    clustered_wilson_interval,
    effective_judgements,
    summarize_study,
    with_human_error,
)
from ganbench.human_study.item_order import fnv1a, item_order, mulberry32
from ganbench.human_study.key import Key, StudyArm, StudyItem
from ganbench.human_study.make_page import escape_for_script, render_study_page

# Agreement, against published examples and statsmodels


def test_alpha_is_that_of_krippendorffs_own_examples():
    """Krippendorff (2011), Computing Krippendorff's alpha-reliability: sections A and C."""
    binary = ["0100000010", "1110010000"]  # two observers, ten units
    assert krippendorff_alpha(counted(binary, "01")) == pytest.approx(0.095, abs=5e-4)
    nominal = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]  # four, twelve
    assert krippendorff_alpha(counted(nominal, "12345")) == pytest.approx(0.743, abs=5e-4)


def counted(raters: list[str], values: str) -> np.ndarray:
    """How many of the raters gave each value to each item; a dot is a missing value."""
    return np.array([[said.count(value) for value in values] for said in zip(*raters, strict=True)])


def test_alpha_is_fleiss_kappa_but_for_its_correction():
    random = np.random.default_rng(0)
    fake = random.binomial(6, random.beta(0.5, 0.8, 40))
    counts = np.stack([fake, 6 - fake], axis=1)
    total = counts.sum()
    wanted = 1 - (1 - fleiss_kappa(counts)) * (total - 1) / total
    assert krippendorff_alpha(counts) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "alpha"),
    [
        ([[2, 0], [0, 2]], 1.0),
        ([[2, 0], [2, 0]], None),
        ([[1, 0], [0, 1]], None),
        ([[1, 1], [1, 1]], -0.5),
    ],
)
def test_alpha_at_its_ends(counts, alpha):
    found = krippendorff_alpha(np.array(counts))
    assert found == alpha if alpha is not None else np.isnan(found)


# Intervals


@pytest.mark.parametrize(("wrong", "of"), [(0, 12), (3, 40), (20, 40), (40, 40)])
def test_wilsons_interval_is_that_of_statsmodels(wrong, of):
    assert clustered_wilson_interval(wrong / of, of) == pytest.approx(
        proportion_confint(wrong, of, 0.05, "wilson")
    )


def test_independent_judgements_count_whole_and_those_of_clusters_count_less():
    random = np.random.default_rng(1)
    alone = (random.random((12, 80)) < 0.3).astype(float)
    assert effective_judgements(alone) > 0.6 * alone.size
    copies = np.repeat(alone[:, :1], 80, axis=1)  # each rater says the same of all
    assert effective_judgements(copies) == pytest.approx(12, rel=0.15)
    one = np.repeat(alone[:1], 12, axis=0)  # all raters say the same of each
    assert effective_judgements(one) == pytest.approx(80, rel=0.15)
    assert effective_judgements(np.zeros((3, 4))) == 12


def test_intervals_hold_where_raters_and_pictures_differ():
    """Raters from 15 % to 45 % wrong on pictures of every difficulty: a plain interval holds too rarely."""
    random, held = np.random.default_rng(2), Counter()
    for _ in range(300):
        logit = random.normal(-0.8, 0.6, (10, 1)) + random.normal(0, 0.8, (1, 40))
        wrong = (random.random((10, 40)) < 1 / (1 + np.exp(-logit))).astype(float)
        for kind, count in (("ours", effective_judgements(wrong)), ("plain", wrong.size)):
            low, high = clustered_wilson_interval(wrong.mean(), count)
            held[kind] += low <= TRUTH <= high
    assert held["ours"] > 0.88 * 300
    assert held["plain"] < 0.75 * 300


def true_share() -> float:
    random = np.random.default_rng(3)
    return float((1 / (1 + np.exp(-(-0.8 + random.normal(0, 1.0, 400_000))))).mean())


TRUTH = true_share()

# The order


def test_the_hash_and_the_draws_are_the_published_ones():
    assert fnv1a("") == 0x811C9DC5
    assert fnv1a("foobar") == 0xBF9CF968  # of the draft of FNV, section 6
    draw = mulberry32(0)
    assert [draw() for _ in range(3)] == [1144304738, 1416247, 958946056]  # of JavaScript


GROUPS = [[f"{side}{n:02d}" for n in range(10)] for side in "abcd"]
CATCHES = [f"z{n}" for n in range(4)]


def test_every_rater_sees_every_item_once_in_an_order_of_their_own():
    orders = [item_order("s", GROUPS, CATCHES, rater) for rater in ("ann", "bob")]
    assert orders[0] != orders[1]
    assert orders[0] == item_order("s", GROUPS, CATCHES, "ann")
    everything = sorted([item for group in (*GROUPS, CATCHES) for item in group])
    assert [sorted(seen) for seen in orders] == [everything] * 2


def test_each_block_holds_one_of_every_group_and_catches_are_spread():
    for rater in map(str, range(50)):
        seen = item_order("s", GROUPS, CATCHES, rater)
        items = [item for item in seen if item[0] != "z"]
        assert all(sorted(x[0] for x in items[n : n + 4]) == list("abcd") for n in range(0, 40, 4))
        places = [n for n, item in enumerate(seen) if item[0] == "z"]
        assert [place // 11 for place in places] == [0, 1, 2, 3]


def test_places_are_as_likely_for_every_item():
    first = Counter(item_order("s", GROUPS, [], str(rater))[0][0] for rater in range(400))
    assert min(first.values()) > 60


# A study of a real run


@pytest.fixture
def run(small_run, tmp_path) -> Path:
    """A copy of the tables of the run, so that studies do not meet; the store is the run's."""
    results = tmp_path / "results"
    results.mkdir()
    (results / "trials").symlink_to(small_run / "trials")
    (results / "floors").symlink_to(small_run / "floors")
    shutil.copytree(small_run / "small", results / "small")
    return results


def made(ganbench, *arguments) -> Key:
    code, _, err = ganbench("study", "make", "small", "digits", *arguments)
    assert (code, err) == (0, "")
    return Key(**read_json(Path("results/small/study/key.json")))


QUICK = ("--pictures", 5, "--catches", 4, "--exposure", 60)


def test_a_study_is_balanced(ganbench, run):
    key = made(ganbench, *QUICK)
    counts = Counter((item.arm, item.truth) for item in key.items.values())
    assert counts == {(arm, truth): 5 for arm in (0, 1) for truth in ("real", "fake")} | {
        (None, "real"): 2,
        (None, "fake"): 2,
    }
    assert [arm.loss for arm in key.arms] == ["hinge", "non_saturating"]
    assert sorted(map(len, key.groups)) == [5] * 4
    reals = [item.index for item in key.items.values() if item.source == "held out"]
    assert len(set(reals)) == 10  # no picture twice
    fakes = Counter(
        item.source for item in key.items.values() if item.arm == 0 and item.truth == "fake"
    )
    assert sorted(fakes.values()) == [2, 3]  # of both seeds


def test_the_pictures_are_those_that_the_key_says(ganbench, run):
    key = made(ganbench, *QUICK)
    told = told_by_page(run)
    from ganbench.data import DATA
    from ganbench.data.base import IMAGE

    held_out = DATA.make("digits").load().held_out[IMAGE].images
    for name, item in key.items.items():
        content = base64.b64decode(told["images"][name].split(",")[1])
        pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("L")))
        if item.source == "held out":
            assert torch.equal(pixels[::32, ::32], held_out[item.index, 0])
        assert pixels.shape == (256, 256)


def told_by_page(run: Path) -> dict:
    text = (run / "small" / "study" / "study.html").read_text()
    return json.loads(
        re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.S)[1]
    )


def test_the_page_does_not_say_what_is_real(ganbench, run):
    key = made(ganbench, *QUICK)
    told = told_by_page(run)
    assert told["groups"] == sorted(sorted(group) for group in key.groups)
    truth = [key.items[group[0]].truth for group in told["groups"]]
    assert set(told) == {
        "study",
        "suite",
        "data",
        "exposure",
        "side",
        "groups",
        "catches",
        "images",
        "examples",
    }
    assert {"real", "fake"} == set(truth)
    text = (run / "small" / "study" / "study.html").read_text()
    for secret in (key.salt, *(arm.loss for arm in key.arms)):
        assert secret not in text
    public = ["", 0, "0" * 32, told["study"], told["suite"], told["data"]]
    known = [[], *([fact] for fact in public)]
    assert not any(set(told["images"]) & set(names_by(first, key)) for first in known)
    assert set(told["images"]) == set(
        names_by([key.salt], key)
    )  # so they are made of it and of these


def names_by(first: list, key: Key) -> list[str]:
    """The names of all items as who has the source would make them, with these facts before the others."""
    addresses = [
        [truth, arm, n]
        for truth in ("real", "fake")
        for arm in range(len(key.arms))
        for n in range(5)
    ] + [["catch", n] for n in range(4)]
    texts = (json.dumps([*first, key.seed, key.data, *address]) for address in addresses)
    return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in texts]


def test_no_two_studies_have_a_salt_in_common(ganbench, run):
    salts = {made(ganbench, *QUICK).salt}
    salts |= {made(ganbench, *QUICK, "--seed", n, "--replace").salt for n in (1, 0)}
    assert len(salts) == 3
    assert {len(bytes.fromhex(salt)) for salt in salts} == {16}


def test_a_damaged_key_is_told_and_can_be_replaced(ganbench, run):
    path = run / "small" / "study" / "key.json"
    path.parent.mkdir()
    path.write_text("{")
    code, _, err = ganbench("study", "make", "small", "digits", *QUICK)
    assert (code, "key.json is damaged" in err) == (2, True)
    assert made(ganbench, *QUICK, "--replace").salt


def test_a_study_is_made_alike_again_and_another_takes_no_ones_place(ganbench, run):
    key = made(ganbench, *QUICK)
    first = (run / "small" / "study" / "study.html").read_bytes()
    assert made(ganbench, *QUICK) == key
    assert (run / "small" / "study" / "study.html").read_bytes() == first
    code, _, err = ganbench("study", "make", "small", "digits", *QUICK, "--seed", 1)
    assert (code, "holds another study" in err) == (2, True)
    assert made(ganbench, *QUICK, "--seed", 1, "--replace").study != key.study


def test_the_best_cells_of_images_are_judged_where_none_is_named(ganbench, run):
    code, out, _ = ganbench("study", "make", "small", *QUICK, "--json")
    board = leaderboard(load(run / "small"))
    best = board[board["data"].eq("digits") & board["rank"].notna()]["loss"].tolist()
    assert code == 0
    assert [arm.split(" / ")[2] for arm in json.loads(out)["arms"]] == best


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["small", "ring"], "ring is points"), (["small", "dcgan"], "no cell of small"),
     (["small", "digits", "ring"], "a study shows one data set"), (["smal"], "no run in"),
     (["small", "digits", "--pictures", 301], "need 602 held-out images, and digits has 600")],
)  # fmt: skip
def test_what_cannot_be_judged_is_told(ganbench, run, arguments, told):
    code, _, err = ganbench("study", "make", *arguments)
    assert (code, told in err) == (2, True), err


# Hostile names

EVIL = "</script><img src=x onerror=alert(1)>__SCRIPT__ \u2028 & \" ' <!--"


def test_names_stay_text_in_the_page():
    arm = StudyArm(data=EVIL, variant="v", loss="l", tricks="t", plan="")
    key = Key(study="0" * 16, suite=EVIL, data=EVIL, exposure=0, seed=0, arms=[arm],
              items={"a": StudyItem(truth="real")}, groups=[["a"]], catches=[])  # fmt: skip
    text = render_study_page(key, {"a": "data:,"}, [])
    assert "<img src=x" not in text
    assert text.count("</script>") == 2
    assert text.count('"use strict";') == 1
    assert json.loads(escape_for_script({"x": EVIL})) == {"x": EVIL}


# Answers


def answered(key: Key, rater: str, wrong=(), path: Path | None = None, **changes) -> dict:
    """A file as the page saves it; `wrong` are the items that are answered wrongly."""
    other = {"real": "fake", "fake": "real"}
    answers = [
        {"item": item, "ms": 700, "shown": 60,
         "answer": other[key.items[item].truth] if item in wrong else key.items[item].truth}
        for item in item_order(key.study, key.groups, key.catches, rater)
    ]  # fmt: skip
    told = {"schema": 1, "study": key.study, "suite": key.suite, "rater": rater,
            "began": "2026-01-01T00:00:00Z", "answers": answers, "check": "0"}  # fmt: skip
    path = path or Path(f"{rater}.json")
    path.write_text(json.dumps(told))
    told["check"] = answer_checksum(parse_answer_file(path))
    path.write_text(json.dumps(told | changes))
    return told


def items_of(key: Key, arm: int | None, truth: str) -> list[str]:
    return sorted(
        name for name, item in key.items.items() if (item.arm, item.truth) == (arm, truth)
    )


def test_planted_errors_are_found(ganbench, run):
    key = made(ganbench, *QUICK)
    answered(key, "ann", items_of(key, 0, "fake")[:3] + items_of(key, 0, "real")[:1])
    answered(key, "bob", items_of(key, 0, "fake")[:3] + items_of(key, 1, "real")[:2])
    code, out, err = ganbench("study", "read", "small", "ann.json", "bob.json", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    arms = [
        (a["loss"], a["error"], a["fooled"], a["doubted"], a["judgements"]) for a in found["arms"]
    ]
    assert arms == [
        ("hinge", pytest.approx(7 / 20), 0.6, pytest.approx(0.1), 20),
        ("non_saturating", pytest.approx(2 / 20), 0.0, 0.2, 20),
    ]
    assert [(r["rater"], r["error"], r["caught"]) for r in found["raters"]] == [
        ("ann", 0.2, 4),
        ("bob", 0.25, 4),
    ]
    raters = np.array([[a["error"], a["low"], a["high"]] for a in found["raters"]])
    assert raters[0] == pytest.approx([0.2, *proportion_confint(4, 20, 0.05, "wilson")])
    assert read_json(run / "small" / "study.json") == found


def test_human_error_has_its_place_in_the_leaderboard(ganbench, run):
    key = made(ganbench, *QUICK)
    answered(key, "ann", items_of(key, 0, "fake")[:3])
    ganbench("study", "read", "small", "ann.json")
    text = (run / "small" / "leaderboard.md").read_text()
    (row,) = [
        line
        for line in text.splitlines()
        if "| hinge " in line and "| *" not in line and "human" not in line
    ][:1]
    assert "human error" in text
    assert re.search(r"\| 0\.3 \[0\.\d+, 0\.\d+\]", row)
    board = with_human_error(leaderboard(load(run / "small")), run / "small")
    known = board[board["human error"].notna()]
    assert set(known["role"]) == {"trial"}
    assert dict(zip(known["loss"], known["human error"], strict=True)) == {
        "hinge": 0.3,
        "non_saturating": 0.0,
    }
    (run / "small" / "study.json").write_text("{")
    assert "human error" not in with_human_error(leaderboard(load(run / "small")), run / "small")


def test_a_rater_who_fails_the_catch_trials_is_left_out_and_told(ganbench, run):
    key = made(ganbench, *QUICK)
    answered(key, "ann")
    answered(key, "zoe", [*key.catches[:2], *items_of(key, 0, "fake")])
    code, out, _ = ganbench("study", "read", "small", "ann.json", "zoe.json")
    assert code == 0
    assert "zoe is left out: only 2 of 4 catch trials were answered correctly." in " ".join(
        out.split()
    )
    found = read_json(run / "small" / "study.json")
    assert [rater["left_out"] for rater in found["raters"]] == [False, True]
    assert found["arms"][0]["error"] == 0
    assert max(map(len, out.splitlines())) <= 80 or "results" in out


def test_if_everybody_is_left_out_there_is_no_error(ganbench, run):
    key = made(ganbench, *QUICK)
    answered(key, "zoe", key.catches)
    code, out, _ = ganbench("study", "read", "small", "zoe.json", "--json")
    found = json.loads(out)
    assert (code, found["arms"][0]["error"], found["alpha"]) == (0, None, None)
    assert "human error" not in (run / "small" / "leaderboard.md").read_text()


def spoilt(key: Key, told: dict, what: str) -> str:
    """A good file made bad, as text."""
    answers = told["answers"]
    match what:
        case "cut short":
            return json.dumps(told)[:-40]
        case "ended early":
            return json.dumps(told | {"answers": answers[:7]})
        case "edited":
            other = {"real": "fake", "fake": "real"}[answers[3]["answer"]]
            return json.dumps(
                told | {"answers": [*answers[:3], answers[3] | {"answer": other}, *answers[4:]]}
            )
        case "shuffled":
            return json.dumps(told | {"answers": answers[::-1]})
        case "item twice":
            return json.dumps(told | {"answers": [answers[0], *answers[:-1]]})
        case "other study":
            return json.dumps(told | {"study": "f" * 16, "suite": "bench"})
        case "renamed":
            return json.dumps(told | {"rater": "bea"})
        case "evil name":
            return json.dumps(told | {"rater": "../../ann"})
        case "no time":
            return json.dumps(
                told | {"answers": [answers[0] | {"ms": HOUR_MILLISECONDS + 1}, *answers[1:]]}
            )
        case "text for a number":
            return json.dumps(told | {"answers": [answers[0] | {"ms": "700"}, *answers[1:]]})
        case "neither":
            return json.dumps(told | {"answers": [answers[0] | {"answer": "maybe"}, *answers[1:]]})
        case "extra":
            return json.dumps(told | {"truth": "mine"})
        case "a list":
            return "[1]"
        case "nan":
            return json.dumps(told | {"answers": [answers[0] | {"ms": float("nan")}, *answers[1:]]})
        case "deep":
            return "[" * 100_000
        case "empty":
            return ""
    raise AssertionError(what)


SPOILT = {
    "cut short": "it is not a complete JSON file",
    "ended early": "it ends after 7 of 24 answers",
    "edited": "it was changed after it was saved",
    "shuffled": "its items are not those that rater ann was shown",
    "item twice": "its items are not those that rater ann was shown",
    "other study": "it answers study 'ffffffffffffffff' of suite 'bench', and this is",
    "renamed": "its items are not those that rater bea was shown",
    "evil name": "it is not a valid answer file: rater: string should match pattern",
    "no time": "answers.0.ms: input should be less than or equal to 3600000",
    "text for a number": "answers.0.ms: input should be a valid integer",
    "neither": "answers.0.answer: input should be 'real' or 'fake'",
    "extra": "truth: extra inputs are not permitted",
    "a list": "it is not a valid answer file",
    "nan": "answers.0.ms: input should be a valid integer",
    "deep": "it is not a complete JSON file",
    "empty": "it is not a complete JSON file",
}


def test_answers_that_cannot_be_are_told_in_a_sentence(ganbench, run):
    key = made(ganbench, *QUICK)
    told = answered(key, "ann")
    for what, sentence in SPOILT.items():
        Path("bad.json").write_text(spoilt(key, told, what))
        code, out, err = ganbench("study", "read", "small", "bad.json")
        assert (code, out, err.count("\n")) == (2, "", 1), what
        assert err.startswith("bad.json: "), what
        assert sentence in err, (what, err)
    assert not (run / "small" / "study.json").exists()


def test_files_that_are_no_answers_at_all_are_told(ganbench, run):
    key = made(ganbench, *QUICK)
    answered(key, "ann")
    shutil.copy("ann.json", "again.json")
    answered(key, "Ann", path=Path("other.json"))
    Path("raw.json").write_bytes(b"\xff\xfe\x00")
    Path("large.json").write_text(" " * 5_000_001)
    for files, sentence in (
        (["ann.json", "again.json"], "again.json: rater ann has answered already, in ann.json"),
        (["ann.json", "other.json"], "other.json: rater Ann has answered already, in ann.json"),
        (["none.json"], "none.json: it cannot be read: No such file or directory"),
        (["raw.json"], "raw.json: it is not a complete JSON file"),
        (["large.json"], "large.json: it has more than 5,000,000 bytes"),
        (["."], ".: it cannot be read: Is a directory"),
    ):
        code, _, err = ganbench("study", "read", "small", *files)
        assert (code, sentence in err) == (2, True), err


def test_without_a_study_there_are_no_answers(ganbench, run):
    code, _, err = ganbench("study", "read", "small", "ann.json")
    assert (code, "`ganbench study make` writes it" in err) == (2, True)
    made(ganbench, *QUICK)
    path = run / "small" / "study" / "key.json"
    write_json(path, read_json(path) | {"exposure": "long"})
    code, _, err = ganbench("study", "read", "small", "ann.json")
    assert (
        code,
        "is not a valid key of a study: exposure: input should be a valid integer" in err,
    ) == (
        2,
        True,
    )


def test_hasty_answers_and_wrong_exposures_are_told(ganbench, run, tmp_path):
    key = made(ganbench, *QUICK)
    told = answered(key, "ann")
    for n, answer in enumerate(told["answers"]):
        answer["ms"] = 40 if n < 6 else 900
        answer["shown"] = 40 if n < 6 else 60 if n < 20 else 600
    Path("ann.json").write_text(json.dumps(told))
    told["check"] = answer_checksum(parse_answer_file(Path("ann.json")))
    Path("ann.json").write_text(json.dumps(told))
    (rater,) = summarize_study(key, read_answers([Path("ann.json")], key))["raters"]
    judged = [a["item"] not in key.catches for a in told["answers"]]
    assert (rater["hasty"], rater["off"]) == (sum(judged[:6]), sum(judged[20:]))
    _, out, _ = ganbench("study", "read", "small", "ann.json")
    assert "answers were faster than human reaction time" in " ".join(out.split())


# The page, in a browser

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def tab(browser):
    """A page that may load nothing, with what it complained of."""
    context = browser.new_context(viewport={"width": 390, "height": 780}, offline=True)
    tab, tab.said = context.new_page(), []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on(
        "request",
        lambda request: tab.said.append(request.url) if request.url.startswith("http") else None,
    )
    yield tab
    context.close()


KEYS = {"fake": ["f", "ArrowLeft", "F"], "real": ["r", "ArrowRight", "R"]}


def judge(tab, key: Key, rater: str, wrong, folder: Path) -> Path:
    """Answers a whole study by keyboard; returns the file that the page saves."""
    other = {"real": "fake", "fake": "real"}
    tab.fill("#rater", rater)
    tab.keyboard.press("Enter")
    items = item_order(key.study, key.groups, key.catches, rater)
    with tab.expect_download() as download:
        for number, item in enumerate(items):
            while not tab.evaluate(f"session.open && session.answers.length === {number}"):
                tab.wait_for_timeout(5)
            truth = key.items[item].truth
            said = other[truth] if item in wrong else truth
            tab.keyboard.press(KEYS[said][number % 3])
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_study_is_answered_by_keyboard_and_read_back(ganbench, run, tab, tmp_path):
    key = made(ganbench, *QUICK)
    tab.goto((run / "small" / "study" / "study.html").as_uri())
    wrong = items_of(key, 0, "fake")[:4] + items_of(key, 1, "real")[:1]
    path = judge(tab, key, "ann.b-1", wrong, tmp_path)
    assert path.name == f"answers-{key.study}-ann.b-1.json"
    assert tab.is_visible("text=Thank you")
    code, out, err = ganbench("study", "read", "small", path, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [arm["error"] for arm in found["arms"]] == [pytest.approx(0.4), pytest.approx(0.1)]
    assert found["raters"][0]["caught"] == 4
    assert tab.said == []


def test_the_page_shows_each_picture_as_long_as_it_says_and_then_masks_it(ganbench, run, tab):
    made(ganbench, "--pictures", 3, "--catches", 0, "--exposure", 200)
    tab.goto((run / "small" / "study" / "study.html").as_uri())
    tab.fill("#rater", "ann")
    tab.keyboard.press("Enter")
    shown = []
    for number in range(5):
        while tab.evaluate("session.shown") == 0:
            tab.wait_for_timeout(20)
        assert tab.evaluate("document.querySelector('#stage .on').id") == "mask"
        shown.append(tab.evaluate("session.shown"))
        tab.keyboard.press("f")
        while (
            tab.evaluate("session.answers.length") <= number
            or tab.evaluate("session.open") is False
        ):
            tab.wait_for_timeout(10)
    assert np.median(shown) == pytest.approx(200, abs=40)


def test_early_keys_and_held_keys_answer_nothing(ganbench, run, tab):
    made(ganbench, "--pictures", 3, "--catches", 0, "--exposure", 0)
    tab.goto((run / "small" / "study" / "study.html").as_uri())
    tab.keyboard.press("f")
    tab.fill("#rater", "ann")
    tab.keyboard.press("Enter")
    tab.keyboard.press("r")  # the cross is still there
    tab.keyboard.press("Control+r")
    assert tab.evaluate("session.answers.length") == 0
    while not tab.evaluate("session.open"):
        tab.wait_for_timeout(10)
    tab.keyboard.down("f")
    for _ in range(30):
        tab.keyboard.down("f")
        tab.wait_for_timeout(20)
    assert tab.evaluate("session.answers.length") == 1
    tab.keyboard.up("f")
    tab.click("#real")
    assert tab.evaluate("session.answers.map((a) => a.answer)") == ["fake", "real"]


def test_a_name_that_cannot_be_is_refused_by_the_page(ganbench, run, tab):
    made(ganbench, *QUICK)
    tab.goto((run / "small" / "study" / "study.html").as_uri())
    for name in ("<b>ann</b>", "ann bee", "änn"):
        tab.fill("#rater", name)
        tab.keyboard.press("Enter")
        assert "letters, digits" in tab.text_content("#wrong")
        assert tab.is_hidden("#session")


def test_hostile_names_stay_text_in_a_browser(tab, tmp_path):
    arm = StudyArm(data=EVIL, variant="v", loss="l", tricks="t", plan="")
    key = Key(study="0" * 16, suite=EVIL, data=EVIL, exposure=0, seed=0, arms=[arm],
              items={"a": StudyItem(truth="real")}, groups=[["a"]], catches=[])  # fmt: skip
    path = tmp_path / "evil.html"
    path.write_text(render_study_page(key, {"a": "data:,"}, []))
    tab.on("dialog", lambda dialog: pytest.fail("a name ran as code"))
    tab.goto(path.as_uri())
    assert tab.text_content("#data") == EVIL
    assert tab.title().startswith("Real or fake? </script>")
    assert tab.said == []
