"""Checks the values that hooks of own parts return; an error names part, value and line.

A wrong shape or type would else end in an error of torch, far from the part. The checks are for a first
step: trainings call the hooks without them.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ganbench.counts import list_first
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.local_files import is_local
from ganbench.registry import PluginError, Registry, parse_spec

from .lost_weights import Drawn, lost_weights, recorded_draws


@dataclass(frozen=True)
class HookCall:
    """A call of a hook of an own part."""

    label: str  # `loss my_parts.py:Mine`
    hook: str
    file: str
    place: str
    part: Any
    arguments: tuple[Any, ...]
    drawn: Drawn  # weights that constructors of layers drew in the call

    def of_module(self, module: nn.Module) -> "HookCall":
        """Returns this call with the line of a module's `forward`, if the file has it."""
        place = place_of_method(type(module).forward, self.file)
        return self if place == self.file else replace(self, place=place)

    def require(self, holds: bool, value: Any, expected: str, subject: str = "") -> None:
        """Raises PluginError, with the value and the expected one, unless the check holds."""
        if not holds:
            raise PluginError(
                f"{self.label}: {subject or self.hook} returned {describe_value(value)}, "
                f"expected {expected} ({self.place})"
            )


MOST_NAMES = 3  # of weights in an error
BUILDERS = ("build_", "transform_generator", "transform_discriminator")  # hooks that make layers

Rule = Callable[[HookCall, Any], Any]  # returns the value, or raises PluginError


