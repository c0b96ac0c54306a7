"""A user's generator: its imports, its errors and its prints."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.evaluate import evaluate

OPTIONS = {"extractor": "identity", "metrics": "kid", "floor": False, "device": "cpu"}
FLAGS = ("--extractor", "identity", "--metrics", "kid", "--no-floor", "--count", 20)
REALS = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
HEAD = "import torch\n"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def reals(tmp_path):
    np.save(tmp_path / "reals.npy", REALS)
    return "reals.npy"


def write(name: str, code: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    return f"{name}:make"


def images_of(expression: str) -> str:
    return f"import torch\ndef make(n, seed):\n    return {expression}\n"


IMAGES_CODE = images_of("torch.rand(n, 3, 8, 8)")

FAILING = {  # body of `make`: the sentence
    "import sys; sys.exit(1)": "raised SystemExit: 1 (line 3 of {file}, in make)",
    "raise SystemExit": "raised SystemExit (line 3 of {file}, in make)",
    "quit()": "raised SystemExit: None (line 3 of {file}, in make)",
    "import os; os._exit(1)": "raised SystemExit: 1 (line 3 of {file}, in make)",
    "return {}['missing']": "raised KeyError: 'missing' (line 3 of {file}, in make)",
    "import gone": "raised ModuleNotFoundError: No module named 'gone' (line 3 of {file}, in make)",
    "raise ValueError": "raised ValueError (line 3 of {file}, in make)",
    "raise BaseException('x\\ny')": "raised BaseException: x y (line 3 of {file}, in make)",
    "return torch.zeros(2, 3) @ torch.zeros(2)": "(line 3 of {file}, in make)",
    "return make(n, seed)": "raised RecursionError: maximum recursion depth exceeded",
    "import argparse; argparse.ArgumentParser().error('x')": "SystemExit: 2 (line 3 of {file}, in make)",
    "raise KeyboardInterrupt": None,
}


@pytest.mark.parametrize("body", FAILING)
def test_failing_generator_ends_in_a_sentence(body, reals, ganbench):
    fake = write("quits.py", f"{HEAD}def make(n, seed):\n    {body}\n")
    code, printed, errors = ganbench("eval", fake, reals, *FLAGS)
    if FAILING[body] is None:
        assert code == 130
        return
    assert code == 2
    assert printed == ""
    assert "Traceback" not in errors
    assert FAILING[body].format(file=Path("quits.py").resolve()) in " ".join(errors.split())


IMPORTS = {  # code of the module: the sentence
    "import sys\nsys.exit(0)\n": "SystemExit: 0 (line 2 of {file}, in <module>); move code",
    "import gone\n": "ModuleNotFoundError: No module named 'gone' (line 1 of {file}, in <module>)",
    "x = {}\nx['a']\n": "KeyError: 'a' (line 2 of {file}, in <module>)",
    "def make(:\n": "SyntaxError: invalid syntax (line 1 of {file})",
    "import os\nos._exit(3)\n": "SystemExit: 3 (line 2 of {file}, in <module>)",
    "def __getattr__(name):\n    raise ValueError(name)\n": "ValueError: make (line 2 of {file}",
    "make = 3\n": "has no function make",
}


@pytest.mark.parametrize("module", IMPORTS)
@pytest.mark.parametrize("named", [False, True])
def test_failing_import_ends_in_a_sentence(module, named, reals, ganbench, monkeypatch):
    name = f"failing{len(module)}"
    write(f"{name}.py", module)
    monkeypatch.syspath_prepend(".")
    fake = f"{name}:make" if named else f"{name}.py:make"
    code, printed, errors = ganbench("eval", fake, reals, *FLAGS)
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert (code, printed) == (2, "")
    assert IMPORTS[module].format(file=Path(f"{name}.py").resolve()) in " ".join(errors.split())


def test_missing_file_is_named(reals, ganbench):
    code, _, errors = ganbench("eval", "gone.py:make", reals, *FLAGS)
    assert (code, "there is no file gone.py" in errors) == (2, True)


def test_arguments_are_those_of_no_program(reals, ganbench):
    parser = "import argparse\nargs = argparse.ArgumentParser().parse_args()\n"
    fake = write("argp.py", parser + IMAGES_CODE)
    code, printed, _ = ganbench("eval", fake, reals, *FLAGS)
    assert (code, "KID" in printed) == (0, True)
    required = parser.replace("args =", "p =").replace(".parse_args()", "") + (
        "p.add_argument('--ckpt', required=True)\np.parse_args()\n"
    )
    code, _, errors = ganbench("eval", write("argq.py", required), reals, *FLAGS)
    assert code == 2
    assert "argq.py:make: argq.py cannot be imported: SystemExit: 2 (line 4 of" in errors
    assert "move code that runs a program below `if __name__ == '__main__':`" in errors


def test_wrong_signature_names_the_function(reals):
    fake = write("one.py", "def make():\n    pass\n")
    with pytest.raises(
        Unreadable, match=r"too many positional .* \(line 1 of .*one\.py, in make\)"
    ):
        evaluate(fake, reals, count=20, **OPTIONS)


RETURNED = {
    "None": "returned a NoneType, not an array of images",
    "torch.eye(n).to_sparse()": "sparse, quantized or on `meta` holds no images",
    "torch.rand(n, 3, 8, 8, device='meta')": "sparse, quantized or on `meta` holds no images",
    "[torch.rand(3, 8, 8), torch.rand(3, 9, 9)]": "returned",
    "type('A', (), {'shape': (50,), 'dtype': 'float', '__array__': lambda s: exit(1)})()": "returned",
    "3": "returned a int, not an array of images",
}


@pytest.mark.parametrize("expression", RETURNED)
def test_odd_result_ends_in_a_sentence(expression, reals, ganbench):
    fake = write("odd.py", images_of(expression))
    code, printed, errors = ganbench("eval", fake, reals, *FLAGS)
    assert (code, printed) == (2, "")
    assert RETURNED[expression] in errors
    assert "odd.py:make" in errors


def test_quitting_generator_is_no_regression(reals, ganbench):
    for number in range(8):
        folder = Path(f"runs/base{number}")
        folder.mkdir(parents=True)
        levels = np.random.default_rng(number + 1).integers(0, 256, (20, 8, 8, 3), np.uint8)
        for index, level in enumerate(levels):
            Image.fromarray(level).save(folder / f"{index}.png")
    bases = [f"runs/base{number}" for number in range(8)]
    settings = ("--real", reals, "--baseline", "b.json")
    made = ("--extractor", "identity", "--metrics", "fid", "--margin", "fid=0.1", "--reason", "x")
    assert ganbench("baseline", "make", *bases, *settings, *made)[0] == 0
    fake = write("quits.py", "import sys\ndef make(n, seed):\n    sys.exit(1)\n")
    for images in ([fake, *bases[:2]], [*bases[:2], fake]):
        code, printed, errors = ganbench("gate", *images, *settings)
        assert (code, printed) == (2, "")
        assert "quits.py:make raised SystemExit: 1 (line 3 of" in errors


# Imports


def test_file_imports_its_neighbours(reals):
    write("proj/models.py", "import torch\ndef net(n):\n    return torch.rand(n, 3, 8, 8)\n")
    write("proj/pack/__init__.py", "from models import net\n")
    bodies = {
        "top.py": "from models import net\ndef make(n, seed):\n    return net(n)\n",
        "lazy.py": "def make(n, seed):\n    from pack import net\n    return net(n)\n",
    }
    wanted = evaluate(write("plain.py", IMAGES_CODE), reals, count=20, **OPTIONS)["kid"]
    for name, code in bodies.items():
        fake = write(f"proj/{name}", code)
        assert evaluate(fake, reals, count=20, **OPTIONS)["kid"] == wanted
    assert "models" not in sys.modules


def test_neighbour_is_found_from_within_its_folder(reals, monkeypatch):
    write("proj/shapes.py", "SIDE = 8\n")
    write("proj/gen.py", "import shapes\n" + images_of("torch.rand(n, 3, shapes.SIDE, 8)"))
    monkeypatch.chdir("proj")
    assert evaluate("gen.py:make", f"../{reals}", count=20, **OPTIONS).terms.fakes == 20


def test_folders_have_neighbours_of_equal_names(reals):
    values = []
    for number in (0, 1):
        write(f"run{number}/models.py", f"LEVEL = {number}\n")
        code = "from models import LEVEL\n" + images_of("torch.full((n, 3, 8, 8), float(LEVEL))")
        values.append(write(f"run{number}/gen.py", code))
    scores = [evaluate(fake, reals, count=20, **OPTIONS)["kid"] for fake in (*values, values[0])]
    assert scores[0] == scores[2] != scores[1]


def test_neighbour_hides_no_library(reals):
    write("proj/torch.py", "raise ValueError\n")
    write("proj/ganbench.py", "raise ValueError\n")
    fake = write("proj/gen.py", IMAGES_CODE)
    assert evaluate(fake, reals, count=20, **OPTIONS).terms.fakes == 20
    assert Path(sys.modules["torch"].__file__).name == "__init__.py"


def test_dataclass_in_a_file_is_defined(reals):
    code = (
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass A:\n"
    )
    fake = write("data_gen.py", code + "    n: int = 3\n" + IMAGES_CODE)
    assert evaluate(fake, reals, count=20, **OPTIONS).terms.fakes == 20


# Prints

PRINTS = """\
import os, subprocess, sys, torch
print("imported")
def make(n, seed):
    print("sampling", n)
    sys.__stdout__.write("direct\\n")
    os.write(1, b"descriptor\\n")
    subprocess.run(["echo", "child"])
    return torch.rand(n, 3, 8, 8)
"""


def test_prints_of_generators_go_to_stderr(reals):
    command = [sys.executable, "-c", "from ganbench.cli import main; main()", "eval"]
    fake = write("prints.py", PRINTS)
    run = subprocess.run(
        [*command, fake, reals, *map(str, FLAGS), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(run.stdout)["metrics"][0]["metric"] == "kid"
    lines = run.stderr.splitlines()
    assert {"imported", "sampling 50", "direct", "descriptor", "child"} <= {*lines}
