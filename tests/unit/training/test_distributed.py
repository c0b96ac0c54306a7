"""Several processes with slices of each batch follow one process, or a reason refuses them.

Both draw the same numbers, so in float64 their weights differ by rounding alone. A bias before a
normalization has no gradient but rounding, which Adam scales up; such biases are left out.
"""

from dataclasses import replace

import pytest
import torch
from helpers import CPU, same, split, through_a_file, training_setup
from process_pair import ALONE, TOLERANCE, Case, ProcessPair, largest_gaps, training_tensors
from torch import nn
from trick_cases import HOME, TOGETHER, TRICK_SPECS, incompatibility
from variant_cases import home_data, variant_spec

from ganbench.data.base import IMAGE
from ganbench.devices import Numerics
from ganbench.experiments.numerics_axes import format_numerics, numerics_spec
from ganbench.gan.batch_slices import (
    BatchSlice,
    draw_normal_like,
    draw_rows,
    gather_rows,
    mean_each_over_slices,
    mean_over_slices,
    slice_rows,
    training_on_slice,
)
from ganbench.gan.build import Incompatible
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.hinge import Hinge
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.batch_norm import use_whole_batch_statistics
from ganbench.gan.networks.conditioning import UnconditionalBatchNorm
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick, TrickList
from ganbench.gan.tricks.r1 import R1
from ganbench.gan.variants import VARIANTS, resolve_variant
from ganbench.registry import SpecError, parse_spec
from ganbench.training.build_trainer import numerics_incompatibility
from ganbench.training.distributable import recipe_slicing_incompatibility, slicing_obstacle
from ganbench.training.distributed import RanksDiffer, sum_bits

FLOAT32_TOLERANCE = 1e-3  # of a loss term, in float32 over tens of steps
NO_FLOAT64 = ("ada",)  # its draws are in float32


@pytest.fixture(scope="module")
def pair():
    pair = ProcessPair()
    yield pair
    pair.close()


def dtype_for(text):
    return "float32" if any(name in text for name in NO_FLOAT64) else "float64"


def follows(pair, case):
    """Returns whether two processes have the weights and terms of one, but for rounding."""
    tolerance = TOLERANCE if case.dtype == "float64" else FLOAT32_TOLERANCE
    return max(largest_gaps(pair.call(case), case.train(ALONE))) < tolerance


def variant_case(name):
    return Case(variant_spec(name), home_data(name), dtype=dtype_for(name))


def trick_case(name, variant):
    home = HOME.get(name, {"text": variant})
    has_trick = name in [parse_spec(text).name for text in resolve_variant(home["text"]).tricks]
    tricks = () if has_trick else (TRICK_SPECS[name],)
    plan = {"latent": home["latent"]} if "latent" in home else {}
    loss = home.get("loss", "")
    return Case(home["text"], tricks=tricks, loss=loss, dtype=dtype_for(name), plan=plan)


SAMPLE = [
    Case("dcgan(width=4)"),  # batch norm
    Case("gan(width=8)", tricks=("unrolled(turns=1)",)),  # gradients of steps
    Case("gan(width=8)", tricks=("r1", "minibatch_std", "ema")),  # gradients across the batch
    Case("dcgan(width=4)", tricks=("top_k", "image_pool(size=16)"), loss="relativistic_average"),
    Case("stylegan2(width=4)"),  # noise in layers, lengths of paths
]


@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_two_processes_follow_one(pair, case):
    assert follows(pair, case)


def test_float32_follows_over_tens_of_steps(pair):
    case = Case("gan(width=16)", tricks=("r1", "ema"), steps=40, dtype="float32")
    assert follows(pair, case)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_follows(pair, name):
    assert follows(pair, variant_case(name))


@pytest.mark.slow
@pytest.mark.parametrize("loss", sorted(LOSSES.entries))
@pytest.mark.parametrize(
    ("variant", "data"), [("gan2d(width=8)", "ring"), ("dcgan(width=4)", "digits")]
)
def test_every_loss_follows(pair, loss, variant, data):
    assert follows(pair, Case(variant, data, loss=loss))


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", ["gan(width=8)", "dcgan(width=4, norm='layer')", "dcgan(width=4)"]
)
@pytest.mark.parametrize("name", TRICK_SPECS)
def test_every_trick_follows(pair, name, variant):
    case = trick_case(name, variant)
    if incompatibility(case.recipe(), case.data):
        pytest.skip("incompatible with batch norm in any process")
    assert follows(pair, case)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
@pytest.mark.parametrize("variant", ["gan(width=8)", "dcgan(width=4, norm='layer')"])
def test_finite_differences_follow(pair, name, variant):
    assert follows(pair, Case(variant, tricks=(f"{name}(method='finite_difference')",)))


