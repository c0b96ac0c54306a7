"""Generators: exported networks, and Python functions that fail or return no images."""

import warnings
from functools import partial
from pathlib import Path

import torch

from .base import WriteInput, register_input

LATENT_SIZE = 3 * 8 * 8
FUNCTIONS = """\
import torch

def good(count, seed):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

def boom(count, seed):
    raise ValueError("boom")

def quits(count, seed):
    raise SystemExit(1)

def few(count, seed):
    return torch.rand(count - 1, 3, 8, 8)

def nan(count, seed):
    return torch.full((count, 3, 8, 8), torch.nan)

def text(count, seed):
    return "images"

nothing = None
"""
INPUTS: dict[str, WriteInput] = {}
odd_input = partial(register_input, INPUTS)


class Generator(torch.nn.Module):
    def forward(self, z):
        return z.tanh().view(-1, 3, 8, 8)


@odd_input("TorchScript, without --trust")
def write_torchscript(folder: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but many files are in it
        torch.jit.script(Generator()).save(str(folder / "x.pt"))
    return [str(folder / "x.pt")]


@odd_input("TorchScript, with --trust")
def trust_torchscript(folder: Path) -> list[str]:
    return [*write_torchscript(folder), "--trust", "--latent", str(LATENT_SIZE)]


@odd_input("TorchScript, without --latent")
def trust_torchscript_without_latent(folder: Path) -> list[str]:
    return [*write_torchscript(folder), "--trust"]


@odd_input("torch.export, with --trust")
def trust_exported_program(folder: Path) -> list[str]:
    example = (torch.zeros(4, LATENT_SIZE),)
    batch = torch.export.Dim("batch")
    program = torch.export.export(Generator(), example, dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "x.pt2")
    return [str(folder / "x.pt2"), "--trust"]


def write_functions(name: str, folder: Path) -> list[str]:
    """Writes all functions, and returns the path of one of them."""
    (folder / "mine.py").write_text(FUNCTIONS)
    return [f"{folder}/mine.py:{name}"]


odd_input("function")(partial(write_functions, "good"))
odd_input("function that raises")(partial(write_functions, "boom"))
odd_input("function that ends the program")(partial(write_functions, "quits"))
odd_input("function that makes too few images")(partial(write_functions, "few"))
odd_input("function that makes NaN")(partial(write_functions, "nan"))
odd_input("function that returns a text")(partial(write_functions, "text"))
odd_input("function that is none")(partial(write_functions, "nothing"))
odd_input("function that is not there")(partial(write_functions, "goood"))


@odd_input("module that is not there")
def pass_missing_module(folder: Path) -> list[str]:
    return ["no_such_module:make"]
