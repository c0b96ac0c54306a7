"""Suites: what they declare, what is told of a wrong one, and what makes a trial the same trial."""

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ganbench.experiments.plan import make_trial, plan_trials
from ganbench.experiments.suite import (
    RESERVED_SUITE_NAMES,
    Suite,
    SuiteError,
    expand_cells,
    parse_seconds,
    suite_json_schema,
)
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.trial import Trial
from ganbench.gan.build import check_recipe
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.training.budget import Budget

SUITES = Path(__file__).parents[3] / "suites"
GOOD = """\
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


def chains(made: Suite) -> list[tuple[str, ...]]:
    return [cell.tricks for cell in expand_cells(made)[0]]


def errors(folder: Path, text: str, *overrides: str) -> list[str]:
    """The lines of what is told of a suite, each without the folder."""
    path = folder / "x.toml"
    path.write_text(text)
    with pytest.raises(SuiteError) as told:
        load_suite(path, overrides)
    return [line.replace(f"{folder}/", "") for line in str(told.value).splitlines()]


def good(folder: Path, *overrides: str) -> Suite:
    path = folder / "x.toml"
    path.write_text(GOOD)
    return load_suite(path, overrides)


# What is shipped


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_suites_load_and_are_called_like_their_files(path):
    assert load_suite(path).name == path.stem


def test_two_suites_are_shipped():
    assert {path.stem for path in SUITES.glob("*.toml")} >= {"bench", "smoke"}


# These ask for what has no meaning too, and are told so.
CROSSED = {"bench", "modes", "settings", "smoke", "tricks"}
WHOLE = sorted({path.stem for path in SUITES.glob("*.toml")} - CROSSED)


@pytest.mark.parametrize("name", WHOLE)
def test_every_cell_of_a_shipped_suite_assembles(name):
    """Those for a GPU too, in their published sizes and without their data: nobody has run them here."""
    kept, _ = expand_cells(load_suite(SUITES / f"{name}.toml"))
    assert kept
    for cell in kept:
        check_recipe(cell.recipe, cell.data)


def test_the_schema_for_editors_is_the_one_of_the_code():
    assert json.loads((SUITES / "suite.schema.json").read_text()) == suite_json_schema()


# Errors

BAD = [  # a line of a suite, and what must be told of it: key and sentence
    ("schema = 2", "schema: input should be 1, not 2"),
    ('name = "Bad Name"', "name: string should match"),
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
        "grid[0].variants[1]: network dcgan has no setting 'widht'; did you mean 'width'?",
    ),
    (
        'losses = ["hinje", "own"]',
        "grid[0].losses[0]: no loss is called 'hinje'; did you mean 'hinge'?",
    ),
    ('loss = "hinge"', "grid[0].loss: there is no such key; did you mean 'losses'?"),
    ("plan = { bacth = 3 }", "grid[0].plan.bacth: there is no such key; did you mean 'batch'?"),
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
    ("losses = []", "grid[1].losses: list should have at least 1 item"),
    ("[[grid]]",),
    ('variants = ["gan"]',),
    ("[grid.plan]", "grid[2].plan: plan: batch must be at least 1, not 0"),
    ("batch = 0",),
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
WRONG = [(n, told) for n, (_, *all_told) in enumerate(BAD, 1) for told in all_told]


@pytest.fixture(scope="module")
def told_of_bad(tmp_path_factory):
    text = "\n".join(line for line, *_ in BAD)
    return errors(tmp_path_factory.mktemp("bad"), text)


@pytest.mark.parametrize(("number", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_an_error_is_told_with_its_file_line_key_and_remedy(told_of_bad, number, told):
    assert [line for line in told_of_bad if line.startswith(f"x.toml:{number}: {told}")]


def test_all_errors_of_a_file_are_told_at_once_and_each_once(told_of_bad):
    assert len(told_of_bad) == len(WRONG)


def test_what_is_missing_altogether_is_told(tmp_path):
    told = errors(tmp_path, "")
    needed = ("schema", "name", "data", "metrics", "grid", "budget")
    assert told == [f"x.toml: {key}: this key is required" for key in needed]


def test_a_grid_in_single_brackets_is_told_what_it_wants(tmp_path):
    (told,) = errors(tmp_path, GOOD.replace("[[grid]]", "[grid]"))
    assert told.endswith("grid: this is a list of tables: write [[grid]], in double brackets")


@pytest.mark.parametrize("name", RESERVED_SUITE_NAMES)
def test_a_suite_is_not_called_like_a_folder_of_the_store(tmp_path, name):
    (told,) = errors(tmp_path, GOOD.replace('"tiny"', f'"{name}"'))
    assert told.startswith("x.toml:2: name: ")
    assert name in told


def test_an_exclude_that_leaves_out_nothing_is_an_error(tmp_path):
    (told,) = errors(tmp_path, GOOD.replace('tricks = "r1"', 'tricks = "ema"'))
    assert told.startswith("x.toml:14: exclude[0]: ")
    assert "to show one" in told
    assert "no cell" in told


def test_an_outcome_that_is_not_measured_is_an_error(tmp_path):
    (told,) = errors(tmp_path, GOOD + '[analysis]\noutcome = "recall"\n')
    assert told.startswith("x.toml:25: analysis.outcome: ")
    assert "recall" in told


@pytest.mark.parametrize("key", ["lr", "betas"])
def test_a_value_of_both_sides_and_of_one_is_an_error(tmp_path, key):
    value = "[0.5, 0.9]" if key == "betas" else "0.1"
    (told,) = errors(tmp_path, GOOD, f"grid.0.plan={{{key} = {value}, generator_{key} = {value}}}")
    assert f"{key} sets both sides: give it or generator_{key}, not both" in told


def test_excluding_everything_is_an_error(tmp_path):
    everything = GOOD.replace('loss = "hinge"\ntricks = "r1"', 'variant = "gan(width=8)"')
    (told,) = errors(tmp_path, everything)
    assert "no cell is left" in told


@pytest.mark.parametrize("text", ["{ design = 'full_factorial' }", "{ of = ['r1'] }", "{}"])
def test_tricks_are_a_design_of_some_or_chains(tmp_path, text):
    (told,) = errors(tmp_path, GOOD, f"grid.0.tricks={text}")
    assert "grid[0].tricks: " in told
    assert "of" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("limits.stal = '3 s'", "limits.stal: there is no such key; did you mean 'stall'?"),
        ("\"abuot\" = ''", "abuot: there is no such key; did you mean 'about'?"),
        ("analysis = { paired = 1 }", "analysis.paired: input should be a valid boolean, not 1"),
    ],
)
def test_dotted_quoted_and_inline_keys_have_their_lines_too(tmp_path, line, told):
    text = GOOD.replace('[limits]\nwall = "2 min"\n', "")
    assert errors(tmp_path, f"{line}\n{text}") == [f"x.toml:1: {told}"]


@pytest.mark.parametrize("key", ["int", "list", "constrained-int", "a[0]", "float(3)"])
def test_a_key_that_looks_like_a_type_is_a_key_that_there_is_not(tmp_path, key):
    (told,) = errors(tmp_path, f'"{key}" = 1\n{GOOD}')
    assert f"{key}: there is no such key" in told


@pytest.mark.parametrize("key", ["lr", "batch", "betas", "optimizer"])
def test_a_plan_axis_without_values_is_an_error(tmp_path, key):
    told = errors(tmp_path, GOOD, f"grid.0.plan={{ {key} = [] }}")
    assert all(f": grid[0].plan.{key}" in line for line in told)


def test_a_syntax_error_is_told_with_its_line(tmp_path):
    (told,) = errors(tmp_path, GOOD.replace('name = "tiny"', "name = tiny"))
    assert told.startswith("x.toml: ")
    assert "line 2" in told


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "seeds = " + "1" * 5000, "a = 1\na = 2", "d = 2026-99-99", "\0"],
    ids=["deep", "long number", "twice", "no date", "null"],
)
def test_what_the_parser_refuses_is_a_suite_error(tmp_path, text):
    assert errors(tmp_path, text)[0].startswith("x.toml: ")


def test_a_missing_file_a_folder_and_other_encodings_are_told_as_such(tmp_path):
    (tmp_path / "latin.toml").write_bytes('about = "é"'.encode("latin-1"))
    for name, told in [("none.toml", "no suite"), ("", "directory"), ("latin.toml", "utf-8")]:
        with pytest.raises(
            SuiteError, match=f"{re.escape(str(tmp_path / name))}.*|{told}"
        ) as error:
            load_suite(tmp_path / name)
        assert told in str(error.value)


@pytest.mark.parametrize("unit", ["images = 0", "generator_turns = -1", "seconds = 0"])
def test_a_budget_is_above_nothing(tmp_path, unit):
    (told,) = errors(tmp_path, GOOD.replace("images = 640", unit))
    assert told.startswith(f"x.toml:20: budget.cpu.{unit.split()[0]}: ")


@pytest.mark.parametrize("amount", ["inf", "nan"])
def test_a_budget_ends(tmp_path, amount):
    (told,) = errors(tmp_path, GOOD.replace("images = 640", f"seconds = {amount}"))
    assert told.startswith("x.toml:20: budget.cpu.seconds: ")


# Overrides


def test_an_override_sets_a_key_as_toml_or_as_text(tmp_path):
    made = good(tmp_path, "seeds=[5, 7]", "budget.cpu.images=9", "limits.stall=3 s", "name=other")
    assert (made.seeds, made.budget["cpu"].images) == ([5, 7], 9)
    assert (made.limits.stall, made.limits.wall, made.name) == ("3 s", "2 min", "other")


def test_an_override_reaches_into_lists_and_makes_tables(tmp_path):
    made = good(tmp_path, 'grid.0.losses=["own"]', "analysis.paired=false", "exclude=[]")
    assert (made.grid[0].losses, made.analysis.paired) == (["own"], False)


@pytest.mark.parametrize(
    ("override", "told"),
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
def test_a_wrong_override_names_itself(tmp_path, override, told):
    (found,) = errors(tmp_path, GOOD, override)
    assert found.startswith(f"-o {override}: {told}")


def test_errors_of_file_and_overrides_are_told_together(tmp_path):
    found = errors(tmp_path, GOOD.replace("images", "imagez"), "points=0")
    assert [line.split(": ")[:2] for line in found] == [
        ["-o points=0", "points"],
        ["x.toml:20", "budget.cpu.imagez"],
    ]


# Anything else

VALID = dict(
    schema=1, name="tiny", about="", data=["ring"], metrics=["fid"], seeds=2, points=2,
    grid=[dict(variants=["gan"], losses=["own"], plan=dict(lr=[1e-3], betas=[0.5, 0.9], batch=8),
               tricks=dict(design="one_at_a_time", of=["r1"]))],
    exclude=[dict(tricks="r1", reason="why not")], budget=dict(cpu=dict(images=1, seeds=[1])),
    limits=dict(wall="1 s"), analysis=dict(outcome="fid", paired=True),
)  # fmt: skip


def places(content, path=()):
    """Every place in a content, as the keys that lead there."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, inner in pairs:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


