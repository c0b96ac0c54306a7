"""CUDA graphs: captures whole turns of training, and replays them without Python's time.

A turn is one discriminator or generator step: batch, forward, penalties, backward, optimizer and
tricks. Every kind of turn runs eagerly a few times, is captured once, and is replayed from then on.
Before each replay, indices, learning rates and random seeds get the values of that turn. So replayed
turns draw the same numbers as eager ones.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ganbench.data.base import Batch, BatchLoader, Examples, make_batches
from ganbench.gan.build import TrainingSetup
from ganbench.gan.tricks.base import TrickList, has_hook
from ganbench.rng import RngStreams, StepContext

from .budget import Budget
from .trainer import GENERATOR_STEP_ADDRESS, LossTerms, Trainer

EAGER_TURNS = 4  # of each kind before its capture: libraries allocate and choose algorithms in them
MAX_KINDS = (
    1000  # counted kinds of turns; a constant that changes each step makes every turn a kind
)

GeneratorAddress = tuple[str, int]  # owner, and how often the owner drew before in the turn


class CannotCapture(Exception):
    """The reason why a training runs eagerly."""


@dataclass(frozen=True)
class PersistentStreams(RngStreams):
    """Random streams with persistent generators, because graphs contain them."""

    generators: dict[GeneratorAddress, torch.Generator] = field(default_factory=dict)
    drawn: Counter[str] = field(default_factory=Counter)  # generators of this turn, by owner
    is_capturing: list[bool] = field(default_factory=lambda: [False])

    def turn_generator(self, owner: str, step: int, turn: int) -> torch.Generator:
        """Returns the next generator of an owner, seeded unless a graph is captured."""
        address = (owner, self.drawn[owner])
        self.drawn[owner] += 1
        if self.is_capturing[0]:
            return self.generators[address]
        return self.seed_generator(address, step, turn)

    def seed_generator(self, address: GeneratorAddress, step: int, turn: int) -> torch.Generator:
        """Seeds a generator as a new one would be, and returns it."""
        if address not in self.generators:
            self.generators[address] = torch.Generator(self.device)
        return self.generators[address].manual_seed(self.derive_seed(address[0], step, turn))

    def reseed(self, *address: str | int) -> None:
        if not self.is_capturing[0]:  # the seeds are set before the capture
            super().reseed(*address)

    def addresses(self) -> list[GeneratorAddress]:
        """Returns the addresses of this turn's generators."""
        return [(owner, i) for owner, count in self.drawn.items() for i in range(count)]


class StaticLoader:
    """A loader that gathers every batch by the same index tensors.

    A batch that the host gathers is copied into the same tensors instead.
    """

    def __init__(self, loader: BatchLoader):
        self.loader = loader
        self.indices: dict[str, Tensor] = {}
        self.stored: dict[str, tuple[Tensor, Examples]] = {}

    def load(self, number: int) -> None:
        """Writes the indices of a batch, or a batch of the host, into the static tensors."""
        if self.loader.host_batches is not None:
            self.copy_stored(self.loader.stored_batch(number))
            return
        for domain, index in self.loader.batch_indices(number).items():
            if domain not in self.indices:
                self.indices[domain] = torch.empty_like(index)
            self.indices[domain].copy_(index)

    def copy_stored(self, stored: dict[str, tuple[Tensor, Examples]]) -> None:
        """Copies a batch into the static tensors."""
        for domain, (index, rows) in stored.items():
            if domain not in self.stored:
                empty = [None if x is None else torch.empty_like(x) for x in rows.tensors()]
                self.stored[domain] = torch.empty_like(index), Examples(*empty)  # type: ignore[arg-type]
            static_index, static_rows = self.stored[domain]
            static_index.copy_(index)
            for static, part in zip(static_rows.tensors(), rows.tensors(), strict=True):
                if static is not None and part is not None:
                    static.copy_(part)

    def batches(self, number: int) -> dict[str, Batch]:
        """Returns the loaded batch."""
        if self.loader.host_batches is not None:
            return make_batches(self.stored)
        return self.loader.gather(self.indices)


