"""A suite with a baseline that tests of gates share."""

import pytest
from gate_runs import SUITE, run_on_cpu

from ganbench.ci.quality.baseline import read_baseline_file


@pytest.fixture(scope="session")
def gate_folder(tmp_path_factory):
    """A folder with a suite and its baseline."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "guarded.toml").write_text(SUITE)
    result = run_on_cpu(folder, "baseline make guarded.toml --baseline b.json --reason first")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def baseline(gate_folder):
    return read_baseline_file(gate_folder / "b.json")
