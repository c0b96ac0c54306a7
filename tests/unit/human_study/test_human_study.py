"""Human studies: design, the page in a browser, answer files, and error rates."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from ganbench.analysis.agreement import krippendorff_alpha
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rates import clustered_wilson_interval
from ganbench.analysis.rows import load
from ganbench.files import read_json, write_json
from ganbench.human_study.answers import (
    HOUR_MILLISECONDS,
    answer_checksum,
    parse_answer_file,
    read_answers,
)
from ganbench.human_study.error_rates import (
    effective_judgements,
    human_error_interval,
    summarize_study,
    with_human_error,
)
from ganbench.human_study.item_order import fnv1a, item_order, mulberry32
from ganbench.human_study.key import InvalidStudy, Key, StudyArm, StudyItem
from ganbench.human_study.make_page import (
    StudyDesign,
    draw_fake_indices,
    escape_for_script,
    load_fakes_of_arm,
    render_study_page,
)
from ganbench.training.sampling import GeneratedSamples

pytestmark = pytest.mark.heavy

# Agreement, against published examples and statsmodels


def test_alpha_equals_krippendorffs_examples():
    """Krippendorff (2011), Computing Krippendorff's alpha-reliability: sections A and C."""
    binary = ["0100000010", "1110010000"]  # two observers, ten units
    assert krippendorff_alpha(value_counts(binary, "01")) == pytest.approx(0.095, abs=5e-4)
    nominal = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]  # four, twelve
    assert krippendorff_alpha(value_counts(nominal, "12345")) == pytest.approx(0.743, abs=5e-4)


def value_counts(raters: list[str], values: str) -> np.ndarray:
    """Counts the raters who gave each value to each item; a dot is a missing value."""
    return np.array(
        [[answers.count(value) for value in values] for answers in zip(*raters, strict=True)]
    )


def test_alpha_is_corrected_fleiss_kappa():
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
def test_alpha_at_extremes(counts, alpha):
    actual = krippendorff_alpha(np.array(counts))
    assert actual == alpha if alpha is not None else np.isnan(actual)


# Intervals


@pytest.mark.parametrize(("wrong", "of"), [(0, 12), (3, 40), (20, 40), (40, 40)])
def test_wilson_interval_equals_statsmodels(wrong, of):
    assert clustered_wilson_interval(wrong / of, of) == pytest.approx(
        proportion_confint(wrong, of, 0.05, "wilson")
    )


def test_clustered_judgements_count_less():
    random = np.random.default_rng(1)
    alone = (random.random((12, 80)) < 0.3).astype(float)
    assert effective_judgements(alone) > 0.6 * alone.size
    copies = np.repeat(alone[:, :1], 80, axis=1)  # each rater gives one answer to all pictures
    assert effective_judgements(copies) == pytest.approx(12, rel=0.15)
    one = np.repeat(alone[:1], 12, axis=0)  # all raters agree on each picture
    assert effective_judgements(one) == pytest.approx(80, rel=0.15)
    assert effective_judgements(np.zeros((3, 4))) == 12


def test_clustered_interval_has_coverage():
    """Raters differ from 15 % to 45 % of errors, and pictures differ in difficulty.

    The plain interval has too low coverage.
    """
    random, held = np.random.default_rng(2), Counter()
    for _ in range(300):
        logit = random.normal(-0.8, 0.6, (10, 1)) + random.normal(0, 0.8, (1, 40))
        wrong = (random.random((10, 40)) < 1 / (1 + np.exp(-logit))).astype(float)
        for kind, count in (("clustered", effective_judgements(wrong)), ("plain", wrong.size)):
            low, high = clustered_wilson_interval(wrong.mean(), count)
            held[kind] += low <= TRUE_SHARE <= high
    assert held["clustered"] > 0.88 * 300
    assert held["plain"] < 0.75 * 300