@pytest.mark.slow
def test_all_tricks_follow_together(pair):
    specs = TRICK_SPECS | {
        "unrolled": "unrolled(turns=1, order=1)",
        "feature_matching": "feature_matching(adversarial=1)",
    }
    tricks = tuple(specs[name] for name in TOGETHER)
    assert follows(pair, Case("gan(width=8)", tricks=tricks, steps=3, dtype="float32"))


@pytest.mark.parametrize(
    "numerics", [{"dtype": "bfloat16"}, {"memory_format": "channels_last"}], ids=str
)
def test_other_numerics_train(pair, numerics):
    """The processes agree to the bit, and with one process as far as bfloat16 rounds."""
    case = Case("dcgan(width=4)", dtype="float32", numerics=numerics)
    tolerance = 0.1 if "dtype" in numerics else FLOAT32_TOLERANCE
    _, terms = largest_gaps(pair.call(case), case.train(ALONE))
    assert terms < tolerance


def resume_midway(case, place):
    """Trains three steps, then three more by a second trainer with the state of the first."""
    first, _ = replace(case, steps=3).train(place)
    second = case.make(place)
    second.load_state_dict(through_a_file(first.state_dict()))
    for _ in range(3):
        second.train_step(), second.flush()
    return second


def test_resumed_training_gives_same_bits(pair):
    case = Case("dcgan(width=4)", tricks=("ema", "spectral_norm"), steps=6, dtype="float32")
    unbroken, _ = pair.call(case)
    resumed = pair.call(case, resume_midway)
    assert same(training_tensors(unbroken), training_tensors(resumed))
    assert not same(
        training_tensors(unbroken), training_tensors(pair.call(replace(case, steps=5))[0])
    )


def change_a_bit(case, place):
    """Changes the last bit of one weight in one process; returns the error of the check."""
    trainer, _ = case.train(place)
    weights = trainer.task.generators[IMAGE][0].weight.data.view(torch.int32)
    weights[3, 2] ^= place.rank
    try:
        trainer.check_equal()
    except RanksDiffer as error:
        return str(error)
    return ""


def test_drift_of_one_bit_is_found(pair):
    error = pair.call(Case("gan(width=8)", steps=1, dtype="float32"), change_a_bit)
    assert "game.generators.image.0.weight differs at step 1" in error


def test_checksum_sees_opposite_changes():
    x = torch.ones(8)
    y = x.clone()
    y.view(torch.int32)[0] += 1
    y.view(torch.int32)[5] -= 1
    assert sum_bits(x) != sum_bits(y)
    assert sum_bits(x) == sum_bits(x.clone())
    assert sum_bits(torch.tensor(True)) != sum_bits(torch.tensor(False))


def compare_norms(case, place):
    """Returns values, gradients and running statistics of both batch norms of a whole batch."""
    draws = torch.Generator().manual_seed(0)
    whole = torch.randn(8, 3, 5, 5, dtype=torch.float64, generator=draws, requires_grad=True)
    plain, ours = (UnconditionalBatchNorm(3).double() for _ in range(2))
    use_whole_batch_statistics(ours)
    expected = plain(whole)
    expected.sin().mean().backward()
    with training_on_slice(place):
        x = slice_rows(whole.detach()).requires_grad_()
        result = ours(x)
        result.sin().mean().backward()
        rows = gather_rows(result)
        slopes = gather_rows(x.grad) / place.count
        bias = mean_over_slices(ours.bias.grad)
    return [
        (rows, expected),
        (slopes, whole.grad),
        (bias, plain.bias.grad),
        (ours.running_mean, plain.running_mean),
        (ours.running_var, plain.running_var),
        (ours.num_batches_tracked, plain.num_batches_tracked),
    ]


def test_batch_norm_has_whole_statistics(pair):
    for ours, expected in pair.call(Case("gan"), compare_norms):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_batch_norm_alone_is_torchs():
    x, (plain, ours) = torch.randn(8, 3), (nn.BatchNorm1d(3) for _ in range(2))
    use_whole_batch_statistics(ours)
    assert torch.equal(ours(x), plain(x))
    assert torch.equal(ours.eval()(x), plain.eval()(x))
    assert same(ours.state_dict(), plain.state_dict())


def use_every_function(case, place):
    """Returns this rank's results of the functions, beside those of the whole batch."""
    random = torch.Generator()
    whole = torch.arange(8.0).reshape(4, 2)
    with training_on_slice(place):
        own = slice_rows(whole)
        torch.manual_seed(5)
        noise = gather_rows(draw_normal_like(own))
        columns = draw_rows(torch.rand, (3, 2), dim=1, generator=random.manual_seed(1))
        means = mean_each_over_slices([own.mean(), own])
        return (
            gather_rows(own),
            noise,
            gather_rows(columns.T),
            means,
            mean_over_slices(own.sum()),
        )


