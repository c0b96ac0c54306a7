"""The commands `gate` and `baseline` of images of other programs."""

from pathlib import Path

import numpy as np
import pytest
from gate_runs import refuse_measuring, run_program
from PIL import Image
from verdict_schema import read_verdict

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.quality.baseline import read_baseline_file
from ganbench.ci.quality.image_sets import is_collapsed
from ganbench.cli.base import FAILED
from ganbench.data import DATA
from ganbench.evaluation.result import Evaluation, EvaluationProtocol

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Image sets of twelve trainings, digits with a little noise, and of four that are worse."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    digits = DATA.make("digits").load().held_out["image"].images.numpy()
    for number in range(12):
        save_noisy_images(rng, digits, 12, folder / f"good{number}.npy")
    for number in range(4):
        save_noisy_images(rng, digits, 40, folder / f"bad{number}.npy")
    return folder


def save_noisy_images(rng, images, spread, path):
    noisy = images[rng.permutation(len(images))[:400]] + rng.normal(
        0, spread, (400, *images.shape[1:])
    )
    np.save(path, noisy.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def gated_images(image_folder):
    """The image sets and a baseline of eight of them."""
    good = " ".join(f"good{number}.npy" for number in range(8))
    terms = "--metrics fid,precision --extractor \"classifier(of='digits')\" --margin fid=0.1"
    result = run_program(
        image_folder, f"baseline make {good} {REFERENCE_OPTIONS} {terms} --reason mine"
    )
    assert result.exit_code == 0, result.output
    return image_folder


REFERENCE_OPTIONS = "--real digits:train --baseline mine.json"
GOOD_IMAGES = "good8.npy good9.npy good10.npy good11.npy"


def test_image_sets_are_gated(gated_images):
    assert (
        run_program(gated_images, f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS}").exit_code
        == CommandVerdict.PASSED.exit_code
    )
    result = run_program(
        gated_images, f"gate bad0.npy bad1.npy bad2.npy bad3.npy {REFERENCE_OPTIONS} --json"
    )
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code
    assert "FID (digits' classifier)" in read_verdict(result.stdout)["sentences"][0]


def test_lost_trainings_alone_are_a_regression(gated_images, tmp_path):
    """4 of 4 against 0 of 8 failures have a p of 1 / 495, and 3 of 3 one of 1 / 165."""
    result = run_program(gated_images, f"gate --lost 4 {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output
    verdict = read_verdict(result.stdout)
    assert "failed trainings: 0 of 8 before, 4 of 4 after" in verdict["sentences"][0]
    line = f"gate good8.npy --lost 3 {REFERENCE_OPTIONS} --json"
    few = read_verdict(run_program(gated_images, line).stdout)
    assert few["power"] == []
    assert any("from 4 failed trainings on" in line for line in few["sentences"])


def test_other_reals_are_no_other_extractor(gated_images):
    """The extractor is the baseline's, and not the default of other reals."""
    line = f"gate {GOOD_IMAGES} --real good0.npy --baseline mine.json"
    result = run_program(gated_images, line)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    assert "--real is good0.npy" in " ".join(result.output.split())


IMAGE_USAGE_ERRORS = {
    "nothing": (f"gate {REFERENCE_OPTIONS}", "name a suite; or with --real the images of each"),
    "nothing but a loss": ("gate --lost 3", "name a suite; or with --real the images of each"),
    "a suite": (
        f"gate guarded.toml {REFERENCE_OPTIONS}",
        "guarded.toml is a suite. Leave out --real for the gate of a suite",
    ),
    "a typo": (f"gate god8.npy {GOOD_IMAGES} {REFERENCE_OPTIONS}", "'good8.npy'? Name the images"),
    "the same twice": (
        f"gate good8.npy good9.npy good9.npy {REFERENCE_OPTIONS}",
        "the same images",
    ),
    "an option of suites": (
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --exact",
        "--exact is an option for a suite",
    ),
    "an executor": (
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --executor inline",
        "--executor is an option for a suite",
    ),
    "another extractor": (
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --extractor identity",
        "--extractor identity: mine.json was made with classifier(of='digits'), which its gates use",
    ),
    "no such real images": (
        f"gate {GOOD_IMAGES} --baseline mine.json --real nowhere",
        "--real: there is no folder, file or data set nowhere. --real names the real images",
    ),
    "an empty folder": (
        f"gate {GOOD_IMAGES} empty {REFERENCE_OPTIONS}",
        "images of a training: empty holds no images: it is empty. Name the images of each training",
    ),
    "no such images": (f"gate none.npy {GOOD_IMAGES} {REFERENCE_OPTIONS}", "none.npy"),
}


@pytest.mark.parametrize("case", IMAGE_USAGE_ERRORS)
def test_image_usage_errors_exit_2(gated_images, case):
    (gated_images / "empty").mkdir(exist_ok=True)
    line, message = IMAGE_USAGE_ERRORS[case]
    result = run_program(gated_images, line)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_baseline_of_a_suite_is_no_baseline_of_images(tmp_path):
    published = Path(__file__).parents[3] / "suites" / "gate.baseline.json"
    (tmp_path / "suite.json").write_bytes(published.read_bytes())
    line = "baseline update fakes.npy --real reals.npy --baseline suite.json --reason x"
    result = run_program(tmp_path, line)
    assert result.exit_code == 2, result.exception
    assert "suite.json is a baseline of the suite gate, not of images" in result.output


def test_a_gate_uses_the_extractor_of_its_baseline(image_folder):
    good = " ".join(f"good{number}.npy" for number in range(6))
    terms = "--metrics fid --margin fid=0.2 --reason x --extractor identity"
    where = "--real digits --baseline pixels.json"
    made = run_program(image_folder, f"baseline make {good} {where} {terms}")
    assert made.exit_code == 0, made.output
    three = "good6.npy good7.npy good8.npy"
    for option in ("", "--extractor identity"):
        result = run_program(image_folder, f"gate {three} {where} {option}")
        assert result.exit_code == 0, result.output
        assert "features raw values" in result.output


def test_images_of_another_size_name_the_baseline(image_folder):
    good = " ".join(f"good{number}.npy" for number in range(6))
    terms = "--metrics fid --margin fid=0.2 --reason x --extractor identity"
    where = "--real digits --baseline sizes.json"
    run_program(image_folder, f"baseline make {good} {where} {terms}")
    for number in range(3):
        images = np.load(image_folder / f"good{number}.npy")
        np.save(image_folder / f"large{number}.npy", images.repeat(2, -1).repeat(2, -2))
    result = run_program(image_folder, f"gate large0.npy large1.npy large2.npy {where}")
    assert result.exit_code == 2
    assert "large0.npy and" in result.output
    assert "sizes.json was made without --size. Resize the images" in result.output


@pytest.fixture(scope="session")
def collapsed_images(gated_images):
    """Adds trainings that ended in one image, or in two images."""
    shape = np.load(gated_images / "good0.npy").shape
    pair = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) % 2 * 255
    for number in range(3):
        np.save(gated_images / f"black{number}.npy", np.zeros(shape, np.uint8))
        np.save(gated_images / f"white{number}.npy", np.full(shape, 255, np.uint8))
        np.save(gated_images / f"pair{number}.npy", np.broadcast_to(pair, shape).astype(np.uint8))
    return gated_images


@pytest.mark.parametrize(
    "names",
    [
        "black0 black1 black2",
        "white0 white1 white2",
        "pair0 pair1 pair2",
        "black0 white0 pair0",
    ],
)
def test_equal_collapsed_trainings_are_a_regression(collapsed_images, names):
    fakes = " ".join(f"{name}.npy" for name in names.split())
    result = run_program(collapsed_images, f"gate {fakes} {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output
    assert "FID (digits' classifier)" in read_verdict(result.stdout)["sentences"][0]


@pytest.mark.parametrize(
    ("copies", "fakes", "expected"), [(0, 0, False), (0, 9, False), (4, 9, False), (5, 10, True)]
)
def test_half_of_the_images_are_copies_of_a_collapsed_training(copies, fakes, expected):
    """The counts decide, and not the words of the notes."""
    terms = EvaluationProtocol("ganbench", 1, "tiny", 1, None, "none", 1, "0" * 64, 9, fakes)
    notes = ("fakes: 9 of 9 are copies of others",)
    assert is_collapsed(Evaluation("fakes", "reals", terms, (), "", notes, copies)) is expected


def test_collapsed_training_in_baseline_hides_no_regression(collapsed_images):
    good = " ".join(f"good{number}.npy" for number in range(9))
    terms = "--metrics fid --extractor \"classifier(of='digits')\" --margin fid=0.1 --reason x"
    where = "--real digits:train --baseline one_black.json"
    made = run_program(collapsed_images, f"baseline make {good} black0.npy {where} {terms}")
    assert made.exit_code == 0, made.output
    result = run_program(collapsed_images, f"gate black0.npy black1.npy black2.npy {where} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output


def test_one_collapsed_folder_is_no_two_trainings(collapsed_images):
    line = f"gate black0.npy black1.npy ./black0.npy {REFERENCE_OPTIONS}"
    result = run_program(collapsed_images, line)
    assert result.exit_code == 2
    assert "./black0.npy are the same images" in result.output


def test_baseline_refuses_equal_collapsed_trainings(collapsed_images):
    names = "black0.npy black1.npy good0.npy good1.npy good2.npy good3.npy"
    line = f"baseline make {names} --real digits:train --baseline no.json"
    terms = "--extractor \"classifier(of='digits')\" --margin fid=0.1 --reason x"
    result = run_program(collapsed_images, f"{line} {terms}")
    assert result.exit_code == 2
    assert "are the same images: one training each" in result.output


def test_gate_of_one_image_set_cannot_decide(gated_images):
    result = run_program(gated_images, f"gate good8.npy {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "a test needs 3 trainings" in result.stdout


REFUSED_IMAGES = {
    "too many": (
        f"gate {GOOD_IMAGES} bad0.npy {REFERENCE_OPTIONS} --json",
        "2 are needed for each of the 5",
    ),
    "lost ones count": (
        f"gate {GOOD_IMAGES} --lost 1 {REFERENCE_OPTIONS} --json",
        "2 are needed for each of the 5",
    ),
    "the baseline's": (
        f"gate good8.npy good9.npy good0.npy {REFERENCE_OPTIONS} --json",
        "baseline itself",
    ),
    "other reals": (
        f"gate {GOOD_IMAGES} --real bad0.npy --baseline mine.json --json",
        "the real images changed",
    ),
}


@pytest.mark.parametrize("case", REFUSED_IMAGES)
def test_unsuitable_images_cannot_be_decided(gated_images, case):
    line, message = REFUSED_IMAGES[case]
    result = run_program(gated_images, line)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    assert message in result.stdout


@pytest.fixture(scope="session")
def copied_images(gated_images):
    """Adds trainings of which all images, or a quarter, are copies of the reals."""
    reals = DATA.make("digits").load().train["image"].images.numpy()
    for number in range(4):
        own = np.load(gated_images / f"good{number + 8}.npy")
        copies = reals[400 * (number % 2) :][: len(own)][:: 1 - 2 * (number // 2)]
        np.save(gated_images / f"copied{number}.npy", copies)
        np.save(gated_images / f"partly{number}.npy", np.concatenate([copies[:100], own[100:]]))
    return gated_images


def test_copies_of_the_reals_never_pass(copied_images):
    fakes = " ".join(f"copied{number}.npy" for number in range(4))
    result = run_program(copied_images, f"gate {fakes} {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    refusals = read_verdict(result.stdout)["refusals"]
    assert len(refusals) == 4
    assert "400 of 400 images have the same pixels as one of the reals" in refusals[0]


def test_some_copies_of_the_reals_are_noted(copied_images):
    fakes = " ".join(f"partly{number}.npy" for number in range(4))
    verdict = read_verdict(
        run_program(copied_images, f"gate {fakes} {REFERENCE_OPTIONS} --json").stdout
    )
    assert verdict["verdict"] == "passed"
    assert "100 of 400 images have the same pixels as one of the reals" in verdict["notes"][0]


@pytest.mark.parametrize(("kind", "copies"), [("copied", 400), ("partly", 100)])
def test_copies_of_the_reals_are_named_for_a_baseline(copied_images, kind, copies):
    fakes = [f"{kind}{number}.npy" for number in range(4)] + ["good0.npy", "good1.npy"]
    options = (
        f"--real digits:train --margin fid=0.1 --metrics fid --reason x --baseline {kind}.json"
    )
    result = run_program(copied_images, f"baseline make {' '.join(fakes)} {options}")
    assert f"{copies} of 400 images have the same pixels as one of the reals" in result.stderr
    is_refused = kind == "copied"
    assert result.exit_code == (2 if is_refused else 0), result.output
    assert (copied_images / f"{kind}.json").exists() != is_refused


def write_images(folder, count):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("L", (8, 8), number).save(folder / f"{number}.png")


@pytest.mark.parametrize("broken", ["1.png", "new.heic"])
def test_broken_images_have_no_remedy_that_gates_lack(gated_images, tmp_path, broken):
    write_images(tmp_path / "fakes", 12)
    (tmp_path / "fakes" / broken).write_bytes(b"no image")
    line = f"gate {tmp_path / 'fakes'} good8.npy good9.npy {REFERENCE_OPTIONS}"
    result = run_program(gated_images, line)
    assert result.exit_code == 2, result.output
    assert broken in result.stderr
    assert "--skip-unreadable" not in result.stderr
    assert "No gate skips images: replace it" in result.stderr or "convert to PNG" in result.stderr


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        (
            f"baseline make good0.npy good1.npy good2.npy good3.npy {REFERENCE_OPTIONS} "
            "--margin fid=0.1 --reason few --baseline few.json",
            2,
            "at least 6 trainings, but there are 4",
        ),
        (
            f"gate good8.npy good9.npy {REFERENCE_OPTIONS}",
            CommandVerdict.CANNOT_DECIDE.exit_code,
            "needs 3 trainings",
        ),
        (
            f"gate {GOOD_IMAGES} bad0.npy {REFERENCE_OPTIONS}",
            CommandVerdict.CANNOT_DECIDE.exit_code,
            "2 are needed for each of the 5",
        ),
        (f"gate none.npy gone.npy good9.npy {REFERENCE_OPTIONS}", 2, "data set gone.npy"),
        (f"gate good8.npy good9.npy tiny {REFERENCE_OPTIONS}", 2, "tiny holds 9 images"),
    ],
)
def test_counts_are_checked_before_measuring(gated_images, monkeypatch, line, code, sentence):
    write_images(gated_images / "tiny", 9)
    monkeypatch.setattr("ganbench.ci.quality.image_sets.evaluate", refuse_measuring)
    result = run_program(gated_images, line)
    assert (result.exit_code, sentence in result.output) == (code, True), result.output


def test_baseline_names_the_features(gated_images):
    reference = read_baseline_file(gated_images / "mine.json")
    assert reference.features() == "digits' classifier"
    assert reference.display_name("fid") == "FID (digits' classifier)"
    old = reference.model_copy(update={"protocol_fields": {}})  # of release 0.1
    assert old.features() == "digits' classifier"


def test_pass_with_an_unwritable_file_exits_4(gated_images):
    result = run_program(
        gated_images,
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --summary nowhere/summary.md --verdict v.json",
    )
    assert result.exit_code == FAILED, result.output
    assert "nowhere/summary.md: no such file" in result.stderr
    assert read_verdict((gated_images / "v.json").read_text())["verdict"] == "passed"


def test_unwritable_file_keeps_a_verdict_that_cannot_decide(gated_images):
    line = f"gate good8.npy {REFERENCE_OPTIONS} --summary nowhere/summary.md"
    result = run_program(gated_images, line)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "nowhere" in result.stderr