def test_interval_of_five_raters_has_coverage():
    """The variance over few raters is uncertain: the effective number alone covers 90 %."""
    random, held = np.random.default_rng(4), 0
    for _ in range(800):
        logit = random.normal(-0.8, 0.8, (5, 1)) + random.normal(0, 0.6, (1, 40))
        low, high = human_error_interval((random.random((5, 40)) < expit(logit)).astype(float))
        held += low <= TRUE_SHARE <= high
    assert held > 0.925 * 800


def true_share() -> float:
    random = np.random.default_rng(3)
    return float((1 / (1 + np.exp(-(-0.8 + random.normal(0, 1.0, 400_000))))).mean())


TRUE_SHARE = true_share()

# Order of items


def test_hash_and_random_numbers_equal_references():
    assert fnv1a("") == 0x811C9DC5
    assert fnv1a("foobar") == 0xBF9CF968  # draft of FNV, section 6
    draw = mulberry32(0)
    assert [draw() for _ in range(3)] == [1144304738, 1416247, 958946056]  # values from JavaScript


GROUPS = [[f"{side}{n:02d}" for n in range(10)] for side in "abcd"]
CATCHES = [f"z{n}" for n in range(4)]


def test_each_rater_has_own_complete_order():
    orders = [item_order("s", GROUPS, CATCHES, rater) for rater in ("ann", "bob")]
    assert orders[0] != orders[1]
    assert orders[0] == item_order("s", GROUPS, CATCHES, "ann")
    everything = sorted([item for group in (*GROUPS, CATCHES) for item in group])
    assert [sorted(order) for order in orders] == [everything] * 2


def test_blocks_are_balanced_with_spread_catches():
    for rater in map(str, range(50)):
        order = item_order("s", GROUPS, CATCHES, rater)
        items = [item for item in order if item[0] != "z"]
        assert all(sorted(x[0] for x in items[n : n + 4]) == list("abcd") for n in range(0, 40, 4))
        places = [n for n, item in enumerate(order) if item[0] == "z"]
        assert [place // 11 for place in places] == [0, 1, 2, 3]


FEW_PICTURES = [["a", "b"], ["c", "d"]]
MANY_CATCHES = [f"z{n}" for n in range(6)]


def test_more_catches_than_pictures_come_first():
    """Pages of older studies show this order."""
    order = item_order("s", FEW_PICTURES, MANY_CATCHES, "ann")
    assert order == ["z4", "z5", "z1", "z0", "z2", "z3", "c", "a", "b", "d"]


def test_item_positions_are_uniform():
    first = Counter(item_order("s", GROUPS, [], str(rater))[0][0] for rater in range(400))
    assert min(first.values()) > 60


# A study of a real run


@pytest.fixture
def results(small_run, tmp_path) -> Path:
    """A copy of the run's tables, so that studies are independent; the store is shared."""
    results = tmp_path / "results"
    results.mkdir()
    (results / "trials").symlink_to(small_run / "trials")
    (results / "floors").symlink_to(small_run / "floors")
    shutil.copytree(small_run / "small", results / "small")
    return results


def make_study(ganbench, *arguments) -> Key:
    code, _, err = ganbench("study", "make", "small", "digits", *arguments)
    assert (code, err) == (0, "")
    return Key(**read_json(Path("results/small/study/key.json")))


STUDY_OPTIONS = ("--pictures", 5, "--catches", 4, "--exposure", 60)


def test_study_is_balanced(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    counts = Counter((item.arm, item.truth) for item in key.items.values())
    assert counts == {(arm, truth): 5 for arm in (0, 1) for truth in ("real", "fake")} | {
        (None, "real"): 2,
        (None, "fake"): 2,
    }
    assert [arm.loss for arm in key.arms] == ["hinge", "non_saturating"]
    assert sorted(map(len, key.groups)) == [5] * 4
    reals = [item.index for item in key.items.values() if item.source == "held out"]
    assert len(set(reals)) == 10  # no picture occurs twice
    fakes = Counter(
        item.source for item in key.items.values() if item.arm == 0 and item.truth == "fake"
    )
    assert sorted(fakes.values()) == [2, 3]  # from both seeds
    indices = [item.index for item in key.items.values() if item.arm is not None]
    assert len(set(indices)) == 20  # in all arms and seeds, and among real pictures


def translator_of(name: str, count: int) -> SimpleNamespace:
    """Returns a saved translator of `count` held-out images."""
    images = (
        torch.arange(count, dtype=torch.float32).expand(1, 8, 8, count).permute(3, 0, 1, 2) / 128
        - 1
    )
    return SimpleNamespace(
        folder=SimpleNamespace(folder=Path(name)),
        trial=SimpleNamespace(variant="inpainting", data_name="digits"),
        evaluator=SimpleNamespace(protocol=SimpleNamespace(fake=count)),
        load_samples=lambda: GeneratedSamples(images, source=images),
    )


def load_translated_fakes(pictures: int) -> list:
    """Returns the fakes of four arms of three translators of 160 images, 80 of which are shown."""
    arms = [(None, [translator_of(f"{arm}{seed}", 160) for seed in range(3)]) for arm in range(4)]
    design, shown, random = StudyDesign(pictures), set(range(80)), torch.Generator().manual_seed(0)
    indices = draw_fake_indices(arms, design, shown, random)
    return [load_fakes_of_arm(arms[n][1], indices[n::4], shown) for n in range(4)]


def test_translated_sources_occur_once():
    fakes = load_translated_fakes(20)
    assert {index for arm in fakes for _, index, _ in arm} == set(range(80, 160))
    assert [sorted(Counter(name for name, _, _ in arm).values()) for arm in fakes] == [
        [6, 7, 7]
    ] * 4
    assert all(
        image.unique().item() == round(127.5 * index / 128)
        for arm in fakes
        for _, index, image in arm
    )


def test_too_few_sources_raise():
    with pytest.raises(InvalidStudy, match="inpainting generates fakes from held-out images"):
        load_translated_fakes(21)
    with pytest.raises(InvalidStudy, match="each generator has 160: lower --pictures"):
        load_translated_fakes(41)


def test_study_pictures_equal_key(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    page = page_content(results)
    from ganbench.data import DATA
    from ganbench.data.base import IMAGE

    held_out = DATA.make("digits").load().held_out[IMAGE].images
    for name, item in key.items.items():
        content = base64.b64decode(page["images"][name].split(",")[1])
        pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("L")))
        if item.source == "held out":
            assert torch.equal(pixels[::32, ::32], held_out[item.index, 0])
        assert pixels.shape == (256, 256)


def page_content(results: Path) -> dict:
    text = (results / "small" / "study" / "study.html").read_text()
    return json.loads(
        re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.S)[1]
    )


