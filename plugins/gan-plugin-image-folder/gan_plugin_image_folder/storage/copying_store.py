"""Store decoded images in memory, and write a copy into a cache file for the next start."""

from collections.abc import Callable

import numpy as np

from gan_plugin_image_folder.decode.decoded import DecodedImages, DecodeSummary
from gan_plugin_image_folder.log import warn
from gan_plugin_image_folder.storage.cache_reader import load_into_memory
from gan_plugin_image_folder.storage.cache_writer import CacheWriter
from gan_plugin_image_folder.storage.memory_store import MemoryStore
from gancore import DataError


class CopyingStore:
    """A store in memory whose images go into a cache file too; training goes on if that fails."""

    def __init__(self, memory: MemoryStore, writer: CacheWriter) -> None:
        self.memory = memory
        self.writer = writer
        self.existing: DecodedImages | None = None
        self.open = False
        self.failed = False

    def __enter__(self) -> "CopyingStore":
        self.try_to(self.open_writer)
        if not self.failed and self.writer.existing is not None:
            self.existing = load_into_memory(self.writer.existing)
        return self

    def __exit__(self, *error: object) -> None:
        self.close_writer()

    def append(self, images: np.ndarray) -> None:
        self.memory.append(images)
        self.try_to(lambda: self.writer.append(images))

    def finish(self, summary: DecodeSummary) -> DecodedImages:
        self.try_to(lambda: self.writer.finish(summary))
        return self.memory.finish(summary)

    def open_writer(self) -> None:
        """Open the cache file for writing."""
        self.writer.__enter__()
        self.open = True

    def close_writer(self) -> None:
        """Close the cache file, and remove one that is not complete."""
        if self.open:
            self.open = False
            self.writer.__exit__()

    def try_to(self, write: Callable[[], object]) -> None:
        """Write to the cache file unless that failed before; warn where it fails now."""
        if self.failed:
            return
        try:
            write()
        except DataError as error:
            self.failed = True
            self.close_writer()
            warn([f"{error.what}; they will be decoded again at the next start"])
