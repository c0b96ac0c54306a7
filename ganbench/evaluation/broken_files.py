"""Broken image files of an evaluation, all named in one message."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_files import SKIP_FLAG
from ganbench.data.read_images import sentence_of_problems
from ganbench.evaluation.inputs.base import Frame, Source
from ganbench.evaluation.inputs.image_folder import ImageFilesSource

Check = Callable[[], object]  # raises Unreadable for a broken file
ITEMS_PER_BLOCK = 250


def refuse_broken_headers(sides: Iterable[tuple[Source, Sequence[int]]], threads: int) -> None:
    """Opens the files of folders and archives; raises Unreadable that names all broken ones.

    A file that is cut off has a valid beginning. Its decoding finds it later.
    """
    checks: list[Check] = []
    for source, chosen in sides:
        if isinstance(source, ImageFilesSource):
            checks += [partial(source.check_header, number) for number in chosen]
    if problems := find_problems(checks, threads):
        raise refusal_of(problems, len(checks))


def broken_files_error(
    source: Source, chosen: Sequence[int], frame: Frame, threads: int, first: Unreadable
) -> Unreadable:
    """Returns an error that names all images of a source that cannot be decoded.

    Returns the first error if a user's code makes the images, or if all can be decoded.
    """
    if source.runs_user_code or source.generated:
        return first
    problems: list[str] = []
    for items in source.iter_blocks(chosen, ITEMS_PER_BLOCK):
        problems += find_problems([partial(item.decode, frame) for item in items], threads)
    return refusal_of(problems, len(chosen)) if problems else first


def refusal_of(problems: list[str], count: int) -> Unreadable:
    """Returns an error with all problems and the remedy."""
    return Unreadable(sentence_of_problems(problems, count, SKIP_FLAG))


def find_problems(checks: Sequence[Check], threads: int) -> list[str]:
    """Runs checks in threads and returns the messages of those that fail, in order."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        return list(filter(None, pool.map(problem_of, checks)))


def problem_of(check: Check) -> str:
    try:
        check()
    except Unreadable as error:
        return str(error)
    return ""
