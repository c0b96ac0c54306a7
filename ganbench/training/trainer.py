"""Trains a game: discriminators and generators take turns, and everything else is a trick."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import fmean as mean
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import Deck
from ganbench.errors import GanbenchError
from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build import Setup
from ganbench.gan.hyperparameters import Plan
from ganbench.gan.tasks.base import Terms
from ganbench.rng import Moment, Streams

from .budget import Budget, Spent

Log = dict[str, Tensor]

GENERATORS = -1  # the number of the generators' turn, however many turns of others came before


class Diverged(GanbenchError, RuntimeError):
    """A term that is no longer a finite number."""

    def __init__(self, step: int, terms: dict[str, float]):
        told = ", ".join(f"{name}={value:.3g}" for name, value in terms.items())
        super().__init__(f"step {step}: {told}")
        self.step, self.terms = step, terms


class Trainer:
    """Spends a budget on a setup. Nothing in a step waits for the device; `flush` does."""

    def __init__(self, setup: Setup, deck: Deck, streams: Streams, budget: Budget):
        self.game, self.trick, self.plan = setup.game, setup.trick, setup.plan
        self.plain_loss, self.deck, self.streams, self.budget = setup.loss, deck, streams, budget
        self.sides = {
            "discriminator": list(self.game.discriminators.parameters()),
            "generator": list(self.game.generators.parameters()),
        }
        self.optimizers = {
            side: optimizer_of(self.plan, side, parameters)
            for side, parameters in self.sides.items()
        }
        self.step, self.turn, self.spent = 0, 0, Spent()
        self.logs: list[Log] = []  # of the steps since the last flush
        self.began = time.perf_counter()

    @property
    def progress(self) -> float:
        return self.budget.progress(self.spent)

    def train_step(self) -> None:
        """The discriminators' turns, then the generators' turn."""
        self.turn, log = 0, Log()
        for _ in range(self.plan.discriminator_turns):
            log |= self.discriminator_turn()
        with self.trick.lookahead(self):
            log |= self.generator_turn()
        self.logs.append(log)
        self.step += 1
        self.spent = replace(
            self.spent,
            images=self.spent.images + self.plan.discriminator_turns * self.plan.batch,
            discriminator_turns=self.spent.discriminator_turns + self.plan.discriminator_turns,
            generator_turns=self.spent.generator_turns + 1,
        )

    def discriminator_turn(self) -> Log:
        with torch.no_grad():
            duels = self.next_duels()
        duels = [self.trick.stage(duel).as_leaves() for duel in duels]
        log = self.descend("discriminator", self.discriminator_terms(duels)) | watched(duels)
        self.trick.after_discriminators(self.game, duels)
        return log

    def discriminator_objective(self) -> Tensor:
        """What the next discriminators' turn would descend, as a function of the generators too."""
        duels = [self.trick.stage(duel).differentiable() for duel in self.next_duels()]
        return torch.stack([term for _, term in self.discriminator_terms(duels)]).sum()

    def next_duels(self) -> list[Duel]:
        """Who meets in the next discriminators' turn of this step."""
        number = self.step * self.plan.discriminator_turns + self.turn
        latents = self.tick(self.turn)
        self.turn += 1
        duels = self.game.play(self.trick.deal(self.deck.batches(number)), latents)
        return [duel.seen_by(self.trick.view) for duel in duels]

    def discriminator_terms(self, duels: list[Duel]) -> Terms:
        yield from self.game.discriminator_terms(duels)
        for duel in duels:
            loss = self.trick.loss(self.plain_loss, duel)
            yield "discriminator", loss.discriminator(duel.real_score, duel.fake_score)
            yield from self.trick.discriminator_terms(duel)

    def generator_turn(self) -> Log:
        number = (self.step + 1) * self.plan.discriminator_turns - 1  # the reals seen last
        latents = self.tick(GENERATORS)
        duels = self.game.play(self.trick.deal(self.deck.batches(number)), latents)
        duels = [duel.seen_by(self.trick.view) for duel in duels]
        terms = list(self.game.generator_terms(duels))
        for duel in duels:
            loss = self.trick.loss(self.plain_loss, duel)
            adversarial = loss.generator(duel.fake_score, duel.real_score if loss.paired else None)
            terms += [("generator", loss.generator_weight * adversarial)]
            terms += self.trick.generator_terms(duel)
        log = self.descend("generator", terms)
        self.trick.after_generators(self.game, duels)
        return log

    def descend(self, side: str, terms: Terms) -> Log:
        """One optimizer step down the sum of the terms, by this side's parameters alone."""
        terms, optimizer = list(terms), self.optimizers[side]
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term for _, term in terms]).sum().backward(inputs=self.sides[side])
        self.trick.gradients(side, self.sides[side])
        for group in optimizer.param_groups:
            group["lr"] = getattr(self.plan, f"{side}_lr") * self.plan.rate(self.progress)
        optimizer.step()
        return summed(terms)

    def tick(self, turn: int) -> torch.Generator:
        """Tells the tricks where training is; gives the generator of this turn's latents.

        What layers draw by themselves (dropout, noise) comes from torch's global generator.
        """
        moment = Moment(self.streams, self.step, turn, self.progress)
        self.streams.reseed("layers", self.step, turn)
        self.trick.tick(moment)
        return moment.of("latents").random

    def flush(self) -> dict[str, float]:
        """The mean of each term since the last flush; raises Diverged at the first that is not finite."""
        logs, self.logs = read(self.logs), []
        now = time.perf_counter()
        self.spent = replace(self.spent, seconds=self.spent.seconds + now - self.began)
        self.began = now
        for number, log in enumerate(logs, self.step - len(logs)):
            if not all(math.isfinite(value) for value in log.values()):
                raise Diverged(number, log)
        names = dict.fromkeys(name for log in logs for name in log)
        return {name: mean([log[name] for log in logs if name in log]) for name in names}

    def restart_clock(self) -> None:
        """Leaves out of the seconds spent what happened since the last flush."""
        self.began = time.perf_counter()

    def sampler(self) -> nn.ModuleDict:
        """The generators that samples are taken from."""
        return self.trick.sampler(self.game.generators)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs to repeat an unbroken one; flush first."""
        return {
            "step": self.step,
            "spent": asdict(self.spent),
            "game": self.game.state_dict(),
            "trick": self.trick.state_dict(),
            "optimizers": {side: o.state_dict() for side, o in self.optimizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.spent = state["step"], Spent(**state["spent"])
        self.game.load_state_dict(state["game"])
        self.trick.load_state_dict(state["trick"])
        for side, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][side])
        self.restart_clock()


def optimizer_of(
    plan: Plan, side: str, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    rate = getattr(plan, f"{side}_lr")
    if plan.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, rate)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, rate, getattr(plan, f"{side}_betas"), fused=fused)


def summed(terms: Sequence[tuple[str, Tensor]]) -> Log:
    """Terms of one name, from several duels, as one; still on the device."""
    log: Log = {}
    for name, term in terms:
        log[name] = log[name] + term.detach() if name in log else term.detach()
    return log


@torch.no_grad()
def watched(duels: Sequence[Duel]) -> Log:
    """How the discriminators scored: means, and the share of pairs whose real scores above its fake."""
    real = torch.cat([duel.real_score.flatten() for duel in duels])
    fake = torch.cat([duel.fake_score.flatten() for duel in duels])
    pairs = min(len(real), len(fake))
    told_apart = (real[:pairs] > fake[:pairs]).float().mean()
    return {"real_score": real.mean(), "fake_score": fake.mean(), "told_apart": told_apart}


def read(logs: Sequence[Log]) -> list[dict[str, float]]:
    """Logs as numbers, in one transfer from the device."""
    if not logs:
        return []
    numbers = iter(torch.stack([value for log in logs for value in log.values()]).tolist())
    return [{name: next(numbers) for name in log} for log in logs]
