"""Windows of two processes take turns on one core, whatever the other side does."""

import os
import threading

import pytest

from ganbench.ci.performance.harness.alternation import Alternation
from ganbench.ci.performance.process import core_of_pair, paired_pipes


class PairOfSides:
    """Two sides, each in a thread of its own; `log` has the windows in the order of their ends."""

    def __init__(self):
        self.pipes = paired_pipes()
        self.sides = [Alternation(n == 0, self.pipes[n], core=None) for n in (0, 1)]
        self.log = []

    def run_windows(self, number, benchmark, count):
        side = self.sides[number]
        side.start(benchmark)
        for window in range(count):
            side.await_turn()
            self.log.append((benchmark, window, number))
            side.finish_window()
        side.await_windows(side.window)
        side.send(benchmark)

    def run(self, *works):
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)

    def close(self, number):
        for pipe in self.pipes[number]:
            os.close(pipe)


@pytest.fixture
def pair():
    return PairOfSides()


def test_sides_go_first_in_turn(pair):
    pair.run(lambda: pair.run_windows(0, "x", 4), lambda: pair.run_windows(1, "x", 4))
    assert [side for _, _, side in pair.log] == [0, 1, 1, 0, 0, 1, 1, 0]
    assert [window for _, window, _ in pair.log] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_side_with_fewer_windows_ends_earlier(pair):
    pair.run(lambda: pair.run_windows(0, "x", 5), lambda: pair.run_windows(1, "x", 2))
    assert [side for _, _, side in pair.log] == [0, 1, 1, 0, 0, 0, 0]


def test_failed_benchmark_lets_the_other_side_go_on(pair):
    def other():
        pair.sides[1].send("x")  # it failed
        pair.run_windows(1, "y", 2)

    def one():
        pair.run_windows(0, "x", 2)
        pair.run_windows(0, "y", 2)

    pair.run(one, other)
    assert [entry for entry in pair.log if entry[0] == "y"] == [
        ("y", 0, 0),
        ("y", 0, 1),
        ("y", 1, 1),
        ("y", 1, 0),
    ]


def test_end_of_a_process_lets_the_other_side_go_on(pair):
    def ends():
        pair.sides[1].start("x")
        pair.sides[1].await_turn()
        pair.close(1)  # before its window ends

    pair.run(lambda: pair.run_windows(0, "x", 3), ends)
    assert [window for _, window, side in pair.log if side == 0] == [0, 1, 2]
    assert pair.sides[0].pipes is None


def test_silent_side_is_not_awaited_forever(pair, monkeypatch):
    monkeypatch.setattr("ganbench.ci.performance.harness.alternation.MAX_WAIT_SECONDS", 0.05)
    pair.run(lambda: pair.run_windows(0, "x", 2))
    assert len(pair.log) == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no choice of cores here")
def test_windows_run_on_one_core_and_the_rest_on_all():
    before = os.sched_getaffinity(0)
    core = core_of_pair(0)
    alone = Alternation(True, None, core)
    alone.start("x")
    try:
        assert os.sched_getaffinity(0) == {core}
    finally:
        alone.unpin()
    assert os.sched_getaffinity(0) == before
    assert {core_of_pair(n) for n in range(len(before))} == before
