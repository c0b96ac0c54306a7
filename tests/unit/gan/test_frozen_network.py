"""Frozen parts of networks: gradients pass through them, and nothing changes them."""

import textwrap
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from ganbench.ci.methods.contracts.check_parts import check_file
from ganbench.ci.methods.contracts.trainings import SmallTraining
from ganbench.extend import FrozenNetwork
from ganbench.local_files import forget_local_files, resolve_beside, trust_local_files

SOURCE = """
    from dataclasses import dataclass
    import torch
    from torch import nn
    from ganbench.extend import *
    from ganbench.gan.networks.mlp import MLP

    def read_backbone():
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12))
        torch.manual_seed(5)
        weights = {{k: torch.rand(v.shape) for k, v in backbone.state_dict().items()}}
        backbone.load_state_dict(weights)
        return {wrapped}

    @dataclass(frozen=True)
    class Projected(MLP):
        def build_discriminator(self, shape):
            return Discriminator(nn.Sequential(read_backbone(), nn.Linear(12, 8)), (8,), Head(8))

    projected = Recipe("Projected.", network="mine.py:Projected(width=8)", loss="hinge")
"""


@pytest.fixture
def write(tmp_path):
    trust_local_files()

    def write(wrapped):
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(SOURCE).format(wrapped=wrapped))
        return path

    yield write
    forget_local_files()


@pytest.fixture
def frozen():
    layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    return FrozenNetwork(layers)


def test_it_has_no_weights_for_an_optimizer_or_a_checkpoint(frozen):
    assert list(frozen.parameters()) == []
    assert frozen.state_dict() == {}


def test_it_stays_in_evaluation_mode(frozen):
    x = torch.randn(6, 3)
    expected = frozen(x)
    assert torch.equal(frozen.train()(x), expected)
    assert torch.equal(frozen(x[:2]), expected[:2])


def test_gradients_reach_its_inputs(frozen):
    x = torch.randn(6, 3, requires_grad=True)
    frozen(x).sum().backward()
    linear = frozen.hidden[0][0]
    expected = linear.weight.sum(0) / (1 + frozen.hidden[0][1].eps) ** 0.5
    assert torch.allclose(x.grad, expected.expand(6, 3), atol=1e-6)
    assert linear.weight.grad is None


def test_it_moves_and_copies_with_its_owner(frozen):
    owner = nn.Sequential(frozen, nn.Linear(4, 1))
    copy = deepcopy(owner).double()
    x = torch.randn(5, 3)
    assert torch.allclose(copy(x.double()), owner(x).double(), atol=1e-6)


def test_a_training_keeps_it(write):
    path = write("FrozenNetwork(backbone)")
    report = check_file(path)
    assert (len(report.checked), report.faults, report.errors) == (2, [], [])
    with resolve_beside(Path(path.parent)):
        trainer = SmallTraining("mine.py:projected").make()
        modules = trainer.task.discriminators.modules()
        backbone = next(m for m in modules if isinstance(m, FrozenNetwork)).hidden[0]
        before = deepcopy(backbone.state_dict())
        trainer.train_step()
    after = backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert 0 <= before["1.weight"].min() <= before["1.weight"].max() < 1


def test_frozen_weights_elsewhere_are_refused(write):
    (first, *_) = check_file(write("backbone.requires_grad_(False)")).faults
    assert "build_discriminator returns frozen weights (body.0.1.weight" in first.sentence
    assert "ganbench.extend.FrozenNetwork (line 17 of mine.py)" in first.sentence.replace("`", "")


def test_weights_of_a_file_need_initialize(write):
    (first, *_) = check_file(write("backbone")).faults
    assert "build_discriminator sets weights (body.0.1.weight" in first.sentence
