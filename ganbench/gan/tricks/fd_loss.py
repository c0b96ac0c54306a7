"""FD-loss (Yang et al., 2026): the generator minimizes a Fréchet distance of features.

It adds `weight · d / (sg(d) + 0.01)` to the generator's loss, with `d = ‖μ − m‖² + tr(S + C − 2 (S C)^½)`
and `sg` without gradient, as in the authors' code. `m` and `C` are the mean and the covariance of
features of reals, `μ` and `S` those of fakes. The features are those of the classifier that ganbench
ships for the data set `of`.

A batch is too small for a covariance. So the last `queue` fakes count beside those of the step, and
only fakes of the step have a gradient. The authors keep 50,000 fakes, from before training on, and
have the moments of all reals. Here the moments are those of all reals of the training so far.
`adversarial` keeps a share of the adversarial term.

The trick trains on the metric: where a leaderboard ranks by a distance in these features, its rank
says nothing on images. Other features and metrics do. The queue moves with the step, so that the
trick trains without CUDA graphs.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ganbench.data.label_classifier import CLASSIFIER_FEATURES, labelled_dataset
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import gather_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss
from ganbench.gan.tasks.base import Task, Terms

from .base import Trick
from .feature_matching import TRICKS_ON_ADVERSARIAL_TERM
from .frozen_classifier import FrozenClassifier, refuse_teacher

STABILIZER = 0.01  # of the normalization of the distance
SMALLEST_SHARE = 1e-7  # of the largest eigenvalue; smaller ones count as 0, and have no gradient

Moments = tuple[Tensor, Tensor]  # a mean [features] and a covariance [features, features]


class FDLoss(Trick):
    works_on_slices = True
    phase = "loss"
    queues: Tensor  # [discriminators, queue, features], of fakes
    means: Tensor  # [discriminators, features], of all reals so far
    scatters: Tensor  # [discriminators, features, features], sums of their squared deviations

    def __init__(
        self,
        weight: float = 1.0,
        queue: int = 512,
        of: str = "digits",
        adversarial: float = 1.0,
    ):
        super().__init__()
        if weight <= 0 or adversarial < 0:
            raise ValueError("weight must be above 0 and adversarial not below")
        if not 0 <= queue <= 2**20:
            raise ValueError(f"queue must lie between 0 and {2**20:,}, not {queue}")
        labelled_dataset(of)
        self.weight, self.queue, self.of, self.adversarial = weight, queue, of, adversarial

    def incompatibility(self, config: BuildConfig) -> str | None:
        if refusal := refuse_teacher("fd_loss", self.of, config):
            return refusal
        idle = [name for name in config.tricks if name in TRICKS_ON_ADVERSARIAL_TERM]
        if idle and not self.adversarial:
            return f"fd_loss replaces the adversarial term, so {idle[0]} would change nothing"
        if self.queue and self.queue < config.hyperparameters.batch:
            batch = config.hyperparameters.batch
            return f"fd_loss keeps whole batches: a queue of {self.queue} has no place for {batch}"
        return None

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.discriminators)
        self.teacher = FrozenClassifier(self.of)
        count, features = len(self.names), CLASSIFIER_FEATURES
        self.register_buffer("queues", torch.zeros(count, self.queue, features))
        self.register_buffer("means", torch.zeros(count, features))
        self.register_buffer("scatters", torch.zeros(count, features, features))

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return replace(loss, generator_weight=self.adversarial * loss.generator_weight)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        number = self.names.index(pair.name)
        real, fake = (gather_rows(self.teacher(x)) for x in (pair.real, pair.fake))
        seen = self.count_seen(len(fake))
        reals = self.add_reals(number, real.detach(), seen)
        fakes = torch.cat([self.queues[number, : min(seen, self.queue)], fake])
        distance = frechet_distance(moments(fakes), reals)
        term = self.weight * distance / (distance.detach() + STABILIZER)
        yield "fd_loss", term.to(fake.dtype)
        self.store(number, fake.detach(), seen)

    def count_seen(self, batch: int) -> int:
        """Returns the number of examples of earlier steps; each step has had a batch."""
        assert self.context
        return self.context.step * batch

    @torch.no_grad()
    def add_reals(self, number: int, features: Tensor, seen: int) -> Moments:
        """Adds reals to the moments of those before (Chan et al., 1983); returns all moments."""
        mean, covariance = moments(features)
        new, before = len(features), self.means[number].double()
        total, off = seen + new, mean - before
        scatter = self.scatters[number].double() + covariance * max(1, new - 1)
        scatter = scatter + off.outer(off) * (seen * new / total)
        self.means[number] = before + off * (new / total)
        self.scatters[number] = scatter
        return before + off * (new / total), scatter / max(1, total - 1)

    @torch.no_grad()
    def store(self, number: int, fakes: Tensor, seen: int) -> None:
        """Replaces the oldest fakes of the queue."""
        if not self.queue:
            return
        places = torch.arange(seen, seen + len(fakes), device=fakes.device) % self.queue
        self.queues[number, places] = fakes.to(self.queues.dtype)


def frechet_distance(fake: Moments, real: Moments) -> Tensor:
    """Returns the squared Fréchet distance of features with these moments, a scalar.

    With `A A′` the covariance of reals, `tr (S C)^½` is the sum of the roots of the eigenvalues of
    `A′ S A`. Gradients reach the fakes alone.
    """
    (mean, covariance), (other_mean, other_covariance) = fake, real
    values, vectors = torch.linalg.eigh(other_covariance)
    root = vectors * values.clamp_min(0).sqrt()
    spectrum = torch.linalg.eigvalsh(root.T @ covariance @ root)
    spectrum = spectrum[spectrum > SMALLEST_SHARE * spectrum[-1]]
    traces = covariance.trace() + other_covariance.trace() - 2 * spectrum.sqrt().sum()
    return (mean - other_mean).square().sum() + traces


def moments(features: Tensor) -> Moments:
    """Returns the mean [F] and the covariance [F, F] of features, in float64."""
    with torch.autocast(features.device.type, enabled=False):
        wide = features.double()
        mean = wide.mean(0)
        off = wide - mean
        return mean, off.T @ off / max(1, len(off) - 1)
