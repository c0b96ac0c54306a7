"""A trial: one cell and one seed, trained within its budget and measured, with all that was kept of it."""

import hashlib
import io
import json
import math
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load, save
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from .assemble import assemble
from .data.base import Batch, Deck, Examples, as_stored
from .games.base import Asked, Game
from .memory import peak, reset_peak
from .metrics import METRICS
from .metrics.sampler import Sampler
from .pictures import by_class, picture, side_by_side
from .plan import Budget, Plan
from .provenance import code, torch_minor, versions
from .recipe import Recipe
from .store import Attempt, Damaged, Store, TrialFolder, read_json, write_bytes, write_json
from .streams import Streams
from .train import Diverged, Trainer
from .yardstick import DEFAULT, Fakes, Yardstick, add_readings, unmeasured, values, yardstick

SCHEMA = 1
SELECTION = "fid"  # what the best checkpoint is chosen by, on samples of its own
LOG_EVERY = 50  # steps between two looks at the device
SAVE_EVERY = 3.0  # seconds between two checkpoints, at the least
SAVE_COST = 20  # times as long as writing one takes, at the least
SAMPLES = 500  # generated at a time
CHECKPOINTS = ("last", "best")
KNOWN = ("images", "labels", "source", "truth", "returned")  # of fakes

Stop = Callable[[], bool]  # has somebody asked for a checkpoint and an end?


class Interrupted(RuntimeError):
    """Training was asked to stop, and has a checkpoint to go on from."""


@dataclass(frozen=True)
class Trial:
    """All that decides the numbers of a training, and the names that tables know it by."""

    data: str
    variant: str
    loss: str
    tricks: tuple[str, ...]  # of the cell; the variant's own are in the recipe
    plan: str  # what the cell changes of the variant's plan, as a label
    recipe: Recipe
    budget: Budget
    seed: int
    points: int  # of the learning curve, from which the best checkpoint is chosen
    device: str
    fingerprint: str  # SHA-256 of the data's content

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Plain data in which two trials differ if and only if their results may."""
        return {
            "schema": SCHEMA,
            "data": self.fingerprint,
            **self.recipe.identity(),
            "budget": asdict(self.budget),
            "seed": self.seed,
            "points": self.points,
            "selection": METRICS.identity(SELECTION),
            "numerics": {
                "device": self.device,
                "dtype": "float32",
                "tf32": False,
                "compile": False,
                "threads": 1,
            },
        }

    @cached_property
    def id(self) -> str:
        """SHA-256 of the identity as canonical JSON: sorted keys, no spaces, no NaN."""
        text = json.dumps(
            self.identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def made_by(self) -> dict[str, str]:
        """The code that trains it now, and torch's minor version: other ones may give other numbers."""
        return {"code": code(self.recipe, self.data), "torch_minor": torch_minor()}

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Trial":
        content = json.loads(text)
        recipe = content.pop("recipe")
        plan = recipe.pop("plan")
        plan |= {side: tuple(plan[side]) for side in ("generator_betas", "discriminator_betas")}
        recipe["tricks"] = tuple(recipe["tricks"])
        content["tricks"] = tuple(content["tricks"])
        budget = Budget(**content.pop("budget"))
        return cls(recipe=Recipe(plan=Plan(**plan), **recipe), budget=budget, **content)


def read_trial(store: Store, identifier: str) -> Trial:
    """The trial of this SHA-256, or of its first 16 digits; raises Damaged if its spec.json is missing."""
    path = store.trial(identifier).spec
    content = read_json(path)
    if content is None:
        raise Damaged(f"{path} is missing: without it nothing can be made of the trial again")
    return Trial.from_json(json.dumps(content["trial"]))


def run_trial(
    trial: Trial, store: Store, metrics: tuple[str, ...], stop: Stop, protocol: str = DEFAULT
) -> str:
    """Trains the trial unless that is done, and measures what is not measured yet; returns its outcome:
    done, diverged, interrupted, or failed with the reason in the attempt's exit.json.

    Raises Busy if another process holds the trial.
    """
    folder = store.trial(trial.id)
    with folder.lock():
        if is_finished(trial, folder, metrics, protocol):
            return str(read_json(folder.result)["outcome"])
        attempt = folder.new_attempt()
        attempt.tell(process=os.getpid(), machine=platform.node())
        try:
            outcome = trained_and_measured(trial, folder, attempt, metrics, stop, protocol)
            reason = ""
        except Interrupted as stopped:
            outcome, reason = "interrupted", str(stopped)
        except Exception as error:
            attempt.log.write_text(traceback.format_exc())
            outcome, reason = "failed", f"{type(error).__name__}: {error}"
        attempt.end(outcome, reason)
        return outcome