def test_page_does_not_reveal_real_images(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    page = page_content(results)
    assert page["groups"] == sorted(sorted(group) for group in key.groups)
    truth = [key.items[group[0]].truth for group in page["groups"]]
    assert set(page) == {
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
    text = (results / "small" / "study" / "study.html").read_text()
    for secret in (key.salt, *(arm.loss for arm in key.arms)):
        assert secret not in text
    public = ["", 0, "0" * 32, page["study"], page["suite"], page["data"]]
    known = [[], *([fact] for fact in public)]
    assert not any(set(page["images"]) & set(item_names(first, key)) for first in known)
    assert set(page["images"]) == set(
        item_names([key.salt], key)
    )  # so the names depend on the salt


def item_names(first: list, key: Key) -> list[str]:
    """Computes the names of all items from the source code, with `first` as leading fields."""
    addresses = [
        [truth, arm, n]
        for truth in ("real", "fake")
        for arm in range(len(key.arms))
        for n in range(5)
    ] + [["catch", n] for n in range(4)]
    texts = (json.dumps([*first, key.seed, key.data, *address]) for address in addresses)
    return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in texts]


def test_studies_have_different_salts(ganbench, results):
    salts = {make_study(ganbench, *STUDY_OPTIONS).salt}
    salts |= {make_study(ganbench, *STUDY_OPTIONS, "--seed", n, "--replace").salt for n in (1, 0)}
    assert len(salts) == 3
    assert {len(bytes.fromhex(salt)) for salt in salts} == {16}


def test_corrupt_key_raises_and_is_replaceable(ganbench, results):
    path = results / "small" / "study" / "key.json"
    path.parent.mkdir()
    path.write_text("{")
    code, _, err = ganbench("study", "make", "small", "digits", *STUDY_OPTIONS)
    assert (code, "key.json is damaged" in err) == (2, True)
    assert make_study(ganbench, *STUDY_OPTIONS, "--replace").salt


def test_study_is_reproducible_and_protected(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    first = (results / "small" / "study" / "study.html").read_bytes()
    assert make_study(ganbench, *STUDY_OPTIONS) == key
    assert (results / "small" / "study" / "study.html").read_bytes() == first
    code, _, err = ganbench("study", "make", "small", "digits", *STUDY_OPTIONS, "--seed", 1)
    assert (code, "holds another study" in err) == (2, True)
    assert make_study(ganbench, *STUDY_OPTIONS, "--seed", 1, "--replace").study != key.study


def test_default_study_shows_best_cells(ganbench, results):
    code, out, _ = ganbench("study", "make", "small", *STUDY_OPTIONS, "--json")
    board = leaderboard(load(results / "small"))
    best = board[board["data"].eq("digits") & board["rank"].notna()]["loss"].tolist()
    assert code == 0
    assert [arm.split(" / ")[2] for arm in json.loads(out)["arms"]] == best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["small", "ring"], "ring is points"), (["small", "dcgan"], "no cell of small"),
     (["small", "digits", "ring"], "a study shows one data set"), (["smal"], "no run in"),
     (["small", "digits", "--pictures", 301], "need 602 held-out images, and digits has 600"),
     (["small", "digits", "--pictures", 1], "6 catch trials cannot be spread among 4 pictures")],
)  # fmt: skip
def test_invalid_study_requests_raise(ganbench, results, arguments, message):
    code, _, err = ganbench("study", "make", *arguments)
    assert (code, message in err) == (2, True), err


