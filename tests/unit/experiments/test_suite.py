"""Suites: parsing, error messages, overrides, cells, profiles and trial identities."""

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.durations import parse_seconds
from ganbench.experiments.factorial import aliased_terms, fractional_chains
from ganbench.experiments.plan import make_trial, plan_trials
from ganbench.experiments.suite import RESERVED_SUITE_NAMES, Suite, suite_json_schema
from ganbench.experiments.suite_errors import SuiteError
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.trial import Trial
from ganbench.gan.build import check_recipe
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.training.budget import Budget

SUITES = Path(__file__).parents[3] / "suites"
VALID_SUITE = """\
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid", "kid"]

[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge", "wasserstein"]
[grid.tricks]
chains = [[], ["r1"]]
[grid.plan]
lr = [1e-3, 2e-4]

[[exclude]]
loss = "hinge"
tricks = "r1"
reason = "to show one"

[budget.cpu]
images = 640

[limits]
wall = "2 min"
"""


def suite(*grids, **keys) -> Suite:
    content = dict(schema=1, name="tiny", data=["ring"], metrics=["fid"], grid=list(grids))
    return Suite.model_validate({**content, "budget": {"cpu": {"images": 640}}, **keys})


def grid(*variants, **axes):
    return dict(variants=list(variants or ["gan"]), **axes)


def chains(parsed: Suite) -> list[tuple[str, ...]]:
    return [cell.tricks for cell in expand_cells(parsed)[0]]


def errors(folder: Path, text: str, *overrides: str) -> list[str]:
    """The lines of the error for an invalid suite, without the folder."""
    path = folder / "x.toml"
    path.write_text(text)
    with pytest.raises(SuiteError) as error:
        load_suite(path, overrides)
    return [line.replace(f"{folder}/", "") for line in str(error.value).splitlines()]


def load_valid(folder: Path, *overrides: str) -> Suite:
    path = folder / "x.toml"
    path.write_text(VALID_SUITE)
    return load_suite(path, overrides)


# Shipped suites


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_suites_have_names_of_their_files(path):
    assert load_suite(path).name == path.stem


def test_bench_and_smoke_are_shipped():
    assert {path.stem for path in SUITES.glob("*.toml")} >= {"bench", "smoke"}


def test_cifar10_has_the_counts_of_published_values():
    """50,000 fakes against all training images, on Inception's features."""
    rules = PROTOCOLS.make(load_suite(SUITES / "cifar10.toml").protocol)
    assert (rules.extractor, rules.fakes, rules.reals) == ("inception", 50_000, 50_000)
    page = (SUITES.parent / "docs" / "eval.md").read_text(encoding="utf-8")
    assert f'protocol = "{load_suite(SUITES / "cifar10.toml").protocol}"' in page


# Suites that contain incompatible cells on purpose.
SUITES_WITH_INCOMPATIBLE_CELLS = {"bench", "modes", "settings", "smoke", "tricks"}
COMPATIBLE_SUITES = sorted(
    {path.stem for path in SUITES.glob("*.toml")} - SUITES_WITH_INCOMPATIBLE_CELLS
)


@pytest.mark.parametrize("name", COMPATIBLE_SUITES)
def test_shipped_suites_have_compatible_cells(name):
    """Includes suites for a GPU, in their published sizes and without their data."""
    kept, _ = expand_cells(load_suite(SUITES / f"{name}.toml"))
    assert kept
    for cell in kept:
        check_recipe(cell.recipe, cell.data)


def test_chains_of_2026_are_a_fraction_on_one_background():
    """All chains have R1 and R2, and no effect of one or two other tricks is aliased."""
    cells, _ = expand_cells(load_suite(SUITES / "tricks_2026.toml"))
    background = {"r1(weight=1)", "r2(weight=1)"}
    assert all(background <= set(cell.tricks) for cell in cells)
    chains = {frozenset(cell.tricks) - background for cell in cells}
    tricks = sorted(frozenset().union(*chains))
    assert chains == set(map(frozenset, fractional_chains(tricks)))
    assert aliased_terms(map(tuple, chains)) == []


def test_schema_file_equals_the_generated_schema():
    assert json.loads((SUITES / "suite.schema.json").read_text()) == suite_json_schema()


# Errors