def trained_and_measured(
    trial: Trial,
    folder: TrialFolder,
    attempt: Attempt,
    metrics: tuple[str, ...],
    stop: Stop,
    protocol: str,
) -> str:
    settle()
    write_json(folder.spec, {"id": trial.id, "identity": trial.identity, "trial": asdict(trial)})
    if read_json(folder.result) is None:
        session = Session(trial, folder, attempt)
        try:
            session.run(stop)
        except Diverged as told:
            session.commit("diverged", str(told), told.step)
        else:
            session.commit("done")
    outcome = str(read_json(folder.result)["outcome"])
    if outcome == "done":
        attempt.tell(measuring=True)
        measure(trial, folder, metrics, protocol)
    return outcome


def settle() -> None:
    """The numerics that every trial's identity states: one thread, float32 without TF32."""
    torch.set_num_threads(1)
    threadpool_limits(1)  # NumPy's BLAS too: the last digits of a metric depend on it
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


class Session:
    """A trial in training: the trainer, what was seen of it so far, and the files that keep both."""

    def __init__(self, trial: Trial, folder: TrialFolder, attempt: Attempt):
        self.trial, self.folder, self.attempt = trial, folder, attempt
        self.device = torch.device(trial.device)
        reset_peak(self.device)
        self.yardstick = yardstick(trial.data, trial.device)
        self.streams = Streams(trial.seed, self.device)
        setup = assemble(trial.recipe, self.yardstick.data, self.streams)
        deck = Deck(self.yardstick.split.train, setup.plan.batch, self.streams)
        self.trainer = Trainer(setup, deck, self.streams, trial.budget)
        self.losses: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.saved, self.patience = time.monotonic(), SAVE_EVERY

    def run(self, stop: Stop) -> None:
        """Trains to the end of the budget, from the checkpoint if there is one."""
        self.resume()
        self.attempt.tell(step=self.trainer.step, progress=self.trainer.progress)
        while self.trainer.progress < 1:
            self.trainer.train_step()
            while self.trainer.progress >= (len(self.scores) + 1) / self.trial.points:
                self.score()
            if self.trainer.step % LOG_EVERY == 0:
                self.look()
                if stop():
                    self.save()
                    raise Interrupted(f"at step {self.trainer.step}, with a checkpoint")
                if time.monotonic() - self.saved > self.patience:
                    self.save()
        self.look()
        self.fakes()  # the last training steps may have broken what the last score saw whole
        self.keep("last")
        if not self.scores:
            self.keep("best")

    def look(self) -> None:
        """Reads the terms since the last look; raises Diverged. Also this attempt's sign of life."""
        terms, spent = self.trainer.flush(), self.trainer.spent
        if terms:
            self.losses.append({"step": self.trainer.step, "images": spent.images, **terms})
        rate = spent.images / spent.seconds if spent.seconds else 0.0
        fid = self.scores[-1][SELECTION] if self.scores else None
        told = {"step": self.trainer.step, "progress": self.trainer.progress, "rate": rate}
        self.attempt.tell(**told, fid=fid, terms=finite([terms])[0])

    def score(self) -> None:
        """One point of the learning curve; the best so far is kept, by samples that are not reported."""
        self.look()
        metrics = (SELECTION, *self.yardstick.data.watch)
        found = values(self.yardstick.measure(self.fakes(), metrics))
        if SELECTION not in found:
            raise Diverged(self.trainer.step, {"samples": math.nan})
        best = min((score[SELECTION] for score in self.scores), default=math.inf)
        self.scores.append({"step": self.trainer.step, **asdict(self.trainer.spent), **found})
        self.attempt.tell(step=self.trainer.step, scores=found)
        if found[SELECTION] < best:
            self.keep("best")
        self.trainer.restart_clock()

    def fakes(self) -> Fakes:
        """Samples that checkpoints are chosen by, and that are never reported; raises Diverged."""
        sources, trainer = self.yardstick.split.held_out, self.trainer
        found = sampled(trainer.game, trainer.sampler(), sources, self.streams, "selection")
        if not bool(found.images.isfinite().all()):
            raise Diverged(trainer.step, {"samples": math.nan})
        return found

    def keep(self, checkpoint: str) -> None:
        state = {k: v.contiguous().cpu() for k, v in self.trainer.sampler().state_dict().items()}
        write_bytes(self.folder.sampler(checkpoint), save(state))

    def save(self) -> None:
        """A checkpoint: tensors and plain data, so that reading it cannot run code."""
        self.look()
        began, content = time.monotonic(), io.BytesIO()
        seen = {"losses": self.losses, "scores": self.scores, "made_by": self.trial.made_by()}
        torch.save({"trainer": self.trainer.state_dict(), **seen}, content)
        write_bytes(self.folder.checkpoint, content.getvalue())
        self.saved = time.monotonic()
        self.patience = max(SAVE_EVERY, SAVE_COST * (self.saved - began))
        self.trainer.restart_clock()

    def resume(self) -> None:
        """Goes on from the checkpoint, unless other code made it: a training is of one piece."""
        state = self.checkpoint()
        if state and state["made_by"] == self.trial.made_by():
            self.trainer.load_state_dict(state["trainer"])
            self.losses, self.scores = state["losses"], state["scores"]

    def checkpoint(self) -> dict[str, Any] | None:
        """What was saved, or nothing if that cannot be read: then the trial begins again."""
        try:
            found = torch.load(self.folder.checkpoint, self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):
            return None
        return found if isinstance(found, dict) else None

    def commit(self, outcome: str, reason: str = "", step: int | None = None) -> None:
        """Writes what there is to keep, and the result last: it is what makes the trial finished."""
        curve = {"losses": finite(self.losses), "scores": self.scores}
        write_json(self.folder.curve, curve | {"floor": self.yardstick.watched_floor})
        result = {
            "schema": SCHEMA,
            "id": self.trial.id,
            "outcome": outcome,
            "reason": reason,
            "step": step,  # at which it diverged
            "spent": asdict(self.trainer.spent),
            "costs": self.costs() if outcome == "done" else {},
            "provenance": self.trial.made_by() | versions(),
        }
        write_json(self.folder.result, result)
        self.folder.checkpoint.unlink(missing_ok=True)

    def costs(self) -> dict[str, float | None]:
        """What the trial cost, in the units of COSTS."""
        spent, game = self.trainer.spent, self.trainer.game
        memory = peak(self.device)
        began = time.perf_counter()
        count = len(self.fakes().images.cpu())  # the copy waits for the device
        seconds = time.perf_counter() - began
        return {
            "train_seconds": spent.seconds,
            "train_images_per_second": spent.images / spent.seconds if spent.images else None,
            "sample_images_per_second": count / seconds,
            "peak_memory": memory,
            "generator_parameters": parameters(game.generators),
            "discriminator_parameters": parameters(game.discriminators),
        }


