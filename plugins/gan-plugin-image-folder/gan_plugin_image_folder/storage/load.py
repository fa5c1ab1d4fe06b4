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
    cached = open_cached(entry) or open_of_chosen_size(root, files, options)
    if cached is None:
        return decode_files(root, files, options, store_opener(entry, cache))
    count, channels, height, width = cached.samples.shape
    if cache.fits_memory(count, (channels, height, width)):
        return load_into_memory(cached)
    return cached


def open_of_chosen_size(
    root: str, files: FileIndex, options: DecodeOptions
) -> DecodedImages | None:
    """Return the images that were cached when no size was given, if they have the size given now.

    A run that chose a size has it in its recipe, and is resumed with it.
    """
    if options.size is None:
        return None
    cached = open_cached(cache_entry(root, files, options._replace(size=None)))
    fits = cached is not None and tuple(cached.samples.shape[2:]) == options.size
    return cached if fits else None


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
