"""Cached blocks of features on disk, of which the least recently used are deleted.

A block's key is the hash of its images' content, in the folder of everything else that determines features.
"""

from ganbench.data.paths import cache_root

from .reference_cache import DiskCache

MAX_CACHED_BLOCK_BYTES = 8 * 2**30  # limit of all blocks on disk
BLOCKS_FOLDER = "blocks"


def touch_block(cache: DiskCache, key: str) -> None:
    """Marks a block as recently used."""
    try:
        cache.path_of_entry(key).touch()
    except OSError:
        return


def trim_blocks(limit: int = MAX_CACHED_BLOCK_BYTES) -> None:
    """Deletes the least recently used blocks until the rest fits into `limit` bytes."""
    blocks = []
    for path in cache_root().glob(f"*/{BLOCKS_FOLDER}/*.safetensors"):
        try:
            blocks.append((path.stat().st_mtime, path.stat().st_size, path))
        except OSError:
            continue
    size = 0
    for _, bytes_of_it, path in sorted(blocks, reverse=True):
        size += bytes_of_it
        if size > limit:
            path.unlink(missing_ok=True)