INVALID_LINES = [  # a line of a suite and its expected errors: key and message
    ("schema = 2", "schema: input should be 1, not 2"),
    ('name = "Bad Name"', "name: a name has lowercase letters, digits, _ and -"),
    ('abuot = "x"', "abuot: there is no such key; did you mean 'about'?"),
    (
        'data = ["digitz", "ring(mode=8)"]',
        "data[0]: no data set is called 'digitz'; did you mean 'digits'?",
        "data[1]: data set ring has no setting 'mode'; did you mean 'modes'?",
    ),
    ('metrics = ["fdi"]', "metrics[0]: no metric is called 'fdi'; did you mean 'fid'?"),
    ('seeds = "three"', "seeds: "),
    ("points = 0", "points: input should be greater than or equal to 1, not 0"),
    ("[[grid]]",),
    (
        'variants = ["dcgann", "dcgan(widht=8)"]',
        "grid[0].variants[0]: no variant is called 'dcgann'; did you mean 'dcgan'?",
        "grid[0].variants[1]: variant dcgan has no setting 'widht'; did you mean 'width'?",
    ),
    (
        'losses = ["hinje", "own"]',
        "grid[0].losses[0]: no loss is called 'hinje'; did you mean 'hinge'?",
    ),
    ('loss = "hinge"', "grid[0].loss: there is no such key; did you mean 'losses'?"),
    ("plan = { bacth = 3 }", "grid[0].plan.bacth: there is no such key; did you mean 'batch'?"),
    (
        "numerics = { dtyp = 1 }",
        "grid[0].numerics.dtyp: there is no such key; did you mean 'dtype'?",
    ),
    ("[grid.tricks]",),
    ('design = "one_at_time"', "grid[0].tricks.design: input should be 'one_at_a_time', 'full"),
    ('off = ["ema"]', "grid[0].tricks.off: there is no such key; did you mean 'of'?"),
    (
        'of = ["ema2", "r1(weigth=3)", "r1(weight=true)", "r1(weight=", "r1(weight=1, weight=2)"]',
        "grid[0].tricks.of[0]: no trick is called 'ema2'; did you mean 'ema'?",
        "grid[0].tricks.of[1]: trick r1 has no setting 'weigth'; did you mean 'weight'?",
        "grid[0].tricks.of[2]: trick r1(weight=true): weight needs a number, not true",
        "grid[0].tricks.of[3]: 'r1(weight=' is not a spec",
        "grid[0].tricks.of[4]: 'r1(weight=1, weight=2)' sets weight twice",
    ),
    ("[[grid]]", "grid[1].variants: this key is required"),
    ("losses = []", "grid[1].losses: it is empty: give at least one value"),
    ("[[grid]]",),
    ('variants = ["gan"]',),
    ("[grid.plan]",),
    ("batch = 0", "grid[2].plan.batch: plan: batch must be at least 1, not 0"),
    ("[[grid]]",),
    ('variants = ["gan"]',),
    ("[grid.plan]",),
    ('lr = "fast"', "grid[3].plan.lr: "),
    ("[grid.tricks]", "grid[3].tricks: r1 is twice in one chain"),
    ('chains = [["r1", "r1(weight=3)"]]',),
    ("[[exclude]]", "exclude[0].reason: this key is required"),
    ('variant = "gann"', "exclude[0].variant: no variant is called 'gann'; did you mean 'gan'?"),
    ('losses = "hinge"', "exclude[0].losses: there is no such key; did you mean 'loss'?"),
    ("[budget.cpu]",),
    ("image = 100", "budget.cpu.image: there is no such key; did you mean 'images'?"),
    ("[budget.gpu]", "budget.gpu: give one of images, generator_turns and seconds"),
    ("images = 10",),
    ("seconds = 3",),
    ("[budget.big]",),
    ("images = 1.5", "budget.big.images: input should be a valid integer"),
    ("[limits]",),
    ('wall = "5 minutes"', "limits.wall: '5 minutes' is not a duration: write it as '90 s'"),
    ('stal = "3 s"', "limits.stal: there is no such key; did you mean 'stall'?"),
    ("[analysis]",),
    ('outcom = "fid"', "analysis.outcom: there is no such key; did you mean 'outcome'?"),
    ('paired = "yes"', "analysis.paired: input should be a valid boolean, not 'yes'"),
    ("equivalence = 2", "analysis.equivalence: input should be less than 1, not 2"),
    ("[extra]", "extra: there is no such key"),
]
EXPECTED_ERRORS = [
    (n, message) for n, (_, *messages) in enumerate(INVALID_LINES, 1) for message in messages
]


@pytest.fixture(scope="module")
def reported_errors(tmp_path_factory):
    text = "\n".join(line for line, *_ in INVALID_LINES)
    return errors(tmp_path_factory.mktemp("bad"), text)


@pytest.mark.parametrize(
    ("number", "message"), EXPECTED_ERRORS, ids=[message[:40] for _, message in EXPECTED_ERRORS]
)
def test_error_names_file_line_key_and_remedy(reported_errors, number, message):
    assert [line for line in reported_errors if line.startswith(f"x.toml:{number}: {message}")]


def test_all_errors_are_reported_once(reported_errors):
    assert len(reported_errors) == len(EXPECTED_ERRORS)


def test_missing_keys_are_reported(tmp_path):
    lines = errors(tmp_path, "")
    required = ("schema", "name", "data", "metrics", "grid", "budget")
    assert lines == [f"x.toml: {key}: this key is required" for key in required]


