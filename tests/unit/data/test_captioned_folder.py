"""Captioned folders: reading captions, refusing unusable ones, and training on them."""

import json
import re
import shutil

import pytest
import torch
from helpers import CPU
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from ganbench.cli import app
from ganbench.data import DATA
from ganbench.data.base import IMAGE, BatchLoader, NotDownloaded, to_unit_range
from ganbench.data.caption_files import CAPTIONS_FILE, MAX_CAPTION_WORDS, MAX_CAPTIONS_PER_IMAGE
from ganbench.data.captioned_folder import make_vocabulary
from ganbench.data.captions import UNKNOWN_WORD, Captions, UnknownCaption, split_words
from ganbench.evaluation.evaluator import load_split, make_evaluator
from ganbench.registry import SpecError
from ganbench.rng import RngStreams

COLORS = ("red", "green", "blue", "yellow")
SUITE = """\
schema = 1
name = "words"
data = ["captioned_folder(path={path!r}, size=16, held_out=0.3)"]
protocol = "ganbench(extractor='identity')"
metrics = ["kid", "caption_accuracy", "r_precision"]
seeds = 1
[[grid]]
variants = ["reed(width=4, code=8)", "dfgan(width=4, code=8)"]
plan = {{ batch = 4 }}
[budget.cpu]
generator_turns = 2
[analysis]
outcome = "kid"
"""


@pytest.fixture
def folder(tmp_path):
    """Sixteen balls of four colors, each with a text file of two captions."""
    root = tmp_path / "balls"
    root.mkdir()
    for number in range(16):
        color = COLORS[number % 4]
        image = Image.new("RGB", (16, 16), "black")
        ImageDraw.Draw(image).ellipse((2, 2, 12, 6 + number // 2), fill=color)
        image.save(root / f"{number:02}.png")
        (root / f"{number:02}.txt").write_text(f"A {color} ball.\nthis one is {color}\n")
    return root


def as_json_lines(folder, change=lambda entries: entries):
    """Replaces the text files by one file of JSON lines, and returns it."""
    entries = []
    for path in sorted(folder.glob("*.txt")):
        entries.append({"file": f"{path.stem}.png", "caption": path.read_text().splitlines()})
        path.unlink()
    lines = [x if isinstance(x, str) else json.dumps(x) for x in change(entries)]
    (folder / CAPTIONS_FILE).write_text("\n".join(lines) + "\n")
    return folder / CAPTIONS_FILE


def make(folder, **settings):
    values = {"path": str(folder), "size": 16, "held_out": 0.3, **settings}
    return DATA.make(f"captioned_folder({', '.join(f'{k}={v!r}' for k, v in values.items())})")


def test_both_forms_give_the_same_examples(folder):
    data = make(folder)
    assert data.captions.sentences == tuple(
        sorted(
            f"{start} {c}{end}"
            for c in COLORS
            for start, end in (("a", " ball"), ("this one is", ""))
        )
    )
    before = data.load()
    as_json_lines(folder)
    assert make(folder).load().fingerprint() == before.fingerprint()
    assert [len(before.train[IMAGE].images), len(before.held_out[IMAGE])] == [9, 7]


def test_labels_are_the_captions_of_their_images(folder):
    data = make(folder)
    split = data.load()
    for side in (split.train[IMAGE], split.held_out[IMAGE]):
        for image, label in zip(side.images, side.labels.tolist(), strict=True):
            light = image.flatten(1).double().amax(1) > 100
            color = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 0): "yellow"}
            assert data.captions.sentences[label] == f"a {color[tuple(light.int().tolist())]} ball"


def test_an_epoch_shows_each_caption_of_each_image_once(folder):
    train = make(folder).load().train[IMAGE]
    assert len(train) == 2 * len(train.images)
    loader = BatchLoader({IMAGE: train}, 9, RngStreams(0, CPU))
    batches = [loader.batches(number)[IMAGE] for number in range(2)]
    pairs = torch.cat([batch.index for batch in batches])
    assert sorted(pairs.tolist()) == list(range(18))
    for batch in batches:
        rows = train.rows[batch.index]
        assert torch.equal(batch.images, to_unit_range(train.images[rows]))
        assert torch.equal(batch.labels, train.pair_labels[batch.index])
        hosted = train.gather_on_host(batch.index)
        assert torch.equal(hosted.images, train.images[rows])
        assert torch.equal(hosted.labels, batch.labels)


