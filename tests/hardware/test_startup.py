"""What a command imports before its first step, and that it computes the same without the rest."""

import json
import os
import platform
import subprocess
import sys

import pytest

IDLE = {  # what no run of the default recipe requires, and `import torch` does not bring along
    "torchvision", "matplotlib", "scipy", "sympy", "tensorboard", "torch._dynamo", "torch._inductor", "torch.onnx",
    "torch.distributed.fsdp", "cProfile", "rich",
}  # fmt: skip
LISTED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
from gancore.cli import main
main({words!r})
"""


def in_a_process(code, folder, **variables):
    command, env = [sys.executable, "-c", code], os.environ | variables
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=300, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--steps", "1"],
        ["bench", "--rounds", "1"],
        ["run", "--loss", "wgan-gp", "--steps", "1"],
    ],
)
def test_a_run_imports_nothing_that_it_does_not_need(words, tmp_path):
    words = [*words, "--batch", "4", "--sprites.count", "8"]
    imported = set(json.loads(in_a_process(LISTED.format(words=words), tmp_path).splitlines()[-1]))
    assert {"torch", "gan_plugin_optimizers.adam"} <= imported
    assert not IDLE & imported


def test_a_sample_needs_neither_optimisers_nor_torchs_compiler(tmp_path):
    small = [
        "--batch",
        "4",
        "--size",
        "16",
        "--sprites.count",
        "8",
        "--dcgan.width",
        "4",
        "--dcgan-critic.width",
        "4",
    ]
    in_a_process(LISTED.format(words=["run", "--steps", "1", "--out", "r", *small]), tmp_path)
    code = f"""
import torch
def refuse(*given, **more):
    raise AssertionError("an optimiser was built")
torch.optim.Optimizer.__init__ = refuse
{LISTED.format(words=["sample", "r", "-n", "1"])}"""
    imported = set(json.loads(in_a_process(code, tmp_path).splitlines()[-1]))
    assert not IDLE & imported


SAME = """
import sys
import torch

def trained(make, steps=3):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = make(net.parameters())
    for _ in range(steps):
        net(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        optimizer.load_state_dict(optimizer.state_dict())
    assert torch.is_grad_enabled()
    assert all(weight.requires_grad for weight in net.parameters())
    return list(net.parameters())

makers = {
    torch.optim.Adam: {"betas": (0.5, 0.9), "fused": True}, torch.optim.SGD: {"lr": 0.1, "momentum": 0.9},
    torch.optim.RMSprop: {}, torch.optim.AdamW: {"foreach": True}, torch.optim.Adagrad: {},
}
before = {cls: cls.step for cls in makers}
from gancore.hardware.startup import bypass_compiler
bypass_compiler()
without = {cls: trained(lambda weights: cls(weights, **options)) for cls, options in makers.items()}
assert "torch._dynamo" not in sys.modules
for cls, step in before.items():
    cls.step = step
import torch._dynamo
for cls, options in makers.items():
    for one, other in zip(trained(lambda weights: cls(weights, **options)), without[cls], strict=True):
        assert torch.equal(one, other), cls
"""


def test_an_optimizer_computes_the_same_bits_without_torchs_compiler(tmp_path):
    in_a_process(SAME, tmp_path)


LATE = """
import torch._dynamo
before = torch.optim.Adam.step
from gancore.hardware.startup import bypass_compiler
bypass_compiler()
assert torch.optim.Adam.step is before
"""


def test_an_optimizer_stays_as_it_is_where_the_compiler_is_there(tmp_path):
    in_a_process(LATE, tmp_path)


FREED = """
import resource
import torch
from gancore.hardware.startup import keep_freed_memory

keep_freed_memory()
faults = []
for _ in range(8):
    for _ in range(4):
        torch.ones(2**22)  # 16 MiB, all new pages where nothing was kept
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[1])
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another library keeps what is freed in its own way"
)
def test_what_a_step_frees_is_kept_for_the_next(tmp_path):
    settled = in_a_process(
        FREED, tmp_path, MALLOC_TRIM_THRESHOLD_="65536"
    )  # by the user: nothing is changed
    assert 8 * int(in_a_process(FREED, tmp_path)) < int(settled)


def test_plugins_are_listed_also_where_another_library_reads_the_metadata(tmp_path):
    pytest.importorskip("importlib_metadata")
    listed = [
        in_a_process(f"{before}from gancore.cli import main\nmain(['plugins'])", tmp_path)
        for before in ("", "import importlib_metadata\n")
    ]
    assert listed[0] == listed[1]
