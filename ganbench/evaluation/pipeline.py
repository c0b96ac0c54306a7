"""Fakes and reals on their way to an evaluation: sources, what looks at them, what metrics see."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.inputs.base import COLOUR_CHANNELS, Frame, Source, VectorSource
from ganbench.evaluation.inputs.generator import GeneratorSource
from ganbench.evaluation.inputs.resolve import ReadOptions, ResolvedSource
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import OWN_EXTRACTOR, MeasurementRules
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.rng import RngStreams

from .evaluator import load_lpips
from .feature_extraction import Extraction, ExtractorRunner, extract_source_features
from .floors import STREAM, cached_reading, make_metric_row, split_in_halves
from .image_warnings import notes_of_both_sources, notes_of_source
from .reference_cache import DiskCache, cache_folder_of, hash_sources_of_kind
from .result import Evaluation, EvaluationProtocol, MetricRow

DEFAULT_EXTRACTOR = "inception"
MIN_IMAGES_PER_SIDE = 10  # images of a side, of which any metric says something
MAX_HELD_IMAGE_BYTES = 2**31  # bytes of images that are held for the metrics that ask for images

Floors = dict[str, Measurement | str]
Show = Callable[[str, int, int], None]  # a phase, how many images are through, and of how many


@dataclass(frozen=True)
class EvaluationOptions:
    """How to measure."""

    metrics: tuple[str, ...]
    extractor: str | None
    protocol: str
    seed: int
    size: int | None
    batch: int
    workers: int
    device: str
    floor: bool
    reading: ReadOptions

    def rules(self) -> MeasurementRules:
        rules: MeasurementRules = PROTOCOLS.make(self.protocol)
        return rules


def choose_images(source: Source, count: int | None, seed: int, name: str) -> Sequence[int]:
    """Which images are measured: all, or so many of them, none twice."""
    if count is not None and count > len(source):
        raise Unreadable(f"{source.name} holds {len(source):,} images, and {count:,} are wanted")
    if count is None or count == len(source) or source.generated:
        return range(len(source))
    random = RngStreams(seed, torch.device("cpu")).generator(STREAM, name)
    order = torch.randperm(len(source), generator=random)[:count]
    numbers: list[int] = order.sort().values.tolist()
    return numbers


@dataclass(frozen=True, eq=False)
class EvaluationPipeline:
    """Fakes and reals on their way to an evaluation."""

    fake: Source
    resolved: ResolvedSource
    aside: Source | None  # reals that nobody trained on
    wanted: EvaluationOptions
    count: int | None
    chosen: Sequence[int]  # of the reals
    show: Show

    @property
    def real_features(self) -> Source:
        return self.resolved.source

    def run(self) -> Evaluation:
        fake_extraction = self.extract_source(self.fake, self.fakes, "fakes")
        real_extraction = self.extract_source(self.real_features, self.chosen, "reals")
        check_sides(self.fake, fake_extraction, self.real_features, real_extraction, self.label)
        self.show("metrics", 0, 1)
        fake = self.make_feature_set(fake_extraction, self.fake, self.fakes)
        real = self.make_feature_set(real_extraction, self.real_features, self.chosen)
        fake.images = self.load_images(self.fake, self.fakes)
        fake.sampler = self.latent_sampler()
        real.images = self.load_images(self.real_features, self.chosen)
        real.cache = self.reference_cache(real_extraction)
        if self.aside is not None:
            real.held_out = self.load_held_out
        rows, floor = self.measure_metrics(fake, real)
        self.show("metrics", 1, 1)
        terms = self.make_protocol(fake_extraction, real_extraction)
        notes = [
            *notes_of_source("fakes", self.fake, fake_extraction),
            *notes_of_source("reals", self.real_features, real_extraction),
        ]
        notes += notes_of_both_sources(fake_extraction, real_extraction)
        return Evaluation(self.fake.name, self.real_features.name, terms, rows, floor, tuple(notes))

    @cached_property
    def fakes(self) -> Sequence[int]:
        return choose_images(self.fake, self.count, self.wanted.seed, "fake")

    # What looks at them

    @cached_property
    def label(self) -> str:
        """The extractor's spec: the one that is named, the protocol's, the data set's, or the usual one."""
        rules = self.wanted.rules()
        own = self.resolved.extractor or ("identity" if self.are_vectors else DEFAULT_EXTRACTOR)
        return EXTRACTORS.label(
            self.wanted.extractor or (own if rules.extractor == OWN_EXTRACTOR else rules.extractor)
        )

    @property
    def are_vectors(self) -> bool:
        return isinstance(self.fake, VectorSource) and isinstance(self.real_features, VectorSource)

    @cached_property
    def extractor(self) -> Extractor:
        extractor: Extractor = EXTRACTORS.make(self.label)
        return extractor.to(self.wanted.device)

    @property
    def extractor_label(self) -> str:
        return self.extractor.label_with_weights(self.label)

    @cached_property
    def runner(self) -> ExtractorRunner:
        shape = self.extractor.shape
        frame = Frame(shape[0] if shape else COLOUR_CHANNELS, self.wanted.size)
        return ExtractorRunner(
            self.extractor,
            self.label,
            torch.device(self.wanted.device),
            frame,
            self.wanted.batch,
            self.wanted.workers,
            self.wanted.reading.skip,
        )

    def extract_source(self, source: Source, chosen: Sequence[int], phase: str) -> Extraction:
        check_count(source, len(chosen))
        if isinstance(source, VectorSource):
            return extraction_of_vectors(source, chosen)
        extraction = extract_source_features(
            source, chosen, self.runner, lambda done, of: self.show(phase, done, of)
        )
        check_count(source, len(extraction), " that can be read")
        return extraction

    # What metrics see

    def make_feature_set(
        self, extraction: Extraction, source: Source, chosen: Sequence[int]
    ) -> FeatureSet:
        place = "cpu" if self.wanted.device == "mps" else self.wanted.device
        logits = None if extraction.logits is None else extraction.logits.to(place)
        tells = (
            not isinstance(self.real_features, VectorSource)
            and self.extractor.tells_the_datas_classes
        )
        return FeatureSet(
            extraction.features.to(place),
            logits,
            labels=None if source.labels is None else source.labels[torch.as_tensor(chosen)],
            mixture=self.real_features.mixture,
            classes_are_modes=tells,
        )

    def load_images(self, source: Source, chosen: Sequence[int]) -> Tensor | None:
        """All of them, if a metric asks for images, they are of one size, and memory has room."""
        needed = any(METRICS.make(metric).needs_images() for metric in self.wanted.metrics)
        if not needed or isinstance(source, VectorSource):
            return None
        images: Tensor | None = None
        place = 0
        for pixels in self.iter_pixels(source, chosen):
            if images is None and pixels.numel() * len(chosen) <= MAX_HELD_IMAGE_BYTES:
                images = pixels.new_empty(len(chosen), *pixels.shape)
            if images is None or images.shape[1:] != pixels.shape:
                return None
            images[place] = pixels
            place += 1
        return None if images is None else images[:place]

    def iter_pixels(self, source: Source, chosen: Sequence[int]) -> Iterator[Tensor]:
        """Those of each image that was extracted."""
        for item in chain.from_iterable(source.iter_blocks(chosen, self.wanted.batch)):
            try:
                yield item.decode(self.runner.frame).pixels
            except Unreadable:
                if not self.wanted.reading.skip:
                    raise

    def latent_sampler(self) -> LatentSampler | None:
        """The generator itself, for metrics of it, with what sees its images before they are rounded."""
        sampler = self.fake.latent_sampler() if isinstance(self.fake, GeneratorSource) else None
        if sampler is None:
            return None
        sampler = replace(sampler, lpips=partial(load_lpips, torch.device(self.wanted.device)))
        if self.wanted.size is not None or not self.extractor.takes_floats:
            return sampler
        return replace(sampler, features=lambda images: self.extractor(images)[0])

    def reference_cache(self, extraction: Extraction) -> DiskCache:
        """What is made of reals is kept under their content, and that of whatever looked at them."""
        facts = {"content": extraction.content_hash(), **self.extraction_facts()}
        device = torch.device("cpu" if self.wanted.device == "mps" else self.wanted.device)
        return DiskCache(cache_folder_of(facts) / hash_sources_of_kind(METRICS), device)

    def extraction_facts(self) -> dict[str, Any]:
        if self.are_vectors:
            return {"extractor": self.label, "device": self.wanted.device}
        return self.runner.cache_facts()

    def load_held_out(self) -> FeatureSet:
        """As many as there are fakes, if there are so many."""
        return self.held_out_features

    @cached_property
    def held_out_features(self) -> FeatureSet:
        assert self.aside is not None
        chosen = range(min(len(self.aside), len(self.fakes)))
        features = self.make_feature_set(
            self.extract_source(self.aside, chosen, "held out"), self.aside, chosen
        )
        features.images = self.load_images(self.aside, chosen)
        return features

    # What is measured

    def measure_metrics(
        self, fake: FeatureSet, real: FeatureSet
    ) -> tuple[tuple[MetricRow, ...], str]:
        rules, metrics = self.wanted.rules(), self.wanted.metrics
        rules.prepare_metrics(metrics, fake, real)
        readings = {metric: rules.measure_or_reason(metric, fake, real) for metric in metrics}
        floors, floor_text = (
            self.measure_floors_of_reals(real, metrics) if self.wanted.floor else ({}, "")
        )
        return tuple(
            make_metric_row(m, readings[m], floors.get(m), real, len(fake)) for m in metrics
        ), floor_text

    def measure_floors_of_reals(
        self, real: FeatureSet, metrics: Sequence[str]
    ) -> tuple[Floors, str]:
        """What reals score in the place of the fakes, and which reals these are."""
        if self.aside is None:
            return self.measure_floors_of_halves(real, metrics)
        rules, held_out = self.wanted.rules(), self.load_held_out()
        rules.prepare_metrics(metrics, held_out, real)
        floor_text = (
            f"{len(held_out):,} held-out images of {self.aside.name} in the place of the fakes"
        )
        return {
            metric: rules.measure_or_reason(metric, held_out, real) for metric in metrics
        }, floor_text

    def measure_floors_of_halves(
        self, real: FeatureSet, metrics: Sequence[str]
    ) -> tuple[Floors, str]:
        """They depend on the reals alone, and are kept with them."""
        rules, (one, other) = self.wanted.rules(), split_in_halves(real, len(self.fakes))
        names = {m: f"floor({self.wanted.protocol}, {m}, {len(one)})" for m in metrics}
        if any(real.cache.get(name) is None for name in names.values()):
            rules.prepare_metrics(metrics, one, other)
        floor_text = (
            f"{len(one):,} of the reals in the place of the fakes, against {len(other):,} others"
        )
        readings = {
            metric: cached_reading(real, name, partial(rules.measure_or_reason, metric, one, other))
            for metric, name in names.items()
        }
        return readings, floor_text

    def make_protocol(
        self, fake_extraction: Extraction, real_extraction: Extraction
    ) -> EvaluationProtocol:
        rules = self.wanted.rules()
        given = self.are_vectors
        return EvaluationProtocol(
            rules=PROTOCOLS.resolve(self.wanted.protocol).name,
            rules_version=rules.version,
            extractor=f"{self.label}, features as given" if given else self.extractor_label,
            extractor_version=0 if given else self.extractor.version,
            weights=None if given else self.extractor.weights_hash(),
            resize="none" if given else self.resize_description(),
            channels=0 if given else self.runner.frame.channels,
            real=real_extraction.content_hash(),
            reals=len(real_extraction),
            fakes=len(fake_extraction),
        )

    def resize_description(self) -> str:
        own = self.extractor.resize
        if self.wanted.size is None:
            return own
        square = f"largest centre square to {self.wanted.size}x{self.wanted.size} by Lanczos"
        return square if own == "none" else f"{square}, then {own}"


