"""A trial: one cell and one seed, trained within its budget and measured, with all that was kept of it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ganbench.devices import Numerics
from ganbench.evaluation.metrics import METRICS
from ganbench.files import CorruptFile, read_json
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.training.budget import Budget

from .provenance import hash_training_code, torch_minor
from .store import Store

IDENTITY_SCHEMA = 1
STORED_NAMES = {"hyperparameters": "plan", "task": "game"}  # of a recipe's fields
SELECTION_METRIC = "fid"  # what the best checkpoint is chosen by, on samples of its own
CHECKPOINT_NAMES = ("last", "best")


@dataclass(frozen=True)
class Trial:
    """All that decides the numbers of a training, and the names that tables know it by."""

    data: str
    variant: str
    loss: str
    tricks: tuple[str, ...]  # of the cell; the variant's own are in the recipe
    plan: str  # what the cell changes of the variant's plan, as a label
    recipe: Recipe
    budget: Budget
    seed: int
    points: int  # of the learning curve, from which the best checkpoint is chosen
    device: str
    fingerprint: str  # SHA-256 of the data's content

    @property
    def numerics(self) -> Numerics:
        return Numerics(self.device)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Plain data in which two trials differ if and only if their results may."""
        return {
            "schema": IDENTITY_SCHEMA,
            "data": self.fingerprint,
            **self.recipe.identity(),
            "budget": asdict(self.budget),
            "seed": self.seed,
            "points": self.points,
            "selection": METRICS.identity(SELECTION_METRIC),
            "numerics": self.numerics.identity(),
        }

    @cached_property
    def id(self) -> str:
        """SHA-256 of the identity as canonical JSON: sorted keys, no spaces, no NaN."""
        text = json.dumps(
            self.identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def code_provenance(self) -> dict[str, str]:
        """The code that trains it now, and torch's minor version: other ones may give other numbers."""
        return {"code": hash_training_code(self.recipe, self.data), "torch_minor": torch_minor()}

    def as_dict(self) -> dict[str, Any]:
        """Returns plain data under the names that stores have, whatever the code calls the fields."""
        content = asdict(self)
        content["recipe"] = {
            STORED_NAMES.get(key, key): value for key, value in content["recipe"].items()
        }
        return content

    def to_json(self) -> str:
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> "Trial":
        content = json.loads(text)
        recipe = content.pop("recipe")
        rates = recipe.pop("plan")
        rates |= {side: tuple(rates[side]) for side in ("generator_betas", "discriminator_betas")}
        fields = {
            name: recipe.pop(stored) for name, stored in STORED_NAMES.items() if stored in recipe
        }
        fields |= recipe | {"tricks": tuple(recipe["tricks"])}
        content["tricks"] = tuple(content["tricks"])
        budget = Budget(**content.pop("budget"))
        own_recipe = Recipe(hyperparameters=Hyperparameters(**rates), **fields)
        return cls(recipe=own_recipe, budget=budget, **content)


def read_trial(store: Store, identifier: str) -> Trial:
    """The trial of this SHA-256, or of its first 16 digits; raises CorruptFile if its spec.json is missing."""
    path = store.trial_folder(identifier).spec_path
    content = read_json(path)
    if content is None:
        raise CorruptFile(f"{path} is missing: without it nothing can be made of the trial again")
    return Trial.from_json(json.dumps(content["trial"]))