def test_misspelt_table_has_its_line(tmp_path):
    text = VALID_SUITE.replace("[budget.cpu]", "[budgt.cpu]")
    number = text.splitlines().index("[budgt.cpu]") + 1
    lines = errors(tmp_path, text)
    assert f"x.toml:{number}: budgt: there is no such key; did you mean 'budget'?" in lines


def test_grid_in_single_brackets_is_explained(tmp_path):
    (message,) = errors(tmp_path, VALID_SUITE.replace("[[grid]]", "[grid]"))
    assert message.endswith("grid: this is a list of tables: write [[grid]], in double brackets")


@pytest.mark.parametrize("name", RESERVED_SUITE_NAMES)
def test_reserved_suite_names_are_refused(tmp_path, name):
    (message,) = errors(tmp_path, VALID_SUITE.replace('"tiny"', f'"{name}"'))
    assert message.startswith("x.toml:2: name: ")
    assert name in message


def test_exclude_without_match_is_an_error(tmp_path):
    (message,) = errors(tmp_path, VALID_SUITE.replace('tricks = "r1"', 'tricks = "ema"'))
    assert message.startswith("x.toml:14: exclude[0]: ")
    assert "to show one" in message
    assert "no cell" in message


def test_unmeasured_outcome_is_an_error(tmp_path):
    (message,) = errors(tmp_path, VALID_SUITE + '[analysis]\noutcome = "recall"\n')
    assert message.startswith("x.toml:25: analysis.outcome: ")
    assert "recall" in message


@pytest.mark.parametrize("key", ["lr", "betas"])
def test_shared_and_single_side_value_conflict(tmp_path, key):
    value = "[0.5, 0.9]" if key == "betas" else "0.1"
    (message,) = errors(
        tmp_path, VALID_SUITE, f"grid.0.plan={{{key} = {value}, generator_{key} = {value}}}"
    )
    assert f"{key} sets both sides: give it or generator_{key}, not both" in message


def test_excluding_everything_is_an_error(tmp_path):
    everything = VALID_SUITE.replace('loss = "hinge"\ntricks = "r1"', 'variant = "gan(width=8)"')
    (message,) = errors(tmp_path, everything)
    assert "no cell is left" in message


@pytest.mark.parametrize("text", ["{ design = 'full_factorial' }", "{ of = ['r1'] }", "{}"])
def test_tricks_need_a_design_or_chains(tmp_path, text):
    (message,) = errors(tmp_path, VALID_SUITE, f"grid.0.tricks={text}")
    assert "grid[0].tricks: " in message
    assert "of" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("limits.stal = '3 s'", "limits.stal: there is no such key; did you mean 'stall'?"),
        ("\"abuot\" = ''", "abuot: there is no such key; did you mean 'about'?"),
        ("analysis = { paired = 1 }", "analysis.paired: input should be a valid boolean, not 1"),
    ],
)
def test_dotted_quoted_and_inline_keys_have_lines(tmp_path, line, message):
    text = VALID_SUITE.replace('[limits]\nwall = "2 min"\n', "")
    assert errors(tmp_path, f"{line}\n{text}") == [f"x.toml:1: {message}"]


@pytest.mark.parametrize("key", ["int", "list", "constrained-int", "a[0]", "float(3)"])
def test_key_named_like_a_type_is_unknown(tmp_path, key):
    (message,) = errors(tmp_path, f'"{key}" = 1\n{VALID_SUITE}')
    assert f"{key}: there is no such key" in message


@pytest.mark.parametrize("key", ["lr", "batch", "betas", "optimizer"])
def test_empty_plan_axis_is_an_error(tmp_path, key):
    (line,) = errors(tmp_path, VALID_SUITE, f"grid.0.plan={{ {key} = [] }}")
    assert f": grid[0].plan.{key}: it is empty: give at least one value (optional keys" in line


def test_syntax_error_names_its_line(tmp_path):
    (message,) = errors(tmp_path, VALID_SUITE.replace('name = "tiny"', "name = tiny"))
    assert message.startswith("x.toml: ")
    assert "line 2" in message


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "seeds = " + "1" * 5000, "a = 1\na = 2", "d = 2026-99-99", "\0"],
    ids=["deep", "long number", "twice", "no date", "null"],
)
def test_parser_errors_are_suite_errors(tmp_path, text):
    assert errors(tmp_path, text)[0].startswith("x.toml: ")


def test_unreadable_files_are_suite_errors(tmp_path):
    (tmp_path / "latin.toml").write_bytes('about = "é"'.encode("latin-1"))
    for name, message in [("none.toml", "no file"), ("", "folder"), ("latin.toml", "UTF-8")]:
        with pytest.raises(
            SuiteError, match=f"{re.escape(str(tmp_path / name))}.*|{message}"
        ) as error:
            load_suite(tmp_path / name)
        assert message in str(error.value)