# Hostile names

HOSTILE_NAME = "</script><img src=x onerror=alert(1)>__SCRIPT__ \u2028 & \" ' <!--"


def test_hostile_names_are_escaped():
    arm = StudyArm(data=HOSTILE_NAME, variant="v", loss="l", tricks="t", plan="")
    key = Key(study="0" * 16, suite=HOSTILE_NAME, data=HOSTILE_NAME, exposure=0, seed=0, arms=[arm],
              items={"a": StudyItem(truth="real")}, groups=[["a"]], catches=[])  # fmt: skip
    text = render_study_page(key, {"a": "data:,"}, [])
    assert "<img src=x" not in text
    assert text.count("</script>") == 2
    assert text.count('"use strict";') == 1
    assert json.loads(escape_for_script({"x": HOSTILE_NAME})) == {"x": HOSTILE_NAME}


# Answers


def write_answers(key: Key, rater: str, wrong=(), path: Path | None = None, **changes) -> dict:
    """Writes an answer file like the page; the items in `wrong` get the wrong answer."""
    other = {"real": "fake", "fake": "real"}
    answers = [
        {"item": item, "ms": 700, "shown": 60,
         "answer": other[key.items[item].truth] if item in wrong else key.items[item].truth}
        for item in item_order(key.study, key.groups, key.catches, rater)
    ]  # fmt: skip
    content = {"schema": 1, "study": key.study, "suite": key.suite, "rater": rater,
            "began": "2026-01-01T00:00:00Z", "answers": answers, "check": "0"}  # fmt: skip
    path = path or Path(f"{rater}.json")
    path.write_text(json.dumps(content))
    content["check"] = answer_checksum(parse_answer_file(path))
    path.write_text(json.dumps(content | changes))
    return content


def items_of(key: Key, arm: int | None, truth: str) -> list[str]:
    return sorted(
        name for name, item in key.items.items() if (item.arm, item.truth) == (arm, truth)
    )


