"""Missing weights: the same short message before torch is imported, and an offer in a terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image
from torch_fidelity import feature_extractor_clip, feature_extractor_inceptionv3
from torch_fidelity.sample_similarity_lpips import URL_VGG16_LPIPS

from ganbench.errors import NotDownloaded
from ganbench.evaluation.extractors import clip, dinov2
from ganbench.evaluation.extractors.weight_files import (
    CLIP_FILES,
    DINOV2_MODELS,
    clip_file,
    inception_file,
    lpips_file,
    torch_hub_folder,
    weights_file_of,
)

MESSAGE = """\
inception's weights are not on this machine.
  download:  ganbench download inception
  file:      --inception-weights FILE or GANBENCH_INCEPTION=FILE
  other:     --extractor efficientnet_lite0, no download
"""
WITH_PROTOCOL = MESSAGE.replace(
    "--extractor efficientnet_lite0", "--protocol \"ganbench(extractor='efficientnet_lite0')\""
)
# Runs the program without internet: the published address is a file of this machine.
PROGRAM = """
import sys
from dataclasses import replace
from ganbench.evaluation.extractors import weight_files
own = replace(weight_files.inception_file(), url=sys.argv.pop(1), sha256="")
weight_files.inception_file = lambda: own
from ganbench.cli import main
main()
"""
# Runs itself again while standard output is reserved for JSON.
PROGRAM_WITH_JSON = """
import os
from ganbench.cli.streams import print_json, stdout_reserved_for_json
from ganbench.cli.weights import run_again
with stdout_reserved_for_json():
    if "SECOND_RUN" in os.environ:
        print_json("answer")
    else:
        os.environ["SECOND_RUN"] = "1"
        run_again()
"""
BASELINE_OPTIONS = ["--real", "reals", "--baseline", "b.json", "--margin", "fid=1", "--reason", "x"]
COMMANDS = {
    "eval": ["eval", "fakes", "reals"],
    "eval with another protocol": ["eval", "fakes", "digits", "--protocol", "torch-fidelity"],
    "baseline": ["baseline", "make", "fakes", *BASELINE_OPTIONS],
    "floor": ["floor", "digits", "--protocol", "torch-fidelity"],
    "measure": ["measure", "smoke", "--protocol", "torch-fidelity"],
}


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A folder with images, of a machine without weights."""
    for variable in ("GANBENCH_DATA", "TORCH_HOME", "GANBENCH_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("GANBENCH_INCEPTION", raising=False)
    for name in ("fakes", "reals"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_weights_have_one_message(machine, ganbench, command):
    message = WITH_PROTOCOL if command in ("floor", "measure") else MESSAGE
    assert ganbench(*COMMANDS[command]) == (2, "", message)


def test_missing_weights_are_found_without_torch(machine):
    code = (
        "import sys\nfrom ganbench.cli import app\n"
        "try:\n    app(['eval', 'fakes', 'reals'])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("2 False\n", MESSAGE)


def run_in_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    """Runs the program in a pseudo terminal, answers its question, and returns code and output."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, *arguments])
    output, deadline, answered = "", time.monotonic() + 120, False
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                output += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the program has ended
                break
        if "[y/N]" in output and not answered:
            os.write(terminal, answer.encode())
            answered = True
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, " ".join(output.split())


def test_terminal_offers_the_download(machine):
    published = machine / "published.pth"
    published.write_bytes(b"no weights")  # so that the command ends at once after the download
    code, output = run_in_terminal([published.as_uri(), "eval", "fakes", "reals"], "y\n")
    stored = inception_file().download_path()
    assert stored.read_bytes() == b"no weights"
    assert output.count("[y/N]") == 1
    assert "holds more than weights, or no weights" in output  # of the same command, run again
    assert code == 2


def test_command_that_runs_again_prints_json_to_standard_output():
    line = [sys.executable, "-c", PROGRAM_WITH_JSON]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ('"answer"\n', "")


def test_refused_download_changes_nothing(machine):
    code, output = run_in_terminal(["file:///nowhere", "eval", "fakes", "reals"], "\n")
    assert output.endswith("Nothing was downloaded.")
    assert code == 2
    assert not (machine / "GANBENCH_DATA").exists()


def test_addresses_are_those_of_torch_fidelity():
    assert inception_file().url == feature_extractor_inceptionv3.URL_INCEPTION_V3
    assert lpips_file().url == URL_VGG16_LPIPS
    for model in CLIP_FILES:
        name = f"clip-{model}"
        assert clip_file(model).url == feature_extractor_clip.MODEL_URLS[name]
        assert clip_file(model).sha256 == feature_extractor_clip.MODEL_METADATA[name]["hash"]


def test_cache_of_torch_hub_is_found(monkeypatch):
    import torch

    for home in ("/tmp/elsewhere", None):
        monkeypatch.setenv("TORCH_HOME", home) if home else monkeypatch.delenv("TORCH_HOME", False)
        assert str(torch_hub_folder()) == torch.hub.get_dir()


@pytest.mark.parametrize("spec", ["efficientnet_lite0", "classifier(of='digits')", "no such(", "x"])
def test_other_extractors_have_no_published_file(spec):
    assert weights_file_of(spec) is None


@pytest.mark.parametrize("name", ["clip", "dinov2"])
def test_unknown_model_has_a_suggestion(machine, ganbench, name):
    extractor = f"{name}(model='vit-x-14')"
    code, _, errors = ganbench("eval", "fakes", "reals", "--extractor", extractor)
    assert code == 2
    assert "did you mean 'vit-" in errors
    assert "weights are not on this machine" not in errors


def test_models_with_published_files_are_those_of_the_extractors():
    assert get_args(clip.Model) == tuple(CLIP_FILES)
    assert get_args(dinov2.Model) == DINOV2_MODELS


def test_one_line_names_the_download():
    with pytest.raises(NotDownloaded) as error:
        raise NotDownloaded(MESSAGE, "inception")
    assert error.value.one_line() == (
        "inception's weights are not on this machine: run `ganbench download inception`"
    )
