"""Opens a user's images: a folder, a zip archive, or tar archives."""

from ganbench.files import expand_home

from .image_files import SKIP_FLAG, FolderFiles, ImageFiles, ZipFiles
from .tar_files import TarFiles, is_tar_text


def open_image_files(text: str, skip: bool = False, remedy: str = SKIP_FLAG) -> ImageFiles:
    """Opens a folder, or archives as if they were a folder; raises Unreadable."""
    if is_tar_text(text):
        return TarFiles(text, skip, remedy)
    kind = ZipFiles if expand_home(text).is_file() else FolderFiles
    return kind(text, skip, remedy)