TYPES = ("int", "float", "list", "tuple", "literal")  # what Pydantic calls them is a key, too
WORDS = sorted(
    {word for path in places(VALID) for word in path if isinstance(word, str)} | {*TYPES}
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
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("suites") / "any.toml"


def loads_or_objects(path: Path, content: dict) -> None:
    path.write_text("\n".join(f"{key(k)} = {toml(v)}" for k, v in content.items()))
    told = ""
    try:
        made = load_suite(path)
    except SuiteError as error:
        told = str(error)
    assert all(line.startswith(str(path)) for line in told.splitlines())
    if not told:
        assert expand_cells(made)[0]
        assert all(math.isfinite(profile.budget().amount) for profile in made.budget.values())


def test_the_content_that_is_tampered_with_is_a_good_suite(scratch):
    scratch.write_text("\n".join(f"{k} = {toml(v)}" for k, v in VALID.items()))
    assert [cell.tricks for cell in expand_cells(load_suite(scratch))[0]] == [()]


quickly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quickly
@given(content=st.dictionaries(keys, values, max_size=6))
@example(content={"int": 1})
@example(content={"budget": {"list": {"images": 0}}})
def test_any_toml_is_a_suite_or_a_suite_error(scratch, content):
    loads_or_objects(scratch, content)


@quickly
@given(place=st.sampled_from(sorted(places(VALID), key=str)), value=values)
@example(place=("budget", "cpu"), value={"seconds": math.inf})
def test_a_good_suite_with_anything_in_one_place_is_a_suite_or_a_suite_error(scratch, place, value):
    loads_or_objects(scratch, with_value(VALID, place, value))


# Cells


def test_one_at_a_time_is_none_and_each_trick_alone():
    made = suite(grid(tricks=dict(design="one_at_a_time", of=["r1", "ema"])))
    assert chains(made) == [(), ("r1",), ("ema",)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_full_factorial_is_every_subset_once(count):
    of = ["r1", "ema", "ttur", "instance_noise"][:count]
    found = chains(suite(grid(tricks=dict(design="full_factorial", of=of))))
    assert len(set(map(frozenset, found))) == len(found) == 2**count


def test_chains_are_taken_as_they_are_each_in_one_spelling():
    made = suite(grid(tricks=dict(chains=[[], ["r1(weight=10.0)", "ema"], ["ema"]])))
    assert chains(made) == [(), ("ema", "r1"), ("ema",)]


def test_axes_are_crossed():
    axes = dict(losses=["hinge", "minimax"], plan=dict(lr=[1e-3, 1e-4], betas=[[0.0, 0.9]]))
    found = expand_cells(suite(grid("gan", "dcgan", data=["digits"], **axes)))[0]
    assert len(found) == 2 * 2 * 2
    assert {cell.recipe.hyperparameters.generator_lr for cell in found} == {1e-3, 1e-4}
    assert {cell.recipe.hyperparameters.discriminator_lr for cell in found} == {1e-3, 1e-4}
    assert {cell.recipe.hyperparameters.generator_betas for cell in found} == {(0.0, 0.9)}
    assert {cell.plan for cell in found} == {
        "betas=(0.0, 0.9), lr=0.001",
        "betas=(0.0, 0.9), lr=0.0001",
    }


def test_a_grid_has_its_own_data_or_the_suites():
    found = expand_cells(suite(grid(), grid(data=["digits"])))[0]
    assert [cell.data for cell in found] == ["ring", "digits"]


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
def test_equal_cells_are_one(one, same):
    assert len(expand_cells(suite(one, same))[0]) == 1


def test_excluded_cells_are_told_with_their_reasons():
    exclude = [dict(loss="hinge", tricks="r1(weight=10)", reason="why")]
    tricks = dict(design="one_at_a_time", of=["r1"])
    made = suite(grid(losses=["hinge", "minimax"], tricks=tricks), exclude=exclude)
    kept, excluded = expand_cells(made)
    assert [str(cell) for cell in kept] == [
        "ring / gan / hinge / none",
        "ring / gan / minimax / none",
        "ring / gan / minimax / r1",
    ]
    assert [(str(cell), why) for cell, why in excluded] == [("ring / gan / hinge / r1", "why")]


def test_a_trick_that_the_variant_has_already_does_not_apply():
    tricks = dict(chains=[[], ["weight_clipping"]])
    found = plan_trials(suite(grid("wgan(width=4)", data=["digits"], tricks=tricks)), "cpu", "cpu")
    objections = {p.label(): p.incompatibility for p in found if p.role == "trial"}
    plain, twice = objections.values()
    assert plain == ""
    assert "weight_clipping" in twice.replace(" ", "_")


def test_every_cell_is_planned_with_every_seed_and_every_variant_untrained():
    made = suite(grid("gan", losses=["hinge", "minimax"]), grid("gan(width=8)"), seeds=[7, 3])
    found = [(p.role, p.trial.seed, p.label()) for p in plan_trials(made, "cpu", "cpu")]
    untrained = [
        "ring / gan / non_saturating / none",
        "ring / gan(width=8) / non_saturating / none",
    ]
    arms = ["ring / gan / hinge / none", "ring / gan / minimax / none", untrained[1]]
    assert found == [
        (role, seed, label)
        for seed in (3, 7)
        for role, labels in (("untrained", untrained), ("trial", arms))
        for label in labels
    ]
    assert len({p.trial.id for p in plan_trials(made, "cpu", "cpu")}) == len(found)


# Profiles and durations


def test_the_device_chooses_the_profile_unless_one_is_named():
    budget = dict(cpu=dict(images=1), gpu=dict(generator_turns=2, seeds=4), cuda=dict(seconds=3))
    made = suite(grid(), budget=budget, seeds=2)
    assert [made.select_profile(None, d) for d in ("cpu", "mps", "cuda")] == ["cpu", "gpu", "cuda"]
    assert made.select_profile("gpu", "cpu") == "gpu"
    assert [made.seeds_of(p) for p in ("cpu", "gpu")] == [[0, 1], [0, 1, 2, 3]]
    found = [made.budget[name].budget() for name in budget]
    assert found == [Budget("images", 1), Budget("generator_turns", 2), Budget("seconds", 3.0)]


def test_a_profile_that_there_is_not_is_told_with_the_nearest():
    with pytest.raises(SuiteError, match=re.escape("no budget.cpuu; did you mean 'cpu'?")):
        suite(grid()).select_profile("cpuu", "cpu")


@pytest.mark.parametrize(
    ("text", "expected"), [("90 s", 90), ("5 min", 300), ("2h", 7200), (" 1.5 min ", 90)]
)
def test_durations_are_seconds_minutes_or_hours(text, expected):
    assert parse_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "90", "s", "0 s", "0.0 h", "-1 s", "1 d", "1e3 s", "inf s"])
