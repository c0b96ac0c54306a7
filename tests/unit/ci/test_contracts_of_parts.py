"""`ganbench check` of own parts: silent for sound ones, and a sentence for each broken contract."""

import ast
import textwrap
from pathlib import Path

import pytest
from verdict_schema import read_verdict

from ganbench.ci.methods.base import run_check
from ganbench.ci.methods.contracts.check_parts import CHECKS, check_file, check_package
from ganbench.ci.methods.contracts.find_parts import NoSuchParts, line_of_name, parts_of_file
from ganbench.errors import NotDownloaded
from ganbench.evaluation.metrics import METRICS
from ganbench.gan.losses import LOSSES
from ganbench.local_files import (
    LocalFileError,
    forget_local_files,
    resolve_beside,
    trust_local_files,
)

EXAMPLES = Path(__file__).parents[3] / "docs" / "package" / "gan_parts"


@pytest.fixture(autouse=True)
def trusted():
    trust_local_files()
    yield
    forget_local_files()


@pytest.fixture
def check_source(tmp_path):
    """Checks a file with this source, and returns the sentences of its faults and errors."""

    def check(source: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(source))
        report = check_file(path)
        return "\n".join([*(fault.sentence for fault in report.faults), *report.errors])

    return check


@pytest.mark.parametrize("name", ["pearson", "pixel_dropout", "energy_distance", "moons"])
def test_documented_parts_keep_their_contracts(name):
    report = check_file(EXAMPLES / f"{name}.py")
    assert len(report.checked) == 1
    assert (report.faults, report.errors) == ([], [])


@pytest.mark.parametrize("name", LOSSES.entries)
def test_own_losses_keep_the_contract(name):
    assert list(CHECKS["loss"](name)) == []


@pytest.mark.parametrize("name", ["fid", "kid", "is", "precision", "recall", "coverage", "vendi"])
def test_own_metrics_keep_the_contract(name):
    assert name in METRICS
    assert list(CHECKS["metric"](name)) == []


@pytest.mark.parametrize("name", ["label_smoothing", "instance_noise", "r1", "spectral_norm"])
def test_own_tricks_keep_the_contract(name):
    assert list(CHECKS["trick"](name)) == []


@pytest.mark.parametrize(("kind", "name"), [("data", "ring"), ("variant", "gan(width=8)")])
def test_own_data_and_variants_keep_contracts(kind, name):
    assert list(CHECKS[kind](name)) == []


# Broken contracts

TRICK = """
    import torch
    from ganbench.extend import Trick

    class Mine(Trick):
        def __init__(self):
            super().__init__()
            {setup}

        def {hook}(self, {arguments}):
            {body}
"""


@pytest.mark.parametrize(
    ("setup", "hook", "arguments", "body", "sentence"),
    [
        ("pass", "begin_step", "context", "super().begin_step(context)", "it changes no weight"),
        (
            "self.count = 0",  # no buffer
            "transform_gradients",
            "side, parameters",
            "self.count += 1; [p.grad.mul_(1 / self.count) for p in parameters]",
            "resumed from its checkpoint differs",
        ),
        (
            "pass",
            "transform_generator",
            "generator",
            "[p.data.mul_(2) for p in generator.parameters()]; return generator",
            "it changes initial weights of the generator",
        ),
        (
            "pass",
            "transform_gradients",
            "side, parameters",
            "[p.grad.fill_(float('inf')) for p in parameters]",
            "the terms of a step are not finite",
        ),
        ("pass", "incompatibility", "config", "return 'no'", "gives no sentence, but 'no'"),
        ("pass", "incompatibility", "config", "return 'it never fits to any data'", "trains in none"),
        ("pass", "transform_gradients", "side", "pass", "TypeError"),
        (
            "pass",
            "transform_gradient",
            "side, parameters",
            "pass",
            "transform_gradient is no hook; did you mean transform_gradients?",
        ),
        ("pass", "setup", "task, config", "1 / 0", "ZeroDivisionError: division by zero (line 11"),
    ],
)  # fmt: skip
def test_broken_trick_is_explained(check_source, setup, hook, arguments, body, sentence):
    source = TRICK.format(setup=setup, hook=hook, arguments=arguments, body=body)
    assert sentence in check_source(source)