def test_slices_rebuild_the_batch(pair):
    whole = torch.arange(8.0).reshape(4, 2)
    rows, noise, columns, means, total = pair.call(Case("gan"), use_every_function)
    assert torch.equal(rows, whole)
    torch.manual_seed(5)
    assert torch.equal(noise, torch.randn(4, 2))
    assert torch.equal(columns, torch.rand(3, 4, generator=torch.Generator().manual_seed(1)).T)
    assert torch.equal(means[0], whole.mean())
    assert torch.equal(means[1], whole.unflatten(0, (2, 2)).mean(0))
    assert total == whole.sum() / 2


def test_alone_functions_change_nothing():
    x = torch.randn(4, 2)
    assert all(f(x) is x for f in (slice_rows, gather_rows, mean_over_slices))
    assert mean_each_over_slices([x])[0] is x


@pytest.mark.parametrize(
    ("registry", "skipped"), [(TRICKS, ()), (LOSSES, ()), (TASKS, ()), (NETWORKS, ())]
)
def test_every_own_part_declares_slices(registry, skipped):
    undeclared = {n for n in registry.entries if "works_on_slices" not in vars(registry.load(n))}
    assert undeclared == set(skipped)


def test_parts_without_declaration_are_refused():
    setup = training_setup("gan(width=8)")
    assert slicing_obstacle(setup, 2) is None
    mine = type("MyTrick", (Trick,), {})()
    reason = slicing_obstacle(replace(setup, trick=TrickList({"mine": mine})), 2)
    assert reason == "trick mine does not declare works_on_slices, so it may need the whole batch"
    inherited = type("MyLoss", (Hinge,), {})()  # a subclass may look across the batch
    assert "loss MyLoss" in slicing_obstacle(replace(setup, loss=inherited), 2)
    penalty = type("MyR1", (R1,), {})()
    assert "trick r1" in slicing_obstacle(replace(setup, trick=TrickList({"r1": penalty})), 2)


@pytest.mark.parametrize(
    ("case", "count", "reason"),
    [
        (Case("gan", plan={"batch": 9}), 2, "a batch of 9 cannot be divided among 2 processes"),
        (
            Case(variant_spec("cyclegan"), "restyled_digits", plan={"batch": 1}),
            2,
            "a batch of 1 cannot",
        ),
        (
            Case("gan", tricks=("pacgan",), plan={"batch": 12}),
            4,
            "packs 2 images, and each process has 3",
        ),
        (
            Case("gan", tricks=("r1(method='finite_difference', share=0.5)",)),
            2,
            "share=1 can be used",
        ),
    ],
    ids=str,
)
def test_reasons_against_slices(case, count, reason):
    assert reason in recipe_slicing_incompatibility(case.recipe(), case.data, count)
    with pytest.raises(Incompatible, match=reason.split(",")[0]):
        replace(case, dtype="float32").make(BatchSlice(0, count))


@pytest.mark.parametrize("other", ["stacked", "graph", "compile"])
def test_combinations_are_refused(other):
    numerics = Numerics("cuda", gpus=2, **{other: True})
    assert numerics.incompatibility() == (
        f"numerics: gpus = 2 and {other} do not work together: leave out one"
    )


def test_missing_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    reason = numerics_incompatibility(Case("gan").recipe(), Numerics("cuda", gpus=4))
    assert reason == "numerics: gpus = 4, and this machine has 1 GPU for cuda"
    assert "1 GPU for mps" in Numerics("mps", gpus=2).incompatibility()
    assert Numerics("cuda", gpus=1).incompatibility() is None
    assert Numerics("cpu", gpus=4).incompatibility() is None


@pytest.mark.parametrize("gpus", [0, -1, 65])
def test_impossible_counts_are_refused(gpus):
    with pytest.raises(SpecError, match="gpus must be from 1 to 64"):
        Numerics(gpus=gpus)


def test_one_gpu_leaves_the_identity():
    assert "gpus" not in Numerics(gpus=1).identity()
    assert Numerics(gpus=2).identity()["gpus"] == 2
    assert numerics_spec({"gpus": 1}) == ""
    assert format_numerics(numerics_spec({"gpus": 2})) == "gpus=2"


def test_loader_deals_whole_batches(pair):
    case = Case("gan(width=8)", dtype="float32")
    whole = case.make(ALONE).loader.batches(3)[IMAGE].images
    parts = [case.make(BatchSlice(rank, 2)).loader.batches(3)[IMAGE].images for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)
    assert len(split("digits").train[IMAGE]) > len(whole)
    assert whole.device == CPU


def read_seconds(case, place):
    """Returns the used seconds of each rank, after rank 1 has lost time."""
    trainer = case.make(place)
    trainer.began -= 1000 * place.rank
    trainer.train_step(), trainer.flush()
    with training_on_slice(place):
        return gather_rows(torch.tensor([trainer.spent.seconds], dtype=torch.float64))


def test_seconds_are_those_of_the_leader(pair):
    own, other = pair.call(Case("gan(width=8)", dtype="float32"), read_seconds)
    assert own == other < 100
