"""Style mixing and style truncation pictures of saved generators."""

import io
import json
import shutil

import pytest
import torch
from helpers import CPU, training_setup
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from ganbench.analysis.rows import load
from ganbench.data.base import IMAGE, to_uint8
from ganbench.experiments.executors.inline import Inline
from ganbench.experiments.runner import RunRequest, prepare_run
from ganbench.experiments.store import Store, TrialFolder
from ganbench.experiments.suite_loader import load_suite
from ganbench.image_grid import MIN_PICTURE_PIXELS
from ganbench.report.writer import write_report
from ganbench.rng import RngStreams
from ganbench.visualization.style_mixing import (
    TRUNCATION_PSI,
    draw_new_styles,
    draw_style_mixing,
    draw_truncation,
    synthesize_styles,
)

STREAMS = RngStreams(0, CPU)
SUITE = """
schema = 1
name = "styled"
data = ["digits"]
metrics = ["fid"]
seeds = 1
[[grid]]
variants = ["stylegan2(width=4)", "gan(width=4)"]
plan = { latent = 4, batch = 8 }
[budget.cpu]
generator_turns = 1
"""


@pytest.fixture(scope="module")
def generator():
    """A StyleGAN2 generator after one forward pass, which updates its mean style."""
    torch.manual_seed(3)
    network = training_setup("stylegan2(width=16, mixing=0)").task.generators[IMAGE]
    network(torch.randn(64, 4))
    return network


def grid_images(png: bytes, columns: int) -> torch.Tensor:
    """Returns the images of a picture's grid: [rows, columns, 8, 8]."""
    pixels = pil_to_tensor(Image.open(io.BytesIO(png)))[0]
    times = pixels.shape[1] // (columns * 9 + 1)
    assert pixels.shape[1] >= MIN_PICTURE_PIXELS - 9 * columns
    pixels = pixels[::times, ::times][1:, 1:]
    return pixels.unfold(0, 8, 9).unfold(1, 8, 9)


def test_mixing_grid_crosses_styles(generator):
    images = grid_images(draw_style_mixing(generator, STREAMS), 7)
    assert images.shape == (7, 7, 8, 8)
    assert images[0, 0].unique().numel() == 1  # the corner is empty
    random = STREAMS.generator("mixing")
    above, beside = draw_new_styles(generator, 6, random), draw_new_styles(generator, 6, random)
    layers = generator.synthesis.layers  # four: two coarse, one middle, one fine
    assert layers == 4
    for row, given in ((1, [0, 1]), (3, [2]), (6, [3])):
        styles = beside[row - 1].repeat(layers, 1)
        styles[given] = above[4]
        expected = to_uint8(synthesize_styles(generator, styles[None].detach(), STREAMS, "mixing"))[
            0, 0
        ]
        assert torch.equal(images[row, 5], expected)  # noise weights are still zero
    assert not torch.equal(images[1, 1], images[1, 2])


def test_truncation_strip_passes_mean_style(generator):
    images = grid_images(draw_truncation(generator, STREAMS), len(TRUNCATION_PSI))
    assert images.shape == (6, len(TRUNCATION_PSI), 8, 8)
    at_the_mean = images[:, TRUNCATION_PSI.index(0)]
    assert (at_the_mean == at_the_mean[0]).all()
    assert not torch.equal(images[0, 0], images[1, 0])
    w = draw_new_styles(generator, 6, STREAMS.generator("truncation"))
    whole = to_uint8(synthesize_styles(generator, w[:, None].detach(), STREAMS, "truncation"))[:, 0]
    assert torch.equal(images[:, TRUNCATION_PSI.index(1)], whole)


def test_style_pictures_are_deterministic(generator):
    assert draw_style_mixing(generator, STREAMS) == draw_style_mixing(generator, STREAMS)
    assert draw_truncation(generator, STREAMS) != draw_truncation(generator, RngStreams(1, CPU))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a suite with a StyleGAN2 and a plain generator, with its report."""
    folder = tmp_path_factory.mktemp("styled")
    (folder / "styled.toml").write_text(SUITE)
    suite = load_suite(folder / "styled.toml")
    prepared = prepare_run(RunRequest(suite, "cpu", "cpu", folder / "results"))
    result = prepared.execute(Inline(), lambda trials, before: None)
    write_report(result.plan, result.folder)
    return folder / "results"


def test_report_shows_styles_of_stylegan(results):
    frame = load(results / "styled")
    for kind in ("mixing", "truncation"):
        (picture,) = (results / "styled" / "figures").glob(f"*-{kind}.png")
        assert picture.name.startswith("digits-stylegan2")
        Image.open(picture).verify()
        page = (results / "styled" / "report.html").read_text(encoding="utf-8")
        assert page.count(f'data-kind="{kind}"') == 1
    done = frame[frame["role"].eq("trial") & frame["variant"].str.startswith("gan")]
    plain = Store(results).trial_folder(done["trial"].iloc[0])
    names = [path.name for path in plain.picture_paths()]
    assert names == ["interpolation.png", "neighbours.png", "samples.png", "training.png"]


def test_repeated_trial_deletes_pictures(results, tmp_path):
    (path,) = results.glob("trials/*/*/truncation.png")
    copy = TrialFolder(tmp_path / "trial")
    shutil.copytree(path.parent, copy.folder)
    copy.delete_results()
    assert copy.picture_paths() == []


def test_styles_command_writes_both_pictures(ganbench, results, tmp_path):
    (tmp_path / "results").symlink_to(results)
    code, output, _ = ganbench("styles", "styled", "stylegan2", "--json")
    assert code == 0
    (entry,) = json.loads(output)
    names = [path.rsplit("/", 1)[1] for path in entry["pictures"]]
    assert names == ["mixing.png", "truncation.png"]
    for path in entry["pictures"]:
        assert (tmp_path / path).parent.joinpath("samples.png").exists()
        Image.open(tmp_path / path).verify()
    assert ganbench("styles", "styled", "stylegan2", "--checkpoint", "best")[0] == 0
    assert (tmp_path / path).with_name("truncation-best.png").exists()
    for words, reason in (
        (("gan(width=4)",), "has no styles"),
        (("pacgan",), "no cell of styled"),
        (("stylegan2", "--checkpoint", "first"), "last or best"),
    ):
        code, _, error = ganbench("styles", "styled", *words)
        assert code == 2
        assert reason in error