def test_a_part_that_exits_ends_only_its_own_check(check_source):
    found = check_source("""
        from ganbench.extend import Trick

        class Exits(Trick):
            def begin_step(self, context):
                raise SystemExit(3)

        class Idle(Trick):
            pass
    """)
    assert found.splitlines() == [
        "mine.py failed: SystemExit: 3 (line 6 of mine.py); correct mine.py",
        "it changes no weight of the generators within four steps",
    ]


def test_each_fault_is_counted_once(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            METRIC.format(direction="lower", transform="none", value="float('nan')")
            + TRICK.format(
                setup="pass",
                hook="generator_terms",
                arguments="pair",
                body="yield 'nan', pair.fake_score.mean() * float('nan')",
            )
        ).replace("class Mine(Trick)", "class Other(Trick)")
    )
    report = check_file(tmp_path / "mine.py")
    sentences = [fault.sentence for fault in report.faults]
    assert len(sentences) == 2
    assert sentences[0].startswith("compute returned nan")
    assert sentences[1].startswith("the terms of a step are not finite")
    assert report.sentences()[2] == "2 checks of methods: 2 faults."


LOSS = """
    from ganbench.extend import Loss

    class Mine(Loss):
        def discriminator_loss(self, real, fake):
            return {discriminator}

        def generator_loss(self, fake, real):
            return {generator}
"""


@pytest.mark.parametrize(
    ("discriminator", "generator", "sentence"),
    [
        ("fake.mean() - real.mean()", "-fake", "generator_loss returned a tensor of shape [6]"),
        ("real.mean() - fake.mean()", "-fake.mean()", "the discriminator does not gain"),
        ("fake.mean() - real.mean()", "fake.mean()", "the generator does not gain"),
        ("fake.mean() - real.mean()", "-fake.log().mean()", "is not finite"),
    ],
)
def test_broken_loss_is_explained(check_source, discriminator, generator, sentence):
    assert sentence in check_source(LOSS.format(discriminator=discriminator, generator=generator))


METRIC = """
    import torch
    from dataclasses import dataclass
    from ganbench.extend import FeatureSet, Measurement, Metric

    @dataclass(frozen=True)
    class Mine(Metric):
        direction = "{direction}"
        transform = "{transform}"

        def compute(self, fake, real):
            off = (fake.features.mean(0) - real.features.mean(0)).norm()
            return Measurement({value})
"""


@pytest.mark.parametrize(
    ("direction", "transform", "value", "sentence"),
    [
        ("lower", "log", "float(off)", ""),
        ("higher", "log", "float(off)", "its better direction is higher"),
        ("lower", "logit", "float(off)", "which its transform 'logit' cannot scale"),
        ("lower", "none", "float(off + torch.rand(()))", "a second measurement differs"),
        ("lower", "none", "float(fake.features.mul_(2).sum() + off)", "it changes the features"),
        ("lower", "none", "float('nan')", "raise MetricNotApplicable with the reason"),
        ("down", "none", "float(off)", "direction must be 'lower' or 'higher', not 'down'"),
    ],
)
def test_broken_metric_is_explained(check_source, direction, transform, value, sentence):
    found = check_source(METRIC.format(direction=direction, transform=transform, value=value))
    assert sentence in found
    assert bool(found) == bool(sentence)


def test_data_that_change_are_explained(check_source):
    source = (EXAMPLES / "moons.py").read_text()
    assert "two loads give different examples" in check_source(
        source.replace("random_state=seed", "random_state=None")
    )
    assert "held-out examples are training examples too" in check_source(
        source.replace("self.draw(HELD_OUT, seed=1)", "self.draw(HELD_OUT, seed=1)")
        .replace("seed=1", "seed=0")
        .replace("HELD_OUT = 4_000, 1_000", "HELD_OUT = 1_000, 1_000")
    )


def test_labels_without_classes_are_explained(check_source):
    source = (EXAMPLES / "moons.py").read_text()
    labelled = source.replace("points, _", "points, labels").replace(
        ".float())", ".float(), torch.from_numpy(labels))"
    )
    assert "train examples have labels, and classes are not declared" in check_source(labelled)


# Finding parts, and the command