def test_planted_errors_are_recovered(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "ann", items_of(key, 0, "fake")[:3] + items_of(key, 0, "real")[:1])
    write_answers(key, "bob", items_of(key, 0, "fake")[:3] + items_of(key, 1, "real")[:2])
    code, out, err = ganbench("study", "read", "small", "ann.json", "bob.json", "--json")
    study = json.loads(out)
    assert (code, err) == (0, "")
    arms = [
        (a["loss"], a["error"], a["fooled"], a["doubted"], a["judgements"]) for a in study["arms"]
    ]
    assert arms == [
        ("hinge", pytest.approx(7 / 20), 0.6, pytest.approx(0.1), 20),
        ("non_saturating", pytest.approx(2 / 20), 0.0, 0.2, 20),
    ]
    assert [(r["rater"], r["error"], r["caught"]) for r in study["raters"]] == [
        ("ann", 0.2, 4),
        ("bob", 0.25, 4),
    ]
    raters = np.array([[a["error"], a["low"], a["high"]] for a in study["raters"]])
    assert raters[0] == pytest.approx([0.2, *proportion_confint(4, 20, 0.05, "wilson")])
    assert read_json(results / "small" / "study.json") == study


def test_leaderboard_has_human_error(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "ann", items_of(key, 0, "fake")[:3])
    ganbench("study", "read", "small", "ann.json")
    text = (results / "small" / "leaderboard.md").read_text()
    (row,) = [
        line
        for line in text.splitlines()
        if "| hinge " in line and "| *" not in line and "human" not in line
    ][:1]
    assert "human error" in text
    assert re.search(r"\| 0\.3 \[0\.\d+, 0\.\d+\]", row)
    frame = load(results / "small")
    board = with_human_error(leaderboard(frame), frame, results / "small")
    known = board[board["human error"].notna()]
    assert set(known["role"]) == {"trial"}
    assert dict(zip(known["loss"], known["human error"], strict=True)) == {
        "hinge": 0.3,
        "non_saturating": 0.0,
    }
    (results / "small" / "study.json").write_text("{")
    assert "human error" not in with_human_error(leaderboard(frame), frame, results / "small")


def test_human_error_of_other_trials_is_left_out(ganbench, results):
    """A cell keeps its name with another budget, and its fakes are others."""
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "ann", items_of(key, 0, "fake")[:3])
    ganbench("study", "read", "small", "ann.json")
    frame = load(results / "small")
    trained_anew = frame["loss"].eq("hinge") & frame["role"].eq("trial")
    frame.loc[trained_anew, "trial"] = "another trial"
    board = with_human_error(leaderboard(frame), frame, results / "small")
    assert set(board[board["human error"].notna()]["loss"]) == {"non_saturating"}


def test_rater_failing_catches_is_left_out(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "ann")
    write_answers(key, "zoe", [*key.catches[:2], *items_of(key, 0, "fake")])
    code, out, _ = ganbench("study", "read", "small", "ann.json", "zoe.json")
    assert code == 0
    assert "zoe is left out: only 2 of 4 catch trials were answered correctly." in " ".join(
        out.split()
    )
    study = read_json(results / "small" / "study.json")
    assert [rater["left_out"] for rater in study["raters"]] == [False, True]
    assert study["arms"][0]["error"] == 0


def test_all_raters_left_out_gives_no_error(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "zoe", key.catches)
    code, out, _ = ganbench("study", "read", "small", "zoe.json", "--json")
    study = json.loads(out)
    assert (code, study["arms"][0]["error"], study["alpha"]) == (0, None, None)
    assert "human error" not in (results / "small" / "leaderboard.md").read_text()


