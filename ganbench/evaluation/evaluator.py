"""A yardstick measures the fakes of trials by a protocol, which says what is compared with what."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, Split, to_uint8
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor, extracted
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable, applies
from ganbench.evaluation.metrics.feature_set import FeatureSet, Tensors
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import DEFAULT, OWN, MeasurementRules
from ganbench.evaluation.protocols.record import ProtocolRecord
from ganbench.gan.latent_sampler import Distance, Features, Sampler
from ganbench.registry import SpecError
from ganbench.training.sampling import GeneratedSamples

from .reference_cache import DiskCache, folder_of, sources
from .scores_file import Reading, values


class Evaluator:
    """Measures images against the training split of a data set, by the rules of a protocol."""

    def __init__(self, data: str, device: torch.device, protocol: str = DEFAULT):
        self.name = DATA.label(data)
        self.data: Data = DATA.make(data)
        self.device = device
        self.spec = PROTOCOLS.resolve(protocol)
        self.rules: MeasurementRules = PROTOCOLS.make(protocol)

    @cached_property
    def split(self) -> Split:
        return self.data.load()

    @cached_property
    def fingerprint(self) -> str:
        return self.split.fingerprint()

    @cached_property
    def extractor(self) -> Extractor:
        """Raises SpecError if it is not made for what the data consist of."""
        found: Extractor = EXTRACTORS.make(self.extractor_spec).to(self.device)
        try:
            extracted(found, self.reference[:1].to(self.device))
        except RuntimeError as error:
            raise SpecError(f"{self.extractor_spec} cannot look at {self.name}: {error}") from error
        return found

    @property
    def extractor_spec(self) -> str:
        own = self.rules.extractor == OWN
        return self.data.extractor if own else self.rules.extractor

    @cached_property
    def protocol(self) -> ProtocolRecord:
        return ProtocolRecord(
            rules=self.spec.name,
            rules_version=self.rules.version,
            data=self.name,
            fingerprint=self.fingerprint,
            extractor=self.extractor.known_as(EXTRACTORS.label(self.extractor_spec)),
            extractor_version=self.extractor.version,
            weights=self.extractor.weights(),
            resize=self.extractor.resize,
            real=len(self.reference),
            fake=self.rules.fakes or min(map(len, self.split.held_out.values())),
            seed=self.rules.seed,
        )

    @cached_property
    def domains(self) -> list[str]:
        """The domain that is measured, and where there is another, that of the way back."""
        return list(self.data.shapes)[::-1]

    @property
    def reference(self) -> Tensor:
        """The real images that fakes are measured against."""
        return self.split.train[self.domains[0]].images[: self.reals]

    @property
    def reals(self) -> int:
        """How many of the training examples are the reference, if there are as many."""
        return self.rules.reals or self.data.reference

    @cached_property
    def real(self) -> FeatureSet:
        found = self.kept(self.split.train, self.reals, "train")
        found.held_out = lambda: self.held_out
        return found

    @cached_property
    def held_out(self) -> FeatureSet:
        """What stands in the place of the fakes for the floor: as many as they are, if there are."""
        return self.kept(self.split.held_out, self.protocol.fake, "held out")

    def kept(self, examples: Mapping[str, Examples], count: int, side: str) -> FeatureSet:
        """The first real examples, with all that was made of them before on this machine."""
        first, *others = (
            self.kept_of(domain, examples[domain], count, side) for domain in self.domains
        )
        first.back = others[0] if others else None
        return first

    def kept_of(self, domain: str, examples: Examples, count: int, side: str) -> FeatureSet:
        protocol, images = self.protocol, examples.images[:count]
        facts = {
            "data": self.fingerprint,
            "side": side if domain == IMAGE else f"{side}, {domain}",
            "count": len(images),
            "extractor": [protocol.extractor, protocol.extractor_version, protocol.weights],
            "sources": sources(EXTRACTORS),
            "device": self.device.type,
        }
        folder = folder_of(facts)

        def make() -> Tensors:
            made = self.sample(images)
            return {"features": made.features} | (
                {} if made.logits is None else {"logits": made.logits}
            )

        found = self.of(images, **shelved(folder, self.device, "extracted", make))
        found.labels = None if examples.labels is None else examples.labels[:count]
        found.shelf = DiskCache(folder / sources(METRICS), self.device)
        return found

    def sample(self, images: Tensor) -> FeatureSet:
        """What the extractor makes of stored images or points."""
        found = extracted(self.extractor, images.to(self.device))
        return self.of(images, found.features, found.logits)

    def of(self, images: Tensor, features: Tensor, logits: Tensor | None = None) -> FeatureSet:
        return FeatureSet(
            features,
            logits,
            images,
            mixture=self.split.mixture,
            classes_are_modes=self.extractor.tells_the_datas_classes,
        )

    def measure(self, fakes: GeneratedSamples, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """Each metric of fakes, by its label."""
        return self.readings(self.sample_of(fakes), metrics)

    def sample_of(self, fakes: GeneratedSamples) -> FeatureSet:
        found = self.sample(to_uint8(fakes.images))
        found.labels = fakes.labels
        found.sampler = fakes.sampler and self.seen_of(fakes.sampler)
        for what in ("source", "truth", "returned"):
            images = getattr(fakes, what)
            setattr(found, what, None if images is None else to_uint8(images))
        found.back = self.sample_of(fakes.back) if fakes.back else None
        return found

    def seen_of(self, sampler: Sampler) -> Sampler:
        """The sampler with what sees its images before they are rounded."""
        return replace(sampler, features=self.unrounded, lpips=partial(lpips, self.device))

    @property
    def unrounded(self) -> Features | None:
        """Features of images in [-1, 1] as they are, if the extractor makes them."""
        if not self.extractor.takes_floats:
            return None
        return lambda images: self.extractor(images)[0]

    def floor(self, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """What a perfect generator would score: held-out data in the place of the fakes."""
        if len(self.held_out) < self.protocol.fake:
            few = f"{self.protocol.fake} held-out examples are needed, and there are {len(self.held_out)}"
            return {METRICS.label(metric): few for metric in metrics}
        return self.readings(self.held_out, metrics)

    def expected(self, metrics: tuple[str, ...]) -> dict[str, float | None]:
        """What theory expects a perfect generator to score, where it tells."""
        parts = {METRICS.label(metric): METRICS.make(metric) for metric in metrics}
        return {
            label: part.expected_floor(self.real, self.protocol.fake)
            if applies(part, self.real, self.real)
            else None
            for label, part in parts.items()
        }

    @cached_property
    def watched_floor(self) -> dict[str, float]:
        """What held-out data would score in the metrics that show collapse."""
        return values(self.floor(self.data.watch))

    def readings(self, fake: FeatureSet, metrics: tuple[str, ...]) -> dict[str, Reading]:
        self.rules.prepare(metrics, fake, self.real)
        return {METRICS.label(metric): self.reading(fake, metric) for metric in metrics}

    def reading(self, fake: FeatureSet, metric: str) -> Reading:
        try:
            return self.rules.measure(metric, fake, self.real)
        except MetricNotApplicable as reason:
            return str(reason)


def lpips(device: torch.device) -> Distance:
    """The published distance of images; raises Unmeasurable if its weights are not here."""
    try:
        found: Distance = DISTANCES.make("lpips").to(device)
    except NotDownloaded as missing:
        raise MetricNotApplicable(str(missing)) from missing
    return found


def shelved(folder: Path, device: torch.device, name: str, make: Callable[[], Tensors]) -> Tensors:
    """What lies in the folder under a name, or else what is made now."""
    shelf = DiskCache(folder, device)
    found = shelf.get(name)
    if found is None:
        shelf.put(name, found := make())
    return found


@lru_cache(maxsize=8)
def evaluator_for(data: str, device: str, protocol: str = DEFAULT) -> Evaluator:
    """One yardstick a data set, protocol and process: the real side is computed once."""
    return Evaluator(data, torch.device(device), protocol)