def extraction_of_vectors(source: VectorSource, chosen: Sequence[int]) -> Extraction:
    index = torch.as_tensor(chosen)
    features = source.features[index]
    digests = [hashlib.sha256(rows.numpy().tobytes()).digest()[:16] for rows in features]
    return Extraction(
        features,
        None if source.logits is None else source.logits[index],
        torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).view(-1, 16),
        torch.zeros(len(index), 2, dtype=torch.int32),
        torch.zeros(len(index), dtype=torch.uint8),
    )


def check_count(source: Source, count: int, which: str = "") -> None:
    if count < MIN_IMAGES_PER_SIDE:
        raise Unreadable(
            f"{source.name} holds {count} images{which}: no metric tells anything of fewer than {MIN_IMAGES_PER_SIDE}"
        )


def check_sides(
    fake: Source, fake_extraction: Extraction, real: Source, real_extraction: Extraction, label: str
) -> None:
    """Raises Unreadable if features of the two cannot be compared."""
    widths = fake_extraction.features.shape[1], real_extraction.features.shape[1]
    if widths[0] == widths[1]:
        return
    if isinstance(fake, VectorSource) or isinstance(real, VectorSource):
        raise Unreadable(
            f"fakes have {widths[0]} features and reals {widths[1]}: those that are given are not {label}'s"
        )
    raise Unreadable(
        f"{label} makes {widths[0]} features of fakes and {widths[1]} of reals: name a --size for both"
    )