@torch.no_grad()
def sampled(
    game: Game,
    generators: nn.ModuleDict,
    sources: Mapping[str, Examples],
    streams: Streams,
    stream: str,
    count: int | None = None,
) -> Fakes:
    """Fakes of generators in evaluation mode, so that none depends on its batch.

    As many as there are sources, unless a count is given: then these are taken again from the first.
    Latents, and what layers draw by themselves, come from the stream.
    """
    count = count or min(map(len, sources.values()))
    generators.eval()
    random = streams.generator(stream)
    with streams.seeded(stream, "layers"):
        batches = dealt(sources, streams, count)
        parts = [made(game, generators, batch, random) for batch in batches]
    generators.train()
    first, *others = (joined([part[domain] for part in parts]) for domain in reversed(parts[0]))
    return replace(first, back=others[0] if others else None)


def made(
    game: Game, generators: nn.ModuleDict, sources: dict[str, Batch], random: torch.Generator
) -> dict[str, Fakes]:
    """The fakes of some sources, with what is known of them, by domain."""
    images, asked = game.sample(generators, sources, random), game.asked(sources)
    returned = game.returned(generators, images)
    return {
        domain: Fakes(x, **vars(asked.get(domain, Asked())), returned=returned.get(domain))
        for domain, x in images.items()
    }