class WatchedContext:
    """A step context that records which owners read the step or the progress."""

    def __init__(self, context: StepContext, readers: set[str]):
        self.context, self.readers = context, readers
        self.streams, self.turn, self.owner = context.streams, context.turn, context.owner

    @property
    def step(self) -> int:
        self.readers.add(self.owner)
        return self.context.step

    @property
    def progress(self) -> float:
        self.readers.add(self.owner)
        return self.context.progress

    @property
    def random(self) -> torch.Generator:
        return self.context.random

    def of(self, owner: str) -> "WatchedContext":
        return WatchedContext(self.context.of(owner), self.readers)


class Graph(Protocol):
    """A captured function."""

    def register_generator_state(self, generator: torch.Generator) -> None: ...

    def capture(self, function: Callable[[], Tensor]) -> Tensor:
        """Records the operations of a function without doing them; returns its static result."""

    def replay(self) -> None: ...


class CudaGraph:
    """A torch.cuda.CUDAGraph on a stream, with memory that all graphs of a training share."""

    def __init__(self, stream: torch.cuda.Stream, pool: Any):
        self.graph, self.stream, self.pool = torch.cuda.CUDAGraph(), stream, pool

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.graph.register_generator_state(generator)

    def capture(self, function: Callable[[], Tensor]) -> Tensor:
        with torch.cuda.graph(
            self.graph, self.pool, self.stream, capture_error_mode="thread_local"
        ):
            return function()

    def replay(self) -> None:
        self.graph.replay()


@dataclass(frozen=True)
class CapturedTurn:
    """A captured turn: its graph, its generators, and the static values of its loss terms."""

    graph: Graph
    addresses: list[GeneratorAddress]
    names: list[str]
    values: Tensor  # [terms]

    def read_log(self) -> LossTerms:
        """Returns the loss terms of the last replay."""
        return dict(zip(self.names, self.values.clone().unbind(), strict=True))


