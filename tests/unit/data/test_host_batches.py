"""Batches gathered on the host: graphs, stacked seeds and samples have the bits of memory."""

import os

import numpy as np
import pytest
import torch
from helpers import CPU, training_setup

from ganbench.data.base import IMAGE, BatchLoader, Examples, make_batches
from ganbench.data.host_batches import BATCHES_AHEAD, HostBatches
from ganbench.data.mapped_file import MappedFile, gather_rows
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.graphs import StaticLoader
from ganbench.training.member_tensors import gather_batches
from ganbench.training.sampling import iter_source_batches
from ganbench.training.stacked import StackedTrainer
from ganbench.training.trainer import Trainer

COUNT, BATCH = 37, 8


@pytest.fixture
def both(tmp_path) -> tuple[Examples, Examples]:
    """Equal digits of 8x8 pixels with labels, in memory and in a mapped file."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT + 5, 1, 8, 8), np.uint8)
    (tmp_path / "images").write_bytes(pixels.tobytes())
    file = MappedFile(tmp_path / "images", pixels.shape)
    labels = torch.arange(COUNT) % 10
    mapped = Examples(file.as_tensor()[5:], labels, file=file)  # a view that begins later
    return Examples(torch.from_numpy(pixels[5:]), labels), mapped


def make_loader(examples: Examples, seed: int = 0) -> BatchLoader:
    return BatchLoader({IMAGE: examples}, BATCH, RngStreams(seed, CPU))


def assert_same_batches(ours, theirs) -> None:
    assert ours.keys() == theirs.keys()
    for domain in ours:
        for name, part in vars(ours[domain]).items():
            other = getattr(theirs[domain], name)
            assert (part is None and other is None) or torch.equal(part, other), name


@pytest.mark.parametrize("shape", [(0,), (1,), (5,), (2, 3), (2, 0)])
def test_rows_keep_order_and_repeats(both, shape):
    images, file = both[1].images, both[1].file
    index = torch.randint(COUNT, shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(gather_rows(images, index, file), both[0].images[index])
    repeated = torch.tensor([3, 3, 0, 36, 3])
    assert torch.equal(gather_rows(images, repeated, file), both[0].images[repeated])


def test_rows_without_reading_calls_are_equal(both, monkeypatch):
    monkeypatch.setattr("ganbench.data.mapped_file.CAN_READ_ROWS", False)  # as on Windows
    test_rows_keep_order_and_repeats(both, (5,))


@pytest.mark.parametrize("number", [COUNT, -1])
def test_index_out_of_range_is_an_error(both, number):
    with pytest.raises(IndexError):
        gather_rows(both[1].images, torch.tensor([number]), both[1].file)


def test_truncated_file_is_an_error(both):
    os.truncate(both[1].file.path, 1000)
    loader = make_loader(both[1])
    with pytest.raises(OSError, match="the file is truncated"):
        loader.batches(0)


def test_labels_and_translations_are_gathered(both):
    source = both[0].images
    plain = Examples(source, both[0].labels, truth=255 - source)
    index = torch.tensor([4, 2, 30])
    batch = plain.gather_on_host(index).make_whole_batch(index)
    assert_same_batches({IMAGE: batch}, {IMAGE: plain.make_batch(index)})


def test_host_memory_is_gathered_for_a_device(both):
    """Examples in memory that a GPU has no room for take the same way as examples on disk."""
    host, loader = HostBatches({IMAGE: both[0]}, CPU), make_loader(both[0])
    for number in (0, 1, 2, 7, 3):
        ours = make_batches(host.get(number, loader.batch_indices))
        assert_same_batches(ours, loader.batches(number))


def test_mapped_rows_are_copied_in_pieces(both, monkeypatch):
    monkeypatch.setattr("ganbench.data.mapped_file.COPIED_BYTES_AT_ONCE", 1000)
    assert both[1].place(CPU) is both[1]
    copied = both[1].file.copy_to(CPU, both[1].images)
    assert torch.equal(copied, both[0].images)
    copied[0] = 0  # a copy can be written


def test_batches_ahead_are_bounded(both):
    loader = make_loader(both[1])
    for number in (0, 1, 50, 3, 4):
        loader.batches(number)
        pending = loader.host_batches.pending
        assert set(pending) == set(range(number + 1, number + 1 + BATCHES_AHEAD))


def test_static_batches_equal_eager_ones(both):
    eager, static = make_loader(both[0]), StaticLoader(make_loader(both[1]))
    static.load(0)
    first = static.batches(0)[IMAGE].index.data_ptr()
    for number in (0, 1, 1, 2, 9, 4):
        static.load(number)
        assert_same_batches(static.batches(number), eager.batches(number))
        assert static.batches(number)[IMAGE].index.data_ptr() == first


def test_stacked_batches_equal_memory(both):
    ours, theirs = (
        gather_batches([make_loader(examples, seed) for seed in range(3)], 6) for examples in both
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def train_stacked(examples: Examples) -> list:
    setups = [training_setup(seed=seed) for seed in range(2)]
    loaders = [make_loader(examples, seed) for seed in range(2)]
    streams = [RngStreams(seed, CPU) for seed in range(2)]
    trainer = StackedTrainer(setups, loaders, streams, Budget("generator_turns", 5))
    return [trainer.train_step() or trainer.flush() for _ in range(5)]


def test_stacked_training_equals_memory(both):
    ours, theirs = map(train_stacked, both)
    assert ours == theirs


@pytest.mark.parametrize("n_critic", [1, 3])
def test_training_on_disk_equals_memory(both, n_critic):
    logs = []
    for examples in both:
        setup = training_setup("cdcgan(width=8)", discriminator_turns=n_critic)
        streams = RngStreams(0, CPU)
        trainer = Trainer(setup, make_loader(examples), streams, Budget("generator_turns", 20))
        logs.append([trainer.train_step() or trainer.flush() for _ in range(20)])
    assert logs[0] == logs[1]


def test_sources_on_disk_equal_memory(both):
    ours, theirs = (
        list(iter_source_batches({IMAGE: examples}, RngStreams(0, CPU), 80)) for examples in both
    )
    assert len(ours) == len(theirs) == 1
    assert_same_batches(ours[0], theirs[0])


def test_larger_domain_repeats_no_source_for_a_smaller_one():
    """A one-way translator has one fake for each source of its domain, however few the other has."""
    sizes = {"a": 5, "b": 3}
    examples = {
        name: Examples(torch.zeros(n, 1, 2, 2, dtype=torch.uint8)) for name, n in sizes.items()
    }
    (batch,) = iter_source_batches(examples, RngStreams(0, CPU), 5)
    assert batch["a"].index.tolist() == [0, 1, 2, 3, 4]
    assert batch["b"].index.tolist() == [0, 1, 2, 0, 1]
