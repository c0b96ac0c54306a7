"""The Dirac-GAN (Mescheder et al., 2018): every loss and penalty where its dynamics are known.

The data are one point at 0, the generator is one point theta, the discriminator scores x by psi * x.
Near the equilibrium (0, 0) a step of the trainer is linear. With h the learning rate, b and -c the
slopes at 0 of both sides' loss by the fake's score, and rho what damps psi, it is

    psi' = (1 - h rho) psi - h b theta        theta' = theta + h c psi'

of determinant 1 - h rho: its eigenvalues are a pair of modulus sqrt(1 - h rho). So nothing converges
at a rate without rho, however the turns are shared out: zero-centred penalties and noise have one.
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
    """A generator that makes one point, whatever its latents."""

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
def offered(monkeypatch):
    """The network as a plugin offers it."""
    parts = {"ganbench.networks": {"dirac": "test_dirac:Dirac"}}
    monkeypatch.setattr("ganbench.registry.entry_points_of", lambda group: parts.get(group, {}))


class Game:
    """The project's own trainer on the Dirac-GAN; only its optimizers are plain gradient descent."""

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
    def place(self) -> np.ndarray:  # (psi, theta)
        return np.array([self.head.weight.item(), self.point.item()])

    def path(self, steps: int) -> np.ndarray:
        """Where it is after each of so many steps: [steps + 1, 2]."""
        places = [self.place]
        for _ in range(steps):
            self.trainer.train_step()
            places.append(self.place)
        return np.array(places)


def radius(path: np.ndarray) -> np.ndarray:
    return np.hypot(*path.T)


@dataclass(frozen=True)
class Slopes:
    """Of a loss where the fake's score is that of the equilibrium."""

    b: float  # of the discriminator's side by the fake's score
    c: float  # of the generator's, downwards
    curvature: float  # of the discriminator's by the real's score, and by the fake's, summed
    bias: float | None = None  # of the discriminator, if it needs one


# The sigmoid is 1/2 at 0 and its slope there 1/4. The relativistic average compares twice. Hinge has
# its kinks at -1 and 1. Least squares draws scores to 1 and 0, and meets them halfway by a bias of 1/2.
LOSSES = {
    "minimax": Slopes(1 / 2, 1 / 2, 1 / 2),
    "non_saturating": Slopes(1 / 2, 1 / 2, 1 / 2),
    "wasserstein": Slopes(1, 1, 0),
    "hinge": Slopes(1, 1, 0),
    "least_squares": Slopes(1 / 2, 1 / 2, 2, bias=1 / 2),
    "relativistic": Slopes(1 / 2, 1 / 2, 1 / 2),
    "relativistic_average": Slopes(1, 1, 1 / 2),
}
every_loss = pytest.mark.parametrize("loss", LOSSES)


def step_matrix(loss: str, *tricks: str, **plan) -> np.ndarray:
    """The slopes of one step by (psi, theta) at the equilibrium, by differences of real steps.

    Noise is the same in all of them, and what it adds is taken off.
    """
    size, bias = 1e-2, LOSSES[loss].bias
    ends = [
        Game(loss, *tricks, psi=psi, theta=theta, bias=bias, **plan).path(1)[-1]
        for psi, theta in ((0, 0), (size, 0), (0, size))
    ]
    return np.stack([ends[1] - ends[0], ends[2] - ends[0]], axis=1) / size


def theory(loss: str, rho=0.0, turns=1, ahead=0, ratio=1.0) -> np.ndarray:
    """The same by hand; the generator answers the discriminator some turns ahead of its own."""
    found = LOSSES[loss]
    turn = np.array([[1 - ratio * H * rho, -ratio * H * found.b], [0, 1]])
    moved, met = (np.linalg.matrix_power(turn, n)[0] for n in (turns, turns + ahead))
    return np.array([moved, [0, 1] + H * found.c * met])


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.sort_complex(np.linalg.eigvals(matrix))


def assert_is(measured: np.ndarray, expected: np.ndarray, off=2e-4):
    assert measured == pytest.approx(expected, abs=off)
    assert eigenvalues(measured) == pytest.approx(eigenvalues(expected), abs=5 * off)


