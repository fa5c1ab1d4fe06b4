"""Retry file access that fails for reasons of disk, network or system."""

import time
from collections.abc import Callable
from typing import Any

from gan_plugin_image_folder.decode.image_file import UnusableFile

ATTEMPTS = 3
PAUSE = 0.5  # seconds between attempts


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a call, or the UnusableFile that it raises.

    A transient fault is tried again.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            return function(*arguments)
        except UnusableFile as error:
            fault = error
        if not fault.transient:
            break
        if left:
            time.sleep(PAUSE)
    return fault
