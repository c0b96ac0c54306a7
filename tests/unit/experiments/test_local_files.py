"""Suites name parts in local files, whose code runs only with trust and is part of identities."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from ganbench.data import DATA
from ganbench.errors import GanbenchError
from ganbench.evaluation.metrics import METRICS
from ganbench.experiments.executors.base import Job, JobStatus, TrialLimits
from ganbench.experiments.executors.bundle import Bundle
from ganbench.experiments.keep_sources import copy_files_of_trial
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite
from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks import TRICKS
from ganbench.local_files import VARIABLE, LocalFile, bind_files, forget_local_files, hash_text
from ganbench.registry import SpecError, explain_error, parse_spec

TRICK = """\
from ganbench.extend import Trick


class Scale(Trick):
    def __init__(self, factor: float = 2.0):
        super().__init__()
        if factor <= 0:
            raise ValueError("factor must be above 0")
        self.factor = factor

    def generator_terms(self, batch):
        yield "scale", self.factor * batch.fake_score.square().mean()
"""
SUITE = """\
schema = 1
name = "mine"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 1
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge"]
[grid.tricks]
design = "one_at_a_time"
of = ["my_tricks.py:Scale(factor=3)"]
[budget.cpu]
generator_turns = 3
"""
PARTS = """\
import torch
from ganbench.extend import *
from ganbench.gan.losses.hinge import Hinge
from ganbench.data.ring import Ring
from ganbench.evaluation.metrics.fid import FID

class MyLoss(Hinge):
    pass

class MyRing(Ring):
    pass

class MyFID(FID):
    pass

