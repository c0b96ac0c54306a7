"""Stacked seeds (HFTA, Wang et al., 2021): trains many seeds of a recipe as one program.

Parameters, buffers and optimizer states of S members are tensors [S, ...]. The hooks of the task and
of the tricks run once for all members. Each member draws its batches, latents and noise from its own
random streams, so it follows its lone training up to rounding. No member affects another: in the
gradient of the sum of all losses, each member's rows are the gradient of its own loss.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import BatchLoader
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import Incompatible, TrainingSetup
from ganbench.gan.tasks.base import Terms
from ganbench.rng import RngStreams, StepContext

from .budget import Budget, Spent
from .member_map import MemberMap, MemberStreams
from .member_tensors import (
    Tensors,
    as_stacked,
    copy_state,
    gather_batches,
    mean_terms,
    member_optimizer_state,
    pack_pairs,
    pack_scores,
    read_member_terms,
    stack_optimizer_states,
    unpack_batches,
    unpack_pairs,
    with_leaves,
)
from .stackable import replaces_calls, stacking_incompatibility
from .trainer import (
    GENERATOR_STEP_ADDRESS,
    Diverged,
    LossTerms,
    Trainer,
    make_optimizer,
    score_statistics,
    sum_terms,
)


class StackedTrainer:
    """Trains members with one recipe and different seeds. Steps never wait for the device.

    The setups, one per member, belong to this trainer: their tensors become views of the stacked
    ones. Loaders have the same examples. Raises Incompatible if the recipe cannot be stacked, or
    for a budget of seconds, which members share.
    """

    def __init__(
        self,
        setups: Sequence[TrainingSetup],
        loaders: Sequence[BatchLoader],
        streams: Sequence[RngStreams],
        budget: Budget,
    ):
        if reason := stacking_incompatibility(setups[0]):
            raise Incompatible(reason)
        if budget.unit == "seconds":
            raise Incompatible("stacked members share their time: give a budget of images or steps")
        parts = zip(setups, loaders, streams, strict=True)
        self.members = [Trainer(*part, budget) for part in parts]
        self.base, self.budget = self.members[0], budget  # hooks run on the base's modules
        for loader in loaders:
            loader.examples = loaders[0].examples  # one copy on the device
        self.task: Any = self.base.task
        self.trick, self.hyperparameters = self.base.trick, self.base.hyperparameters
        self.streams = MemberStreams(streams[0].seed, streams[0].device, tuple(streams))
        modules = [nn.ModuleList([member.task, member.trick]) for member in self.members]
        self.map = MemberMap(modules, replaces_calls(self.trick))
        self.sides = {side: self.map.stack.stacked(own) for side, own in self.base.sides.items()}
        self.optimizers = {
            side: make_optimizer(self.hyperparameters, side, stacked)  # type: ignore[arg-type]
            for side, stacked in self.sides.items()
        }
        self.step, self.spent = 0, Spent()
        self.logs: list[LossTerms] = []  # one per step since the last flush, [S] each
        self.diverged: dict[int, Diverged] = {}  # each member's first terms that are not finite
        self.began = time.perf_counter()

    @property
    def progress(self) -> float:
        return self.budget.progress(self.spent)

    def train_step(self) -> None:
        """Takes the discriminator steps, then one generator step, of all members."""
        turns, log = self.hyperparameters.discriminator_turns, LossTerms()
        for turn in range(turns):
            log |= self.discriminator_step(self.draw_inputs(self.step * turns + turn, turn))
        last = (self.step + 1) * turns - 1
        log |= self.generator_step(self.draw_inputs(last, GENERATOR_STEP_ADDRESS))
        self.logs.append(log)
        self.step += 1
        self.spent = self.spent.after_step(self.hyperparameters)

    def draw_inputs(self, number: int, turn: int) -> Tensors:
        """Begins a turn; returns each member's reals and latents, [S, N, ...] by name.

        Everything else in a turn runs on the device, with constant shapes and in place.
        """
        self.context = StepContext(self.streams, self.step, turn, self.progress)
        clocked = bool(self.trick.by_hook["begin_step"])  # each member has buffers to fill
        for member in self.members if clocked else self.members[:1]:
            member.trick.begin_step(self.context)
        generators = self.context.of("latents").random.members  # type: ignore[attr-defined]
        latents = [self.task.draw_latents(self.hyperparameters.batch, own) for own in generators]
        batches = gather_batches([member.loader for member in self.members], number)
        return batches | {"latents": torch.stack(latents)}

    def discriminator_step(self, inputs: Tensors) -> LossTerms:
        """Takes a discriminator step of all members; returns terms and score statistics, [S]."""
        with torch.no_grad():
            pairs = self.map(self.member_pairs, inputs)
        terms, statistics, scores = self.map(self.member_discriminator_terms, with_leaves(pairs))
        log = self.optimizer_step("discriminator", terms)
        self.run_hook("after_discriminator_step", pairs | scores)
        return log | dict(statistics)

    def generator_step(self, inputs: Tensors) -> LossTerms:
        terms, pairs = self.map(self.member_generator_terms, inputs)
        log = self.optimizer_step("generator", terms)
        self.run_hook("after_generator_step", pairs)
        return log

    def make_pairs(self, inputs: Tensors) -> list[AdversarialBatch]:
        """Returns one member's pairs of the given reals and fakes of the given latents."""
        self.task.draw_latents = lambda count, random: inputs["latents"]
        try:
            batches = self.trick.transform_batches(unpack_batches(inputs))
            pairs = self.task.make_pairs(batches, self.context.of("latents").random)
        finally:
            del self.task.draw_latents
        transform = self.trick.transform_discriminator_input
        return [as_stacked(pair, discriminator_input=transform) for pair in pairs]

    def member_pairs(self, inputs: Tensors) -> Tensors:
        """Returns one member's pairs for a discriminator step."""
        self.templates = self.make_pairs(inputs)  # only their networks and names are used again
        return pack_pairs([self.trick.transform_pair(pair) for pair in self.templates])

    def member_discriminator_terms(
        self, inputs: Tensors
    ) -> tuple[list[Tensor], LossTerms, Tensors]:
        """Returns one member's terms, score statistics and scores."""
        pairs = unpack_pairs(self.templates, inputs)
        terms = self.name_terms(self.base.discriminator_terms(pairs))
        return terms, score_statistics(pairs), pack_scores(pairs)

    def member_generator_terms(self, inputs: Tensors) -> tuple[list[Tensor], Tensors]:
        """Returns one member's terms and pairs."""
        self.templates = self.make_pairs(inputs)
        terms = self.name_terms(self.base.generator_terms(self.templates))
        return terms, {k: x.detach() for k, x in pack_pairs(self.templates).items()}

    def name_terms(self, terms: Terms) -> list[Tensor]:
        """Returns the values of terms. A vmap returns no text, so the names are an attribute."""
        named = list(terms)
        self.term_names = [name for name, _ in named]
        return [value for _, value in named]

    @torch.no_grad()
    def run_hook(self, hook: str, pairs: Tensors) -> None:
        """Runs a hook after the step of a side for all members, if any trick has it."""
        if not self.trick.by_hook[hook]:
            return

        def run_for_member(inputs: Tensors) -> Tensor:
            getattr(self.trick, hook)(self.task, unpack_pairs(self.templates, inputs))
            return torch.zeros(())  # a vmap has to return a tensor

        self.map(run_for_member, pairs, replaces_calls=True)

    def optimizer_step(self, side: str, terms: Sequence[Tensor]) -> LossTerms:
        """Minimizes each member's sum of terms, [S] each, with one optimizer step of a side."""
        optimizer = self.optimizers[side]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms)).sum().backward(inputs=self.sides[side])
        self.transform_gradients(side)
        factor = self.hyperparameters.learning_rate_factor(self.progress)
        for group in optimizer.param_groups:
            group["lr"] = getattr(self.hyperparameters, f"{side}_lr") * factor
        optimizer.step()
        return sum_terms(list(zip(self.term_names, terms, strict=True)))

    @torch.no_grad()
    def transform_gradients(self, side: str) -> None:
        """Lets tricks change each member's gradients in place."""
        if not self.trick.by_hook["transform_gradients"]:
            return

        def transform_for_member(gradients: Tensors) -> Tensor:
            parameters: Any = [SimpleNamespace(grad=own) for own in gradients.values()]
            self.trick.transform_gradients(side, parameters)
            return torch.zeros(())

        slopes = [x.grad for x in self.sides[side] if x.grad is not None]
        named = {str(number): slope for number, slope in enumerate(slopes)}
        self.map(transform_for_member, named, replaces_calls=True)

    def flush(self) -> list[dict[str, float]]:
        """Returns each member's mean terms since the last flush, and updates `diverged`.

        It does not raise Diverged, because the other members go on. Their seconds are an equal share
        of the time.
        """
        logs, self.logs = read_member_terms(self.logs, len(self.members)), []
        now = time.perf_counter()
        share = (now - self.began) / len(self.members)
        self.spent = replace(self.spent, seconds=self.spent.seconds + share)
        self.began = now
        for number, log in enumerate(logs, self.step - len(logs)):
            self.note_divergence(number, log)
        return [mean_terms([log[i] for log in logs]) for i in range(len(self.members))]

    def note_divergence(self, number: int, log: Sequence[dict[str, float]]) -> None:
        for member, terms in enumerate(log):
            if not all(math.isfinite(value) for value in terms.values()):
                self.diverged.setdefault(member, Diverged(number, terms))

    def restart_clock(self) -> None:
        """Excludes the time since the last flush from the used seconds."""
        self.began = time.perf_counter()

    def member(self, number: int) -> "StackedMember":
        return StackedMember(self, number)

    def sampling_generators(self, member: int) -> nn.ModuleDict:
        """Returns a member's generators for sampling, for example a moving average."""
        return self.members[member].sampling_generators()

    def member_state(self, member: int) -> dict[str, Any]:
        """Returns the state that a member's lone trainer would have; call `flush` first."""
        trainer, optimizers = self.members[member], self.optimizers.items()
        return {
            "step": self.step,
            "spent": asdict(self.spent),
            "game": copy_state(trainer.task.state_dict()),
            "trick": copy_state(trainer.trick.state_dict()),
            "optimizers": {side: member_optimizer_state(o, member) for side, o in optimizers},
        }

    def load_member_states(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Loads one state per member. Raises ValueError if they are not all at the same step."""
        if len(states) != len(self.members) or len({state["step"] for state in states}) > 1:
            raise ValueError("stacked members resume from one state each, all at the same step")
        for member, state in zip(self.members, states, strict=True):
            member.task.load_state_dict(state["game"])
            member.trick.load_state_dict(state["trick"])
        for side, optimizer in self.optimizers.items():
            own = [state["optimizers"][side] for state in states]
            optimizer.load_state_dict(stack_optimizer_states(own))
        seconds = sum(state["spent"]["seconds"] for state in states) / len(states)
        self.step = states[0]["step"]
        self.spent = replace(Spent(**states[0]["spent"]), seconds=seconds)
        self.restart_clock()


@dataclass(frozen=True, eq=False)
class StackedMember:
    """A member of a stacked training, with the attributes of its lone trainer."""

    stack: StackedTrainer
    number: int

    @property
    def step(self) -> int:
        return self.stack.step

    @property
    def spent(self) -> Spent:
        """The member's used budget; its seconds are its share of the stack's."""
        return self.stack.spent

    @property
    def progress(self) -> float:
        return self.stack.progress

    @property
    def task(self) -> Any:
        return self.stack.members[self.number].task

    @property
    def notes(self) -> list[str]:
        return self.stack.base.notes

    def sampling_generators(self) -> nn.ModuleDict:
        return self.stack.sampling_generators(self.number)

    def state_dict(self) -> dict[str, Any]:
        return self.stack.member_state(self.number)