EVERY_KIND = """
    from dataclasses import dataclass
    from ganbench.extend import *
    from ganbench.gan.losses.hinge import Hinge
    from ganbench.gan.networks.mlp import MLP

    class Other: ...
    class Base(Trick): ...
    class Mine(Base):
        def __init__(self, weight: float): super().__init__()
    class MyLoss(Hinge): ...
    class MyNetwork(MLP): ...
    class MyExtractor(Extractor): ...
    my_gan = Recipe("Mine.", network="mlp(width=8)", loss="mine.py:MyLoss")
"""


def test_parts_of_every_kind_are_found(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(EVERY_KIND))
    with resolve_beside(tmp_path):
        parts, skipped = parts_of_file(path)
    assert parts == [
        ("trick", "mine.py:Base"),
        ("loss", "mine.py:MyLoss"),
        ("network", "mine.py:MyNetwork"),
        ("variant", "mine.py:my_gan"),
    ]
    assert skipped == [
        "trick mine.py:Mine (its setting weight has no default)",
        "extractor mine.py:MyExtractor (its features have no closed form)",
    ]


def test_networks_and_variants_of_a_file_are_checked(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(EVERY_KIND).replace("class Base(Trick): ...", ""))
    path.write_text(path.read_text().replace("class Mine(Base)", "class Mine(Trick)"))
    report = check_file(path)
    assert [each.method for each in report.checked] == [
        "loss mine.py:MyLoss",
        "network mine.py:MyNetwork",
        "variant mine.py:my_gan",
    ]
    assert (report.faults, report.errors) == ([], [])
    assert report.sentences()[-1].startswith("Not checked: extractor mine.py:MyExtractor (its")


def test_a_network_of_a_wrong_shape_is_a_fault(check_source):
    source = """
        from ganbench.extend import *
        from ganbench.gan.networks.mlp import MLP

        class Mine(MLP):
            def build_generator(self, latent, shape):
                return super().build_generator(latent, (1, 9, 9))
    """
    sentence = check_source(source)
    assert sentence.startswith("the generator of build_generator returned a tensor of shape [8, 1")
    assert "expected a tensor of shape [8, 1, 8, 8]" in sentence


NETWORK = """
    import numpy as np
    import torch
    from torch import nn
    from ganbench.extend import *
    from ganbench.gan.networks.mlp import MLP

    class Layer(nn.Linear):
        def __init__(self, size):
            super().__init__(size, size)
            {constructor}

    class Mine(MLP):
        def build_generator(self, latent, shape):
            return nn.Sequential(Layer(latent), super().build_generator(latent, shape))
"""


@pytest.mark.parametrize(
    ("constructor", "sentence"),
    [
        ("self.scale = nn.Parameter(torch.randn(()))", "of its generator (0.scale): use"),
        ("pass", ""),
        ("self.register_buffer('b', torch.tensor(np.random.rand()))", "more than the trial's seed"),
        ("self.register_buffer('b', torch.randn(3))", ""),
    ],
)
def test_weights_of_networks_are_checked(check_source, constructor, sentence):
    found = check_source(NETWORK.format(constructor=constructor))
    assert sentence in found
    assert bool(found) == bool(sentence)


LABELLED = """
    from torch import nn
    from ganbench.extend import *
    from ganbench.gan.networks.mlp import MLP

    class Labelled(nn.Module):
        def __init__(self, latent, shape, classes):
            super().__init__()
            self.images = MLP(width=8).build_generator(latent, shape)
            self.codes = nn.Embedding(classes, latent)

        def forward(self, latents, label):
            return self.images(latents + self.codes(label))

    class Mine(MLP):
        {declared}

        def build_generator(self, latent, shape):
            if not self.classes:
                return super().build_generator(latent, shape)
            labelled = Labelled(latent, shape, self.classes)
            return {returned}
"""


@pytest.mark.parametrize(
    ("declared", "returned", "sentence"),
    [
        ("conditional = True", "labelled", ""),
        ("conditional = True", "labelled.images", "a use of it ended with TypeError"),
        ("pass", "labelled.images", ""),  # the class itself declares no labels
    ],
)
def test_declared_labels_are_tried(check_source, declared, returned, sentence):
    found = check_source(LABELLED.format(declared=declared, returned=returned))
    assert sentence in found
    assert bool(found) == bool(sentence)


