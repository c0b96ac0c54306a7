"""Restores a trial's saved generator and samples from it."""

from dataclasses import replace

import torch
from safetensors.torch import load
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.data.captions import Captions
from ganbench.data.modality import IMAGES, modality_of
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.heartbeat import send_heartbeat
from ganbench.gan.build import build_training
from ganbench.gan.tasks.base import Task
from ganbench.image_grid import (
    arrange_by_class,
    draw_captioned,
    draw_picture,
    draw_side_by_side,
)
from ganbench.picture_parts import INPUT, OUTPUT, TARGET
from ganbench.rng import RngStreams
from ganbench.training.sampling import (
    GeneratedSamples,
    draw_samples_of_task,
    with_fixed_layer_noise,
)

from .store import TrialFolder
from .trial import Trial


def draw_sample_picture(
    fakes: GeneratedSamples, reals: Tensor, captions: Captions | None = None
) -> bytes:
    """Returns a PNG of generated samples.

    Labelled images are arranged by class, or stand above their captions. Translated images stand
    beside their sources and, if known, the true targets.
    """
    versions = {INPUT: fakes.source, OUTPUT: fakes.images, TARGET: fakes.truth}
    shown = {name: to_uint8(x).cpu() for name, x in versions.items() if x is not None}
    if len(shown) > 1:
        return draw_side_by_side(shown)
    return draw_labelled_picture(shown[OUTPUT], fakes.labels, reals, captions)


def draw_labelled_picture(
    images: Tensor, labels: Tensor | None, reals: Tensor, captions: Captions | None = None
) -> bytes:
    """Returns a PNG of images, by class or with captions if they have labels, or of points."""
    if captions is not None and labels is not None:
        return draw_captioned(images, [captions.sentences[label] for label in labels.tolist()])
    if labels is not None and modality_of(images) is IMAGES:
        images = arrange_by_class(images, labels.cpu())
    return draw_picture(images, reals)


def draw_saved_samples(
    trial: Trial, folder: TrialFolder, evaluator: Evaluator, checkpoint: str
) -> GeneratedSamples:
    """Draws the protocol's number of samples from a saved generator.

    All arms of a seed use the same latents.
    """
    streams = RngStreams(trial.seed, torch.device(trial.device))
    task = load_saved_task(trial, folder, evaluator, checkpoint)
    for generator in task.generators.values():
        generator.register_forward_pre_hook(lambda *_: send_heartbeat())
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