def corrupt_answers(key: Key, content: dict, what: str) -> str:
    """Returns the text of a corrupted answer file."""
    answers = content["answers"]
    match what:
        case "cut short":
            return json.dumps(content)[:-40]
        case "ended early":
            return json.dumps(content | {"answers": answers[:7]})
        case "edited":
            other = {"real": "fake", "fake": "real"}[answers[3]["answer"]]
            return json.dumps(
                content | {"answers": [*answers[:3], answers[3] | {"answer": other}, *answers[4:]]}
            )
        case "shuffled":
            return json.dumps(content | {"answers": answers[::-1]})
        case "item twice":
            return json.dumps(content | {"answers": [answers[0], *answers[:-1]]})
        case "other study":
            return json.dumps(content | {"study": "f" * 16, "suite": "bench"})
        case "renamed":
            return json.dumps(content | {"rater": "bea"})
        case "evil name":
            return json.dumps(content | {"rater": "../../ann"})
        case "no time":
            return json.dumps(content | {"answers": [answers[0] | {"ms": 0}, *answers[1:]]})
        case "text for a number":
            return json.dumps(content | {"answers": [answers[0] | {"ms": "700"}, *answers[1:]]})
        case "neither":
            return json.dumps(
                content | {"answers": [answers[0] | {"answer": "maybe"}, *answers[1:]]}
            )
        case "extra":
            return json.dumps(content | {"truth": "mine"})
        case "a list":
            return "[1]"
        case "nan":
            return json.dumps(
                content | {"answers": [answers[0] | {"ms": float("nan")}, *answers[1:]]}
            )
        case "deep":
            return "[" * 100_000
        case "empty":
            return ""
    raise AssertionError(what)


CORRUPTIONS = {
    "cut short": "it is not a complete JSON file",
    "ended early": "it ends after 7 of 24 answers",
    "edited": "it was changed after it was saved",
    "shuffled": "its items are not those that rater ann was shown",
    "item twice": "its items are not those that rater ann was shown",
    "other study": "it answers study 'ffffffffffffffff' of suite 'bench', and this is",
    "renamed": "its items are not those that rater bea was shown",
    "evil name": "it is not a valid answer file: rater: string should match pattern",
    "no time": "answers.0.ms: input should be greater than or equal to 1",
    "text for a number": "answers.0.ms: input should be a valid integer",
    "neither": "answers.0.answer: input should be 'real' or 'fake'",
    "extra": "truth: extra inputs are not permitted",
    "a list": "it is not a valid answer file",
    "nan": "answers.0.ms: input should be a valid integer",
    "deep": "it is not a complete JSON file",
    "empty": "it is not a complete JSON file",
}