def test_what_is_no_duration_is_refused(text):
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
def test_a_trial_keeps_its_identity_from_release_to_release(trial, identifier):
    """If this fails, every result in every store is lost: was a version to be bumped?"""
    assert trial.id[:16] == identifier


PLANS = dict(
    batch=32, latent=32, discriminator_turns=2, optimizer="rmsprop", generator_lr=1e-3,
    discriminator_lr=1e-3, generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.9), decay=0.5,
)  # fmt: skip
OTHERS = {
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
    **{name: with_plan(**{name: value}) for name, value in PLANS.items()},
}


def test_whatever_decides_a_result_makes_another_trial():
    assert len({trial.id for trial in [GAN, *OTHERS.values()]}) == 1 + len(OTHERS)


def test_no_setting_of_a_plan_was_forgotten_above():
    assert PLANS.keys() == {field.name for field in fields(Hyperparameters)}


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
def test_names_order_and_spelling_make_no_other_trial(same):
    assert same.id == GAN.id


def test_a_spelling_in_a_suite_makes_no_other_trial():
    ten = suite(grid(plan=dict(lr=1)), budget=dict(cpu=dict(seconds=10)))
    same = suite(grid(plan=dict(lr=[1.0])), budget=dict(cpu=dict(seconds=10.0)))
    assert identifiers(ten) == identifiers(same)


