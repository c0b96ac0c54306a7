"""Numerics: what decides the last digits of a training, and that a process is set to it."""

import subprocess
import sys

import pytest
import torch

from ganbench.devices import Numerics, full_precision, set_tf32

THREADS = """
import torch
from threadpoolctl import threadpool_info
from ganbench.devices import Numerics
import numpy
torch.set_num_threads(2)
Numerics(threads=1).apply()
assert torch.get_num_threads() == 1, torch.get_num_threads()
assert {pool["num_threads"] for pool in threadpool_info()} == {1}, threadpool_info()
"""


def test_identities_of_stored_trials_stay():
    """The plain data that every stored trial's identity holds: a new field must not show in it."""
    expected = {"device": "cpu", "dtype": "float32", "tf32": False, "compile": False, "threads": 1}
    assert Numerics("cpu").identity() == expected
    assert Numerics("cuda").identity() == {**expected, "device": "cuda"}


def test_a_process_is_set_to_one_thread_of_everything():
    subprocess.run([sys.executable, "-c", THREADS], check=True, timeout=120)


@pytest.mark.parametrize("allowed", [True, False])
def test_full_precision_restores_what_was_set(allowed):
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        set_tf32(allowed)
        with full_precision():
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.backends.cudnn.allow_tf32 is allowed
    finally:
        set_tf32(before)
