"""The grammar, spelling and errors of specs, and the contract of every registry."""

import keyword
import math
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench.catalog import format_spec_with_defaults
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

REGISTRIES = (DATA, EXTRACTORS, TASKS, LOSSES, METRICS, NETWORKS, TRICKS)
ENTRIES = [(registry, name) for registry in REGISTRIES for name in registry.entries]
REQUIRED_SETTINGS = {  # settings that have no default
    "attribute_classifier": "of='captioned_digits'",
    "classifier": "of='digits'",
    "stacked": "of='digits'",
    "captioned_folder": "path='.'",
    "clip_folder": "path='.'",
    "folder": "path='.'",
    "moving_mnist": "path='.'",
    "paired": "path='.'",
    "unpaired": "path='.'",
}
every_entry = pytest.mark.parametrize(
    ("registry", "name"), ENTRIES, ids=[f"{registry.kind}-{name}" for registry, name in ENTRIES]
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
def test_spec_parses_back_from_its_text(spec):
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
def test_any_text_parses_or_raises_spec_error(text):
    for parse in (parse_spec, TRICKS.label, LOSSES.resolve, resolve_variant):
        with suppress(SpecError):
            assert parse(text)


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
def test_non_literal_settings_are_refused(text):
    with pytest.raises(SpecError):
        parse_spec(text)


def test_setting_names_are_ascii():
    with pytest.raises(SpecError):
        TRICKS.resolve("r1(ｗeight=5)")  # Python treats the wide letter as a plain one


def test_every_literal_kind_is_parsed():
    text = "a(b=1e-4, c=-1, d=true, e=False, f='x, y)', g=0x10, h=1_000)"
    assert dict(parse_spec(text).settings) == dict(
        b=1e-4, c=-1, d=True, e=False, f="x, y)", g=16, h=1000
    )
    assert str(parse_spec("a( c=2.0 , b=1e-05 )")) == "a(b=1e-05, c=2)"
    assert parse_spec("a") == parse_spec("a()") == parse_spec(" a ")


def test_equal_settings_share_one_label():
    assert {
        TRICKS.label(t) for t in ("r1", "r1()", "r1(weight=10)", "r1(weight=10.0)", "r1(every=1)")
    } == {"r1"}
    assert TRICKS.label("r1(every=16.0, weight=1e1)") == "r1(every=16)"
    assert {str(TRICKS.identity(t)) for t in ("r1", "r1(weight=10)")} == {
        str(TRICKS.identity("r1(weight=10.0)"))
    }
    assert DATA.label("ring(modes=8)") == "ring"


def test_label_resolves_like_its_text():
    for text in ("r1(weight=3)", "ema(decay=0.5)", "gradient_penalty(one_sided=true, target=0)"):
        assert TRICKS.resolve(TRICKS.label(text)) == TRICKS.resolve(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spectral_nrom", "did you mean 'spectral_norm'?"),
        ("EMA", "did you mean 'ema'?"),
        ("my.tricks:blur", "write file.py:name for a part in a file beside the suite"),
        ("r1(wieght=1)", "did you mean 'weight'?"),
        ("zzz", "no trick is called 'zzz'; `ganbench list tricks` shows all"),
        ("r1(every=1.5)", "every needs a whole number, not 1.5"),
        ("r1(weight='a')", "weight needs a number, not 'a'"),
        ("r1(weight=true)", "weight needs a number, not true"),
        ("spectral_norm(keep_norm=1)", "keep_norm needs true or false, not 1"),
        ("r1(weight=0)", "weight must be above 0"),
        ("r1(weight=ten)", "quote a text: weight='ten'"),
    ],
)
def test_error_names_the_remedy(text, sentence):
    with pytest.raises(SpecError) as error:
        TRICKS.make(text)
    assert sentence in str(error.value)


def test_unknown_choice_suggests_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'batch'"):
        NETWORKS.make("dcgan(norm='bach')")


def test_variant_settings_come_from_its_network():
    assert resolve_variant("dcgan(width=4)").network == "dcgan(width=4)"
    assert variant_label("dcgan(width=64.0, norm='batch')") == "dcgan"
    assert variant_label("gan(width=8)") == "gan(width=8)"
    with pytest.raises(SpecError, match="did you mean 'dcgan'"):
        resolve_variant("dcgam")
    with pytest.raises(SpecError, match="no setting 'depth'"):
        resolve_variant("gan(depth=2)")


