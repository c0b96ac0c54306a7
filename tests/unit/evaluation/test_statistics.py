"""Statistics of other FID tools: `mu` and `sigma` serve as a side of FID."""

import json

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from safetensors.numpy import save_file

import ganbench
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics.base import MetricNotApplicable

WIDTH = 24
RANDOM = np.random.default_rng(0)
FAKES = RANDOM.normal(size=(300, WIDTH))
REALS = RANDOM.normal(0.2, 1.1, size=(250, WIDTH))
IMAGES = RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)
OPTIONS = {"metrics": "fid", "device": "cpu"}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


def statistics_of(features):
    return {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False)}


def pytorch_fid(fake, real):
    """`calculate_frechet_distance` of pytorch-fid, on the same arrays."""
    difference = fake["mu"] - real["mu"]
    root = scipy.linalg.sqrtm(fake["sigma"] @ real["sigma"]).real
    trace = np.trace(fake["sigma"]) + np.trace(real["sigma"]) - 2 * np.trace(root)
    return difference @ difference + trace


def write(kind, path, arrays):
    match kind:
        case "npz":
            np.savez(path / "x.npz", **arrays)
        case "compressed npz":
            np.savez_compressed(path / "x.npz", **arrays)
        case "safetensors":
            save_file(arrays, path / "x.safetensors")
        case "pt":
            torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, path / "x.pt")
    return next(path.glob("x.*"))


@pytest.mark.parametrize("kind", ["npz", "compressed npz", "safetensors", "pt"])
def test_fid_of_files_equals_pytorch_fid(kind, tmp_path):
    (tmp_path / "other").mkdir()
    fake, real = statistics_of(FAKES), statistics_of(REALS)
    files = write(kind, tmp_path, fake), write(kind, tmp_path / "other", real)
    scores = ganbench.evaluate(*files, **OPTIONS)
    assert scores["fid"] == pytest.approx(pytorch_fid(fake, real), rel=1e-9)
    assert scores.rows[0].standard_error is None
    assert "statistics of fakes against statistics of reals" in str(scores.terms)


def test_fid_of_singular_covariances_is_right():
    fake, real = statistics_of(FAKES[:10]), statistics_of(REALS[:12])
    features = ganbench.evaluate(FAKES[:10].copy(), REALS[:12].copy(), **OPTIONS)["fid"]
    assert ganbench.evaluate(fake, real, **OPTIONS)["fid"] == pytest.approx(features, rel=1e-5)


@pytest.mark.parametrize("count", [300, 15])
def test_statistics_of_reals_replace_their_features(count):
    wanted = ganbench.evaluate(FAKES[:count], REALS, floor=False, **OPTIONS)
    scores = ganbench.evaluate(FAKES[:count], statistics_of(REALS), **OPTIONS)
    assert scores["fid"] == pytest.approx(wanted["fid"], rel=1e-6)
    error = wanted.rows[0].standard_error
    assert scores.rows[0].standard_error == (error and pytest.approx(error, rel=1e-4))
    assert scores.rows[0].expected is None
    assert scores.terms.reals == 0


def test_statistics_serve_beside_images():
    options = {"extractor": "identity", "floor": False, **OPTIONS}
    reals = IMAGES[::-1] // 2
    wanted = ganbench.evaluate(IMAGES, reals, **options)["fid"]
    pixels = ganbench.evaluate(IMAGES, statistics_of_identity(reals), **options)
    assert pixels["fid"] == pytest.approx(wanted, rel=1e-5)


