"""Trials: one cell with one seed, identified by a hash of all that affects its numbers."""

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ganbench.data.image_paths import name_data
from ganbench.devices import Numerics
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.files import CorruptFile
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.local_files import bind_stored_files
from ganbench.registry import Spec
from ganbench.training.budget import Budget

from .provenance import hash_training_code, torch_minor
from .store import SOURCES_FOLDER, Store
from .store_records import hash_identity
from .suite_paths import find_moved

IDENTITY_SCHEMA = 1
STORED_NAMES = {"hyperparameters": "plan", "task": "game"}  # names of a recipe's fields in stores
SELECTION_METRIC = "fid"  # selects the best checkpoint, on separate samples


@dataclass(frozen=True)
class Trial:
    """All settings that affect the numbers of a training, and its names in tables."""

    data: str
    variant: str
    loss: str
    tricks: tuple[str, ...]  # the cell's; the variant's own tricks are in the recipe
    plan: str  # label of the hyperparameters that the cell changes
    recipe: Recipe
    budget: Budget
    seed: int
    points: int  # number of points of the learning curve, which selects the best checkpoint
    device: str
    fingerprint: str  # SHA-256 of the data's content
    extractor: str = ""  # of the learning curve and the selection; empty: the data's own
    numerics_spec: str = ""  # empty: plain float32

    @property
    def data_name(self) -> str:
        """The data set's name in tables: its spec as the suite has it."""
        return name_data(self.data)

    @property
    def numerics(self) -> Numerics:
        return Numerics.from_spec(self.device, self.numerics_spec)

    @property
    def curve_protocol(self) -> str:
        """The protocol of the learning curve, which selects the best checkpoint."""
        return (
            str(Spec("ganbench", (("extractor", self.extractor),)))
            if self.extractor
            else "ganbench"
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Plain data that differ between two trials if and only if their results may differ."""
        return {
            "schema": IDENTITY_SCHEMA,
            "data": self.fingerprint,
            **self.recipe.identity(),
            "budget": asdict(self.budget),
            "seed": self.seed,
            "points": self.points,
            "selection": METRICS.identity(SELECTION_METRIC),
            "numerics": self.numerics.identity(),
            **({"extractor": EXTRACTORS.identity(self.extractor)} if self.extractor else {}),
        }

    def with_seed(self, seed: int) -> "Trial":
        """Returns this trial with another seed; the rest of its identity is not computed again."""
        trial = replace(self, seed=seed)
        vars(trial)["identity"] = {**self.identity, "seed": seed}
        return trial

    @cached_property
    def id(self) -> str:
        """The SHA-256 of the identity as canonical JSON: sorted keys, no spaces, no NaN."""
        return hash_identity(self.identity)

    def code_provenance(self) -> dict[str, str]:
        """Returns the hash of the current training code, and torch's minor version.

        Other code or another version of torch may give other numbers.
        """
        numerics = self.numerics
        code = hash_training_code(self.recipe, self.data, numerics.stacked, numerics.gpus > 1)
        return {"code": code, "torch_minor": torch_minor()}

    def as_dict(self) -> dict[str, Any]:
        """Returns plain data under the names of stores, which may differ from the field names."""
        content = asdict(self)
        for added_later in ("extractor", "numerics_spec"):
            if not content[added_later]:
                del content[added_later]
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
    """Returns the trial with this SHA-256, or with these first 16 digits of it.

    Raises CorruptFile if its spec.json is missing, damaged or of another trial. Raises LocalFileError if
    it names local files that are not trusted. Images whose place is gone are looked for by their name in the
    working directory and beside the store.
    """
    folder = store.trial_folder(identifier)
    spec = folder.read_spec()
    if spec is None:
        raise CorruptFile(f"{folder.spec_path} is missing: without it the trial cannot be rebuilt")
    if sources := spec.get("sources"):
        bind_stored_files(sources, folder.folder / SOURCES_FOLDER)
    trial = Trial.from_json(json.dumps(spec["trial"]))
    return replace(trial, data=find_moved(trial.data, (Path(), store.root.absolute().parent)))