# Near the equilibrium


@every_loss
def test_without_a_penalty_a_step_turns_and_neither_shrinks_nor_grows(loss):
    """rho = 0: a pair of modulus 1, and an angle whose cosine is half the trace, 1 - h^2 b c / 2."""
    matrix, found = step_matrix(loss), LOSSES[loss]
    assert_is(matrix, theory(loss))
    first, second = eigenvalues(matrix)
    assert abs(first) == pytest.approx(1, abs=1e-3)
    turned = np.arccos(1 - H**2 * found.b * found.c / 2)
    assert np.angle([first, second]) == pytest.approx([-turned, turned], rel=0.02)


# R1 and R2 are weight / 2 * psi^2 each: rho = weight. A gradient penalty with target 0 has no half.
DAMPING = {
    ("r1(weight=1)",): 1.0,
    ("r2(weight=1)",): 1.0,
    ("r1(weight=0.5)", "r2(weight=0.25)"): 0.75,
    ("gradient_penalty(weight=0.4, target=0)",): 0.8,
}


@every_loss
@pytest.mark.parametrize(("tricks", "rho"), DAMPING.items(), ids=map(" ".join, DAMPING))
def test_zero_centred_penalties_shrink_what_every_loss_turns(loss, tricks, rho):
    """The spectral radius is sqrt(1 - h rho) while the pair is complex: 4 b c > about rho^2."""
    matrix = step_matrix(loss, *tricks)
    assert_is(matrix, theory(loss, rho))
    if 4 * LOSSES[loss].b * LOSSES[loss].c > 1.2 * rho**2:
        assert np.abs(eigenvalues(matrix)) == pytest.approx([np.sqrt(1 - H * rho)] * 2, rel=1e-3)
    assert np.abs(eigenvalues(matrix)).max() < 1 - H * rho / 4


@every_loss
def test_too_strong_a_penalty_converges_along_a_line(loss):
    """rho^2 > 4 b c: two real eigenvalues, about 1 - h rho and 1 - h b c / rho."""
    found = LOSSES[loss]
    slow, fast = sorted(eigenvalues(step_matrix(loss, "r1(weight=5)")).real, reverse=True)
    assert eigenvalues(step_matrix(loss, "r1(weight=5)")).imag == pytest.approx([0, 0], abs=1e-6)
    assert 1 - slow == pytest.approx(H * found.b * found.c / 5, rel=0.06)
    assert fast == pytest.approx(1 - H * 5, rel=0.03)


@every_loss
def test_instance_noise_damps_by_the_curvature_of_the_loss(loss):
    """Scores psi * noise cost curvature / 2 * std^2 * psi^2: rho = std^2 (a'' + b''), which is 0 for
    losses that are straight near their equilibrium. What is left is the error of a batch's variance.
    """
    matrix = step_matrix(loss, "instance_noise(std=0.5)", batch=40_000)
    assert_is(matrix, theory(loss, 0.25 * LOSSES[loss].curvature), off=1e-3)


STRAIGHT = [
    "gradient_penalty(weight=1, one_sided=true)",  # slopes below 1 are free
    "weight_clipping(limit=0.5)",  # and weights within the box
    "gradient_clipping(norm=1)",  # and gradients below the norm
    "ema(decay=0.9)",  # training does not see the average
]


@every_loss
@pytest.mark.parametrize("trick", STRAIGHT)
def test_what_acts_at_a_distance_leaves_the_equilibrium_as_it_is(loss, trick):
    assert_is(step_matrix(loss, trick), theory(loss))


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_smoothed_labels_of_reals_do_not_damp(loss):
    """Reals score psi * 0, whatever their target."""
    assert_is(step_matrix(loss, "label_smoothing(real=0.8)"), theory(loss))


@every_loss
def test_more_and_faster_turns_of_the_discriminator_do_not_damp(loss):
    """They multiply b alone: the determinant stays 1."""
    assert_is(step_matrix(loss, discriminator_turns=5), theory(loss, turns=5))
    assert_is(step_matrix(loss, "ttur(ratio=4)"), theory(loss, ratio=4))
    assert np.linalg.det(theory(loss, turns=5)) == pytest.approx(1)


