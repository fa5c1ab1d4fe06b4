"""Reads the peak memory of this process."""

from __future__ import annotations

import sys

MIB = 2**20


def peak_memory() -> float:
    """Return the peak resident memory of this process in MiB; 0 if the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