WRONG_USES = {  # errors of ganbench's and torch's code, without a line of the part
    "detached loss": (
        """
        class Mine(Loss):
            def discriminator_loss(self, real, fake):
                return (fake - real).mean().detach()
            def generator_loss(self, fake, real):
                return -fake.mean()
        """,
        ("a use of it ended with RuntimeError: element 0 of tensors", "(line 6 of mine.py)"),
    ),
    "other size": (
        """
        class Mine(MLP):
            def build_generator(self, latent, shape):
                return nn.Linear(3, 3)
        """,
        ("cannot be multiplied", "(line 6 of mine.py)"),
    ),
    "variant of another size": (
        """
        class Wrong(MLP):
            def build_generator(self, latent, shape):
                return nn.Linear(3, 3)

        mine = Recipe("A recipe.", network="mine.py:Wrong")
        """,
        ("(line 6 of mine.py)", "(line 10 of mine.py)"),
    ),
    "argument of a hook": (
        """
        class Mine(Trick):
            def transform_discriminator_input(self, x):
                return x / 2
        """,
        (
            "transform_discriminator_input has the arguments (self, x), expected (self, x: torch.Tensor, ",
            "(line 6 of mine.py)",
        ),
    ),
    "images of NumPy": (
        """
        @dataclass(frozen=True)
        class Mine(Data):
            shapes: dict = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 8)})
            def load(self):
                examples = Examples(np.zeros((100, 1, 8, 8), np.uint8), np.zeros(100))
                return Split({IMAGE: examples}, {IMAGE: examples})
        """,
        (
            "train examples are of ndarray, expected a torch.Tensor",
            "held-out labels are of ndarray, expected a torch.Tensor",
        ),
    ),
}


@pytest.mark.parametrize(("source", "sentences"), WRONG_USES.values(), ids=WRONG_USES)
def test_errors_without_a_line_of_the_part_are_faults(check_source, tmp_path, source, sentences):
    imports = """
        from dataclasses import dataclass, field
        import numpy as np
        from ganbench.extend import *
        from ganbench.gan.networks.mlp import MLP, nn"""
    found = check_source(f"{imports}{source}")
    for sentence in sentences:
        assert sentence in found
    assert "its check ended" not in found


@pytest.mark.parametrize("error", [MemoryError(), OSError("no space"), NotDownloaded("gone")])
def test_errors_of_the_machine_are_no_faults(error):
    def find():
        raise error

    checked = run_check("mine.py", "loss mine.py:Mine", find, lambda: "line 6 of mine.py")
    assert checked.faults == ()
    assert type(error).__name__ in checked.error


@pytest.mark.parametrize("arguments", ["width, *, bias=True", "width, **options", "*given, bias=1"])
def test_hooks_may_take_arguments_in_other_ways(check_source, arguments):
    source = f"""
        from ganbench.extend import *
        from ganbench.gan.networks.mlp import MLP

        class Mine(MLP):
            def build_head(self, {arguments}):
                return Head({"given[0]" if "given" in arguments else "width"})
    """
    assert check_source(source) == ""


@pytest.mark.parametrize(
    ("made", "line"),
    [("mine = 1", 2), ("mine: int = 1", 2), ("if True:\n    class mine: ...", 3), ("exec('')", 1)],
)
def test_line_of_a_part_is_found(made, line):
    assert line_of_name(ast.parse(f"import math\n{made}\nprint(mine)"), "mine") == line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class Mine: ...", "has no part: derive a class from Trick, Loss"),
        ("class Mine(:", "line 1 of "),
    ],
)
def test_file_without_parts_is_refused(tmp_path, text, sentence):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(NoSuchParts, match=sentence):
        check_file(path)


def test_untrusted_file_does_not_run(tmp_path):
    forget_local_files()
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit")
    with pytest.raises(LocalFileError, match="add --trust"):
        check_file(path)


def test_unknown_package_gets_a_suggestion():
    with pytest.raises(
        NoSuchParts, match=r"no installed package with parts; did you mean 'bench'\?"
    ):
        check_package("bennch")


def test_command_needs_trust_for_a_file(ganbench, tmp_path):
    forget_local_files()
    path = tmp_path / "pearson.py"
    path.write_text((EXAMPLES / "pearson.py").read_text())
    code, _, err = ganbench("check", "pearson.py")
    assert (code, "add --trust" in err) == (2, True)
    code, out, _ = ganbench("check", "pearson.py", "--trust", "--json")
    assert (code, read_verdict(out)["faults"]) == (0, [])
    assert ganbench("check", "gone.py")[0] == 2
