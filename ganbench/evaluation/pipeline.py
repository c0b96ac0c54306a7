"""The pipeline of an evaluation: sources, extraction, metrics and floors."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ganbench.counts import count_of
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.inputs.base import (
    COLOUR_CHANNELS,
    Frame,
    Source,
    StatisticsSource,
    VectorSource,
)
from ganbench.evaluation.inputs.generator import GeneratorSource
from ganbench.evaluation.inputs.resolve import ResolvedSource
from ganbench.evaluation.metric_names import GIVEN_FEATURES
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import OWN_EXTRACTOR, MeasurementRules
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.rng import RngStreams

from .broken_files import broken_files_error, refuse_broken_headers
from .decoded_blocks import silence_decoders
from .evaluator import load_lpips
from .extractor_runner import ExtractorRunner
from .feature_extraction import Extraction, extract_source_features
from .image_warnings import (
    count_shared,
    notes_of_both_sources,
    notes_of_source,
    notes_on_held_out,
)
from .metric_rows import STREAM, cached_reading, make_metric_row, split_in_halves
from .metric_settings import with_used_settings
from .options import MIN_IMAGES_PER_SIDE, EvaluationOptions
from .reference_cache import DiskCache, cache_folder_of, hash_sources_of_kind
from .result import Evaluation, EvaluationProtocol, MetricRow

DEFAULT_EXTRACTOR = "inception"
MAX_HELD_IMAGE_BYTES = 2**31  # limit of images in memory, for metrics that read images

Floors = dict[str, Measurement | str]
Show = Callable[[str, int, int], None]  # called with a phase, the images done and their total


def choose_images(source: Source, count: int | None, seed: int, name: str) -> Sequence[int]:
    """Returns the indices of the measured images: all, or `count` random ones without repeats.

    Statistics have no images.
    """
    if isinstance(source, StatisticsSource):
        if count is not None:
            raise Unreadable(f"{source.name} holds statistics: leave out the number of its images")
        return ()
    if count is not None and count > len(source):
        raise Unreadable(
            f"{source.name} holds {count_of(len(source), 'image')}, and {count:,} are wanted"
        )
    if count is None or count == len(source) or source.generated:
        return range(len(source) if count is None else count)
    random = RngStreams(seed, torch.device("cpu")).generator(STREAM, name)
    order = torch.randperm(len(source), generator=random)[:count]
    numbers: list[int] = order.sort().values.tolist()
    return numbers


@dataclass(frozen=True, eq=False)
class EvaluationPipeline:
    """The pipeline from sources of fakes and reals to an Evaluation."""

    fake: Source
    resolved: ResolvedSource
    held_out: Source | None  # held-out reals
    wanted: EvaluationOptions
    count: int | None
    real_indices: Sequence[int]
    show: Show

    @cached_property
    def rules(self) -> MeasurementRules:
        rules: MeasurementRules = PROTOCOLS.make(self.wanted.protocol)
        return rules

    @property
    def real(self) -> Source:
        return self.resolved.source

    def run(self) -> Evaluation:
        self.refuse_unused_options()
        self.refuse_few_images()
        self.refuse_broken_files()
        fakes = self.extract_source(self.fake, self.fake_indices, "fakes")
        reals = self.extract_source(self.real, self.real_indices, "reals")
        check_sides(self.fake, fakes, self.real, reals, self.label)
        self.show("metrics", 0, 1)
        fake, real = self.make_fake_features(fakes), self.make_real_features(reals)
        rows, floor = self.measure_metrics(fake, real)
        self.show("metrics", 1, 1)
        rows, reduced_notes = with_used_settings(rows, self.rules, fake, real)
        terms = self.make_protocol(fakes, reals)
        terms = replace(terms, reduced=tuple(r.label for r in rows if r.label != r.metric))
        shared = count_shared(fakes, reals)
        notes = (*self.collect_notes(fakes, reals, shared), *reduced_notes)
        names = self.fake.name, self.real.name
        return Evaluation(*names, terms, rows, floor, notes, fakes.copies, shared)

    def collect_notes(self, fakes: Extraction, reals: Extraction, shared: int) -> list[str]:
        """Returns the notes on the images; `shared` fakes have the pixels of a real."""
        notes = [
            *notes_of_source("fakes", self.fake, fakes),
            *notes_of_source("reals", self.real, reals),
            *notes_of_both_sources(fakes, reals, shared, self.wanted.metrics),
        ]
        if self.wanted.held_out is not None:
            notes += notes_on_held_out(self.held_out_extraction, {"fakes": fakes, "reals": reals})
        if side := self.given_side:
            notes.append(
                f"{side} are features as given: values are comparable if {self.label} made them"
            )
        return notes

    @cached_property
    def fake_indices(self) -> Sequence[int]:
        return choose_images(self.fake, self.count, self.wanted.seed, "fake")

    # Extraction

    @cached_property
    def label(self) -> str:
        """The extractor's spec.

        The order of precedence is: the option, the protocol's, the data set's, the default.
        """
        rules = self.rules
        own = self.resolved.extractor or ("identity" if self.are_vectors else DEFAULT_EXTRACTOR)
        return EXTRACTORS.label(
            self.wanted.extractor or (own if rules.extractor == OWN_EXTRACTOR else rules.extractor)
        )

    @property
    def are_vectors(self) -> bool:
        return isinstance(self.fake, VectorSource) and isinstance(self.real, VectorSource)

    @property
    def given_side(self) -> str | None:
        """The side that is features, if the extractor makes those of the other side."""
        if self.are_vectors or self.label == "identity":
            return None
        sides = {"fakes": self.fake, "reals": self.real}
        return next((s for s, source in sides.items() if isinstance(source, VectorSource)), None)

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
            self.wanted.threads,
            self.wanted.skip_unreadable,
        )

    def refuse_unused_options(self) -> None:
        """Raises Unreadable for latents without a generator, and for unread held-out images."""
        has_generator = any(isinstance(side, GeneratorSource) for side in (self.fake, self.real))
        if self.wanted.latent is not None and not has_generator:
            raise Unreadable(f"--latent is for a generator, and {self.fake.name} is none")
        metrics = [METRICS.make(metric) for metric in self.wanted.metrics]
        is_read = self.wanted.floor or any("held_out" in metric.needs for metric in metrics)
        if self.wanted.held_out is not None and not is_read:
            raise Unreadable("--no-floor leaves --held-out unread: leave out one of them")

    def refuse_few_images(self) -> None:
        """Raises Unreadable, before any extraction, if a side has too few images."""
        check_count(self.fake, len(self.fake_indices))
        check_count(self.real, len(self.real_indices))
        if self.held_out is not None:
            check_count(self.held_out, len(self.held_out_indices))

    def refuse_broken_files(self) -> None:
        """Raises Unreadable, with all broken files that can be found before the extraction."""
        sides = [(self.fake, self.fake_indices), (self.real, self.real_indices)]
        if self.held_out is not None:
            sides.append((self.held_out, self.held_out_indices))
        if not self.wanted.skip_unreadable:
            with silence_decoders():
                refuse_broken_headers(sides, self.wanted.threads)

    def extract_source(self, source: Source, chosen: Sequence[int], phase: str) -> Extraction:
        check_count(source, len(chosen))
        if isinstance(source, VectorSource):
            return extraction_of_vectors(source, chosen)
        try:
            extraction = extract_source_features(
                source, chosen, self.runner, lambda done, of: self.show(phase, done, of)
            )
        except Unreadable as first:
            if self.wanted.skip_unreadable:
                raise
            with silence_decoders():
                raise broken_files_error(
                    source, chosen, self.runner.frame, self.wanted.threads, first
                ) from first
        check_count(source, len(extraction), " that can be read")
        return extraction

    # Inputs of metrics

    def make_fake_features(self, extraction: Extraction) -> FeatureSet:
        """Returns the features of the fakes, with their images and their generator."""
        features = self.make_feature_set(extraction, self.fake, self.fake_indices)
        features.images = self.load_images(self.fake, self.fake_indices)
        features.sampler = self.latent_sampler()
        return features

    def make_real_features(self, extraction: Extraction) -> FeatureSet:
        """Returns the features of the reals, with their images, their cache and held-out reals."""
        features = self.make_feature_set(extraction, self.real, self.real_indices)
        features.images = self.load_images(self.real, self.real_indices)
        features.cache = self.reference_cache(extraction)
        if self.held_out is not None:
            features.held_out = lambda: self.held_out_features
        return features

    def make_feature_set(
        self, extraction: Extraction, source: Source, chosen: Sequence[int]
    ) -> FeatureSet:
        place = "cpu" if self.wanted.device == "mps" else self.wanted.device
        logits = None if extraction.logits is None else extraction.logits.to(place)
        given = isinstance(self.real, VectorSource | StatisticsSource)
        predicts = not given and self.extractor.predicts_classes_of(self.resolved.data)
        return FeatureSet(
            extraction.features.to(place),
            logits,
            labels=None if source.labels is None else source.labels[torch.as_tensor(chosen)],
            mixture=self.real.mixture,
            classes_are_modes=predicts,
        )

    def load_images(self, source: Source, chosen: Sequence[int]) -> Tensor | None:
        """Returns all images for metrics that read images.

        Returns None if no metric needs them, they differ in size, or they exceed the memory limit.
        """
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
        """Yields the pixels of each image that was extracted."""
        for item in chain.from_iterable(source.iter_blocks(chosen, self.wanted.batch)):
            try:
                yield item.decode(self.runner.frame).pixels
            except Unreadable:
                if not self.wanted.skip_unreadable:
                    raise

    def latent_sampler(self) -> LatentSampler | None:
        """Returns the generator for metrics of latents, with LPIPS and float features.

        Returns None if the fakes do not come from a generator of latents.
        """
        sampler = self.fake.latent_sampler() if isinstance(self.fake, GeneratorSource) else None
        if sampler is None:
            return None
        sampler = replace(sampler, lpips=partial(load_lpips, torch.device(self.wanted.device)))
        if self.wanted.size is not None or not self.extractor.takes_floats:
            return sampler
        return replace(sampler, features=lambda images: self.extractor(images)[0])

    def reference_cache(self, extraction: Extraction) -> DiskCache:
        """Returns the disk cache of the reals, keyed by their content and the extractor."""
        facts = {"content": extraction.content_hash(), **self.extraction_facts()}
        device = torch.device("cpu" if self.wanted.device == "mps" else self.wanted.device)
        return DiskCache(cache_folder_of(facts) / hash_sources_of_kind(METRICS), device)

    def extraction_facts(self) -> dict[str, Any]:
        if self.are_vectors:
            return {"extractor": self.label, "device": self.wanted.device}
        return self.runner.cache_facts()

    @cached_property
    def held_out_features(self) -> FeatureSet:
        assert self.held_out is not None
        chosen = self.held_out_indices
        features = self.make_feature_set(self.held_out_extraction, self.held_out, chosen)
        features.images = self.load_images(self.held_out, chosen)
        return features

    @cached_property
    def held_out_extraction(self) -> Extraction:
        assert self.held_out is not None
        return self.extract_source(self.held_out, self.held_out_indices, "held out")

    @cached_property
    def held_out_indices(self) -> Sequence[int]:
        """The indices of the measured held-out images: as many as fakes if there are enough.

        They are random, because the files of a folder are often ordered by class.
        """
        assert self.held_out is not None
        count = min(len(self.held_out), len(self.fake_indices))
        return choose_images(self.held_out, count, self.wanted.seed, "held out")

    # Measurement

    def measure_metrics(
        self, fake: FeatureSet, real: FeatureSet
    ) -> tuple[tuple[MetricRow, ...], str]:
        rules, metrics = self.rules, tuple(self.wanted.metrics)
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
        """Returns the floors and a description of the reals that give them."""
        if self.held_out is None:
            return self.measure_floors_of_halves(real, metrics)
        rules, held_out = self.rules, self.held_out_features
        rules.prepare_metrics(metrics, held_out, real)
        return {
            metric: rules.measure_or_reason(metric, held_out, real) for metric in metrics
        }, self.describe_held_out_floor()

    def describe_held_out_floor(self) -> str:
        assert self.held_out is not None
        count, fakes = len(self.held_out_features), len(self.fake_indices)
        text = f"{count:,} held-out images of {self.held_out.name} instead of the fakes"
        if count >= fakes:
            return text
        return f"{text}; so few are too high a floor for {fakes:,} fakes, read the one by theory"

    def measure_floors_of_halves(
        self, real: FeatureSet, metrics: Sequence[str]
    ) -> tuple[Floors, str]:
        """Returns floors of one half of the reals against the other half.

        They depend on the reals only, so they are cached with the reals.
        """
        rules, (one, other) = self.rules, split_in_halves(real, len(self.fake_indices))
        names = {m: f"floor({self.wanted.protocol}, {m}, {len(one)})" for m in metrics}
        if any(real.cache.get(name) is None for name in names.values()):
            rules.prepare_metrics(metrics, one, other)
        floor_text = (
            f"{len(one):,} of the reals instead of the fakes, against {len(other):,} others; "
            "values of larger counts may be better without being better than real"
        )
        readings = {
            metric: cached_reading(real, name, partial(rules.measure_or_reason, metric, one, other))
            for metric, name in names.items()
        }
        return readings, floor_text

    def make_protocol(
        self, fake_extraction: Extraction, real_extraction: Extraction
    ) -> EvaluationProtocol:
        protocol = EvaluationProtocol(
            real=real_extraction.content_hash(),
            reals=len(real_extraction),
            fakes=len(fake_extraction),
            **self.extractor_facts(),
        )
        if not self.given_side:
            return protocol
        decoding = f"{protocol.decoding}; features of {self.given_side} as given"
        return replace(protocol, decoding=decoding)  # another extractor may have made them

    def extractor_facts(self) -> dict[str, Any]:
        """Returns the fields of the protocol that name the estimators and the extractor."""
        given = self.are_vectors
        return {
            "rules": PROTOCOLS.resolve(self.wanted.protocol).name,
            "rules_version": self.rules.version,
            "extractor": f"{self.label}{GIVEN_FEATURES}" if given else self.extractor_label,
            "extractor_version": 0 if given else self.extractor.version,
            "weights": None if given else self.extractor.weights_hash(),
            "resize": "none" if given else self.resize_description(),
            "channels": 0 if given else self.runner.frame.channels,
        }

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


class OtherSize(Unreadable):
    """Fakes and reals have other sizes, and the extractor resizes neither."""

    remedy: str = "name a --size for both"

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.remedy}"


def check_count(source: Source, count: int, which: str = "") -> None:
    if count < MIN_IMAGES_PER_SIDE:
        raise Unreadable(
            f"{source.name} holds {count_of(count, 'image')}{which}: metrics need at least {MIN_IMAGES_PER_SIDE}"
        )


def check_sides(
    fake: Source, fake_extraction: Extraction, real: Source, real_extraction: Extraction, label: str
) -> None:
    """Raises Unreadable if the features of fakes and reals have different widths."""
    widths = fake_extraction.features.shape[1], real_extraction.features.shape[1]
    if widths[0] == widths[1]:
        return
    if isinstance(fake, VectorSource) or isinstance(real, VectorSource):
        raise Unreadable(
            f"fakes have {widths[0]} features and reals {widths[1]}: those that are given are not {label}'s"
        )
    raise OtherSize(
        f"{label} makes {widths[0]} features of {fake.name} and {widths[1]} of {real.name}, whose "
        "images have other sizes"
    )
