"""Heartbeats of long measurements: how often they come, and from which work."""

import pytest
import torch

from ganbench.evaluation import heartbeat
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.heartbeat import listening_to_heartbeats, send_heartbeat
from ganbench.training.sampling import GeneratedSamples


def test_no_listener_is_needed():
    send_heartbeat()


def test_listener_is_called_seldom():
    heard, now = [], 0.0
    with listening_to_heartbeats(lambda: heard.append(now), clock=lambda: now):
        for second in range(100):
            now = float(second)
            send_heartbeat()
    now = 1000.0
    send_heartbeat()
    assert heard == [20.0, 40.0, 60.0, 80.0]


@pytest.fixture
def count_heartbeats(monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_HEARTBEATS", 0.0)

    def count(work):
        heard = []
        with listening_to_heartbeats(lambda: heard.append(1)):
            work()
        return len(heard)

    return count


def test_batches_and_metrics_send_heartbeats(count_heartbeats):
    evaluator = evaluator_for("digits", "cpu")
    images = torch.zeros(1200, 1, 8, 8)
    evaluator.measure_floor(("fid",))  # the real side is cached
    assert count_heartbeats(lambda: evaluator.extract(images.byte())) == 3
    samples = GeneratedSamples(images)
    assert count_heartbeats(lambda: evaluator.measure(samples, ("fid", "kid"))) == 3 + 2