def test_variant_trick_strength_is_a_setting():
    assert resolve_variant("wgan_gp(gradient_penalty=1)").tricks == ("gradient_penalty(weight=1)",)
    assert resolve_variant("stylegan2(r1=1)").tricks[0] == "r1(every=16, weight=1)"
    assert variant_label("stylegan2(r1=1, width=16)") == "stylegan2(r1=1, width=16)"
    assert variant_label("stylegan2(r1=10, ema=0.998)") == "stylegan2"
    with pytest.raises(SpecError, match="has no setting 'ema'"):
        resolve_variant("dcgan(ema=0.9)")
    with pytest.raises(SpecError, match=r"trick r1.*weight needs a number"):
        resolve_variant("stylegan2(r1=true)")


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_tricks_and_settings_have_distinct_names(name):
    recipe = VARIANTS[name]
    others = dict(TASKS.resolve(recipe.task).settings) | dict(
        NETWORKS.resolve(recipe.network).settings
    )
    assert not {parse_spec(text).name for text in recipe.tricks} & set(others)


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_consists_of_known_parts(name):
    recipe = resolve_variant(name)
    assert recipe.about.endswith(".")
    NETWORKS.make(recipe.network), LOSSES.make(recipe.loss), TASKS.make(recipe.task)
    for trick in recipe.tricks:
        TRICKS.make(trick)


@every_entry
def test_entry_has_description_version_and_settings(registry, name):
    part = registry.load(name)
    assert isinstance(part.version, int)
    assert part.version >= 1
    assert registry.about(name).rstrip().endswith((".", ". "))
    resolved = registry.resolve(f"{name}({REQUIRED_SETTINGS.get(name, '')})")
    assert resolved.name == name
    assert set(part.neutral) <= set(dict(resolved.settings))


FIELD_NAMES = {  # files with the name that the field uses, unlike suites
    "is": "inception_score",
    "gan_test": "gan_test_accuracy",  # tools would collect gan_test.py as a test
    "auxiliary": "acgan",
    "contrastive": "cut",
    "cycle": "cyclegan",
    "information": "infogan",
}
CLASS_NAMES = {
    name: name for name in ("auxiliary", "contrastive", "cycle", "information", "gan_test")
}


@every_entry
def test_entry_file_matches_its_spec_name(registry, name):
    file, _, attribute = registry.entries[name].partition(":")
    assert file == FIELD_NAMES.get(name, name)
    assert attribute.lower() == CLASS_NAMES.get(name, file).replace("_", "")


@every_entry
def test_entry_survives_or_refuses_extreme_settings(registry, name):
    """For 0, -1 and a huge value of each number the part is built, or a SpecError is raised."""
    required = REQUIRED_SETTINGS.get(name, "")
    for key, value in registry.resolve(f"{name}({required})").settings:
        if isinstance(value, int | float) and not isinstance(value, bool):
            for extreme in ("0", "-1", "1e300"):
                settings = ", ".join(filter(None, [required, f"{key}={extreme}"]))
                try:
                    part = registry.make(f"{name}({settings})")
                except SpecError:
                    continue
                assert part is not None


@pytest.mark.parametrize(
    "text",
    ["is(splits=0)", "kid(subsets=0)", "kid(subset_size=1)", "precision(k=0)", "recall(k=-1)"],
)
def test_metric_refuses_settings_without_measurement(text):
    with pytest.raises(SpecError):
        METRICS.make(text)


@pytest.mark.parametrize(
    "invalid",
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
def test_hyperparameters_refuse_invalid_values(invalid):
    with pytest.raises(ValueError, match=r"^plan: "):
        Hyperparameters(**invalid)


def test_equal_numbers_give_equal_hyperparameters():
    assert (
        Hyperparameters(generator_lr=1, decay=1).identity()
        == Hyperparameters(generator_lr=1.0, decay=1.0).identity()
    )
    assert str(Hyperparameters(generator_lr=1).identity()) == str(
        Hyperparameters(generator_lr=1.0).identity()
    )


@pytest.mark.parametrize(("registry", "name"), ENTRIES)
def test_listed_defaults_are_values(registry, name):
    assert not re.search(r"=[A-Z][A-Z_0-9]+\b", format_spec_with_defaults(registry, name))
