"""Load decoded images: from the cache file if it is up to date, else by decoding."""

from math import prod
from typing import NamedTuple

from gan_plugin_image_folder.decode.decode_all import OpenStore, decode_files
from gan_plugin_image_folder.decode.decoded import DecodedImages, DecodeOptions, ImageStore, Shape
from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.storage.cache_file import CacheEntry, cache_entry
from gan_plugin_image_folder.storage.cache_reader import load_into_memory, open_cached
from gan_plugin_image_folder.storage.cache_writer import CacheWriter
from gan_plugin_image_folder.storage.copying_store import CopyingStore
from gan_plugin_image_folder.storage.memory_store import MemoryStore


class CacheOptions(NamedTuple):
    """The options of image-folder on where images are held."""

    mode: str  # auto, memory or file
    memory_limit: int  # MiB up to which auto holds images in memory

    def fits_memory(self, count: int, shape: Shape) -> bool:
        """Return whether images are held in memory rather than mapped from a cache file."""
        return self.mode == "auto" and count * prod(shape) <= self.memory_limit << 20


def load_images(
    root: str, files: FileIndex, options: DecodeOptions, cache: CacheOptions
) -> DecodedImages:
    """Return the images of these files, in memory or mapped. Raises DataError."""
    if cache.mode == "memory":
        return decode_files(root, files, options, MemoryStore)
    entry = cache_entry(root, files, options)
    cached = open_cached(entry)
    if cached is None:
        return decode_files(root, files, options, store_opener(entry, cache))
    count, channels, height, width = cached.samples.shape
    if cache.fits_memory(count, (channels, height, width)):
        return load_into_memory(cached)
    return cached


def store_opener(entry: CacheEntry, cache: CacheOptions) -> OpenStore:
    """Return the function that makes a store for so many images of a shape."""

    def open_store(count: int, shape: Shape) -> ImageStore:
        if not cache.fits_memory(count, shape):
            return CacheWriter(entry, shape)
        store = MemoryStore(count, shape)
        if entry.worth_keeping():
            return CopyingStore(store, CacheWriter(entry, shape))
        return store

    return open_store
