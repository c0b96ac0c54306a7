"""Dynamics of the Dirac-GAN (Mescheder et al., 2018) for every loss and penalty.

The data are one point at 0. The generator is one point theta, and the discriminator scores x by psi * x.
Near the equilibrium (0, 0) a step of the trainer is linear:

    psi' = (1 - h rho) psi - h b theta        theta' = theta + h c psi'

Here h is the learning rate, and rho is the damping of psi. b and -c are the slopes of the
discriminator's and of the generator's loss by the fake's score at 0.
The determinant is 1 - h rho, so the eigenvalues are a pair of modulus sqrt(1 - h rho).
Without rho nothing converges at a rate, however many steps each side takes.
Zero-centred penalties and noise have a rho.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from helpers import CPU
from torch import nn

from ganbench.analysis.detection import detect_oscillation
from ganbench.data.base import IMAGE, BatchLoader, Data, Examples
from ganbench.gan.build import build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.recipe import Recipe
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget, Spent
from ganbench.training.trainer import Trainer

H = 0.1  # learning rate of both sides


@dataclass(frozen=True)
class Origin(Data):
    shapes: Mapping[str, tuple[int, ...]] = field(init=False, default_factory=lambda: {IMAGE: (1,)})


class Point(nn.Module):
    """A generator of one point, independent of its latents."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1))

    def forward(self, latents):
        return self.theta.expand(len(latents), 1)


@dataclass(frozen=True)
class Dirac(Network):
    bias: bool = False

    def build_generator(self, latent, shape):
        return Point()

    def build_discriminator(self, shape):
        return Discriminator(nn.Identity(), shape, Head(1, self.bias))


@pytest.fixture(autouse=True)
def dirac_plugin(monkeypatch):
    """Registers the network as a plugin does."""
    parts = {"ganbench.networks": {"dirac": "test_dirac:Dirac"}}
    monkeypatch.setattr(
        "ganbench.registry.registry.entry_points_of", lambda group: parts.get(group, {})
    )


class DiracTraining:
    """The project's trainer on the Dirac-GAN, with plain gradient descent as optimizers."""

    def __init__(self, loss, *tricks, psi=0.0, theta=0.0, bias=None, batch=4, rate=H,
                 progress=0.0, **plan):  # fmt: skip
        plan = Hyperparameters(
            batch=batch, latent=1, generator_lr=rate, discriminator_lr=rate, **plan
        )
        network = f"dirac(bias={str(bias is not None).lower()})"
        streams = RngStreams(0, CPU)
        setup = build_training(Recipe("", network, loss, tricks, plan), Origin(), streams)
        loader = BatchLoader({IMAGE: Examples(torch.zeros(batch, 1))}, batch, streams)
        self.trainer = Trainer(setup, loader, streams, Budget("generator_turns", 1e9))
        self.trainer.spent = Spent(generator_turns=int(1e9 * progress))
        self.trainer.optimizers = {
            side: torch.optim.SGD(parameters, 1.0)
            for side, parameters in self.trainer.sides.items()
        }
        self.head = setup.task.discriminators[IMAGE].head.linear
        self.point = setup.task.generators[IMAGE].theta
        with torch.no_grad():
            self.head.weight.fill_(psi), self.point.fill_(theta)
            if bias is not None:
                self.head.bias.fill_(bias)

    @property
    def position(self) -> np.ndarray:  # (psi, theta)
        return np.array([self.head.weight.item(), self.point.item()])

    def path(self, steps: int) -> np.ndarray:
        """Positions before the first and after each step: [steps + 1, 2]."""
        positions = [self.position]
        for _ in range(steps):
            self.trainer.train_step()
            positions.append(self.position)
        return np.array(positions)


def radius(path: np.ndarray) -> np.ndarray:
    return np.hypot(*path.T)