@every_loss
def test_a_generator_that_looks_ahead_is_damped(loss):
    """After k more turns psi is by k h b theta lower: the determinant is 1 - k h^2 b c."""
    matrix, found = step_matrix(loss, "unrolled(turns=5, order=1)"), LOSSES[loss]
    assert_is(matrix, theory(loss, ahead=5))
    modulus = np.sqrt(1 - 5 * H**2 * found.b * found.c)
    assert np.abs(eigenvalues(matrix)) == pytest.approx([modulus] * 2, rel=1e-3)


@every_loss
def test_feature_matching_needs_no_discriminator_to_pull(loss):
    """Its one feature is x itself: the generator descends weight * theta^2, and psi is left turning."""
    matrix = step_matrix(loss, "feature_matching(weight=0.5)")
    assert matrix == pytest.approx(np.array([[1, -H * LOSSES[loss].b], [0, 1 - H]]), abs=2e-4)


@pytest.mark.parametrize("every", [2, 4])
def test_a_lazy_penalty_damps_as_much_on_the_average(every):
    """One step in so many has so many times its weight: the product of determinants is 1 - h every rho."""
    task = Game("wasserstein", f"r1(weight=0.5, every={every})", psi=0.1)
    other = Game("wasserstein", f"r1(weight=0.5, every={every})", theta=0.1)
    ends = np.stack([task.path(every)[-1], other.path(every)[-1]], axis=1) / 0.1
    assert np.linalg.det(ends) == pytest.approx(1 - H * every * 0.5, abs=1e-4)


# On the way there


@pytest.mark.parametrize("loss", ["minimax", "wasserstein", "hinge"])
def test_alternating_turns_circle_where_the_sides_sum_is_zero(loss):
    """Both sides have one slope f': psi^2 + theta^2 is conserved, but for what a step's length adds."""
    far = radius(Game(loss, psi=0.5, theta=0.5).path(600))
    assert far.min() > 0.9 * far[0]
    assert far[-150:].max() == pytest.approx(far[:150].max(), rel=0.02)


@pytest.mark.parametrize(
    ("loss", "speed"),
    [("non_saturating", 1 / 8), ("relativistic", 1 / 8), ("relativistic_average", 1 / 4)],
)
def test_sides_of_two_slopes_close_in_ever_more_slowly(loss, speed):
    """b = s(t) and c = s(-t) at the score t = psi theta: d r^2 / dt = -2 t tanh(t / 2), on a circle
    -r^4 / 8 on the average: 1 / r^2 grows by 1 / 8 in a unit of time, and no rate is reached.
    """
    far = radius(Game(loss, theta=0.6).path(700))
    period = round(2 * np.pi / (H * LOSSES[loss].b))
    ends = [(far[a : a + period] ** -2.0).mean() for a in (0, len(far) - period)]
    gone = H * (len(far) - period)
    assert (ends[1] - ends[0]) / gone == pytest.approx(speed, rel=0.1)


def test_least_squares_without_a_bias_stops_wherever_it_is():
    """Its targets are 1 and 0, and all reals score 0: psi falls to 0, and there nothing pulls."""
    path = Game("least_squares", psi=0.5, theta=1).path(300)
    assert path[-1] == pytest.approx([0, path[200, 1]], abs=1e-6)
    assert path[-1, 1] > 1


