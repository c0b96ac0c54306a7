"""Runs hooks of one training for many members at once, by torch.func.vmap.

The members' parameters and buffers are stacked: [S, ...] for S members. The hooks run on the modules
of the first member, with batched tensors in place of its own. Autograd stays outside of the vmap:
losses come out as [S], and one backward pass differentiates the sum of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.rng import RngStreams

Home = tuple[dict[str, Any], str]  # a module's dict of parameters or buffers, and a key
InDims = Sequence[int | None]  # the dimension of the members in each tensor; None for no members


class StackedTensors:
    """The parameters and buffers of equal modules, stacked. The modules' own become views.

    So a member's module always has its current values, and loading a state into it changes the
    stack. All updates of stacked tensors must be in place.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        homes = [list_homes(module) for module in modules]
        self.homes = homes[0]
        self.tensors = [stack_tensors(members) for members in zip(*homes, strict=True)]
        self.numbers = {id(tensor_at(own)): n for n, own in enumerate(self.homes)}
        self.linears = [part for part in modules[0].modules() if is_plain_linear(part)]

    def stacked(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Returns the stacked tensors [S, ...] of parameters of the first module."""
        return [self.tensors[self.numbers[id(parameter)]] for parameter in parameters]

    @contextmanager
    def replaced_by(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Replaces all tensors of the first module by batched ones, until exit."""
        own = [tensor_at(homes) for homes in self.homes]
        try:
            fill_homes(self.homes, tensors)
            for layer in self.linears:
                vars(layer)["forward"] = linear_forward(layer)
            yield
        finally:
            fill_homes(self.homes, own)
            for layer in self.linears:
                vars(layer).pop("forward", None)


def list_homes(module: nn.Module) -> list[list[Home]]:
    """Returns the places of each tensor of a module; tied tensors have several."""
    homes: dict[int, list[Home]] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for key, tensor in tensors.items():
                if tensor is not None:
                    homes.setdefault(id(tensor), []).append((tensors, key))
    return list(homes.values())


def tensor_at(homes: Sequence[Home]) -> Tensor:
    tensors, key = homes[0]
    tensor: Tensor = tensors[key]
    return tensor


def fill_homes(places: Sequence[Sequence[Home]], tensors: Sequence[Tensor]) -> None:
    for homes, tensor in zip(places, tensors, strict=True):
        for home, key in homes:
            home[key] = tensor


def stack_tensors(members: Sequence[Sequence[Home]]) -> Tensor:
    """Stacks a tensor of each member to [S, ...]. The members' own become views of it."""
    own = [tensor_at(homes) for homes in members]
    stacked = torch.stack([tensor.detach() for tensor in own])
    for tensor, view in zip(own, stacked, strict=True):
        tensor.data = view
    return stacked.requires_grad_(own[0].requires_grad)


def is_plain_linear(module: nn.Module) -> bool:
    return type(module).forward is nn.Linear.forward


def linear_forward(layer: Any) -> Callable[[Tensor], Tensor]:
    """Returns a linear layer's forward pass for a vmap, without vmap's products with 1.

    The order of the factors decides which gradient autograd copies to make it contiguous: here that
    of the smaller factor.
    """

    def forward(x: Tensor) -> Tensor:
        weight, bias = layer.weight, layer.bias
        if x.ndim != 2:
            return functional.linear(x, weight, bias)
        product = (weight @ x.mT).mT if weight.numel() > x.numel() else x @ weight.mT
        return product if bias is None else product + bias

    return forward


class MemberGenerator(torch.Generator):
    """The random generators of all members for one address."""

    members: list[torch.Generator]


@dataclass(frozen=True)
class MemberStreams(RngStreams):
    """The random streams of all members, each with its own seed."""

    members: tuple[RngStreams, ...] = ()

    def generator(self, *address: str | int) -> MemberGenerator:
        generator = MemberGenerator(self.device)
        generator.members = [streams.generator(*address) for streams in self.members]
        return generator


class OutsideVmap(torch.autograd.Function):
    """Calls `function(*tensors, in_dims=...)` on stacked tensors, from inside of a vmap.

    The rule of vmap for an autograd function computes with plain autograd. The function returns a
    tensor with the members in dimension 0.
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        raise RuntimeError("OutsideVmap needs a batched tensor")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Saves nothing, because `forward` never runs."""

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, function: Callable[..., Tensor], *tensors: Tensor
    ) -> tuple[Tensor, int]:
        return function(*tensors, in_dims=in_dims[1:]), 0