my_gan = Recipe("My GAN.", network="mlp(width=8)", loss="parts/all.py:MyLoss")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a suite and of its file, under another working directory."""
    monkeypatch.setenv(VARIABLE, "")
    (tmp_path / "suites").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "suites" / "my_tricks.py").write_text(TRICK)
    (tmp_path / "suites" / "mine.toml").write_text(SUITE)
    yield tmp_path / "suites"
    forget_local_files()


def plan(folder):
    suite = load_suite(folder / "mine.toml", trust=True)
    return [item.trial for item in plan_trials(suite, "cpu", "cpu")]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusal(folder, *overrides, trust=True):
    with pytest.raises(GanbenchError) as error:
        load_suite(folder / "mine.toml", overrides, trust=trust)
    return str(error.value)


def test_a_local_trick_has_a_label(folder):
    assert [t.tricks for t in plan(folder)] == [(), (), ("my_tricks.py:Scale(factor=3)",)]
    assert TRICKS.label("my_tricks.py:Scale(factor=2)") == "my_tricks.py:Scale"
    assert TRICKS.make("my_tricks.py:Scale(factor=5)").factor == 5


def test_untrusted_code_never_runs(folder, tmp_path):
    edit(folder / "my_tricks.py", "from", f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom")
    told = refusal(folder, trust=False)
    assert "mine.toml:12: grid[0].tricks.of[0]: my_tricks.py is code" in told
    assert "--trust" in told
    assert not (tmp_path / "ran").exists()
    load_suite(folder / "mine.toml", trust=True)
    assert (tmp_path / "ran").exists()


def test_each_untrusted_file_is_named_once(folder):
    edit(folder / "mine.toml", '["my_tricks.py', '["my_tricks.py:Scale", "o.py:A", "my_tricks.py')
    (folder / "o.py").write_text("")
    sentence = refusal(
        folder, 'metrics=["fid", "my_tricks.py:Mine", "my_tricks.py:Other"]', trust=False
    )
    assert sentence.count("add --trust") == 2
    assert (sentence.count("my_tricks.py is code"), sentence.count("o.py is code")) == (1, 1)


def test_a_changed_file_makes_other_trials(folder):
    before = plan(folder)
    edit(folder / "my_tricks.py", "square", "abs")
    after = plan(folder)
    assert [a.id == b.id for a, b in zip(before, after, strict=True)] == [True, True, False]
    identity = after[-1].identity["tricks"][0]
    assert identity["source"] == hash_text((folder / "my_tricks.py").read_text())
    assert identity["name"] == "Scale"


def test_remarks_and_places_keep_trials(folder):
    before = plan(folder)
    edit(folder / "my_tricks.py", "class", "\n# a remark\nclass")
    assert [t.id for t in plan(folder)] == [t.id for t in before]
    (folder / "deeper").mkdir()
    (folder / "my_tricks.py").rename(folder / "deeper" / "tricks-2.py")
    edit(folder / "mine.toml", "my_tricks.py", "deeper/tricks-2.py")
    moved = plan(folder)
    assert moved[-1].tricks == ("deeper/tricks-2.py:Scale(factor=3)",)
    assert [t.id for t in moved] == [t.id for t in before]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("    pass", "    pass  # why", True),
        ("    pass", "    pass\n\n", True),
        ("    pass", "    pass\r", True),
        ("import math", "import cmath as math", False),
        ("'''a\n\nb'''", "'''a\nb'''", False),
        ("'# text'", "'# texts'", False),
    ],
)
def test_a_hash_covers_all_but_remarks(old, new, same):
    text = "import math\n\nX = '''a\n\nb'''\nY = '# text'\nclass A:\n    pass\n"
    changed = text.replace(old, new).replace("\r\n", "\n")
    assert (hash_text(text) == hash_text(changed)) is same
    assert hash_text("def broken(") != hash_text("def broken")


def test_every_kind_of_part(folder):
    (folder / "parts").mkdir()
    (folder / "parts" / "all.py").write_text(PARTS)
    edit(folder / "mine.toml", '["digits"]', '["parts/all.py:MyRing(modes=5)"]')
    edit(folder / "mine.toml", '["fid"]', '["fid", "parts/all.py:MyFID"]')
    edit(folder / "mine.toml", '["gan(width=8)"]', '["parts/all.py:my_gan(width=4)"]')
    edit(folder / "mine.toml", '["hinge"]', '["own", "parts/all.py:MyLoss"]')
    trials = plan(folder)
    assert {t.data for t in trials} == {"parts/all.py:MyRing(modes=5)"}
    assert {t.recipe.loss for t in trials} == {"parts/all.py:MyLoss"}
    assert {t.recipe.network for t in trials} == {"mlp(width=4)"}
    versions = [r.load(f"parts/all.py:{n}").version for r, n in
                [(LOSSES, "MyLoss"), (DATA, "MyRing"), (METRICS, "MyFID")]]  # fmt: skip
    assert len(set(versions)) == 1
    assert versions[0] > 2**20


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("gone.py:Scale", "there is no file"),
        ("my_tricks.py:Scaled", "my_tricks.py has no class 'Scaled'; it has Scale"),
        ("my_tricks.py:Trick", "my_tricks.py has no class 'Trick'; it has Scale"),
        ("my_tricks.py:Scale(factor=0)", "factor must be above 0"),
        ("my_tricks.py:Scale(facto=1)", "has no setting 'facto'; did you mean 'factor'?"),
        ("other.py:Loss", "Loss in other.py is no trick: derive it from ganbench.extend.Trick"),
        ("broken.py:A", "trick broken.py:A failed: SyntaxError"),
        ("raises.py:A", "ZeroDivisionError: division by zero (line 2 of raises.py); correct raises.py"),
        ("beside.py:A", "beside.py:1 imports a file beside it"),
        ("a b.py:A-b", "names are written with _, so 'a b.py:A_b'"),
    ],
)  # fmt: skip
def test_mistakes_have_sentences(folder, override, sentence):
    (folder / "other.py").write_text("class Loss:\n    pass\n")
    (folder / "broken.py").write_text("class A(:\n")
    (folder / "raises.py").write_text("class A:\n    x = 1 / 0\n")
    (folder / "beside.py").write_text("import my_tricks\n")
    assert sentence in refusal(folder, f'grid.0.tricks.of=["{override}"]')


@pytest.mark.parametrize("is_on_path", [True, False])
def test_a_package_beside_needs_no_init_file(folder, monkeypatch, is_on_path):
    (folder / "my_helpers").mkdir()
    (folder / "my_helpers" / "strength.py").write_text("FACTOR = 1\n")
    (folder / "torch").mkdir()  # the installed package is meant
    (folder / "mine.py").write_text("import torch\n\nfrom my_helpers.strength import FACTOR\n")
    if is_on_path:
        monkeypatch.syspath_prepend(folder)
    sentence = refusal(folder, 'grid.0.tricks.of=["mine.py:A"]')
    assert "mine.py:3 imports a file beside it" in sentence


def test_a_failing_hook_names_its_line(folder):
    plan(folder)
    trick = TRICKS.make("my_tricks.py:Scale")
    with pytest.raises(AttributeError) as error:
        list(trick.generator_terms(None))
    told = explain_error(error.value)
    assert told.startswith("my_tricks.py failed: AttributeError")
    assert "(line 12 of my_tricks.py); correct my_tricks.py" in told


def test_only_suites_name_local_files(folder):
    with pytest.raises(ValueError, match="only a suite can name it"):
        TRICKS.make("never_named.py:Scale")
    with pytest.raises(SpecError, match="is not a spec"):
        parse_spec("os.system:Scale")


RESUME = """
import sys
from pathlib import Path
from ganbench.experiments.executors.node_worker import enter_bundle
from ganbench.gan.tricks import TRICKS
trial = enter_bundle(Path(sys.argv[1])).statuses[0].job.trial
print(trial.id, TRICKS.make(trial.recipe.tricks[0]).factor)
"""


def test_workers_read_copies(folder, ganbench, tmp_path):
    code, _, errors = ganbench("run", folder / "mine.toml", "--workers", "0", "--trust")
    assert code == 0, errors
    content = json.loads((tmp_path / "results" / "mine" / "plan.json").read_text())
    (digest,) = content["sources"].values()
    places = json.loads(os.environ[VARIABLE])
    path, bound = places["my_tricks.py"]
    assert (bound, os.path.basename(path), os.path.isabs(path)) == (digest, f"{digest}.py", True)
    assert (tmp_path / f"results/mine/sources/{digest}.py").read_text() == TRICK
    trial = plan(folder)[-1]
    os.environ[VARIABLE] = json.dumps(places)
    job = Job(trial, ("fid",), tmp_path / "results")
    bundle = Bundle(tmp_path / "1.json", [JobStatus(job)], TrialLimits(60, 60))
    bundle.write()
    shutil.rmtree(folder)
    del os.environ[VARIABLE]
    call = [sys.executable, "-c", RESUME, str(bundle.path)]
    told = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert told == [trial.id, "3.0"]


@pytest.mark.parametrize("name", ["my_tricks.py", "größe.py", "parts/my tricks.py"])
def test_a_trial_keeps_the_files_that_it_names(folder, tmp_path, name):
    """The other file's name is the end of this one's."""
    other = name[1:].rpartition("/")[2]
    (folder / "parts").mkdir()
    (folder / "my_tricks.py").rename(folder / name)
    (folder / other).write_text(TRICK.replace("square", "abs"))
    edit(folder / "mine.toml", "my_tricks.py:Scale", f"{name}:Scale")
    (*plain, trial) = plan(folder)
    bind_files([LocalFile(other, folder / other)])
    assert list(copy_files_of_trial(trial, tmp_path / "trial")) == [name]
    assert [copy_files_of_trial(each, tmp_path / "plain") for each in plain] == [{}, {}]
    named = replace(plain[0], data=f"ring(of='{other}:Ring(modes=5)')")
    assert list(copy_files_of_trial(named, tmp_path / "named")) == [other]


def test_stored_code_needs_trust(folder, ganbench, tmp_path):
    assert ganbench("run", folder / "mine.toml", "--workers", "0", "--trust")[0] == 0
    forget_local_files()
    (tmp_path / "moved").mkdir()
    shutil.rmtree(folder)
    assert ganbench("report", "mine")[0] == 0
    assert ganbench("samples", "mine", "none")[0] == 0
    code, _, errors = ganbench("samples", "mine", "Scale")
    assert (code, "my_tricks.py is code" in errors) == (2, True)
    assert ganbench("samples", "mine", "Scale", "--trust")[0] == 0
    forget_local_files()
    assert ganbench("export", "mine")[0] == 0
    assert ganbench("merge", "mine.tar.gz", "--results", "moved")[0] == 0
    assert ganbench("samples", "moved/mine", "Scale")[0] == 2
    assert ganbench("samples", "moved/mine", "Scale", "--trust")[0] == 0
    (copy,) = (tmp_path / "moved" / "trials").rglob("*.py")
    copy.write_text(TRICK.replace("square", "abs"))
    forget_local_files()
    code, _, errors = ganbench("samples", "moved/mine", "Scale", "--trust")
    assert (code, "my_tricks.py has changed since" in errors) == (2, True)


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        ("strength", "needs a type annotation, such as `strength: float`"),
        ("strength: list", "has the type <class 'list'>, but settings are bool, int, float, str"),
        ("strength: int | str", "has the type int | str, but settings are bool"),
    ],
)
def test_a_setting_without_a_usable_type_is_named(folder, annotation, sentence):
    edit(folder / "my_tricks.py", "factor: float = 2.0", f"factor: float = 2.0, {annotation} = 1")
    message = refusal(folder, "grid.0.tricks.of=['my_tricks.py:Scale(strength=3)']")
    assert f"the setting strength of Scale in my_tricks.py {sentence}" in message
    load_suite(folder / "mine.toml", trust=True)  # at its default