def statistics_of_identity(images):
    """Returns the statistics of the features that the extractor `identity` makes."""
    extractor = EXTRACTORS.make("identity")
    features, _ = extractor(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return statistics_of(features.double().numpy())


def test_held_out_images_set_the_floor():
    held_out = RANDOM.normal(0.2, 1.1, size=(250, WIDTH))
    options = {"held_out": held_out, **OPTIONS}
    wanted = ganbench.evaluate(FAKES, REALS, **options)
    scores = ganbench.evaluate(FAKES, statistics_of(REALS), **options)
    assert scores.rows[0].floor == pytest.approx(wanted.rows[0].floor, rel=1e-5)
    assert scores.floor == wanted.floor != ""
    assert ganbench.evaluate(statistics_of(FAKES), REALS, **options).floor == ""


def test_other_metrics_of_statistics_have_reasons():
    scores = ganbench.evaluate(FAKES, statistics_of(REALS), metrics="fid,kid", device="cpu")
    assert scores["fid"] > 0
    with pytest.raises(MetricNotApplicable, match="needs images or features, but dict holds"):
        scores["kid"]
    other = ganbench.evaluate(FAKES, statistics_of(REALS), protocol="torch-fidelity", **OPTIONS)
    with pytest.raises(MetricNotApplicable, match="needs images or features, not statistics"):
        other["fid"]


def test_statistics_note_names_their_limits():
    notes = ganbench.evaluate(FAKES, statistics_of(REALS), **OPTIONS).notes
    assert (
        "reals: only the mean and covariance of 24 features are given: their extractor and resizing "
        "must be those of the other side"
    ) in notes


REFUSED = {
    "fakes have 24 features and reals 7": statistics_of(REALS[:, :7]),
    r"must be \[D\] and \[D, D\], not": {"mu": np.zeros(3), "sigma": np.zeros((2, 2))},
    "sigma is not symmetric": {"mu": np.zeros(2), "sigma": np.array([[1.0, 1], [0, 1]])},
    "sigma has negative variances": {"mu": np.zeros(24), "sigma": -np.eye(24)},
    "mu must hold finite floats": {"mu": np.full(2, np.nan), "sigma": np.eye(2)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_impossible_statistics_are_refused(message):
    with pytest.raises(Unreadable, match=message):
        ganbench.evaluate(FAKES, REFUSED[message], **OPTIONS)


def test_number_of_statistics_is_refused():
    with pytest.raises(Unreadable, match="holds statistics: leave out the number of its images"):
        ganbench.evaluate(FAKES, statistics_of(REALS), reals=10, **OPTIONS)
    with pytest.raises(Unreadable, match="set the number of images with --count"):
        ganbench.evaluate(lambda n, seed: IMAGES[:n], statistics_of(REALS), **OPTIONS)


def test_reference_batch_of_adm_gives_images(tmp_path):
    """ADM's files hold images and statistics; the images serve all metrics."""
    extra = {"mu": np.zeros(8), "sigma": np.eye(8), "mu_s": np.zeros(4), "sigma_s": np.eye(4)}
    np.savez(tmp_path / "adm.npz", arr_0=IMAGES, **extra)
    options = {"extractor": "identity", "metrics": "fid,kid", "floor": False, "device": "cpu"}
    scores = ganbench.evaluate(IMAGES // 2, tmp_path / "adm.npz", **options)
    assert scores["kid"] == ganbench.evaluate(IMAGES // 2, IMAGES, **options)["kid"]


def test_command_prints_fid_of_statistics(ganbench, tmp_path):
    np.savez(tmp_path / "a.npz", **statistics_of(FAKES))
    np.savez(tmp_path / "b.npz", **statistics_of(REALS))
    code, printed, _ = ganbench("eval", "a.npz", "b.npz", "--metrics", "fid")
    assert code == 0
    assert "a.npz (statistics) against b.npz (statistics)" in printed


def test_fid_is_the_fid_of_eval(ganbench, tmp_path):
    np.savez(tmp_path / "a.npz", **statistics_of(FAKES))
    np.savez(tmp_path / "b.npz", **statistics_of(REALS))
    printed = ganbench("fid", "a.npz", "b.npz", "--json")
    assert printed == ganbench("eval", "a.npz", "b.npz", "--metrics", "fid", "--json")
    assert [row["metric"] for row in json.loads(printed[1])["metrics"]] == ["fid"]


# One array of a file, whatever the others are


def bad_arrays():
    return {
        "fortran": np.asfortranarray(RANDOM.normal(size=(5, 6))),
        "objects": np.array([{}, None], dtype=object),
        "words": np.array(["a", "b"]),
    }


@pytest.mark.parametrize("suffix", ["", ":images"])
def test_array_is_read_beside_bad_ones(suffix, tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES, **bad_arrays())
    scores = ganbench.evaluate(f"{tmp_path}/x.npz{suffix}", IMAGES, extractor="identity", **OPTIONS)
    assert scores.terms.fakes == 20


def test_bad_array_itself_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES, **bad_arrays())
    for name, message in {"objects": "holds Python objects", "fortran": "in Fortran order"}.items():
        with pytest.raises(Unreadable, match=message):
            ganbench.evaluate(f"{tmp_path}/x.npz:{name}", IMAGES, **OPTIONS)


def test_damaged_neighbour_does_not_matter(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, aaa=RANDOM.normal(size=(50, 50)), images=IMAGES)
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    scores = ganbench.evaluate(path, IMAGES, extractor="identity", **OPTIONS)
    assert scores.terms.fakes == 20


def test_file_of_many_arrays_is_opened(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES, **{f"a{n}": np.zeros(1) for n in range(2000)})
    scores = ganbench.evaluate(tmp_path / "x.npz", IMAGES, extractor="identity", **OPTIONS)
    assert scores.terms.fakes == 20
    with pytest.raises(Unreadable, match=r"has no array zz; there are a0, .* and 1,996 more$"):
        ganbench.evaluate(f"{tmp_path}/x.npz:zz", IMAGES, **OPTIONS)


def test_bad_tensors_do_not_matter(tmp_path):
    bomb = torch.zeros(1, dtype=torch.uint8).expand(1_000_000, 4_000)
    tensors = {"images": torch.from_numpy(IMAGES), "b": bomb, "s": torch.eye(3).to_sparse()}
    torch.save(tensors, tmp_path / "x.pt")
    scores = ganbench.evaluate(tmp_path / "x.pt", IMAGES, extractor="identity", **OPTIONS)
    assert scores.terms.fakes == 20


@pytest.mark.parametrize("name", ["", " ", "x" * 100_000, "a\0b", "a" * 300 + "/" + "b" * 300])
def test_impossible_name_is_refused(name):
    with pytest.raises(Unreadable, match=r"there is no folder|names no images"):
        ganbench.evaluate(name, IMAGES, **OPTIONS)


# One image


@pytest.mark.parametrize("shape", [(48, 64, 3), (3, 48, 64), (48, 64, 4), (48, 64, 1), (1, 48, 64)])
def test_array_of_one_image_is_one_image(shape, tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(shape, np.uint8))
    for given in (tmp_path / "one.npy", np.zeros(shape, np.uint8)):
        with pytest.raises(Unreadable, match=r"is one image, .*: metrics need at least 10"):
            ganbench.evaluate(given, IMAGES, extractor="identity", **OPTIONS)


def test_set_of_grey_images_is_measured():
    grey = RANDOM.integers(0, 256, (20, 8, 8), np.uint8)
    assert ganbench.evaluate(grey, grey[::-1], extractor="identity", **OPTIONS).terms.fakes == 20


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("fid", ": FID is zero up to rounding"),
        ("kid", ": KID is below zero, because it pairs an image with itself only across the sets"),
        ("recall", ""),
    ],
)
def test_note_on_equal_sets_is_true(metrics, words, tmp_path):
    options = {"extractor": "identity", "metrics": metrics, "device": "cpu", "floor": False}
    scores = ganbench.evaluate(IMAGES, IMAGES.copy(), **options)
    assert f"fakes and reals are the same images{words}" in scores.notes
    if metrics == "fid":
        assert scores["fid"] == pytest.approx(0, abs=1e-6)
    if metrics == "kid":
        assert scores["kid"] < 0


def test_bias_note_belongs_to_fid():
    for metrics, is_noted in {"fid": True, "kid": False, "kid,fid": True}.items():
        notes = ganbench.evaluate(
            IMAGES, IMAGES[::-1] // 2, extractor="identity", metrics=metrics, device="cpu"
        ).notes
        assert any("FID is mostly bias" in note for note in notes) == is_noted


def test_few_images_against_statistics_are_noted(tmp_path):
    pixels = IMAGES.reshape(len(IMAGES), -1).astype(float)
    np.savez(tmp_path / "reals.npz", **statistics_of(pixels))
    scores = ganbench.evaluate(IMAGES, tmp_path / "reals.npz", extractor="identity", **OPTIONS)
    assert [note for note in scores.notes if "20 images for 192 features" in note]


def test_sizes_are_noted_of_images_alone():
    features, larger = RANDOM.normal(size=(20, 192)), IMAGES.repeat(2, 1).repeat(2, 2)
    of_features = ganbench.evaluate(features, IMAGES, extractor="identity", **OPTIONS)
    of_images = ganbench.evaluate(larger, IMAGES, extractor="identity", size=8, **OPTIONS)
    assert "effect of resizing" not in str(of_features.notes)
    assert "fakes are 16x16 and reals 8x8" in str(of_images.notes)


def test_one_picture_file_is_refused(tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "x.png")
    with pytest.raises(Unreadable, match=r"x\.png is one image: pass a folder of images"):
        ganbench.evaluate(tmp_path / "x.png", IMAGES, **OPTIONS)


def test_latent_without_a_generator_is_refused():
    with pytest.raises(Unreadable, match="--latent is for a generator, and array"):
        ganbench.evaluate(IMAGES, IMAGES[::-1], latent=16, **OPTIONS)


def test_statistics_are_refused_as_held_out_images(tmp_path):
    held_out = write("npz", tmp_path, statistics_of(REALS))
    with pytest.raises(Unreadable, match="holds statistics, and a floor needs held-out images"):
        ganbench.evaluate(FAKES, REALS, held_out=held_out, **OPTIONS)


def test_held_out_images_that_nothing_reads_are_refused():
    without_floor = {"floor": False, "held_out": IMAGES, "extractor": "identity", **OPTIONS}
    with pytest.raises(Unreadable, match="--no-floor leaves --held-out unread"):
        ganbench.evaluate(IMAGES, IMAGES[::-1], **without_floor)
    copying = ganbench.evaluate(IMAGES, IMAGES[::-1], **without_floor | {"metrics": "copying"})
    assert copying["copying"] == 0.5  # the held-out images are as near as the fakes


def test_held_out_images_among_the_others_are_noted():
    sides = {"extractor": "identity", **OPTIONS}
    others = RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)
    for held_out, name in ((IMAGES, "fakes"), (others, "reals")):
        notes = ganbench.evaluate(IMAGES, others, held_out=held_out, **sides).notes
        assert f"held out: 20 of 20 are among the {name}" in str(notes)
    unseen = ganbench.evaluate(IMAGES, others, held_out=255 - others, **sides)
    assert "held out" not in str(unseen.notes)


def test_values_outside_of_the_given_range_are_noted():
    floats = IMAGES / np.float32(127.5) - 1
    sides = {"extractor": "identity", **OPTIONS}
    right, wrong = (
        ganbench.evaluate(floats, IMAGES, value_range=r, **sides) for r in ("-1,1", "0,1")
    )
    assert "fakes: floats from -1 to 1, read as [-1, 1]" in right.notes
    assert "fakes: floats from -1 to 1, read as [0, 1] and clamped" in wrong.notes


def test_function_of_latents_needs_their_shape():
    def draw(latents):
        return latents

    with pytest.raises(Unreadable, match="draw cannot be called with a count and a seed: too many"):
        ganbench.evaluate(draw, IMAGES, count=50, **OPTIONS)


def test_code_without_a_name_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text("def draw(count, seed): ...\n")
    with pytest.raises(
        Unreadable, match=r"name a function of it that makes images, .*mine\.py:NAME"
    ):
        ganbench.evaluate(tmp_path / "mine.py", IMAGES, **OPTIONS)