def identifiers(made: Suite) -> set[str]:
    budget = made.budget["cpu"].budget()
    return {
        make_trial(made, cell, budget, seed, "cpu").id
        for cell in expand_cells(made)[0]
        for seed in made.seeds_of("cpu")
    }


def test_the_order_of_grids_axes_and_tricks_makes_no_other_trials():
    one = grid(
        losses=["hinge", "minimax"],
        plan=dict(lr=[1e-3, 1e-4], batch=8),
        tricks=dict(design="full_factorial", of=["r1", "ema"]),
    )
    other = grid("gan(width=16)", "gan(width=8)", tricks=dict(chains=[["r1", "ema"], []]))
    turned = grid(
        losses=["minimax", "hinge"],
        plan=dict(batch=8, lr=[1e-4, 1e-3]),
        tricks=dict(design="full_factorial", of=["ema", "r1"]),
    )
    other_turned = grid("gan(width=8)", "gan(width=16)", tricks=dict(chains=[[], ["ema", "r1"]]))
    found = identifiers(suite(one, other, seeds=[0]))
    assert found == identifiers(suite(other_turned, turned, seeds=[0]))
    assert len(found) == 2 * 2 * 4 + 2 * 2


def test_the_order_of_seeds_makes_no_other_trials():
    assert identifiers(suite(grid(), seeds=[3, 0])) == identifiers(suite(grid(), seeds=[0, 3]))


@pytest.mark.parametrize("trial", [GAN, WGAN, TURNS, *OTHERS.values()])
def test_a_trial_comes_back_from_json_as_it_was(trial):
    back = Trial.from_json(trial.to_json())
    assert back == trial
    assert back.id == trial.id


def test_a_recipe_cannot_be_changed_behind_a_trials_back():
    with pytest.raises((AttributeError, ValidationError)):
        GAN.recipe.loss = "minimax"
    assert isinstance(GAN.recipe, Recipe)
