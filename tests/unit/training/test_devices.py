"""Numerics: settings that decide the last digits of a training, and their application."""

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


def test_identity_of_stored_trials_is_stable():
    """Stored trials hold exactly this data; a new field must not change it."""
    expected = {"device": "cpu", "dtype": "float32", "tf32": False, "compile": False, "threads": 1}
    assert Numerics("cpu").identity() == expected
    assert Numerics("cuda").identity() == {**expected, "device": "cuda"}


def test_process_uses_one_thread():
    subprocess.run([sys.executable, "-c", THREADS], check=True, timeout=120)


@pytest.mark.parametrize("allowed", [True, False])
def test_full_precision_restores_previous_setting(allowed):
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
