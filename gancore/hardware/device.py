"""Which device a run computes on, and how its numbers lie there in memory."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from attrs import evolve

from gancore.distributed.launch import expect_shares, join, local_rank
from gancore.errors import UsageError
from gancore.hardware.layout import WORTHWHILE
from gancore.plugins.slots import ROLES
from gancore.recipe.settings import Settings
from gancore.train.data import Data, StoredData
from gancore.train.networks import GAN
from gancore.train.precision import HALF, Runtime


def choose_runtime(settings: Settings) -> Runtime:
    """Resolve `auto`, check that the device is there, and meet the other processes of the run.

    Raises UsageError where that cannot be.
    """
    device = choose_device(settings.device)
    group = join(device.type)
    expect_shares(settings.batch, group)
    if group.size > 1 and device.type == "cuda":
        device = choose_device(f"cuda:{local_rank()}")
        torch.cuda.set_device(device)
    rows = settings.batch // group.size
    pays = rows >= WORTHWHILE and (device.type == "cpu" or settings.precision != "fp32")
    layout = {"auto": pays, "true": True, "false": False}[settings.channels_last]
    return Runtime(device, settings.precision, layout, group, choose_scalers(device, settings.precision))


def choose_scalers(device: torch.device, precision: str) -> dict[str, torch.amp.GradScaler]:
    """Settle how products are computed in float32, and return a scaler a player for fp16. Raises UsageError."""
    if precision == "tf32" and device.type != "cuda":
        what = f"tf32 is arithmetic of CUDA devices, and this run computes on {device.type}"
        raise UsageError(what, where="--precision tf32", fix="--precision fp32")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True  # shapes do not change
    return {role: torch.amp.GradScaler(device.type) for role in ROLES} if precision == "fp16" else {}


def precision_note(runtime: Runtime) -> list[str]:
    """Say where half precision is not worth what it costs in digits."""
    precision = runtime.precision
    if runtime.device.type != "cpu" or precision not in HALF or saves_time(precision):
        return []
    return [f"precision {precision} is not applicable: this processor has no amx_{precision}, so it saves no time here"]


def saves_time(precision: str) -> bool:
    """Whether this processor multiplies faster in half precision: with AMX, or AMD's with `avx512_bf16`.

    AMD's do twice as many products an instruction; Intel's of that name were measured to save nothing.
    """
    facts = cpu_facts()
    flags = facts.get("flags", "").split()
    twice = precision == "bf16" and "avx512_bf16" in flags and facts.get("vendor_id") == "AuthenticAMD"
    return twice or f"amx_{precision}" in flags


def processor_name() -> str:
    """Name this processor as the system does."""
    return cpu_facts().get("model name") or platform.processor() or platform.machine()


def cpu_facts() -> dict[str, str]:
    """Read what Linux says of the first processor; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def compile_networks(gan: GAN, mode: str) -> None:
    """Let torch compile the generator and the critic's body when they are first called; their weights stay."""
    if mode != "none":
        critic = gan.critic.network  # whose answer is an object that torch's compiler does not make
        for network in (gan.generator.network, getattr(critic, "body", critic)):
            network.compile(mode=mode)


def data_on_device(data: Data, runtime: Runtime) -> Data:
    """Return the data as batches are gathered from it: on a CUDA device where a third of its free memory holds it."""
    if runtime.device.type != "cuda" or not isinstance(data, StoredData) or not isinstance(data.samples, torch.Tensor):
        return data
    free, _ = torch.cuda.mem_get_info(runtime.device)
    if data.samples.nbytes > free // 3:
        return data
    return evolve(data, samples=data.samples.to(runtime.device), labels=data.labels.to(runtime.device))


def choose_device(device: str) -> torch.device:
    """Return the device that a name means. Raises UsageError where it is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(
            f"no device is called {device!r}",
            where="--device",
            fix="cuda, for an NVIDIA or AMD card"
            if device.lower() in ("gpu", "nvidia")
            else "auto, cpu, cuda or cuda:0",
        ) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"device {device!r} is of no use here", where="--device", fix="auto, cpu, cuda or mps")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not there", where="--device", fix="--device auto")
    count = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise UsageError(
            f"device {device!r} is not there: torch sees {count} CUDA devices", where="--device", fix="--device auto"
        )
    return chosen