@dataclass(frozen=True)
class LossSlopes:
    """Derivatives of a loss at the equilibrium score of the fake."""

    b: float  # slope of the discriminator's loss by the fake's score
    c: float  # negative slope of the generator's loss by the fake's score
    curvature: float  # of the discriminator's loss, summed over the real's and the fake's score
    bias: float | None = None  # of the discriminator, if it needs one


# At 0 the sigmoid is 1/2 and its slope is 1/4. The relativistic average compares twice. Hinge has
# its kinks at -1 and 1. Least squares has the targets 1 and 0, and a bias of 1/2 lies halfway.
LOSSES = {
    "minimax": LossSlopes(1 / 2, 1 / 2, 1 / 2),
    "non_saturating": LossSlopes(1 / 2, 1 / 2, 1 / 2),
    "wasserstein": LossSlopes(1, 1, 0),
    "hinge": LossSlopes(1, 1, 0),
    "least_squares": LossSlopes(1 / 2, 1 / 2, 2, bias=1 / 2),
    "relativistic": LossSlopes(1 / 2, 1 / 2, 1 / 2),
    "relativistic_average": LossSlopes(1, 1, 1 / 2),
}
every_loss = pytest.mark.parametrize("loss", LOSSES)


def step_matrix(loss: str, *tricks: str, **plan) -> np.ndarray:
    """Jacobian of one step by (psi, theta) at the equilibrium, from differences of real steps.

    All steps share the same noise, so the difference removes its contribution.
    """
    size, bias = 1e-2, LOSSES[loss].bias
    ends = [
        DiracTraining(loss, *tricks, psi=psi, theta=theta, bias=bias, **plan).path(1)[-1]
        for psi, theta in ((0, 0), (size, 0), (0, size))
    ]
    return np.stack([ends[1] - ends[0], ends[2] - ends[0]], axis=1) / size


def theoretical_step_matrix(loss: str, rho=0.0, steps=1, ahead=0, ratio=1.0) -> np.ndarray:
    """Returns the step matrix of the theory.

    With `ahead`, the generator sees the discriminator that many steps later.
    """
    slopes = LOSSES[loss]
    step = np.array([[1 - ratio * H * rho, -ratio * H * slopes.b], [0, 1]])
    final, seen_by_generator = (np.linalg.matrix_power(step, n)[0] for n in (steps, steps + ahead))
    return np.array([final, [0, 1] + H * slopes.c * seen_by_generator])


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.sort_complex(np.linalg.eigvals(matrix))


def assert_matrix_close(measured: np.ndarray, expected: np.ndarray, tolerance=2e-4):
    assert measured == pytest.approx(expected, abs=tolerance)
    assert eigenvalues(measured) == pytest.approx(eigenvalues(expected), abs=5 * tolerance)


# Near the equilibrium


@every_loss
def test_step_without_penalty_is_a_rotation(loss):
    """rho = 0: the modulus is 1, and the cosine of the angle half the trace, 1 - h^2 b c / 2."""
    matrix, slopes = step_matrix(loss), LOSSES[loss]
    assert_matrix_close(matrix, theoretical_step_matrix(loss))
    first, second = eigenvalues(matrix)
    assert abs(first) == pytest.approx(1, abs=1e-3)
    angle = np.arccos(1 - H**2 * slopes.b * slopes.c / 2)
    assert np.angle([first, second]) == pytest.approx([-angle, angle], rel=0.02)


# R1 and R2 are weight / 2 * psi^2 each, so rho = weight. A gradient penalty with target 0 lacks the 1/2.
DAMPING = {
    ("r1(weight=1)",): 1.0,
    ("r2(weight=1)",): 1.0,
    ("r1(weight=0.5)", "r2(weight=0.25)"): 0.75,
    ("gradient_penalty(weight=0.4, target=0)",): 0.8,
}