@every_loss
def test_what_is_damped_arrives_at_the_rate_of_its_eigenvalues(loss):
    expected = np.log(np.abs(eigenvalues(theory(loss, 0.8))).max())
    far = radius(Game(loss, "r1(weight=0.8)", theta=0.2, bias=LOSSES[loss].bias).path(150))
    steps = np.arange(len(far))
    assert far[-1] < 0.05 * far[0]
    assert np.polyfit(steps, np.log(far), 1)[0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("side", [1, -1])
def test_weight_clipping_ends_on_the_largest_circle_in_its_box(side):
    """Outside psi stays at the limit and theta passes 0 at speed; inside nothing damps."""
    path = Game("wasserstein", "weight_clipping(limit=0.1)", theta=0.3 * side).path(200)
    assert np.abs(path[:, 0]).max() == pytest.approx(0.1)
    assert path[-80:].max(axis=0) == pytest.approx([0.1, 0.1], rel=0.1)
    assert path[-80:].min(axis=0) == pytest.approx([-0.1, -0.1], rel=0.1)


UNIT = pytest.mark.parametrize("trick", ["gradient_penalty", "dragan"])


@UNIT
@pytest.mark.parametrize(("loss", "weight"), [("wasserstein", 0.5), ("non_saturating", 0.25)])
def test_a_weak_penalty_for_slopes_that_are_not_1_swings_for_ever(loss, weight, trick):
    """It pushes psi away from 0 by 2 weight, and theta goes on until it pulls psi over: at
    |theta| = 2 weight / b psi obeys l^2 + 2 weight l + b c = 0, complex for weight^2 < b c.
    """
    path = Game(loss, f"{trick}(weight={weight})", theta=0.05).path(300)
    for late in (path[100:200], path[200:]):
        assert np.abs(late).max(axis=0).min() > 0.2
    assert np.diff(np.sign(path[100:]), axis=0).any(axis=0).all()  # both pass 0


@UNIT
@pytest.mark.parametrize("weight", [1.5, 2])
def test_a_strong_penalty_for_slopes_that_are_not_1_stops_beside_the_point(weight, trick):
    """The same for weight^2 > b c: psi creeps to 0 and theta to 2 weight / b, where nothing is learned
    until rounding throws psi over.
    """
    path = np.abs(Game("wasserstein", f"{trick}(weight={weight})", theta=0.05).path(200))
    assert path[-1, 0] < 0.1
    assert path[-1, 1] == pytest.approx(2 * weight, rel=0.05)


@pytest.mark.parametrize(("loss", "arrives"), [("non_saturating", True), ("wasserstein", False)])
def test_noise_on_images_arrives_only_under_a_curved_loss(loss, arrives):
    """rho = std^2 / 2 under the sigmoid's losses, and none under a straight one."""
    far = radius(Game(loss, "instance_noise(std=1)", theta=0.5, batch=1024).path(250))
    assert (far[-60:].max() < 0.1) == arrives
    assert (far[-60:].min() > 0.3) == (not arrives)


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5])
def test_noise_that_fades_takes_its_damping_along(progress):
    """std falls linearly to 0 at `until`: rho is std^2 (1 - progress / until)^2 / 2."""
    noise = dict(batch=40_000, progress=progress)
    matrix = step_matrix("non_saturating", "instance_noise(std=1, until=0.5)", **noise)
    assert_is(matrix, theory("non_saturating", (1 - progress / 0.5) ** 2 / 2), off=2e-3)


def test_an_average_of_weights_is_near_the_point_that_training_circles():
    """A mean that keeps d of itself scales a turn by a a step by (1 - d) / |1 - d exp(-ia)|."""
    task, decay = Game("wasserstein", "ema(decay=0.99)", theta=0.5), 0.99
    average = task.trainer.sampling_generators()[IMAGE].theta
    circle, means = [], []
    for number in range(900):
        task.trainer.train_step()
        if number >= 700:  # what the mean began with has faded to a thousandth
            circle.append(task.place[1]), means.append(average.item())
    turned = np.arccos(1 - H**2 / 2)
    expected = (1 - decay) / abs(1 - decay * np.exp(-1j * turned))
    assert max(means) / max(circle) == pytest.approx(expected, rel=0.03)
    assert expected < 0.11


# What the report makes of it


@pytest.mark.parametrize(("tricks", "flagged"), [((), True), (("r1(weight=0.4)",), False)])
def test_the_circle_is_flagged_as_an_oscillation_and_the_way_to_the_point_is_not(tricks, flagged):
    """The fake's score psi theta turns twice a circle: in 63 steps at a rate of 0.05."""
    task, losses = Game("wasserstein", *tricks, theta=0.5, rate=0.05), []
    for number in range(1, 401):
        task.trainer.train_step()
        if number % 5 == 0:
            losses.append({"step": number, **task.trainer.flush()})
    step = detect_oscillation(losses)
    assert step <= 63 if flagged else step is None
