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
from ganbench.evaluation.inputs.base import COLOUR, Frame, Source, Vectors
from ganbench.evaluation.inputs.generator import Generated
from ganbench.evaluation.inputs.resolve import Reading, Resolved
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import OWN, MeasurementRules
from ganbench.gan.latent_sampler import Sampler
from ganbench.rng import RngStreams

from .evaluator import lpips
from .feature_extraction import Extraction, ExtractorRunner, extracted
from .floors import STREAM, halves, reading, row, shelved
from .image_warnings import notes_between, notes_of
from .reference_cache import DiskCache, folder_of, sources
from .result import Evaluation, Row, Terms

USUAL_EXTRACTOR = "inception"
FEWEST = 10  # images of a side, of which any metric says something
IMAGES = 2**31  # bytes of images that are held for the metrics that ask for images

Floors = dict[str, Measurement | str]
Show = Callable[[str, int, int], None]  # a phase, how many images are through, and of how many


@dataclass(frozen=True)
class Wanted:
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
    reading: Reading

    def rules(self) -> MeasurementRules:
        made: MeasurementRules = PROTOCOLS.make(self.protocol)
        return made


def drawn(source: Source, count: int | None, seed: int, name: str) -> Sequence[int]:
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
class Sides:
    """Fakes and reals on their way to an evaluation."""

    fake: Source
    resolved: Resolved
    aside: Source | None  # reals that nobody trained on
    wanted: Wanted
    count: int | None
    chosen: Sequence[int]  # of the reals
    show: Show

    @property
    def real(self) -> Source:
        return self.resolved.source

    def evaluation(self) -> Evaluation:
        ours = self.extraction(self.fake, self.fakes, "fakes")
        theirs = self.extraction(self.real, self.chosen, "reals")
        check_sides(self.fake, ours, self.real, theirs, self.label)
        self.show("metrics", 0, 1)
        fake = self.sample(ours, self.fake, self.fakes)
        real = self.sample(theirs, self.real, self.chosen)
        fake.images = self.images(self.fake, self.fakes)
        fake.sampler = self.sampler()
        real.images = self.images(self.real, self.chosen)
        real.shelf = self.shelf(theirs)
        if self.aside is not None:
            real.held_out = self.held_out
        rows, floor = self.measured(fake, real)
        self.show("metrics", 1, 1)
        terms = self.terms(ours, theirs)
        notes = [*notes_of("fakes", self.fake, ours), *notes_of("reals", self.real, theirs)]
        notes += notes_between(ours, theirs)
        return Evaluation(self.fake.name, self.real.name, terms, rows, floor, tuple(notes))

    @cached_property
    def fakes(self) -> Sequence[int]:
        return drawn(self.fake, self.count, self.wanted.seed, "fake")

    # What looks at them

    @cached_property
    def label(self) -> str:
        """The extractor's spec: the one that is named, the protocol's, the data set's, or the usual one."""
        rules = self.wanted.rules()
        own = self.resolved.extractor or ("identity" if self.are_vectors else USUAL_EXTRACTOR)
        return EXTRACTORS.label(
            self.wanted.extractor or (own if rules.extractor == OWN else rules.extractor)
        )

    @property
    def are_vectors(self) -> bool:
        return isinstance(self.fake, Vectors) and isinstance(self.real, Vectors)

    @cached_property
    def extractor(self) -> Extractor:
        made: Extractor = EXTRACTORS.make(self.label)
        return made.to(self.wanted.device)

    @property
    def known_as(self) -> str:
        return self.extractor.known_as(self.label)

    @cached_property
    def eye(self) -> ExtractorRunner:
        shape = self.extractor.shape
        frame = Frame(shape[0] if shape else COLOUR, self.wanted.size)
        return ExtractorRunner(
            self.extractor,
            self.label,
            torch.device(self.wanted.device),
            frame,
            self.wanted.batch,
            self.wanted.workers,
            self.wanted.reading.skip,
        )

    def extraction(self, source: Source, chosen: Sequence[int], phase: str) -> Extraction:
        check_count(source, len(chosen))
        if isinstance(source, Vectors):
            return of_vectors(source, chosen)
        found = extracted(source, chosen, self.eye, lambda done, of: self.show(phase, done, of))
        check_count(source, len(found), " that can be read")
        return found

    # What metrics see

    def sample(self, found: Extraction, source: Source, chosen: Sequence[int]) -> FeatureSet:
        place = "cpu" if self.wanted.device == "mps" else self.wanted.device
        logits = None if found.logits is None else found.logits.to(place)
        tells = not isinstance(self.real, Vectors) and self.extractor.tells_the_datas_classes
        return FeatureSet(
            found.features.to(place),
            logits,
            labels=None if source.labels is None else source.labels[torch.as_tensor(chosen)],
            mixture=self.real.mixture,
            classes_are_modes=tells,
        )

    def images(self, source: Source, chosen: Sequence[int]) -> Tensor | None:
        """All of them, if a metric asks for images, they are of one size, and memory has room."""
        needed = any(METRICS.make(metric).needs_images() for metric in self.wanted.metrics)
        if not needed or isinstance(source, Vectors):
            return None
        found: Tensor | None = None
        place = 0
        for pixels in self.pixels(source, chosen):
            if found is None and pixels.numel() * len(chosen) <= IMAGES:
                found = pixels.new_empty(len(chosen), *pixels.shape)
            if found is None or found.shape[1:] != pixels.shape:
                return None
            found[place] = pixels
            place += 1
        return None if found is None else found[:place]

    def pixels(self, source: Source, chosen: Sequence[int]) -> Iterator[Tensor]:
        """Those of each image that was extracted."""
        for item in chain.from_iterable(source.blocks(chosen, self.wanted.batch)):
            try:
                yield item.seen(self.eye.frame).pixels
            except Unreadable:
                if not self.wanted.reading.skip:
                    raise

    def sampler(self) -> Sampler | None:
        """The generator itself, for metrics of it, with what sees its images before they are rounded."""
        found = self.fake.sampler() if isinstance(self.fake, Generated) else None
        if found is None:
            return None
        found = replace(found, lpips=partial(lpips, torch.device(self.wanted.device)))
        if self.wanted.size is not None or not self.extractor.takes_floats:
            return found
        return replace(found, features=lambda images: self.extractor(images)[0])

    def shelf(self, found: Extraction) -> DiskCache:
        """What is made of reals is kept under their content, and that of whatever looked at them."""
        facts = {"content": found.content(), **self.seen_by()}
        device = torch.device("cpu" if self.wanted.device == "mps" else self.wanted.device)
        return DiskCache(folder_of(facts) / sources(METRICS), device)

    def seen_by(self) -> dict[str, Any]:
        if self.are_vectors:
            return {"extractor": self.label, "device": self.wanted.device}
        return self.eye.facts()

    def held_out(self) -> FeatureSet:
        """As many as there are fakes, if there are so many."""
        return self.aside_sample

    @cached_property
    def aside_sample(self) -> FeatureSet:
        assert self.aside is not None
        chosen = range(min(len(self.aside), len(self.fakes)))
        found = self.sample(self.extraction(self.aside, chosen, "held out"), self.aside, chosen)
        found.images = self.images(self.aside, chosen)
        return found

    # What is measured

    def measured(self, fake: FeatureSet, real: FeatureSet) -> tuple[tuple[Row, ...], str]:
        rules, metrics = self.wanted.rules(), self.wanted.metrics
        rules.prepare(metrics, fake, real)
        found = {metric: reading(rules, metric, fake, real) for metric in metrics}
        floors, told = self.floors(real, metrics) if self.wanted.floor else ({}, "")
        return tuple(row(m, found[m], floors.get(m), real, len(fake)) for m in metrics), told

    def floors(self, real: FeatureSet, metrics: Sequence[str]) -> tuple[Floors, str]:
        """What reals score in the place of the fakes, and which reals these are."""
        if self.aside is None:
            return self.floors_of_halves(real, metrics)
        rules, held_out = self.wanted.rules(), self.held_out()
        rules.prepare(metrics, held_out, real)
        told = f"{len(held_out):,} held-out images of {self.aside.name} in the place of the fakes"
        return {metric: reading(rules, metric, held_out, real) for metric in metrics}, told

    def floors_of_halves(self, real: FeatureSet, metrics: Sequence[str]) -> tuple[Floors, str]:
        """They depend on the reals alone, and are kept with them."""
        rules, (one, other) = self.wanted.rules(), halves(real, len(self.fakes))
        names = {m: f"floor({self.wanted.protocol}, {m}, {len(one)})" for m in metrics}
        if any(real.shelf.get(name) is None for name in names.values()):
            rules.prepare(metrics, one, other)
        told = f"{len(one):,} of the reals in the place of the fakes, against {len(other):,} others"
        found = {
            metric: shelved(real, name, partial(reading, rules, metric, one, other))
            for metric, name in names.items()
        }
        return found, told

    def terms(self, ours: Extraction, theirs: Extraction) -> Terms:
        rules = self.wanted.rules()
        given = self.are_vectors
        return Terms(
            rules=PROTOCOLS.resolve(self.wanted.protocol).name,
            rules_version=rules.version,
            extractor=f"{self.label}, features as given" if given else self.known_as,
            extractor_version=0 if given else self.extractor.version,
            weights=None if given else self.extractor.weights(),
            resize="none" if given else self.resize(),
            channels=0 if given else self.eye.frame.channels,
            real=theirs.content(),
            reals=len(theirs),
            fakes=len(ours),
        )

    def resize(self) -> str:
        own = self.extractor.resize
        if self.wanted.size is None:
            return own
        square = f"largest centre square to {self.wanted.size}x{self.wanted.size} by Lanczos"
        return square if own == "none" else f"{square}, then {own}"


def of_vectors(source: Vectors, chosen: Sequence[int]) -> Extraction:
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
    if count < FEWEST:
        raise Unreadable(
            f"{source.name} holds {count} images{which}: no metric tells anything of fewer than {FEWEST}"
        )


def check_sides(
    fake: Source, ours: Extraction, real: Source, theirs: Extraction, label: str
) -> None:
    """Raises Unreadable if features of the two cannot be compared."""
    widths = ours.features.shape[1], theirs.features.shape[1]
    if widths[0] == widths[1]:
        return
    if isinstance(fake, Vectors) or isinstance(real, Vectors):
        raise Unreadable(
            f"fakes have {widths[0]} features and reals {widths[1]}: those that are given are not {label}'s"
        )
    raise Unreadable(
        f"{label} makes {widths[0]} features of fakes and {widths[1]} of reals: name a --size for both"
    )