def call_outside_vmap(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    result: Tensor = OutsideVmap.apply(function, *tensors)
    return result


class StackedBatch(AdversarialBatch):
    """An adversarial batch inside of a vmap over members."""

    def squared_gradient_norm(self, score: Tensor, x: Tensor) -> Tensor:
        gradient = call_outside_vmap(differentiate_scores, score, x)
        return gradient.reshape(len(score), -1).square().sum(1)


def differentiate_scores(score: Tensor, x: Tensor, in_dims: InDims) -> Tensor:
    """Returns the gradients of all scores by their images; they can be differentiated again."""
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient.movedim(in_dims[1] or 0, 0)


def make_leaf(x: Tensor, in_dims: InDims) -> Tensor:
    return x.detach().movedim(in_dims[0] or 0, 0).requires_grad_()


def normalize_into(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
    result = functional.normalize(*args, **kwargs)
    return result if out is None else out.copy_(result)


# Calls that vmap refuses, or computes member by member, and functions of the same values.
REPLACED_CALLS: dict[Any, Callable[..., Any]] = {
    functional.normalize: normalize_into,
    torch.Tensor.requires_grad_: lambda x: call_outside_vmap(make_leaf, x),
    torch.Tensor.lerp_: lambda x, *args: x.copy_(x.lerp(*args)),
    torch.Tensor.clamp_: lambda x, *args, **kwargs: x.copy_(x.clamp(*args, **kwargs)),
    torch._foreach_norm: lambda xs, norm: [torch.linalg.vector_norm(x, norm) for x in xs],
    torch._foreach_mul_: lambda xs, factor: [x.mul_(factor) for x in xs],
}


class StackedCalls(TorchFunctionMode):
    """Replaces calls inside of a vmap, and lets members draw from their own generators."""

    def __init__(self, member: Tensor):  # [], the number of the member, batched
        super().__init__()
        self.member = member

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(generator := kwargs.get("generator"), MemberGenerator):
            return self.draw(func, args, kwargs, generator.members)
        return REPLACED_CALLS.get(func, func)(*args, **kwargs)

    def draw(
        self, func: Any, args: Any, kwargs: Any, generators: Sequence[torch.Generator]
    ) -> Tensor:
        def draw_for_members(member: Tensor, in_dims: InDims) -> Tensor:
            return torch.stack([func(*args, **kwargs | {"generator": own}) for own in generators])

        return call_outside_vmap(draw_for_members, self.member)


def batch_tensors(tensors: Sequence[Tensor], member: Tensor) -> list[Tensor]:
    """Returns stacked tensors as batched ones, in the vmap of a batched tensor.

    As arguments of the vmap they would take ten times as long.
    """
    level = torch._C._functorch.maybe_get_level(member)
    return [torch._C._functorch._add_batch_dim(tensor, 0, level) for tensor in tensors]


class MemberMap:
    """Calls functions for all members at once, with their tensors in the first one's modules.

    `replaces_calls` is for hooks that draw random numbers or make calls that vmap refuses. It takes
    some microseconds for each call of PyTorch.
    """

    def __init__(self, modules: Sequence[nn.Module], replaces_calls: bool = False):
        self.stack, self.replaces_calls = StackedTensors(modules), replaces_calls
        self.members = torch.arange(len(modules), device=self.stack.tensors[0].device)

    def __call__(
        self,
        function: Callable[[dict[str, Tensor]], Any],
        inputs: Mapping[str, Tensor],
        replaces_calls: bool = False,
    ) -> Any:
        """Returns the results of a function of each member's inputs, stacked: [S, ...]."""
        replaces_calls = replaces_calls or self.replaces_calls

        def call(member: Tensor, own: dict[str, Tensor]) -> Any:
            calls: AbstractContextManager[Any] = nullcontext()
            if replaces_calls:
                calls = StackedCalls(member)
            with self.stack.replaced_by(batch_tensors(self.stack.tensors, member)), calls:
                return function(own)

        return vmap(call)(self.members, dict(inputs))
