"""Specs: one grammar, one spelling, one error; and what every index promises."""

import keyword
import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench.data import DATA
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import VARIANTS, resolve_variant, variant_label
from ganbench.registry import Spec, SpecError, parse_spec

INDEXES = (DATA, EXTRACTORS, TASKS, LOSSES, METRICS, NETWORKS, TRICKS)
ENTRIES = [(index, name) for index in INDEXES for name in index.entries]
NEEDED = {  # settings that have no default
    "classifier": "of='digits'",
    "stacked": "of='digits'",
    "folder": "path='.'",
    "unpaired": "path='.'",
}
every_entry = pytest.mark.parametrize(
    ("index", "name"), ENTRIES, ids=[f"{index.kind}-{name}" for index, name in ENTRIES]
)

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda word: not keyword.iskeyword(word)
)
values = (
    st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(-1e300, 1e300)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
specs = st.builds(
    lambda name, given: Spec(name, tuple(sorted(given.items()))),
    names,
    st.dictionaries(names, values, max_size=2),
)


@settings(deadline=None)
@given(specs)
def test_a_spec_parses_back_from_its_text(spec):
    again = parse_spec(str(spec))
    assert again == spec
    assert [type(v) is bool for _, v in again.settings] == [
        type(v) is bool for _, v in spec.settings
    ]
    assert str(again) == str(spec)


grammar = st.sampled_from(
    [*"()=,'\"-.*{}[]#\\\n\r\x00 1e_", "a", "true", "inf", "r1", "lambda", "f'", "é"]
)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30) | st.lists(grammar, max_size=25).map("".join))
def test_any_text_is_a_spec_or_a_spec_error(text):
    for read in (parse_spec, TRICKS.label, LOSSES.resolve, resolve_variant):
        with suppress(SpecError):
            assert read(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "r1(", "r1)", "r1()()", "(r1)", "r1 r1", "1r", "r1, ema", "r1;ema", "r-1"),
        *("r1(10)", "r1(weight=inf)", "r1(weight=-inf)", "r1(weight=nan)", "r1(weight=1e999)"),
        *("r1(weight=1, weight=1)", "r1(weight=1, weight=2)", "r1(weight=f(1))", "r1(weight=[1])"),
        *("r1(weight=(1, 2))", "r1(weight=None)", "r1(weight=1j)", "r1(weight=b'1')"),
        *("r1(weight=1+1)", "r1(weight=--1)", "r1(weight=-true)", "r1(weight=ten)", "r1(**a)"),
        *("r1(*a)", "r1(weight=)", "r1(=1)", "r1(weight=f'{1}')", "r1(weight:=1)", "r1(weight=1"),
        *("ŕ1", "r1(weight=\n1)", "r1\nema", "r1(weight=1)#", "r1(weight='\ud800)", "r1\x00"),
        *(
            f"r1(weight={'1' * 400})",
            "r1(weight=" + "9" * 5000 + ")",
            "r1(" * 300,
            "r1(a=" + "(" * 900,
        ),
    ],
)
def test_what_is_no_literal_setting_is_refused(text):
    with pytest.raises(SpecError):
        parse_spec(text)


def test_names_of_settings_are_ascii():
    with pytest.raises(SpecError):
        TRICKS.resolve("r1(ｗeight=5)")  # Python would read the wide letter as a plain one


def test_every_kind_of_literal_is_taken():
    text = "a(b=1e-4, c=-1, d=true, e=False, f='x, y)', g=0x10, h=1_000)"
    assert dict(parse_spec(text).settings) == dict(
        b=1e-4, c=-1, d=True, e=False, f="x, y)", g=16, h=1000
    )
    assert str(parse_spec("a( c=2.0 , b=1e-05 )")) == "a(b=1e-05, c=2)"
    assert parse_spec("a") == parse_spec("a()") == parse_spec(" a ")


def test_equal_settings_have_one_label():
    assert {
        TRICKS.label(t) for t in ("r1", "r1()", "r1(weight=10)", "r1(weight=10.0)", "r1(every=1)")
    } == {"r1"}
    assert TRICKS.label("r1(every=16.0, weight=1e1)") == "r1(every=16)"
    assert {str(TRICKS.identity(t)) for t in ("r1", "r1(weight=10)")} == {
        str(TRICKS.identity("r1(weight=10.0)"))
    }
    assert DATA.label("ring(modes=8)") == "ring"


def test_a_label_names_what_its_text_named():
    for text in ("r1(weight=3)", "ema(decay=0.5)", "gradient_penalty(one_sided=true, target=0)"):
        assert TRICKS.resolve(TRICKS.label(text)) == TRICKS.resolve(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spectral_nrom", "did you mean 'spectral_norm'?"),
        ("r1(wieght=1)", "did you mean 'weight'?"),
        ("zzz", "; there are ada, consistency, "),
        ("r1(every=1.5)", "every needs a whole number, not 1.5"),
        ("r1(weight='a')", "weight needs a number, not 'a'"),
        ("r1(weight=true)", "weight needs a number, not true"),
        ("spectral_norm(keep_norm=1)", "keep_norm needs true or false, not 1"),
        ("r1(weight=0)", "weight must be above 0"),
        ("r1(weight=ten)", "quote a text: weight='ten'"),
    ],
)
def test_an_error_says_what_would_do_instead(text, sentence):
    with pytest.raises(SpecError) as told:
        TRICKS.make(text)
    assert sentence in str(told.value)


