"""Four processes with slices of each batch follow one process."""

import pytest
from process_pair import ALONE, TOLERANCE, Case, ProcessPair, largest_gaps

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def four():
    four = ProcessPair(4)
    yield four
    four.close()


@pytest.mark.parametrize(
    "case",
    [
        Case("dcgan(width=4)", tricks=("minibatch_std", "ema")),
        Case("gan(width=8)", tricks=("unrolled(turns=1)",), loss="relativistic_average"),
        Case("cdcgan(width=4)", tricks=("top_k", "diffaugment")),
    ],
    ids=str,
)
def test_four_processes_follow_one(four, case):
    assert max(largest_gaps(four.call(case), case.train(ALONE))) < TOLERANCE