def test_words_of_held_out_captions_alone_are_unknown(folder):
    data = make(folder)
    held_out = [
        n for n, x in zip(data.files.files, data.files.split_numbers, strict=True) if x < 0.3
    ]
    for name in held_out:
        (folder / name).with_suffix(".txt").write_text("a purple ball")
    changed = make(folder).captions
    assert "purple" not in changed.words
    row = changed.tokens[changed.sentences.index("a purple ball")].tolist()
    assert row[1] == changed.words.index(UNKNOWN_WORD) + 1 == len(changed.words)


def test_vocabulary_keeps_the_most_frequent_words(monkeypatch):
    monkeypatch.setattr("ganbench.data.captioned_folder.MAX_VOCABULARY_WORDS", 2)
    assert make_vocabulary([["b a", "a c"], ["c a"]]) == ("a", "c")


def test_new_sentences_of_known_words_are_numbered_after_all_others():
    captions = Captions(("a ball",), vocabulary=("a", "ball"))
    extended = captions.extend(["a Ball, a cube!"])
    assert extended.sentences == ("a ball", "a ball a cube")
    assert extended.tokens.tolist() == [[1, 2, 0, 0], [1, 2, 1, 3]]
    with pytest.raises(UnknownCaption, match="no word of 'cube' occurs"):
        captions.extend(["cube"])


def test_words_are_lower_case_without_punctuation():
    assert split_words("A Ball, and 2 CUBES!") == ["a", "ball", "and", "2", "cubes"]
    assert split_words("一只红色的球") == list("一只红色的球")
    assert split_words("Grüße — ÉTÉ") == ["grüße", "été"]


def swap(entries, number, entry):
    return [*entries[:number], entry, *entries[number + 1 :]]


