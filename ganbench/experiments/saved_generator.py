"""Restores a trial's saved generator and samples from it."""

from dataclasses import replace

import torch
from safetensors.torch import load
from torch import Tensor

from ganbench.data.base import as_stored
from ganbench.data.modality import IMAGES, modality_of
from ganbench.evaluation.evaluator import Yardstick
from ganbench.gan.build import assemble
from ganbench.gan.tasks.base import Game
from ganbench.image_grid import by_class, picture, side_by_side
from ganbench.rng import Streams
from ganbench.training.sampling import Fakes, sampled, steady

from .store import TrialFolder
from .trial import Trial


def portrait(fakes: Fakes, reals: Tensor) -> bytes:
    """A PNG of fakes: by class where they have one, and translations beside what they were made from."""
    known = (fakes.source, fakes.images, fakes.truth)
    shown = [as_stored(images).cpu() for images in known if images is not None]
    if len(shown) > 1:
        return side_by_side(shown)
    told = fakes.labels is not None and modality_of(shown[0]) is IMAGES
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


def kept_game(trial: Trial, folder: TrialFolder, measured: Yardstick, checkpoint: str) -> Game:
    """The trial's game with the generators of a checkpoint."""
    streams = Streams(trial.seed, torch.device(trial.device))
    game = assemble(trial.recipe, measured.data, streams).game
    game.generators.load_state_dict(load(folder.sampler(checkpoint).read_bytes()))
    return game
