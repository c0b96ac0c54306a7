"""Extractors, metrics, data sets and counts that are unknown or do not apply."""

from functools import partial
from pathlib import Path

from .base import NO_SIZE, WriteInput, register_input, write_images

INPUTS: dict[str, WriteInput] = {}
odd_input = partial(register_input, INPUTS)


@odd_input("unknown extractor")
def pass_unknown_extractor(folder: Path) -> list[str]:
    write_images(folder / "x")
    return ["--extractor", "inceptoin"]


@odd_input("extractor that sees images of one size only")
def pass_extractor_of_another_size(folder: Path) -> list[str]:
    write_images(folder / "x")
    return [NO_SIZE, "--extractor", "classifier(of='digits')"]


@odd_input("unknown metric")
def pass_unknown_metric(folder: Path) -> list[str]:
    write_images(folder / "x")
    return ["--metrics", "fidd"]


@odd_input("metric that does not apply")
def pass_metric_without_logits(folder: Path) -> list[str]:
    write_images(folder / "x")
    return ["--metrics", "kid,is"]


@odd_input("metric that does not apply, alone")
def pass_only_metric_without_logits(folder: Path) -> list[str]:
    write_images(folder / "x")
    return ["--metrics", "is"]


@odd_input("data set of other things than images")
def pass_data_set_of_points(folder: Path) -> list[str]:
    return ["ring"]


@odd_input("data set that is misspelt")
def pass_misspelt_data_set(folder: Path) -> list[str]:
    return ["fashion_mnits"]


@odd_input("side of a data set that there is not")
def pass_unknown_side(folder: Path) -> list[str]:
    return ["digits:validation"]


@odd_input("more fakes than there are")
def pass_too_large_count(folder: Path) -> list[str]:
    write_images(folder / "x")
    return ["--count", "1000"]
