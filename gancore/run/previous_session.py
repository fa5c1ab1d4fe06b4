"""The process that trained a run before: how it ended, and whether this one computes alike."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gancore.run import directory


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Return what may change the bits of a run and stands in no checkpoint, for `run.json`."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def remarks(
    folder: Path, step: int, device: torch.device, manifest: Mapping[str, Any]
) -> list[str]:
    """Say what a run that is taken up at `step` should tell: an end without closing, other
    versions, another machine.

    `manifest` is that of the checkpoint.
    """
    about = directory.noted(folder)
    told = []
    if about.get("started") and about.get("ended") is None:
        told.append(
            "the process before ended without closing the run (killed, or out of memory); "
            f"nothing is lost: it goes on from step {step}"
        )
    now = machine_facts(device)
    then = dict(manifest.get("versions", {}))
    # from `run.json`: a checkpoint says nothing of the machine, so that equal runs on two machines
    # may write equal bytes
    for name in now:
        if name in about:
            then[name] = about[name]
    for name, was in then.items():
        found = now.get(name) or _version(name)
        if found is not None and was != found:
            told.append(f"{name} was {was} then and is {found} now; the run may not be bit-exact")
    return told


def _version(name: str) -> str | None:
    known = {"torch": torch.__version__, "python": platform.python_version()}
    try:
        return known.get(name) or version(name)
    except PackageNotFoundError:
        return None