@every_loss
@pytest.mark.parametrize(("tricks", "rho"), DAMPING.items(), ids=map(" ".join, DAMPING))
def test_zero_centred_penalties_damp_every_loss(loss, tricks, rho):
    """The spectral radius is sqrt(1 - h rho) while the pair is complex: 4 b c > about rho^2."""
    matrix = step_matrix(loss, *tricks)
    assert_matrix_close(matrix, theoretical_step_matrix(loss, rho))
    if 4 * LOSSES[loss].b * LOSSES[loss].c > 1.2 * rho**2:
        assert np.abs(eigenvalues(matrix)) == pytest.approx([np.sqrt(1 - H * rho)] * 2, rel=1e-3)
    assert np.abs(eigenvalues(matrix)).max() < 1 - H * rho / 4


@every_loss
def test_strong_penalty_converges_without_rotation(loss):
    """rho^2 > 4 b c: two real eigenvalues, about 1 - h rho and 1 - h b c / rho."""
    slopes = LOSSES[loss]
    slow, fast = sorted(eigenvalues(step_matrix(loss, "r1(weight=5)")).real, reverse=True)
    assert eigenvalues(step_matrix(loss, "r1(weight=5)")).imag == pytest.approx([0, 0], abs=1e-6)
    assert 1 - slow == pytest.approx(H * slopes.b * slopes.c / 5, rel=0.06)
    assert fast == pytest.approx(1 - H * 5, rel=0.03)


@every_loss
def test_instance_noise_damps_by_loss_curvature(loss):
    """Noisy scores psi * noise cost curvature / 2 * std^2 * psi^2, so rho = std^2 curvature.

    It is 0 for losses that are linear near the equilibrium.
    The remaining deviation is the sampling error of the variance of a batch.
    """
    matrix = step_matrix(loss, "instance_noise(std=0.5)", batch=40_000)
    assert_matrix_close(
        matrix, theoretical_step_matrix(loss, 0.25 * LOSSES[loss].curvature), tolerance=1e-3
    )


TRICKS_WITHOUT_DAMPING = [
    "gradient_penalty(weight=1, one_sided=true)",  # gradients below norm 1 cost nothing
    "weight_clipping(limit=0.5)",  # no effect on weights within the box
    "gradient_clipping(norm=1)",  # no effect on gradients below the norm
    "ema(decay=0.9)",  # training does not use the average
]


@every_loss
@pytest.mark.parametrize("trick", TRICKS_WITHOUT_DAMPING)
def test_inactive_tricks_leave_equilibrium_unchanged(loss, trick):
    assert_matrix_close(step_matrix(loss, trick), theoretical_step_matrix(loss))


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_smoothing_real_labels_does_not_damp(loss):
    """Reals score psi * 0 for every target."""
    assert_matrix_close(
        step_matrix(loss, "label_smoothing(real=0.8)"), theoretical_step_matrix(loss)
    )


@every_loss
def test_more_discriminator_training_does_not_damp(loss):
    """More steps multiply only b, so the determinant stays 1."""
    assert_matrix_close(
        step_matrix(loss, discriminator_turns=5), theoretical_step_matrix(loss, steps=5)
    )
    assert_matrix_close(step_matrix(loss, "ttur(ratio=4)"), theoretical_step_matrix(loss, ratio=4))
    assert np.linalg.det(theoretical_step_matrix(loss, steps=5)) == pytest.approx(1)


@every_loss
def test_unrolled_generator_is_damped(loss):
    """k more steps lower psi by k h b theta, so the determinant is 1 - k h^2 b c."""
    matrix, slopes = step_matrix(loss, "unrolled(turns=5, order=1)"), LOSSES[loss]
    assert_matrix_close(matrix, theoretical_step_matrix(loss, ahead=5))
    modulus = np.sqrt(1 - 5 * H**2 * slopes.b * slopes.c)
    assert np.abs(eigenvalues(matrix)) == pytest.approx([modulus] * 2, rel=1e-3)