def describe_value(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a value of type {type(value).__name__}"


def instance_of(*types: type) -> Rule:
    """Returns the rule that a value has one of these types."""
    words = " or ".join(
        "None" if t is type(None) else f"a value of type {t.__name__}" for t in types
    )

    def check(call: HookCall, value: Any) -> Any:
        call.require(isinstance(value, types), value, words)
        return value

    return check


def check_scalar(call: HookCall, value: Any) -> Any:
    is_scalar = isinstance(value, Tensor) and value.ndim == 0
    call.require(is_scalar, value, "a scalar tensor, of shape []")
    return value


def check_terms(call: HookCall, value: Any) -> list[tuple[str, Tensor]]:
    """Requires pairs of a name and a scalar tensor; returns them as a list."""
    expected = "pairs of a name and a scalar tensor: write `yield 'name', value`"
    is_iterable = isinstance(value, Iterable) and not isinstance(value, Tensor | str)
    call.require(is_iterable, value, expected)
    terms = list(value)
    for term in terms:
        is_pair = isinstance(term, tuple) and len(term) == 2 and isinstance(term[0], str)
        call.require(is_pair, term, expected)
        is_scalar = isinstance(term[1], Tensor) and term[1].ndim == 0
        call.require(is_scalar, term[1], "a scalar tensor, of shape []", f"the term {term[0]!r}")
    return terms


def check_input_rows(call: HookCall, value: Any) -> Any:
    """Requires a row for each image, or for each pack of images."""
    count = len(call.arguments[0])
    expected = f"a tensor of {count} rows, or of {count} / m rows for packs of m images"
    is_filled = isinstance(value, Tensor) and value.ndim > 0 and len(value) > 0
    call.require(is_filled and count % len(value) == 0, value, expected)
    return value


def check_pairs(call: HookCall, value: Any) -> Any:
    is_list = isinstance(value, list) and len(value) > 0
    are_pairs = is_list and all(isinstance(pair, AdversarialBatch) for pair in value)
    call.require(are_pairs, value, "a list of AdversarialBatch")
    return value


def check_generator(call: HookCall, value: Any) -> Any:
    """Requires a module, whose images have the shape that the hook was given."""
    call.require(isinstance(value, nn.Module), value, "a torch.nn.Module")
    shape = call.arguments[-1]

    def check_images(module: nn.Module, inputs: tuple[Any, ...], images: Any) -> None:
        expected = [len(inputs[0]), *shape]
        is_right = isinstance(images, Tensor) and list(images.shape) == expected
        subject = f"the generator of {call.hook}"
        words = f"a tensor of shape {expected}"
        call.of_module(module).require(is_right, images, words, subject)

    if not call.part.grows:  # growing generators start with smaller images
        value.register_forward_hook(check_images)
    check_weights(call, value)
    return value


def check_discriminator(call: HookCall, value: Any) -> Any:
    """Requires a Discriminator, whose head returns a score for each image, or a map of scores."""
    call.require(isinstance(value, Discriminator), value, "a ganbench.extend.Discriminator")

    def check_scores(module: nn.Module, inputs: tuple[Any, ...], scores: Any) -> None:
        count = len(inputs[0])
        expected = f"a tensor of shape [{count}], or maps of shape [{count}, 1, height, width]"
        is_right = isinstance(scores, Tensor) and has_score_shape(scores, count)
        call.of_module(module).require(is_right, scores, expected, f"the head of {call.hook}")

    value.head.register_forward_hook(check_scores)
    check_weights(call, value)
    return value


def check_weights(call: HookCall, network: nn.Module) -> None:
    """Requires that all weights are trained, and drawn as the part says."""
    refuse_lazy_weights(call, network)
    refuse_frozen_weights(call, network)
    if type(call.part).initialize is Network.initialize:
        refuse_lost_weights(
            call,
            network,
            "set them in `initialize(self, module)`, which gets one module after the other. `pass` "
            f"in it keeps all that {call.hook} sets",
        )


def check_layers(kind: type[nn.Module]) -> Rule:
    """Returns the rule for a trick's network: its type, and no weights set in new layers."""

    def check(call: HookCall, value: Any) -> Any:
        instance_of(kind)(call, value)
        remedy = "give the layer a class with `reset_parameters`, and set them there"
        refuse_lost_weights(call, value, remedy)
        return value

    return check


def refuse_lazy_weights(call: HookCall, network: nn.Module) -> None:
    if names := [name for name, parameter in network.named_parameters() if is_lazy(parameter)]:
        raise PluginError(
            f"{call.label}: {call.hook} returns lazy layers ({name_first(names)}), whose weights "
            f"have no size before a batch: give them their number of inputs ({call.place})"
        )


def refuse_frozen_weights(call: HookCall, network: nn.Module) -> None:
    if names := [name for name, p in network.named_parameters() if not p.requires_grad]:
        raise PluginError(
            f"{call.label}: {call.hook} returns frozen weights ({name_first(names)}), and a "
            "training changes all weights: put the frozen part into `ganbench.extend.FrozenNetwork` "
            f"({call.place})"
        )


def refuse_lost_weights(call: HookCall, network: nn.Module, remedy: str) -> None:
    if names := lost_weights(network, call.drawn):
        raise PluginError(
            f"{call.label}: {call.hook} sets weights ({name_first(names)}), and a training draws all weights "
            f"anew: {remedy} ({call.place})"
        )


def name_first(names: list[str]) -> str:
    return ", ".join(list_first(names, MOST_NAMES))


def has_score_shape(scores: Tensor, count: int) -> bool:
    """Returns whether a tensor has a score, a column or a map for each image."""
    if scores.ndim == 0 or len(scores) != count:
        return False
    return scores.ndim != 2 or scores.shape[1] == 1


TEXT_OR_NONE = instance_of(str, type(None))
RULES: dict[str, dict[str, Rule]] = {  # by kind and hook
    "network": {
        "incompatibility": TEXT_OR_NONE,
        "translation_incompatibility": TEXT_OR_NONE,
        "build_generator": check_generator,
        "build_translator": check_generator,
        "build_discriminator": check_discriminator,
        "build_frame_discriminator": check_discriminator,
        "build_head": instance_of(Head),
        "count_latents": instance_of(int),
    },
    "loss": {"discriminator_loss": check_scalar, "generator_loss": check_scalar},
    "task": {
        "incompatibility": TEXT_OR_NONE,
        "make_pairs": check_pairs,
        "discriminator_terms": check_terms,
        "generator_terms": check_terms,
    },
    "trick": {
        "configure_hyperparameters": instance_of(Hyperparameters),
        "configure_network": instance_of(Network),
        "incompatibility": TEXT_OR_NONE,
        "transform_generator": check_layers(nn.Module),
        "transform_discriminator": check_layers(Discriminator),
        "transform_batches": instance_of(Mapping),
        "transform_pair": instance_of(AdversarialBatch),
        "transform_discriminator_input": check_input_rows,
        "transform_loss": instance_of(Loss),
        "discriminator_terms": check_terms,
        "generator_terms": check_terms,
        "lookahead": instance_of(AbstractContextManager),
        "transform_sampling_generators": instance_of(nn.ModuleDict),
    },
}


@contextmanager
def watched_returns(recipes: Iterable[Recipe]) -> Iterator[None]:
    """Checks all that hooks of the recipes' own parts return in this context."""
    parts = {part: None for recipe in recipes for part in own_parts(recipe)}
    with ExitStack() as stack:
        for registry, name in parts:
            stack.enter_context(watched_part(registry, name))
        yield


def own_parts(recipe: Recipe) -> list[tuple[Registry, str]]:
    """Returns the parts of a recipe that are in local files, as registries and names."""
    named = [(TASKS, recipe.task), (LOSSES, recipe.loss), (NETWORKS, recipe.network)]
    named += [(TRICKS, trick) for trick in recipe.tricks]
    parts = [(registry, parse_spec(text).name) for registry, text in named]
    return [(registry, name) for registry, name in parts if is_local(name)]


@contextmanager
def watched_part(registry: Registry, name: str) -> Iterator[None]:
    """Checks all that the hooks of one part's class return in this context."""
    part, base = registry.load(name), registry.base_class()
    rules, label = RULES[registry.kind], f"{registry.kind} {name}"
    file = file_of_part(name, part)
    methods = overridden_methods(part, base, rules)
    own = {hook: method for hook, method in methods.items() if hook in vars(part)}
    for hook, method in methods.items():
        setattr(part, hook, watch_hook(label, hook, method, rules[hook], file))
    try:
        yield
    finally:
        for hook in methods:
            delattr(part, hook)
        for hook, method in own.items():
            setattr(part, hook, method)


def overridden_methods(part: Any, base: Any, hooks: Iterable[str]) -> dict[str, Any]:
    """Returns the methods of a class by hook, without those of the base class."""
    methods = {hook: inspect.getattr_static(part, hook, None) for hook in hooks}
    return {
        hook: method
        for hook, method in methods.items()
        if inspect.isfunction(method) and method is not getattr(base, hook)
    }


def file_of_part(name: str, part: type) -> str:
    """Returns the file of a part's class, as its code has it: local ones have relative names."""
    return name.rpartition(":")[0] if is_local(name) else inspect.getfile(part)


def watch_hook(label: str, hook: str, method: Any, rule: Rule, file: str) -> Any:
    """Returns a method that checks the value of a hook before it returns it."""
    place = place_of_method(method, file)

    @wraps(method)
    def watched(part: Any, *arguments: Any, **named: Any) -> Any:
        with recorded_draws(hook.startswith(BUILDERS)) as drawn:
            value = method(part, *arguments, **named)
        call = HookCall(label, hook, file, place, part, (*arguments, *named.values()), drawn)
        return rule(call, value)

    return watched


def place_of_method(method: Any, file: str) -> str:
    """Returns the line of a method in a file, or the file's name for an inherited method."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    if code is None or code.co_filename != file:
        return file
    return f"line {code.co_firstlineno} of {file}"
