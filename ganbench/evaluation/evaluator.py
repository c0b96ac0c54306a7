"""Evaluators: they measure the fakes of trials under a protocol."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, Split, to_uint8
from ganbench.data.image_paths import name_data
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor, describe_wrong_shape, extract_features
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable, is_applicable
from ganbench.evaluation.metrics.feature_set import FeatureSet, Tensors
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL, OWN_EXTRACTOR, MeasurementRules
from ganbench.evaluation.protocols.record import ProtocolRecord
from ganbench.gan.latent_sampler import Distance, Features, LatentSampler
from ganbench.local_files import clear_when_changed
from ganbench.registry import SpecError, parse_spec
from ganbench.training.sampling import GeneratedSamples

from .clip_features import add_clip_features
from .data_faults import find_data_faults
from .heartbeat import send_heartbeat
from .reference_cache import DiskCache, cache_folder_of, hash_sources_of_kind
from .scores_file import Reading, values_of_readings


class Evaluator:
    """Measures fakes against the training split of a data set, under a protocol."""

    def __init__(self, data: str, device: torch.device, protocol: str = DEFAULT_PROTOCOL):
        self.name = DATA.label(data)
        self.data: Data = DATA.make(data)
        self.device = device
        self.spec = PROTOCOLS.resolve(protocol)
        self.rules: MeasurementRules = PROTOCOLS.make(protocol)

    @cached_property
    def split(self) -> Split:
        return load_split(self.name)

    @cached_property
    def fingerprint(self) -> str:
        return self.split.fingerprint()

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor on the device.

        Raises SpecError if it does not accept the data set's examples.
        """
        extractor: Extractor = EXTRACTORS.make(self.extractor_spec).to(self.device)
        try:
            extract_features(extractor, self.reference[:1].to(self.device))
        except RuntimeError as error:
            reason = describe_wrong_shape(extractor, self.reference) or str(error)
            raise SpecError(
                f"{self.extractor_spec} cannot process {name_data(self.name)}: {reason}"
            ) from error
        return extractor

    @property
    def extractor_spec(self) -> str:
        own = self.rules.extractor == OWN_EXTRACTOR
        return self.data.extractor if own else self.rules.extractor

    @cached_property
    def protocol(self) -> ProtocolRecord:
        return ProtocolRecord(
            rules=self.spec.name,
            rules_version=self.rules.version,
            data=name_data(self.name),
            fingerprint=self.fingerprint,
            extractor=self.extractor.label_with_weights(EXTRACTORS.label(self.extractor_spec)),
            extractor_version=self.extractor.version,
            weights=self.extractor.weights_hash(),
            resize=self.extractor.resize,
            real=len(self.reference),
            fake=self.rules.fakes or min(map(len, self.split.held_out.values())),
            seed=self.rules.seed,
        )

    @cached_property
    def domains(self) -> list[str]:
        """The measured domain, then the domain of translations back, if there is one."""
        return list(self.data.shapes)[::-1]

    @property
    def reference(self) -> Tensor:
        """The reference images: the first training examples of the measured domain."""
        return self.split.train[self.domains[0]].images[: self.reference_count]

    @property
    def reference_count(self) -> int:
        """The number of reference images, limited by the training split."""
        return self.rules.reals or self.data.reference

    @cached_property
    def real_features(self) -> FeatureSet:
        features = self.cached_features(self.split.train, self.reference_count, "train")
        features.held_out = lambda: self.held_out_features
        return features

    @cached_property
    def held_out_features(self) -> FeatureSet:
        """Held-out features for the floor, as many as fakes if there are enough."""
        return self.cached_features(self.split.held_out, self.protocol.fake, "held out")

    def cached_features(
        self, examples: Mapping[str, Examples], count: int, side: str
    ) -> FeatureSet:
        """Returns the features of the first real examples, with their disk cache.

        The features of a second domain are in `back`.
        """
        first, *others = (
            self.cached_features_of_domain(domain, examples[domain], count, side)
            for domain in self.domains
        )
        first.back = others[0] if others else None
        return first

    def cached_features_of_domain(
        self, domain: str, examples: Examples, count: int, side: str
    ) -> FeatureSet:
        images = examples.images[:count]
        folder = self.feature_folder(domain, len(images), side)

        def make() -> Tensors:
            extracted = self.extract(images)
            return {"features": extracted.features} | (
                {} if extracted.logits is None else {"logits": extracted.logits}
            )

        features = self.make_feature_set(
            images, **load_or_make(folder, self.device, "extracted", make)
        )
        features.labels = None if examples.labels is None else examples.labels[:count]
        features.cache = DiskCache(folder / hash_sources_of_kind(METRICS), self.device)
        return features

    def feature_folder(self, domain: str, count: int, side: str) -> Path:
        """Returns the cache folder of the features of the first examples of a side."""
        protocol = self.protocol
        facts = {
            "data": self.fingerprint,
            "side": side if domain == IMAGE else f"{side}, {domain}",
            "count": count,
            "extractor": [protocol.extractor, protocol.extractor_version, protocol.weights],
            "sources": hash_sources_of_kind(EXTRACTORS),
            "device": self.device.type,
        }
        return cache_folder_of(facts)

    def has_cached_features(self) -> bool:
        """Returns whether the features of the reference are on the disk."""
        return self.feature_folder(self.domains[0], len(self.reference), "train").exists()

    def extract(self, images: Tensor) -> FeatureSet:
        """Returns the extractor's features of stored images or points."""
        extracted = extract_features(self.extractor, images.to(self.device))
        return self.make_feature_set(images, extracted.features, extracted.logits)

    def make_feature_set(
        self, images: Tensor, features: Tensor, logits: Tensor | None = None
    ) -> FeatureSet:
        captions = self.data.captions
        made = FeatureSet(
            features,
            logits,
            images,
            mixture=self.split.mixture,
            grammar=None if captions is None else captions.grammar,
            sentences=None if captions is None else captions.sentences,
            encode_texts=self.extractor.text_encoder(),
            classes_are_modes=self.extractor.predicts_classes_of(self.data),
            law=self.split.law,
        )
        add_clip_features(made, self.extractor, self.device)
        return made

    def measure(self, fakes: GeneratedSamples, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """Returns the reading of each metric for the fakes, by the metric's label."""
        return self.measure_feature_set(self.features_of_samples(fakes), metrics)

    def features_of_samples(self, fakes: GeneratedSamples) -> FeatureSet:
        features = self.extract(to_uint8(fakes.images))
        features.labels = fakes.labels
        features.sampler = fakes.sampler and self.with_feature_extractor(fakes.sampler)
        for what in ("source", "truth", "returned"):
            images = getattr(fakes, what)
            setattr(features, what, None if images is None else to_uint8(images))
        features.back = self.features_of_samples(fakes.back) if fakes.back else None
        return features

    def with_feature_extractor(self, sampler: LatentSampler) -> LatentSampler:
        """Returns the sampler with functions for features and LPIPS of unrounded images."""
        return replace(
            sampler, features=self.unrounded_features, lpips=partial(load_lpips, self.device)
        )

    @property
    def unrounded_features(self) -> Features | None:
        """The feature function of images in [-1, 1], or None if the extractor takes bytes only."""
        if not self.extractor.takes_floats:
            return None
        return lambda images: self.extractor(images)[0]

    def measure_floor(self, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """Returns the floor of each metric: held-out data scored as if they were generated."""
        if len(self.held_out_features) < self.protocol.fake:
            few = f"{self.protocol.fake} held-out examples are needed, and there are {len(self.held_out_features)}"
            return {METRICS.label(metric): few for metric in metrics}
        return self.measure_feature_set(self.held_out_features, metrics)

    def expected_floors(self, metrics: tuple[str, ...]) -> dict[str, float | None]:
        """Returns the expected score of a perfect generator in each metric, or None."""
        parts = {METRICS.label(metric): METRICS.make(metric) for metric in metrics}
        return {
            label: part.expected_floor(self.real_features, self.protocol.fake)
            if is_applicable(part, self.real_features, self.real_features)
            else None
            for label, part in parts.items()
        }

    @cached_property
    def watched_floor(self) -> dict[str, float]:
        """The floor of the metrics that show collapse during training."""
        return values_of_readings(self.measure_floor(self.data.watch))

    def measure_feature_set(self, fake: FeatureSet, metrics: tuple[str, ...]) -> dict[str, Reading]:
        self.rules.prepare_metrics(metrics, fake, self.real_features)
        real = self.real_features
        readings = {}
        for metric in metrics:
            send_heartbeat()
            readings[METRICS.label(metric)] = self.rules.measure_or_reason(metric, fake, real)
        return readings


def load_lpips(device: torch.device) -> Distance:
    """Returns LPIPS as published; raises MetricNotApplicable if its weights are missing."""
    try:
        distance: Distance = DISTANCES.make("lpips").to(device)
    except NotDownloaded as missing:
        raise MetricNotApplicable(missing.one_line()) from missing
    return distance


def load_or_make(
    folder: Path, device: torch.device, name: str, make: Callable[[], Tensors]
) -> Tensors:
    """Returns the tensors stored in a folder under a name; on a miss, makes and stores them."""
    cache = DiskCache(folder, device)
    tensors = cache.get(name)
    if tensors is None:
        cache.put(name, tensors := make())
    return tensors


@lru_cache(maxsize=8)
def load_split(data: str) -> Split:
    """Reads a data set once for the evaluators of all protocols.

    Raises SpecError if a local file or a plugin loads other examples than it declares.
    """
    part: Data = DATA.make(data)
    split = part.load()
    if parse_spec(data).name not in DATA.entries:
        for fault in find_data_faults(part, split):
            raise SpecError(f"{DATA.kind} {data}: {fault}")
    return split


def evaluator_for(data: str, device: str, protocol: str = DEFAULT_PROTOCOL) -> Evaluator:
    """Returns one evaluator per data set, device, protocol and process.

    The real side is computed once.
    """
    return make_evaluator(data, device, protocol)


@lru_cache(maxsize=8)  # by the position of each argument, however `evaluator_for` is called
def make_evaluator(data: str, device: str, protocol: str) -> Evaluator:
    return Evaluator(data, torch.device(device), protocol)


for cached in (load_split, make_evaluator):
    clear_when_changed(cached.cache_clear)
