"""Restores a trial's saved generator and samples from it."""

from dataclasses import replace

import torch
from safetensors.torch import load
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.data.modality import IMAGES, modality_of
from ganbench.evaluation.evaluator import Evaluator
from ganbench.gan.build import build_training
from ganbench.gan.tasks.base import Task
from ganbench.image_grid import arrange_by_class, draw_picture, draw_side_by_side
from ganbench.rng import RngStreams
from ganbench.training.sampling import (
    GeneratedSamples,
    draw_samples_of_task,
    with_fixed_layer_noise,
)

from .store import TrialFolder
from .trial import Trial


def draw_sample_picture(fakes: GeneratedSamples, reals: Tensor) -> bytes:
    """Returns a PNG of generated samples.

    Labelled images are arranged by class. Translated images stand beside their sources and, if known,
    the true targets.
    """
    candidates = (fakes.source, fakes.images, fakes.truth)
    shown = [to_uint8(images).cpu() for images in candidates if images is not None]
    if len(shown) > 1:
        return draw_side_by_side(shown)
    has_labelled_images = fakes.labels is not None and modality_of(shown[0]) is IMAGES
    images = arrange_by_class(shown[0], fakes.labels.cpu()) if has_labelled_images else shown[0]  # type: ignore[union-attr]
    return draw_picture(images, reals)


def draw_saved_samples(
    trial: Trial, folder: TrialFolder, evaluator: Evaluator, checkpoint: str
) -> GeneratedSamples:
    """Draws the protocol's number of samples from a saved generator.

    All arms of a seed use the same latents.
    """
    streams = RngStreams(trial.seed, torch.device(trial.device))
    task = load_saved_task(trial, folder, evaluator, checkpoint)
    count, seed = evaluator.protocol.fake, evaluator.protocol.seed
    stream = f"evaluation {seed}" if seed else "evaluation"
    samples = draw_samples_of_task(
        task, task.generators, evaluator.split.held_out, streams, stream, count
    )
    task.generators.eval()
    sampler = task.latent_sampler(task.generators)
    return replace(samples, sampler=sampler and with_fixed_layer_noise(sampler, streams))


def load_saved_task(
    trial: Trial, folder: TrialFolder, evaluator: Evaluator, checkpoint: str
) -> Task:
    """Returns the trial's task with the generators of a checkpoint."""
    streams = RngStreams(trial.seed, torch.device(trial.device))
    task = build_training(trial.recipe, evaluator.data, streams).task
    task.generators.load_state_dict(load(folder.generator_path(checkpoint).read_bytes()))
    return task