class GraphedTrainer(Trainer):
    """A trainer that replays captured turns. `eager_reason` is the reason if it cannot."""

    loader: StaticLoader  # type: ignore[assignment]
    streams: PersistentStreams

    def __init__(
        self,
        setup: TrainingSetup,
        loader: BatchLoader,
        streams: RngStreams,
        budget: Budget,
        make_graph: Callable[[], Graph],
    ):
        super().__init__(setup, loader, PersistentStreams(streams.seed, streams.device), budget)
        self.loader, self.make_graph = StaticLoader(loader), make_graph
        self.captured: dict[Hashable, CapturedTurn] = {}
        self.eager_turns: Counter[Hashable] = Counter()
        self.addresses: dict[Hashable, list[GeneratorAddress]] = {}  # of the last eager turn
        self.readers: set[str] = set()
        self.eager_reason = ""
        for optimizer in self.optimizers.values():
            make_capturable(optimizer, streams.device)

    def discriminator_step(self) -> LossTerms:
        self.loader.load(self.discriminator_batch_number)
        return self.run_turn("discriminator", self.turn, super().discriminator_step)

    def generator_step(self) -> LossTerms:
        self.loader.load(self.generator_batch_number)
        return self.run_turn("generator", GENERATOR_STEP_ADDRESS, super().generator_step)

    def run_turn(self, side: str, turn: int, step: Callable[[], LossTerms]) -> LossTerms:
        """Replays a turn if its kind is captured or can be; otherwise runs it eagerly."""
        self.fill_learning_rate(side)
        kind = (side, self.trick.graph_key(super().make_context(turn)))
        if kind in self.captured or (self.is_due(kind) and self.try_capture(kind, turn, step)):
            return self.replay(self.captured[kind], turn)
        self.streams.drawn.clear()
        log = step()
        self.addresses[kind] = self.streams.addresses()
        return log

    def is_due(self, kind: Hashable) -> bool:
        """Counts a turn; returns whether its kind has run eagerly often enough for a capture."""
        if self.eager_reason:
            return False
        if len(self.eager_turns) > MAX_KINDS:
            self.eager_turns.clear()
            self.addresses.clear()
        self.eager_turns[kind] += 1
        return self.eager_turns[kind] > EAGER_TURNS

    def try_capture(self, kind: Hashable, turn: int, step: Callable[[], LossTerms]) -> bool:
        """Captures a turn, or notes the reason why this training runs eagerly."""
        place = self.turn
        try:
            self.captured[kind] = self.capture(self.addresses[kind], turn, step)
        except (CannotCapture, KeyError, RuntimeError) as error:
            self.eager_reason = (str(error) or type(error).__name__).splitlines()[0]
            self.notes.append(f"trained without graphs: {self.eager_reason}")
        finally:
            self.turn, self.streams.is_capturing[0] = place, False
        return kind in self.captured

    def capture(
        self, addresses: list[GeneratorAddress], turn: int, step: Callable[[], LossTerms]
    ) -> CapturedTurn:
        if reason := undeclared_reason(self.trick, self.readers):
            raise CannotCapture(reason)
        graph, names = self.make_graph(), list[str]()
        self.start_tricks(self.make_context(turn))
        self.seed_turn(addresses, turn)
        for address in addresses:
            graph.register_generator_state(self.streams.generators[address])
        self.streams.drawn.clear()
        self.streams.is_capturing[0] = True

        def stack_terms() -> Tensor:
            log = step()
            names.extend(log)
            return torch.stack([value.float() for value in log.values()])

        values = graph.capture(stack_terms)
        return CapturedTurn(graph, addresses, names, values)

    def replay(self, captured: CapturedTurn, turn: int) -> LossTerms:
        self.start_tricks(self.make_context(turn))
        self.seed_turn(captured.addresses, turn)
        captured.graph.replay()
        self.turn += turn != GENERATOR_STEP_ADDRESS
        return captured.read_log()

    def seed_turn(self, addresses: list[GeneratorAddress], turn: int) -> None:
        """Seeds all generators of a turn as an eager turn does."""
        for address in addresses:
            self.streams.seed_generator(address, self.step, turn)
        self.streams.reseed("layers", self.step, turn)

    def begin_step(self, turn: int) -> torch.Generator:
        """Begins an eager turn; a captured turn has begun before its capture."""
        context = self.make_context(turn)
        if not self.streams.is_capturing[0]:
            self.streams.reseed("layers", self.step, turn)
            self.start_tricks(context)
        return context.of("latents").random

    def start_tricks(self, context: StepContext) -> None:
        """Begins a step of the tricks outside of graphs, where they may read the step."""
        before = set(self.readers)
        self.trick.begin_step(context)
        self.readers.clear()
        self.readers.update(before)

    def make_context(self, turn: int) -> StepContext:
        return cast(StepContext, WatchedContext(super().make_context(turn), self.readers))

    def fill_learning_rate(self, side: str) -> None:
        """Writes the learning rate into the tensors that graphs read."""
        for group in self.optimizers[side].param_groups:
            group["lr"].fill_(self.learning_rate(side))

    def set_learning_rate(self, side: str) -> None:
        """Does nothing: rates are filled before the turn, outside of the graph."""


class CudaGraphedTrainer(GraphedTrainer):
    """A graphed trainer on a CUDA device. All its steps run on a stream of their own."""

    def __init__(
        self, setup: TrainingSetup, loader: BatchLoader, streams: RngStreams, budget: Budget
    ):
        self.stream, self.pool = torch.cuda.Stream(streams.device), torch.cuda.graph_pool_handle()
        super().__init__(setup, loader, streams, budget, lambda: CudaGraph(self.stream, self.pool))

    def train_step(self) -> None:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            super().train_step()
        torch.cuda.current_stream().wait_stream(self.stream)


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Moves an optimizer's learning rate and step count to the device."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=device, dtype=torch.float32)
        group["capturable"] = device.type == "cuda"


def lookahead_reason(tricks: TrickList) -> str:
    """Returns the reason why a trick's lookahead cannot be captured, or an empty text."""
    looking = [name for name, trick in tricks.items() if has_hook(trick, "lookahead")]
    return f"{looking[0]} takes steps and reverts them, which a graph cannot" if looking else ""


def undeclared_reason(tricks: TrickList, readers: set[str]) -> str:
    """Returns the reason if a trick reads the step without a graph key, or an empty text."""
    undeclared = [name for name, trick in tricks.items() if not has_hook(trick, "graph_key")]
    for name in undeclared:
        if any(reader.split("/")[2:3] == [name] for reader in readers):
            return f"{name} reads the step or the progress, and has no graph_key"
    return ""