def test_invalid_answers_raise_one_sentence(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    content = write_answers(key, "ann")
    for what, sentence in CORRUPTIONS.items():
        Path("bad.json").write_text(corrupt_answers(key, content, what))
        code, out, err = ganbench("study", "read", "small", "bad.json")
        assert (code, out, err.count("\n")) == (2, "", 1), what
        assert err.startswith("bad.json: "), what
        assert sentence in err, (what, err)
    assert not (results / "small" / "study.json").exists()


def test_invalid_answer_files_raise(ganbench, results):
    key = make_study(ganbench, *STUDY_OPTIONS)
    write_answers(key, "ann")
    shutil.copy("ann.json", "again.json")
    write_answers(key, "Ann", path=Path("other.json"))
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


def test_reading_answers_needs_a_study(ganbench, results):
    code, _, err = ganbench("study", "read", "small", "ann.json")
    assert (code, "`ganbench study make` writes it" in err) == (2, True)
    make_study(ganbench, *STUDY_OPTIONS)
    path = results / "small" / "study" / "key.json"
    write_json(path, read_json(path) | {"exposure": "long"})
    code, _, err = ganbench("study", "read", "small", "ann.json")
    assert (
        code,
        "is not a valid key of a study: exposure: input should be a valid integer" in err,
    ) == (
        2,
        True,
    )


def test_hasty_answers_and_exposures_are_reported(ganbench, results, tmp_path):
    key = make_study(ganbench, *STUDY_OPTIONS)
    content = write_answers(key, "ann")
    for n, answer in enumerate(content["answers"]):
        answer["ms"] = 40 if n < 6 else 900
        answer["shown"] = 40 if n < 6 else 60 if n < 20 else 600
    Path("ann.json").write_text(json.dumps(content))
    content["check"] = answer_checksum(parse_answer_file(Path("ann.json")))
    Path("ann.json").write_text(json.dumps(content))
    (rater,) = summarize_study(key, read_answers([Path("ann.json")], key))["raters"]
    judged = [a["item"] not in key.catches for a in content["answers"]]
    assert (rater["hasty"], rater["off"]) == (sum(judged[:6]), sum(judged[20:]))
    _, out, _ = ganbench("study", "read", "small", "ann.json")
    assert "answers were faster than human reaction time" in " ".join(out.split())


def test_long_times_count_as_an_hour(tmp_path):
    """Older pages saved longer times, which the checksum includes."""
    key = Key(study="s", suite="small", data="digits", exposure=500, seed=0, arms=[],
              items={"a": StudyItem(truth="real", arm=0)}, groups=[["a"]], catches=[])  # fmt: skip
    path = tmp_path / "ann.json"
    content = write_answers(key, "ann", path=path)
    content["answers"][0] |= {"ms": 2 * HOUR_MILLISECONDS, "shown": HOUR_MILLISECONDS + 1}
    path.write_text(json.dumps(content))
    path.write_text(json.dumps(content | {"check": answer_checksum(parse_answer_file(path))}))
    (session,) = read_answers([path], key)
    (answer,) = session.answers
    assert (answer.ms, answer.shown) == (HOUR_MILLISECONDS, HOUR_MILLISECONDS)


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
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser):
    """An offline browser page, which collects its console messages, errors and requests."""
    context = browser.new_context(viewport={"width": 390, "height": 780}, offline=True)
    tab, tab.messages = context.new_page(), []
    tab.on("console", lambda message: tab.messages.append(message.text))
    tab.on("pageerror", lambda error: tab.messages.append(str(error)))
    tab.on(
        "request",
        lambda request: (
            tab.messages.append(request.url) if request.url.startswith("http") else None
        ),
    )
    yield tab
    context.close()


KEYS = {"fake": ["f", "ArrowLeft", "F"], "real": ["r", "ArrowRight", "R"]}


def answer_by_keyboard(tab, key: Key, rater: str, wrong, folder: Path) -> Path:
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
            answer = other[truth] if item in wrong else truth
            tab.keyboard.press(KEYS[answer][number % 3])
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_study_is_answered_by_keyboard(ganbench, results, tab, tmp_path):
    key = make_study(ganbench, *STUDY_OPTIONS)
    tab.goto((results / "small" / "study" / "study.html").as_uri())
    wrong = items_of(key, 0, "fake")[:4] + items_of(key, 1, "real")[:1]
    path = answer_by_keyboard(tab, key, "ann.b-1", wrong, tmp_path)
    assert path.name == f"answers-{key.study}-ann.b-1.json"
    assert tab.is_visible("text=Thank you")
    code, out, err = ganbench("study", "read", "small", path, "--json")
    assert (code, err) == (0, "")
    study = json.loads(out)
    assert [arm["error"] for arm in study["arms"]] == [pytest.approx(0.4), pytest.approx(0.1)]
    assert study["raters"][0]["caught"] == 4
    assert tab.messages == []


MANUAL_FRAMES = """
{
  let now = 0, waiting = [];
  performance.now = () => now;
  window.setTimeout = (act, delay) => waiting.push({ act, time: now + delay });
  window.requestAnimationFrame = (act) => waiting.push({ act, time: now });
  window.showFrame = () => {
    now += 1000 / 60;
    const due = waiting.filter(({ time }) => time <= now);
    waiting = waiting.filter(({ time }) => time > now);
    for (const { act } of due) act(now);
  };
}
"""


@pytest.fixture
def show_frame(tab):
    """Shows the next of 60 frames in a second, after which time stands still; returns a state."""
    tab.add_init_script(MANUAL_FRAMES)

    def show(state):
        tab.evaluate("showFrame()")
        return tab.evaluate(state)

    return show