BAD_LINES = {  # a change of the entries, and the sentence that it gets
    "missing": (lambda x: x[:-1], r"captions.jsonl has no line for 15.png$"),
    "empty line": (lambda x: [x[0], "", *x[1:]], r"line 2 is empty: remove it"),
    "near name": (lambda x: swap(x, 3, {"file": "03.pgn", "caption": "a"}), r"line 4: .*03.pgn.*did you mean .03.png"),
    "twice": (lambda x: [*x, {"file": "./03.png", "caption": "a"}], r"line 17 names '03.png' again, after .*line 4"),
    "outside": (lambda x: [{"file": "../a.png", "caption": "a"}, *x], r"line 1: '../a.png' lies outside of the folder"),
    "absolute": (lambda x: [{"file": "/a.png", "caption": "a"}, *x], r"line 1: '/a.png' lies outside"),
    "near key": (lambda x: [{"file": "a", "captions": "a"}, *x], r"line 1 .*captions.; did you mean .caption."),
    "no key": (lambda x: swap(x, 0, {"file": "00.png"}), r"line 1 has no 'caption'"),
    "no object": (lambda x: swap(x, 0, "[1]"), r"line 1 must be an object such as"),
    "no JSON": (lambda x: swap(x, 0, "{"), r"line 1 is not JSON such as"),
    "deep JSON": (lambda x: swap(x, 0, "[" * 100_000), r"line 1 is not JSON such as"),
    "no text": (lambda x: swap(x, 0, {"file": "00.png", "caption": ["a", 3]}), r"line 1: a caption must be text"),
    "no name": (lambda x: swap(x, 0, {"file": 3, "caption": "a"}), r"line 1: 'file' must be the name of an image"),
    "no words": (lambda x: swap(x, 0, {"file": "00.png", "caption": "?!"}), r"line 1: the caption '\?!' has no words"),
    "no captions": (lambda x: swap(x, 0, {"file": "00.png", "caption": []}), r"line 1 has no caption"),
    "too many": (
        lambda x: swap(x, 0, {"file": "00.png", "caption": ["a"] * (MAX_CAPTIONS_PER_IMAGE + 1)}),
        r"line 1 has 33 captions: the limit for an image is 32",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BAD_LINES.values(), ids=BAD_LINES)
def test_json_lines_that_cannot_be_read_are_refused_with_their_line(folder, change, sentence):
    as_json_lines(folder, change)
    with pytest.raises(SpecError, match=sentence):
        make(folder)


def test_text_that_is_not_utf_8_is_refused_with_its_line(folder):
    (folder / "03.txt").write_bytes(b"a ball\na gr\xfcn one\n")
    with pytest.raises(SpecError, match=r"03.txt, line 2 is not UTF-8 text: .* at byte 5"):
        make(folder)
    (folder / "03.txt").write_bytes(b"\xef\xbb\xbfa ball\r\na green one\r\n\r\n")
    assert make(folder).files.captions["03.png"] == ["a ball", "a green one"]


def test_missing_text_files_are_named(folder):
    (folder / "03.txt").unlink()
    with pytest.raises(SpecError, match=r"balls has no text file beside 03.png$"):
        make(folder)
    (folder / "04.txt").write_text("\n")
    (folder / "03.txt").write_text("a ball")
    with pytest.raises(SpecError, match=r"04.txt has no caption"):
        make(folder)


def test_folders_without_or_with_two_kinds_of_captions_are_refused(folder):
    as_json_lines(folder)
    (folder / "00.txt").write_text("a red ball")
    with pytest.raises(SpecError, match=r"both captions.jsonl and 00.txt: keep one"):
        make(folder)
    (folder / "00.txt").unlink()
    (folder / CAPTIONS_FILE).rename(folder / "caption.jsonl")
    with pytest.raises(SpecError, match=r"balls has no captions.*did you mean 'caption.jsonl'"):
        make(folder)
    with pytest.raises(SpecError, match="there is no folder"):
        make(folder / "other")


def test_long_captions_are_cut_and_changes_are_seen(folder):
    (folder / "00.txt").write_text(" ".join(["word"] * 100))
    assert len(make(folder).files.captions["00.png"][0].split()) == MAX_CAPTION_WORDS


def test_held_out_copies_of_training_images_are_left_out(folder):
    data = make(folder)
    names = dict(zip(data.files.files, data.files.split_numbers, strict=True))
    train, held_out = max(names, key=names.get), min(names, key=names.get)
    copy = Image.open(folder / train)
    for level in range(1, 10):  # the same pixels in other bytes, until they are held out
        copy.save(folder / held_out, compress_level=level)
        if (
            dict(zip(make(folder).files.files, make(folder).files.split_numbers, strict=True))[
                held_out
            ]
            < 0.3
        ):
            break
    split = make(folder).load()
    shown = {x.numpy().tobytes() for x in split.train[IMAGE].images}
    assert not shown & {x.numpy().tobytes() for x in split.held_out[IMAGE].images}


def test_too_few_images_are_refused(folder):
    with pytest.raises(NotDownloaded, match="balls has 16 images, 0 of them held out: add images"):
        make(folder, held_out=0.0001).load()


def test_suite_trains_on_captions_and_draws_new_sentences(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.toml").write_text(SUITE.format(path="balls"))

    def call(*words):
        return CliRunner().invoke(app, list(words))

    run = call("run", "words.toml", "--device", "cpu")
    assert run.exit_code == 0, run.output
    measured = [path.read_text() for path in tmp_path.rglob("evaluations/*-last.json")]
    assert len(measured) == 4  # untrained networks too
    for text in measured:
        assert text.count("needs captions of a grammar, whose values a classifier reads") == 2
    for variant in ("reed", "dfgan"):
        drawn = call(
            "samples", "words", variant, "--caption", "a blue and red ball", "--count", "4"
        )
        assert drawn.exit_code == 0, drawn.output
        ends = ("--caption", "a red ball", "--caption", "a blue one")
        assert call("interpolate", "words", variant, *ends).exit_code == 0
    unknown = call("samples", "words", "reed", "--caption", "xyz")
    assert unknown.exit_code == 2
    assert "no word of 'xyz' occurs" in unknown.output
    partly = call("samples", "words", "reed", "--caption", "a red zebra", "--count", "4")
    assert partly.exit_code == 0
    assert "Words that the training captions lack: zebra." in partly.output
    empty = call("samples", "words", "reed", "--caption", " ")
    assert (empty.exit_code, "--caption is empty" in empty.output) == (2, True)
    (folder / "00.txt").write_text("a green square")
    for cache in (make_evaluator, load_split):
        cache.cache_clear()
    changed = call("samples", "words", "reed", "--caption", "a red ball")
    assert changed.exit_code == 2
    assert "changed after this training" in changed.output
    shutil.move(folder / "00.txt", folder / "x.text")
    broken = call("run", "words.toml", "--device", "cpu")
    assert broken.exit_code == 2
    assert re.search(r"balls has no text file beside 00.png", broken.output)