@every_loss
def test_feature_matching_pulls_without_the_discriminator(loss):
    """The one feature is x itself, so the generator descends weight * theta^2.

    The discriminator's psi has no damping.
    """
    matrix = step_matrix(loss, "feature_matching(weight=0.5)")
    assert matrix == pytest.approx(np.array([[1, -H * LOSSES[loss].b], [0, 1 - H]]), abs=2e-4)


@pytest.mark.parametrize("every", [2, 4])
def test_lazy_penalty_damps_equally_on_average(every):
    """Every n-th step has n times the weight: the product of determinants is 1 - h n rho."""
    from_psi = DiracTraining("wasserstein", f"r1(weight=0.5, every={every})", psi=0.1)
    from_theta = DiracTraining("wasserstein", f"r1(weight=0.5, every={every})", theta=0.1)
    ends = np.stack([from_psi.path(every)[-1], from_theta.path(every)[-1]], axis=1) / 0.1
    assert np.linalg.det(ends) == pytest.approx(1 - H * every * 0.5, abs=1e-4)


# Away from the equilibrium


@pytest.mark.parametrize("loss", ["minimax", "wasserstein", "hinge"])
def test_zero_sum_losses_circle_the_equilibrium(loss):
    """Both sides have the slope f', so psi^2 + theta^2 is conserved up to the step size."""
    radii = radius(DiracTraining(loss, psi=0.5, theta=0.5).path(600))
    assert radii.min() > 0.9 * radii[0]
    assert radii[-150:].max() == pytest.approx(radii[:150].max(), rel=0.02)


@pytest.mark.parametrize(
    ("loss", "speed"),
    [("non_saturating", 1 / 8), ("relativistic", 1 / 8), ("relativistic_average", 1 / 4)],
)
def test_non_zero_sum_losses_converge_sublinearly(loss, speed):
    """1 / r^2 grows by a constant per unit of time, so there is no exponential rate.

    At the score t = psi theta, b = s(t) and c = s(-t), so d r^2 / dt = -2 t tanh(t / 2).
    Its average over a circle is -r^4 / 8, and 1 / r^2 grows by 1 / 8.
    """
    radii = radius(DiracTraining(loss, theta=0.6).path(700))
    period = round(2 * np.pi / (H * LOSSES[loss].b))
    ends = [(radii[a : a + period] ** -2.0).mean() for a in (0, len(radii) - period)]
    elapsed = H * (len(radii) - period)
    assert (ends[1] - ends[0]) / elapsed == pytest.approx(speed, rel=0.1)


def test_least_squares_without_bias_stops_off_equilibrium():
    """All reals score 0 and the targets are 1 and 0: psi falls to 0, where gradients vanish."""
    path = DiracTraining("least_squares", psi=0.5, theta=1).path(300)
    assert path[-1] == pytest.approx([0, path[200, 1]], abs=1e-6)
    assert path[-1, 1] > 1