def test_page_shows_picture_then_mask(ganbench, results, tab, show_frame):
    make_study(ganbench, "--pictures", 3, "--catches", 0, "--exposure", 200)
    tab.goto((results / "small" / "study" / "study.html").as_uri())
    tab.fill("#rater", "ann")
    tab.keyboard.press("Enter")
    shown_part = "document.querySelector('#stage .on').id"
    for _ in range(5):
        while not show_frame("session.open"):
            assert tab.evaluate(shown_part) in ("cross", "picture")
        while not show_frame("session.shown"):
            assert tab.evaluate(shown_part) in ("picture", "mask")
        assert tab.evaluate(shown_part) == "mask"
        assert tab.evaluate("session.shown") == pytest.approx(200, abs=1000 / 60 + 1)
        tab.keyboard.press("f")


def test_early_and_held_keys_are_ignored(ganbench, results, tab, show_frame):
    make_study(ganbench, "--pictures", 3, "--catches", 0, "--exposure", 0)
    tab.goto((results / "small" / "study" / "study.html").as_uri())
    tab.keyboard.press("f")
    tab.fill("#rater", "ann")
    tab.keyboard.press("Enter")
    tab.keyboard.press("r")  # the fixation cross is still shown
    tab.keyboard.press("Control+r")
    assert tab.evaluate("session.answers.length") == 0
    while not show_frame("session.open"):
        pass
    tab.keyboard.down("f")
    while not show_frame("session.open"):  # of the second picture
        tab.keyboard.down("f")
    tab.keyboard.down("f")
    assert tab.evaluate("session.answers.length") == 1
    tab.keyboard.up("f")
    tab.click("#real")
    assert tab.evaluate("session.answers.map((a) => a.answer)") == ["fake", "real"]


def test_page_draws_same_order_with_many_catches(tab, tmp_path):
    open_page_of_few_pictures(tab, tmp_path)
    assert tab.evaluate("order('ann')") == item_order("s", FEW_PICTURES, MANY_CATCHES, "ann")


def test_page_saves_break_as_an_hour(tab, tmp_path):
    open_page_of_few_pictures(tab, tmp_path)
    tab.evaluate(f"session.onset = -2 * {HOUR_MILLISECONDS}")
    tab.evaluate("Object.assign(session, { items: ['a'], open: true }); answer('real')")
    (answer,) = tab.evaluate("session.answers")
    assert (answer["ms"], answer["shown"]) == (HOUR_MILLISECONDS, HOUR_MILLISECONDS)


def open_page_of_few_pictures(tab, folder: Path) -> None:
    key = Key(study="s", suite="small", data="digits", exposure=0, seed=0, arms=[], items={},
              groups=FEW_PICTURES, catches=MANY_CATCHES)  # fmt: skip
    (folder / "study.html").write_text(render_study_page(key, {}, []))
    tab.goto((folder / "study.html").as_uri())


def test_page_rejects_invalid_rater_names(ganbench, results, tab):
    make_study(ganbench, *STUDY_OPTIONS)
    tab.goto((results / "small" / "study" / "study.html").as_uri())
    for name in ("<b>ann</b>", "ann bee", "änn"):
        tab.fill("#rater", name)
        tab.keyboard.press("Enter")
        assert "letters, digits" in tab.text_content("#wrong")
        assert tab.is_hidden("#session")


def test_hostile_names_stay_text_in_browser(tab, tmp_path):
    arm = StudyArm(data=HOSTILE_NAME, variant="v", loss="l", tricks="t", plan="")
    key = Key(study="0" * 16, suite=HOSTILE_NAME, data=HOSTILE_NAME, exposure=0, seed=0, arms=[arm],
              items={"a": StudyItem(truth="real")}, groups=[["a"]], catches=[])  # fmt: skip
    path = tmp_path / "evil.html"
    path.write_text(render_study_page(key, {"a": "data:,"}, []))
    tab.on("dialog", lambda dialog: pytest.fail("a name ran as code"))
    tab.goto(path.as_uri())
    assert tab.text_content("#data") == HOSTILE_NAME
    assert tab.title().startswith("Real or fake? </script>")
    assert tab.messages == []
