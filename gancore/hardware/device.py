"""Chooses the device of a run, its precision and its memory format."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from attrs import evolve

from gancore.distributed.launch import expect_shares, join, local_rank
from gancore.errors import UsageError
from gancore.hardware.layout import CHANNELS_LAST_FROM
from gancore.plugins.slots import ROLES
from gancore.recipe.settings import Settings
from gancore.train.data import Data, StoredData
from gancore.train.networks import GAN
from gancore.train.precision import HALF, Runtime


def choose_runtime(settings: Settings) -> Runtime:
    """Resolve the `auto` of the settings, check the device, and join the run's other processes.

    Raises UsageError for a device, precision or batch that is not possible here.
    """
    device = choose_device(settings.device)
    group = join(device.type)
    expect_shares(settings.batch, group)
    if group.size > 1 and device.type == "cuda":
        # one GPU for each process of a machine; it is also where `cuda` without a number points to
        device = choose_device(f"cuda:{local_rank()}")
        torch.cuda.set_device(device)
    rows = settings.batch // group.size
    suits_device = device.type == "cpu" or settings.precision != "fp32"
    faster = rows >= CHANNELS_LAST_FROM and suits_device
    channels_last = {"auto": faster, "true": True, "false": False}[settings.channels_last]
    scalers = choose_scalers(device, settings.precision)
    return Runtime(device, settings.precision, channels_last, group, scalers)


def choose_scalers(device: torch.device, precision: str) -> dict[str, torch.amp.GradScaler]:
    """Set the precision of float32 matmuls and return a gradient scaler per player, for fp16 only.

    Raises UsageError for tf32 on a device without it.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"tf32 needs a CUDA device, and this run computes on {device.type}",
            where="--precision tf32",
            fix="--precision fp32",
        )
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True  # shapes do not change
    if precision != "fp16":
        return {}
    return {role: torch.amp.GradScaler(device.type) for role in ROLES}


def precision_note(runtime: Runtime) -> list[str]:
    """Return a note if half precision loses digits without saving time on this processor."""
    precision = runtime.precision
    if runtime.device.type != "cpu" or precision not in HALF or saves_time(precision):
        return []
    return [
        (
            f"precision {precision} is not applicable: "
            f"this processor has no amx_{precision}, so it saves no time here"
        )
    ]


def saves_time(precision: str) -> bool:
    """Return whether this processor multiplies matrices faster in this half precision.

    It does with AMX, and on AMD with `avx512_bf16`, where one instruction does twice as many
    products. Intel's instructions of that name were measured to save no time.
    """
    facts = cpu_facts()
    flags = facts.get("flags", "").split()
    if f"amx_{precision}" in flags:
        return True
    amd = facts.get("vendor_id") == "AuthenticAMD"
    return amd and precision == "bf16" and "avx512_bf16" in flags


def processor_name() -> str:
    """Return the name that the system gives this processor."""
    return cpu_facts().get("model name") or platform.processor() or platform.machine()


def cpu_facts() -> dict[str, str]:
    """Read the entry of the first processor in `/proc/cpuinfo`; {} on other systems than Linux."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    facts = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    return facts


def compile_networks(gan: GAN, mode: str) -> None:
    """Compile the generator and the critic's body with `torch.compile` at their first call."""
    if mode == "none":
        return
    critic = gan.critic.network
    # not the critic itself: it returns a CriticOutput, which the compiler cannot build
    body = getattr(critic, "body", critic)
    gan.generator.network.compile(mode=mode)
    body.compile(mode=mode)


def data_on_device(data: Data, runtime: Runtime) -> Data:
    """Move stored samples to a CUDA device if they take at most a third of its free memory."""
    if runtime.device.type != "cuda":
        return data
    if not isinstance(data, StoredData) or not isinstance(data.samples, torch.Tensor):
        return data
    free, _ = torch.cuda.mem_get_info(runtime.device)
    if data.samples.nbytes > free // 3:
        return data
    samples = data.samples.to(runtime.device)
    return evolve(data, samples=samples, labels=data.labels.to(runtime.device))


def choose_device(device: str) -> torch.device:
    """Return the device of that name. Raises UsageError if there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        means_cuda = device.lower() in ("gpu", "nvidia")
        fix = "cuda, for an NVIDIA or AMD card" if means_cuda else "auto, cpu, cuda or cuda:0"
        raise UsageError(f"no device is called {device!r}", where="--device", fix=fix) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        what = f"gancore does not support the device {device!r}"
        raise UsageError(what, where="--device", fix="auto, cpu, cuda or mps")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        what = "the device 'mps' is not available"
        raise UsageError(what, where="--device", fix="--device auto")
    count = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        what = f"the device {device!r} is not available: torch sees {count} CUDA devices"
        raise UsageError(what, where="--device", fix="--device auto")
    return chosen