@every_loss
def test_damped_training_converges_at_eigenvalue_rate(loss):
    expected = np.log(np.abs(eigenvalues(theoretical_step_matrix(loss, 0.8))).max())
    radii = radius(
        DiracTraining(loss, "r1(weight=0.8)", theta=0.2, bias=LOSSES[loss].bias).path(150)
    )
    steps = np.arange(len(radii))
    assert radii[-1] < 0.05 * radii[0]
    assert np.polyfit(steps, np.log(radii), 1)[0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("side", [1, -1])
def test_weight_clipping_ends_on_largest_inner_circle(side):
    """Outside the box psi stays at the limit and theta passes 0; inside nothing damps."""
    path = DiracTraining("wasserstein", "weight_clipping(limit=0.1)", theta=0.3 * side).path(200)
    assert np.abs(path[:, 0]).max() == pytest.approx(0.1)
    assert path[-80:].max(axis=0) == pytest.approx([0.1, 0.1], rel=0.1)
    assert path[-80:].min(axis=0) == pytest.approx([-0.1, -0.1], rel=0.1)


unit_gradient_penalties = pytest.mark.parametrize("trick", ["gradient_penalty", "dragan"])


@unit_gradient_penalties
@pytest.mark.parametrize(("loss", "weight"), [("wasserstein", 0.5), ("non_saturating", 0.25)])
def test_weak_unit_gradient_penalty_oscillates_forever(loss, weight, trick):
    """The penalty pushes psi away from 0 by 2 weight until theta pulls it across.

    At |theta| = 2 weight / b the eigenvalues of psi solve l^2 + 2 weight l + b c = 0.
    They are complex for weight^2 < b c.
    """
    path = DiracTraining(loss, f"{trick}(weight={weight})", theta=0.05).path(300)
    for late in (path[100:200], path[200:]):
        assert np.abs(late).max(axis=0).min() > 0.2
    assert np.diff(np.sign(path[100:]), axis=0).any(axis=0).all()  # both pass 0


@unit_gradient_penalties
@pytest.mark.parametrize("weight", [1.5, 2])
def test_strong_unit_gradient_penalty_stops_off_equilibrium(weight, trick):
    """For weight^2 > b c psi creeps to 0 and theta to 2 weight / b.

    Nothing is learned there until rounding changes the sign of psi.
    """
    path = np.abs(DiracTraining("wasserstein", f"{trick}(weight={weight})", theta=0.05).path(200))
    assert path[-1, 0] < 0.1
    assert path[-1, 1] == pytest.approx(2 * weight, rel=0.05)


@pytest.mark.parametrize(("loss", "converges"), [("non_saturating", True), ("wasserstein", False)])
def test_instance_noise_converges_only_with_curved_loss(loss, converges):
    """rho = std^2 / 2 for losses with a sigmoid, and 0 for linear ones."""
    radii = radius(DiracTraining(loss, "instance_noise(std=1)", theta=0.5, batch=1024).path(250))
    assert (radii[-60:].max() < 0.1) == converges
    assert (radii[-60:].min() > 0.3) == (not converges)


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5])
def test_fading_noise_loses_its_damping(progress):
    """std falls linearly to 0 at `until`: rho is std^2 (1 - progress / until)^2 / 2."""
    noise = dict(batch=40_000, progress=progress)
    matrix = step_matrix("non_saturating", "instance_noise(std=1, until=0.5)", **noise)
    assert_matrix_close(
        matrix,
        theoretical_step_matrix("non_saturating", (1 - progress / 0.5) ** 2 / 2),
        tolerance=2e-3,
    )


def test_ema_is_near_the_equilibrium():
    """With decay d, a rotation by the angle a per step shrinks by (1 - d) / |1 - d exp(-ia)|."""
    training, decay = DiracTraining("wasserstein", "ema(decay=0.99)", theta=0.5), 0.99
    average = training.trainer.sampling_generators()[IMAGE].theta
    circle, means = [], []
    for number in range(900):
        training.trainer.train_step()
        if number >= 700:  # the initial weights count less than a thousandth by now
            circle.append(training.position[1]), means.append(average.item())
    angle = np.arccos(1 - H**2 / 2)
    expected = (1 - decay) / abs(1 - decay * np.exp(-1j * angle))
    assert max(means) / max(circle) == pytest.approx(expected, rel=0.03)
    assert expected < 0.11


# Detection in the report


@pytest.mark.parametrize(("tricks", "flagged"), [((), True), (("r1(weight=0.4)",), False)])
def test_only_the_circle_is_flagged_as_oscillation(tricks, flagged):
    """The fake's score psi theta has two periods per circle: 63 steps at a rate of 0.05."""
    training, losses = DiracTraining("wasserstein", *tricks, theta=0.5, rate=0.05), []
    for number in range(1, 401):
        training.trainer.train_step()
        if number % 5 == 0:
            losses.append({"step": number, **training.trainer.flush()})
    step = detect_oscillation(losses)
    assert step <= 63 if flagged else step is None