REPEATS = {  # by override
    'data=["digits", "digits"]': "data: digits stands there twice: leave it out once",
    'data=["ring", "ring(modes=8)"]': "data: ring and ring(modes=8) are the same: leave one of them out",
    'metrics=["fid", "fid"]': "metrics: fid stands there twice: leave it out once",
    "grid.0.variants=['gan', 'gan']": "grid[0].variants: gan stands there twice: leave it out once",
    "grid.0.plan.lr=[1e-3, 1e-3]": "grid[0].plan.lr: 0.001 stands there twice: leave it out once",
    "grid.0.plan.betas=[[0.5, 0.9], [0.5, 0.9]]": (
        "grid[0].plan.betas: [0.5, 0.9] stands there twice: leave it out once"
    ),
    "grid.0.tricks={chains=[['r1', 'ema'], ['ema', 'r1']]}": (
        "grid[0].tricks.chains: ['r1', 'ema'] and ['ema', 'r1'] are the same: leave one of them out"
    ),
}


@pytest.mark.parametrize(("override", "message"), REPEATS.items(), ids=REPEATS)
def test_repeated_entries_of_a_list_are_refused(tmp_path, override, message):
    assert errors(tmp_path, VALID_SUITE, override) == [f"-o {override}: {message}"]


def test_repeated_entries_name_their_line(tmp_path):
    (line,) = errors(tmp_path, re.sub("data = .*", 'data = ["ring", "ring"]', VALID_SUITE, count=1))
    assert re.match(r"x\.toml:\d+: data: ring stands there twice", line)


def test_own_loss_may_stand_beside_the_same_loss_by_name(tmp_path):
    load_valid(tmp_path, "grid.0.losses=['own', 'hinge', 'non_saturating']")


def test_impossible_target_is_refused(tmp_path):
    (line,) = errors(tmp_path, VALID_SUITE, "analysis.target=-4")
    expected = "analysis.target: values of fid are at least 0, not -4"
    assert line == f"-o analysis.target=-4: {expected}"
    load_valid(tmp_path, "analysis.target=4")


@pytest.mark.parametrize("unit", ["images = 0", "generator_turns = -1", "seconds = 0"])
def test_budget_is_positive(tmp_path, unit):
    (message,) = errors(tmp_path, VALID_SUITE.replace("images = 640", unit))
    assert message.startswith(f"x.toml:20: budget.cpu.{unit.split()[0]}: ")


@pytest.mark.parametrize("amount", ["inf", "nan"])
def test_budget_is_finite(tmp_path, amount):
    (message,) = errors(tmp_path, VALID_SUITE.replace("images = 640", f"seconds = {amount}"))
    assert message.startswith("x.toml:20: budget.cpu.seconds: ")


# Overrides


def test_override_sets_toml_or_text(tmp_path):
    loaded = load_valid(
        tmp_path, "seeds=[5, 7]", "budget.cpu.images=9", "limits.stall=3 s", "name=other"
    )
    assert (loaded.seeds, loaded.budget["cpu"].images) == ([5, 7], 9)
    assert (loaded.limits.stall, loaded.limits.wall, loaded.name) == ("3 s", "2 min", "other")


def test_override_reaches_lists_and_makes_tables(tmp_path):
    loaded = load_valid(tmp_path, 'grid.0.losses=["own"]', "analysis.paired=false", "exclude=[]")
    assert (loaded.grid[0].losses, loaded.analysis.paired) == (["own"], False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.cpu.images=0", "budget.cpu.images: input should be greater than or equal to 1"),
        ('grid.0.losses=["hinje"]', "grid[0].losses[0]: no loss is called 'hinje'; did you mean"),
        ("grid.0.trick=3", "grid[0].trick: there is no such key; did you mean 'tricks'?"),
        ("limits.wall=soon", "limits.wall: 'soon' is not a duration"),
        ("name=trials", "name: "),
        ("analysis.outcome=recall", "analysis.outcome: "),
        ("seeds", "write key=value"),
        ("=3", "write key=value"),
        ("grid.7.losses=3", "there is no grid.7.losses to set"),
        ("name.first=3", "there is no name.first to set"),
        ("grid.first=3", "there is no grid.first to set"),
        ("3=3", "3: "),
        ("²=3", "²: "),
    ],
)
def test_invalid_override_names_itself(tmp_path, override, message):
    (line,) = errors(tmp_path, VALID_SUITE, override)
    assert line.startswith(f"-o {override}: {message}")


def test_file_and_override_errors_are_reported_together(tmp_path):
    lines = errors(tmp_path, VALID_SUITE.replace("images", "imagez"), "points=0")
    assert [line.split(": ")[:2] for line in lines] == [
        ["-o points=0", "points"],
        ["x.toml:20", "budget.cpu.imagez"],
    ]


