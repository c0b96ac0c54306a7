"""A source from a folder or a zip archive of images: nested, ordered by path."""

from collections.abc import Iterator, Sequence
from functools import partial

from ganbench.data.image_decoding import Unreadable, check_header
from ganbench.data.image_files import FolderFiles, ImageFiles, ZipFiles

from .base import Source, SourceItem
from .decoding import EncodedItem


class ImageFilesSource(Source):
    """A source of all images in a folder or an archive, except hidden ones."""

    separator = "/"  # between the source's name and a file's name

    def __init__(self, opened: ImageFiles):
        super().__init__(opened.name, *opened.notes)
        self.opened, self.files = opened, opened.files

    def __len__(self) -> int:
        return len(self.files)

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        for start in range(0, len(chosen), size):
            names = (self.files[number] for number in chosen[start : start + size])
            yield [
                EncodedItem(self.prefix + name, partial(self.opened.read, name)) for name in names
            ]

    @property
    def prefix(self) -> str:
        return self.name.rstrip("/") + self.separator

    def check_header(self, number: int) -> None:
        """Raises Unreadable if the beginning of an image file shows that it is broken."""
        name = self.files[number]
        try:
            with self.opened.open(name) as file:
                check_header(self.prefix + name, file)
        except OSError as error:
            reason = error.strerror or error
            raise Unreadable(f"{self.prefix}{name} cannot be read: {reason}") from error


class FolderSource(ImageFilesSource):
    """A source of all images under a path. Links are followed."""

    def __init__(self, text: str, skip: bool = False):
        super().__init__(FolderFiles(text, skip))


class ZipSource(ImageFilesSource):
    """A source of all images in a zip archive, read in place."""

    separator = ": "

    def __init__(self, text: str, skip: bool = False):
        super().__init__(ZipFiles(text, skip))