def test_a_choice_is_told_its_choices():
    with pytest.raises(SpecError, match="did you mean 'batch'"):
        NETWORKS.make("dcgan(norm='bach')")


def test_a_variants_settings_are_those_of_its_network():
    assert resolve_variant("dcgan(width=4)").network == "dcgan(width=4)"
    assert variant_label("dcgan(width=64.0, norm='batch')") == "dcgan"
    assert variant_label("gan(width=8)") == "gan(width=8)"
    with pytest.raises(SpecError, match="did you mean 'dcgan'"):
        resolve_variant("dcgam")
    with pytest.raises(SpecError, match="no setting 'depth'"):
        resolve_variant("gan(depth=2)")


def test_a_variants_own_trick_is_a_setting_of_its_strength():
    assert resolve_variant("wgan_gp(gradient_penalty=1)").tricks == ("gradient_penalty(weight=1)",)
    assert resolve_variant("stylegan2(r1=1)").tricks[0] == "r1(every=16, weight=1)"
    assert variant_label("stylegan2(r1=1, width=16)") == "stylegan2(r1=1, width=16)"
    assert variant_label("stylegan2(r1=10, ema=0.998)") == "stylegan2"
    with pytest.raises(SpecError, match="has no setting 'ema'"):
        resolve_variant("dcgan(ema=0.9)")
    with pytest.raises(SpecError, match=r"trick r1.*weight needs a number"):
        resolve_variant("stylegan2(r1=true)")


@pytest.mark.parametrize("name", VARIANTS)
def test_no_trick_of_a_variant_is_called_like_another_of_its_settings(name):
    recipe = VARIANTS[name]
    others = dict(TASKS.resolve(recipe.task).settings) | dict(
        NETWORKS.resolve(recipe.network).settings
    )
    assert not {parse_spec(text).name for text in recipe.tricks} & set(others)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_made_of_known_parts(name):
    recipe = resolve_variant(name)
    assert recipe.about.endswith(".")
    NETWORKS.make(recipe.network), LOSSES.make(recipe.loss), TASKS.make(recipe.task)
    for trick in recipe.tricks:
        TRICKS.make(trick)


@every_entry
def test_an_entry_has_a_sentence_a_version_and_settings_of_declared_types(index, name):
    part = index.load(name)
    assert isinstance(part.version, int)
    assert part.version >= 1
    assert index.about(name).rstrip().endswith((".", ". "))
    found = index.resolve(f"{name}({NEEDED.get(name, '')})")
    assert found.name == name
    assert set(part.neutral) <= set(dict(found.settings))


FIELD_NAMES = {  # files that the field calls otherwise than suites do
    "is": "inception_score",
    "gan_test": "gan_test_accuracy",  # tools would take gan_test.py for a test
    "auxiliary": "acgan",
    "contrastive": "cut",
    "cycle": "cyclegan",
    "information": "infogan",
}
CLASS_NAMES = {
    name: name for name in ("auxiliary", "contrastive", "cycle", "information", "gan_test")
}


@every_entry
def test_an_entrys_file_is_called_what_its_spec_is_called(index, name):
    file, _, attribute = index.entries[name].partition(":")
    assert file == FIELD_NAMES.get(name, name)
    assert attribute.lower() == CLASS_NAMES.get(name, file).replace("_", "")


@every_entry
def test_an_entry_survives_extreme_settings_or_refuses_them(index, name):
    """0, -1 and huge values of every number: the part is made, or the refusal is a SpecError."""
    needed = NEEDED.get(name, "")
    for key, value in index.resolve(f"{name}({needed})").settings:
        if isinstance(value, int | float) and not isinstance(value, bool):
            for odd in ("0", "-1", "1e300"):
                settings = ", ".join(filter(None, [needed, f"{key}={odd}"]))
                try:
                    part = index.make(f"{name}({settings})")
                except SpecError:
                    continue
                assert part is not None


@pytest.mark.parametrize(
    "text",
    ["is(splits=0)", "kid(subsets=0)", "kid(subset_size=1)", "precision(k=0)", "recall(k=-1)"],
)
def test_a_metric_refuses_settings_that_leave_nothing_to_measure(text):
    with pytest.raises(SpecError):
        METRICS.make(text)


@pytest.mark.parametrize(
    "wrong",
    [
        *(dict(batch=0), dict(latent=0), dict(discriminator_turns=0), dict(generator_lr=0)),
        *(dict(discriminator_lr=math.inf), dict(generator_lr=math.nan), dict(decay=1.1)),
        *(
            dict(generator_betas=(0.5, 1)),
            dict(discriminator_betas=(-0.1, 0.9)),
            dict(optimizer="sgd"),
        ),
    ],
)
def test_a_plan_refuses_what_cannot_be_trained_by(wrong):
    with pytest.raises(ValueError, match=r"^plan: "):
        Hyperparameters(**wrong)


def test_one_and_one_point_nought_are_one_plan():
    assert (
        Hyperparameters(generator_lr=1, decay=1).identity()
        == Hyperparameters(generator_lr=1.0, decay=1.0).identity()
    )
    assert str(Hyperparameters(generator_lr=1).identity()) == str(
        Hyperparameters(generator_lr=1.0).identity()
    )