def joined(parts: list[Fakes]) -> Fakes:
    """Batches as one; what is known of one is known of all."""

    def whole(name: str) -> Any:
        known = [getattr(part, name) for part in parts]
        return None if known[0] is None else torch.cat(known)

    return Fakes(*map(whole, KNOWN))


def dealt(
    sources: Mapping[str, Examples], streams: Streams, count: int
) -> Iterator[dict[str, Batch]]:
    """The sources on the device, some at a time."""
    here = {domain: examples.to(streams.device) for domain, examples in sources.items()}
    least = min(map(len, here.values()))
    for start in range(0, count, SAMPLES):
        index = torch.arange(start, min(start + SAMPLES, count), device=streams.device) % least
        yield {domain: examples.batch(index) for domain, examples in here.items()}


def parameters(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def finite(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Rows as JSON can hold them: what is not a finite number is null."""
    return [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]


def measure(trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str) -> None:
    """Measures the kept samplers by the metrics that are not measured yet under this protocol."""
    measured = yardstick(trial.data, trial.device, protocol)
    for checkpoint in CHECKPOINTS:
        path = folder.evaluation(measured.protocol.id, checkpoint)
        if missing := unmeasured(path, metrics):
            fakes = kept_samples(trial, folder, measured, checkpoint)
            add_readings(path, measured.protocol, measured.measure(fakes, missing))
            if checkpoint == "last":
                write_bytes(folder.samples, portrait(fakes, measured.reference))


def portrait(fakes: Fakes, reals: Tensor) -> bytes:
    """A PNG of fakes: by class where they have one, and translations beside what they were made from."""
    known = (fakes.source, fakes.images, fakes.truth)
    shown = [as_stored(images).cpu() for images in known if images is not None]
    if len(shown) > 1:
        return side_by_side(shown)
    told = fakes.labels is not None and shown[0].ndim == 4
    images = by_class(shown[0], fakes.labels.cpu()) if told else shown[0]  # type: ignore[union-attr]
    return picture(images, reals)


def kept_samples(trial: Trial, folder: TrialFolder, measured: Yardstick, checkpoint: str) -> Fakes:
    """Fakes of a kept sampler, as many as the protocol says, from latents that all arms of a seed share."""
    streams = Streams(trial.seed, torch.device(trial.device))
    game = kept_game(trial, folder, measured, checkpoint)
    count, seed = measured.protocol.fake, measured.protocol.seed
    stream = f"evaluation {seed}" if seed else "evaluation"
    found = sampled(game, game.generators, measured.split.held_out, streams, stream, count)
    game.generators.eval()
    sampler = game.sampler(game.generators)
    return replace(found, sampler=sampler and steady(sampler, streams))


def steady(sampler: Sampler, streams: Streams) -> Sampler:
    """The sampler with the same noise inside of layers at each call, so that latents alone move images."""

    def seeded(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*points: Tensor | None) -> Tensor:
            with streams.seeded("paths", "layers"):
                return make(*points)

        return made

    synthesis = sampler.synthesis and seeded(sampler.synthesis)
    return replace(sampler, images=seeded(sampler.images), synthesis=synthesis)


def kept_game(trial: Trial, folder: TrialFolder, measured: Yardstick, checkpoint: str) -> Game:
    """The trial's game with the generators of a checkpoint."""
    streams = Streams(trial.seed, torch.device(trial.device))
    game = assemble(trial.recipe, measured.data, streams).game
    game.generators.load_state_dict(load(folder.sampler(checkpoint).read_bytes()))
    return game


def is_finished(
    trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str = DEFAULT
) -> bool:
    """Is there a result, with everything measured that is asked for?"""
    result = read_json(folder.result)
    if result is None or result["outcome"] == "diverged":
        return result is not None
    known = yardstick(trial.data, trial.device, protocol).protocol.id
    return not any(unmeasured(folder.evaluation(known, c), metrics) for c in CHECKPOINTS)
