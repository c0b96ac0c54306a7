"""Signals to stop are acknowledged at once, and only the first time."""

import signal

import pytest

from ganbench.experiments.signals import acknowledge_stop, handle_stop_signals


@pytest.fixture(autouse=True)
def usual_interrupt():
    """Ctrl-C has Python's handler, also in tests that a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_announced_before_the_interrupt(sent):
    lines = []
    before = signal.getsignal(sent)
    with acknowledge_stop(lambda: lines.append("stopping")):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(sent)
            assert lines == ["stopping"]
    assert signal.getsignal(sent) == before


def test_closed_terminal_does_not_hide_the_interrupt():
    def announce():
        raise BrokenPipeError

    with acknowledge_stop(announce), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with acknowledge_stop(lambda: pytest.fail("it was announced")):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def restored_handlers():
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_like_ctrl_c(restored_handlers, sent):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    handle_stop_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(sent)


def test_hangup_stays_ignored_under_nohup(restored_handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handle_stop_signals()
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