# Random content

VALID_CONTENT = dict(
    schema=1, name="tiny", about="", data=["ring"], metrics=["fid"], seeds=2, points=2,
    grid=[dict(variants=["gan"], losses=["own"], plan=dict(lr=[1e-3], betas=[0.5, 0.9], batch=8),
               tricks=dict(design="one_at_a_time", of=["r1"]))],
    exclude=[dict(tricks="r1", reason="why not")], budget=dict(cpu=dict(images=1, seeds=[1])),
    limits=dict(wall="1 s"), analysis=dict(outcome="fid", paired=True),
)  # fmt: skip


def content_paths(content, path=()):
    """Yields every place in a content as its path of keys."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, inner in pairs:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from content_paths(inner, (*path, key))


# Names of types in Pydantic's errors are tested as keys.
TYPES = ("int", "float", "list", "tuple", "literal")
WORDS = sorted(
    {word for path in content_paths(VALID_CONTENT) for word in path if isinstance(word, str)}
    | {*TYPES}
)
printable = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])
keys = st.sampled_from(WORDS) | st.text(printable, max_size=6)
specs = st.sampled_from(
    ["gan", "hinge", "own", "r1", "r1(weight=1e999)", "fid", "ring", "dcgan(", ""]
)
leaves = st.booleans() | st.integers() | st.floats() | specs | st.text(max_size=6)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def with_value(content, path, value):
    if not path:
        return value
    copied = content.copy()
    copied[path[0]] = with_value(content[path[0]], path[1:], value)
    return copied


def toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def key(text: str) -> str:
    return text if re.fullmatch(r"[a-z]+", text) else json.dumps(text)


@pytest.fixture(scope="module")
def suite_path(tmp_path_factory):
    return tmp_path_factory.mktemp("suites") / "any.toml"


def check_loads_or_fails(path: Path, content: dict) -> None:
    path.write_text("\n".join(f"{key(k)} = {toml(v)}" for k, v in content.items()))
    message = ""
    try:
        suite_read = load_suite(path)
    except SuiteError as error:
        message = str(error)
    assert all(line.startswith(str(path)) for line in message.splitlines())
    if not message:
        assert expand_cells(suite_read)[0]
        assert all(math.isfinite(profile.budget().amount) for profile in suite_read.budget.values())


def test_unmutated_content_is_valid(suite_path):
    suite_path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in VALID_CONTENT.items()))
    assert [cell.tricks for cell in expand_cells(load_suite(suite_path))[0]] == [()]


few_examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few_examples
@given(content=st.dictionaries(keys, values, max_size=6))
@example(content={"int": 1})
@example(content={"budget": {"list": {"images": 0}}})
def test_random_toml_is_valid_or_suite_error(suite_path, content):
    check_loads_or_fails(suite_path, content)


@few_examples
@given(place=st.sampled_from(sorted(content_paths(VALID_CONTENT), key=str)), value=values)
@example(place=("budget", "cpu"), value={"seconds": math.inf})
def test_mutated_suite_is_valid_or_suite_error(suite_path, place, value):
    check_loads_or_fails(suite_path, with_value(VALID_CONTENT, place, value))


# Cells


def test_one_at_a_time_has_single_tricks():
    parsed = suite(grid(tricks=dict(design="one_at_a_time", of=["r1", "ema"])))
    assert chains(parsed) == [(), ("r1",), ("ema",)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_full_factorial_has_every_subset_once(count):
    of = ["r1", "ema", "ttur", "instance_noise"][:count]
    subsets = chains(suite(grid(tricks=dict(design="full_factorial", of=of))))
    assert len(set(map(frozenset, subsets))) == len(subsets) == 2**count


def test_chains_have_one_canonical_spelling():
    parsed = suite(grid(tricks=dict(chains=[[], ["r1(weight=10.0)", "ema"], ["ema"]])))
    assert chains(parsed) == [(), ("ema", "r1"), ("ema",)]


def test_axes_are_crossed():
    axes = dict(losses=["hinge", "minimax"], plan=dict(lr=[1e-3, 1e-4], betas=[[0.0, 0.9]]))
    cells = expand_cells(suite(grid("gan", "dcgan", data=["digits"], **axes)))[0]
    assert len(cells) == 2 * 2 * 2
    assert {cell.recipe.hyperparameters.generator_lr for cell in cells} == {1e-3, 1e-4}
    assert {cell.recipe.hyperparameters.discriminator_lr for cell in cells} == {1e-3, 1e-4}
    assert {cell.recipe.hyperparameters.generator_betas for cell in cells} == {(0.0, 0.9)}
    assert {cell.plan for cell in cells} == {
        "betas=(0.0, 0.9), lr=0.001",
        "betas=(0.0, 0.9), lr=0.0001",
    }


def test_grid_data_replace_suite_data():
    cells = expand_cells(suite(grid(), grid(data=["digits"])))[0]
    assert [cell.data for cell in cells] == ["ring", "digits"]


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (grid("wgan", losses=["own"]), grid("wgan", losses=["wasserstein"])),
        (grid(tricks=dict(chains=[["r1"]])), grid(tricks=dict(chains=[["r1(weight=10)"]]))),
        (grid("gan"), grid("gan()")),
        (grid(plan=dict(batch=64)), grid(plan=dict(batch=64, lr=2e-4))),
        (grid(), grid(plan=dict(latent=Hyperparameters().latent))),
    ],
    ids=["own", "default setting", "no settings", "default rate", "default latent"],
)
def test_equal_cells_are_merged(one, same):
    assert len(expand_cells(suite(one, same))[0]) == 1


def test_excluded_cells_have_reasons():
    exclude = [dict(loss="hinge", tricks="r1(weight=10)", reason="why")]
    tricks = dict(design="one_at_a_time", of=["r1"])
    parsed = suite(grid(losses=["hinge", "minimax"], tricks=tricks), exclude=exclude)
    kept, excluded = expand_cells(parsed)
    assert [str(cell) for cell in kept] == [
        "ring / gan / hinge / none",
        "ring / gan / minimax / none",
        "ring / gan / minimax / r1",
    ]
    assert [(str(cell), reason) for cell, reason in excluded] == [
        ("ring / gan / hinge / r1", "why")
    ]


def test_trick_of_the_variant_is_incompatible():
    tricks = dict(chains=[[], ["weight_clipping"]])
    planned = plan_trials(
        suite(grid("wgan(width=4)", data=["digits"], tricks=tricks)), "cpu", "cpu"
    )
    reasons = {p.label(): p.incompatibility for p in planned if p.role == "trial"}
    plain, twice = reasons.values()
    assert plain == ""
    assert "weight_clipping" in twice.replace(" ", "_")


def test_plan_has_all_seeds_and_untrained_variants():
    parsed = suite(grid("gan", losses=["hinge", "minimax"]), grid("gan(width=8)"), seeds=[7, 3])
    planned = [(p.role, p.trial.seed, p.label()) for p in plan_trials(parsed, "cpu", "cpu")]
    untrained = [
        "ring / gan / non_saturating / none",
        "ring / gan(width=8) / non_saturating / none",
    ]
    arms = ["ring / gan / hinge / none", "ring / gan / minimax / none", untrained[1]]
    assert planned == [
        (role, seed, label)
        for seed in (3, 7)
        for role, labels in (("untrained", untrained), ("trial", arms))
        for label in labels
    ]
    assert len({p.trial.id for p in plan_trials(parsed, "cpu", "cpu")}) == len(planned)


# Profiles and durations


def test_device_selects_the_default_profile():
    budget = dict(cpu=dict(images=1), gpu=dict(generator_turns=2, seeds=4), cuda=dict(seconds=3))
    parsed = suite(grid(), budget=budget, seeds=2)
    assert [parsed.select_profile(None, d) for d in ("cpu", "mps", "cuda")] == [
        "cpu",
        "gpu",
        "cuda",
    ]
    assert parsed.select_profile("gpu", "cpu") == "gpu"
    assert [parsed.seeds_of(p) for p in ("cpu", "gpu")] == [[0, 1], [0, 1, 2, 3]]
    budgets = [parsed.budget[name].budget() for name in budget]
    assert budgets == [Budget("images", 1), Budget("generator_turns", 2), Budget("seconds", 3.0)]


def test_unknown_profile_has_a_suggestion():
    with pytest.raises(SuiteError, match=re.escape("no [budget.cpuu]; did you mean 'cpu'?")):
        suite(grid()).select_profile("cpuu", "cpu")


@pytest.mark.parametrize(
    ("text", "expected"), [("90 s", 90), ("5 min", 300), ("2h", 7200), (" 1.5 min ", 90)]
)
def test_durations_are_seconds_minutes_or_hours(text, expected):
    assert parse_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "90", "s", "0 s", "0.0 h", "-1 s", "1 d", "1e3 s", "inf s"])
def test_invalid_durations_are_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds(text)


# Identity

GAN = Trial(
    data="ring",
    variant="gan",
    loss="hinge",
    tricks=("ema", "r1"),
    plan="",
    recipe=replace(resolve_variant("gan"), loss="hinge", tricks=("ema", "r1")),
    budget=Budget("images", 640),
    seed=0,
    points=2,
    device="cpu",
    fingerprint="0" * 64,
)
WGAN = replace(GAN, variant="wgan", tricks=(), recipe=resolve_variant("wgan"), seed=7)
TURNS = replace(
    WGAN, recipe=resolve_variant("dcgan(width=8)"), budget=Budget("generator_turns", 10)
)


def with_recipe(**changes) -> Trial:
    return replace(GAN, recipe=replace(GAN.recipe, **changes))


def with_plan(**changes) -> Trial:
    return with_recipe(hyperparameters=replace(GAN.recipe.hyperparameters, **changes))


@pytest.mark.parametrize(
    ("trial", "identifier"),
    [(GAN, "77a40c603340ff11"), (WGAN, "ec9241f880279faf"), (TURNS, "7e272cc4f860d777")],
    ids=["gan", "wgan", "dcgan"],
)
def test_trial_id_is_stable_across_releases(trial, identifier):
    """If this fails, no stored result is found any more: was a version changed by accident?"""
    assert trial.id[:16] == identifier


OTHER_HYPERPARAMETERS = dict(
    batch=32, latent=32, discriminator_turns=2, optimizer="rmsprop", generator_lr=1e-3,
    discriminator_lr=1e-3, generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9), decay=0.5,
)  # fmt: skip
OTHER_TRIALS = {
    "seed": replace(GAN, seed=1),
    "amount": replace(GAN, budget=Budget("images", 641)),
    "unit": replace(GAN, budget=Budget("generator_turns", 640)),
    "points": replace(GAN, points=3),
    "device": replace(GAN, device="cuda"),
    "data": replace(GAN, fingerprint="1" * 64),
    "loss": with_recipe(loss="minimax"),
    "network": with_recipe(network="dcgan"),
    "network setting": with_recipe(network="mlp(width=8)"),
    "trick less": with_recipe(tricks=("r1",)),
    "trick setting": with_recipe(tricks=("ema", "r1(weight=3)")),
    **{name: with_plan(**{name: value}) for name, value in OTHER_HYPERPARAMETERS.items()},
}


def test_every_setting_changes_the_trial_id():
    assert len({trial.id for trial in [GAN, *OTHER_TRIALS.values()]}) == 1 + len(OTHER_TRIALS)


def test_all_hyperparameters_are_covered():
    assert OTHER_HYPERPARAMETERS.keys() == {field.name for field in fields(Hyperparameters)}


@pytest.mark.parametrize(
    "same",
    [
        replace(GAN, data="x", variant="x", loss="x", tricks=("x",), plan="x"),
        with_recipe(about="another sentence"),
        with_recipe(tricks=("r1", "ema")),
        with_recipe(tricks=("ema", "r1(weight=10)")),
        with_recipe(tricks=("ema", "r1(every=1, weight=10.0)")),
        with_recipe(network="mlp(width=128.0)"),
        with_plan(decay=1),
    ],
    ids=["names", "sentence", "order", "10", "10.0", "network 128.0", "decay 1"],
)
def test_names_order_and_spelling_keep_trial_id(same):
    assert same.id == GAN.id


def test_number_spelling_keeps_trial_ids():
    ten = suite(grid(plan=dict(lr=1)), budget=dict(cpu=dict(seconds=10)))
    same = suite(grid(plan=dict(lr=[1.0])), budget=dict(cpu=dict(seconds=10.0)))
    assert identifiers(ten) == identifiers(same)


def identifiers(parsed: Suite) -> set[str]:
    budget = parsed.budget["cpu"].budget()
    return {
        make_trial(parsed, cell, budget, seed, "cpu").id
        for cell in expand_cells(parsed)[0]
        for seed in parsed.seeds_of("cpu")
    }


def test_order_of_grids_and_axes_keeps_ids():
    one = grid(
        losses=["hinge", "minimax"],
        plan=dict(lr=[1e-3, 1e-4], batch=8),
        tricks=dict(design="full_factorial", of=["r1", "ema"]),
    )
    other = grid("gan(width=16)", "gan(width=8)", tricks=dict(chains=[["r1", "ema"], []]))
    reordered = grid(
        losses=["minimax", "hinge"],
        plan=dict(batch=8, lr=[1e-4, 1e-3]),
        tricks=dict(design="full_factorial", of=["ema", "r1"]),
    )
    other_reordered = grid("gan(width=8)", "gan(width=16)", tricks=dict(chains=[[], ["ema", "r1"]]))
    ids = identifiers(suite(one, other, seeds=[0]))
    assert ids == identifiers(suite(other_reordered, reordered, seeds=[0]))
    assert len(ids) == 2 * 2 * 4 + 2 * 2


def test_order_of_seeds_keeps_trial_ids():
    assert identifiers(suite(grid(), seeds=[3, 0])) == identifiers(suite(grid(), seeds=[0, 3]))


@pytest.mark.parametrize("trial", [GAN, WGAN, TURNS, *OTHER_TRIALS.values()])
def test_trial_json_round_trip_is_exact(trial):
    restored = Trial.from_json(trial.to_json())
    assert restored == trial
    assert restored.id == trial.id


def test_recipe_of_a_trial_is_immutable():
    with pytest.raises((AttributeError, ValidationError)):
        GAN.recipe.loss = "minimax"
    assert isinstance(GAN.recipe, Recipe)


# Adaptive seeds

ADAPTIVE_SUITE = VALID_SUITE.replace('metrics = ["fid", "kid"]\n', 'metrics = ["fid"]\nSEEDS\n')


def adaptive_suite(seeds: str, table: str = "") -> str:
    return f"{ADAPTIVE_SUITE.replace('SEEDS', seeds)}\n{table}\n"


@pytest.mark.parametrize(
    ("seeds", "table"),
    [
        ('seeds = "adaptive"', ""),
        ("", "[seeds]\nrounds = [2, 4]\ntrainings = 90\nhours = 1.5\nerror = 0.01\nchance = 0"),
        ("", "[budget.cpu.seeds]\nrounds = [2, 4]"),
    ],
)
def test_adaptive_seeds_begin_with_those_of_the_first_round(tmp_path, seeds, table):
    path = tmp_path / "x.toml"
    path.write_text(adaptive_suite(seeds, table))
    parsed = load_suite(path)
    settings = parsed.adaptive_seeds_of("cpu")
    assert parsed.seeds_of("cpu") == list(range(settings.rounds[0]))
    assert load_suite(path, ["seeds=4", "budget.cpu.seeds=4"]).adaptive_seeds_of("cpu") is None


@pytest.mark.parametrize(
    ("seeds", "table", "message"),
    [
        ('seeds = "adaptve"', "", "x.toml:5: seeds: seeds are a number, a list or \"adaptive\", not "
         "'adaptve'; did you mean 'adaptive'?"),
        ("", "[seeds]\nround = [2, 4]", "seeds.round: there is no such key; did you mean 'rounds'?"),
        ("", "[budget.cpu.seeds]\nhour = 2", "there is no such key; did you mean 'hours'?"),
        ("", "[seeds]\nrounds = [4, 2]", "seeds.rounds: each round has more seeds than the one "
         "before, not [4, 2]"),
        ("", "[seeds]\nrounds = [1, 2]", "seeds.rounds[0]: input should be greater than or equal to 2"),
        ("", "[seeds]\nerror = 0.5", "seeds.error: input should be less than or equal to 0.2"),
        ("trainings = 9", "", "there is no such key; did you mean trainings in [seeds]?"),
    ],
)  # fmt: skip
def test_mistake_in_adaptive_seeds_has_file_key_and_remedy(tmp_path, seeds, table, message):
    (line,) = errors(tmp_path, adaptive_suite(seeds, table))
    assert line.startswith("x.toml:")
    assert message in line


def test_adaptive_seeds_without_tricks_are_refused(tmp_path):
    text = adaptive_suite('seeds = "adaptive"').partition("[[exclude]]")[0]
    text += "[budget.cpu]\nimages = 640\n"
    (line,) = errors(tmp_path, text, "grid.0.tricks.chains=[[]]")
    assert "adaptive seeds decide effects of tricks, and no cell of this suite has a trick" in line


REMEDIES = [
    ("name='My suite!'", "name: a name has lowercase letters, digits, _ and -", "write 'my_suite'"),
    ("name='!'", "begins with a letter or a digit, not '!'", "name"),
    (
        "grid.0.tricks={design='one_at_a_time', of=['none']}",
        "grid[0].tricks.of[0]: leave it out",
        "a design always includes the arm without tricks",
    ),
    (
        "analysis.outcome='modes'",
        "analysis.outcome: modes is not among the metrics",
        "write it with its settings: 'modes(share=0.1)'",
    ),
    (
        "analysis.outcome='kid'",
        "analysis.outcome: kid is not among the metrics",
        "add it to `metrics`",
    ),
]
REMEDIED_SUITE = """\
schema = 1
name = "remedied"
data = ["ring"]
metrics = ["fid", "modes(share=0.1)"]
[[grid]]
variants = ["gan(width=8)"]
[budget.gpu]
images = 320
"""


@pytest.fixture
def remedied(tmp_path):
    path = tmp_path / "remedied.toml"
    path.write_text(REMEDIED_SUITE)
    return path


@pytest.mark.parametrize(("override", "rule", "remedy"), REMEDIES)
def test_errors_propose_the_right_value(remedied, override, rule, remedy):
    with pytest.raises(SuiteError) as error:
        load_suite(remedied, [override])
    assert rule in str(error.value)
    assert remedy in str(error.value)


def test_a_suite_without_a_budget_for_the_device_names_both_remedies(remedied):
    with pytest.raises(SuiteError) as error:
        load_suite(remedied).select_profile(None, "cpu")
    assert "for this device, cpu: choose `--profile gpu`, or add [budget.cpu]" in str(error.value)
