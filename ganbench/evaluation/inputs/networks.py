"""Networks behind a user's function, measured in evaluation mode and left as they were."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.image_decoding import Unreadable

from .user_code import Place, is_users_place

MAX_SEARCHED_OBJECTS = 10_000  # functions and objects to which a user's function refers
LIBRARIES = ("builtins", "torch", "numpy")


def find_networks(function: Any) -> list[nn.Module]:
    """Returns the networks that a callable is, or that its code refers to."""
    networks: list[nn.Module] = []
    seen, waiting = set[int](), [function]
    while waiting and len(seen) < MAX_SEARCHED_OBJECTS:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, nn.Module):
            networks.append(part)
        else:
            waiting += parts_of_callable(part)
    return networks


def parts_of_callable(function: Any) -> list[Any]:
    """Returns the objects that a function, a method, a partial or a callable object refers to."""
    if isinstance(function, partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__self__, function.__func__]
    if isinstance(function, FunctionType):
        place = Place(function.__code__.co_filename, None)
        return parts_of_function(function) if is_users_place(place) else wrapped(function)
    if type(function).__module__.partition(".")[0] in LIBRARIES or not callable(function):
        return []
    return [*getattr(function, "__dict__", {}).values(), type(function).__call__]


def wrapped(function: FunctionType) -> list[Any]:
    """Returns the function below a decorator, such as that of `torch.no_grad`."""
    return [function.__wrapped__] if hasattr(function, "__wrapped__") else []


def parts_of_function(function: FunctionType) -> list[Any]:
    names, values = names_of_code(function.__code__), function.__globals__
    named = [values[name] for name in names if name in values]
    modules = [part for part in named if isinstance(part, ModuleType) and is_users_module(part)]
    members = [vars(module).get(name) for module in modules for name in names]
    cells = [contents_of_cell(cell) for cell in function.__closure__ or ()]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*wrapped(function), *cells, *defaults, *named, *members]


def names_of_code(code: CodeType) -> list[str]:
    """Returns the global names in a function's code and in the functions that it defines."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [*code.co_names, *(name for part in inner for name in names_of_code(part))]


def is_users_module(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and is_users_place(Place(str(file), None))


def contents_of_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable without a value yet
        return None


@contextmanager
def evaluation_mode(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Puts networks into evaluation mode; restores their modes and buffers afterwards."""
    modules = [module for network in networks for module in network.modules()]
    modes = [(module, module.training) for module in modules]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for module, name, buffer, before in buffers:
            restore_buffer(module, name, buffer, before)


@torch.no_grad()
def restore_buffer(module: nn.Module, name: str, buffer: Tensor, before: Tensor) -> None:
    if getattr(module, name, None) is not buffer:
        setattr(module, name, buffer)
    if not torch.equal(buffer, before):
        buffer.copy_(before)


def name_training_networks(networks: Sequence[nn.Module]) -> list[str]:
    """Returns the class names of networks of which some part is in training mode."""
    return [type(n).__name__ for n in networks if any(m.training for m in n.modules())]


def first_parameter(networks: Sequence[nn.Module]) -> Tensor | None:
    """Returns the first parameter of floats, which has the networks' device and precision."""
    parameters = (p for network in networks for p in network.parameters())
    return next((p for p in parameters if p.is_floating_point()), None)


def require_latent(function: Callable[..., Any], name: str) -> None:
    """Raises Unreadable for a network that does not accept a count and a seed."""
    try:
        inspect.signature(getattr(function, "forward", function)).bind(50, 0)
    except (TypeError, ValueError) as error:
        raise Unreadable(
            f"{name} is a network: set the shape of its latents, for example --latent 128, or latent=128 in Python"
        ) from error
