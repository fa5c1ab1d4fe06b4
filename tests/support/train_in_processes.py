"""Train the compositions of `test_process_groups.py` in several processes.

python train_in_processes.py FOLDER EXCHANGE
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from gancore import compose
from gancore.distributed.shared_memory import SharedMemory
from gancore.hardware.device import choose_runtime
from gancore.run.checkpoint.component_state import component_state
from gancore.run.prepare import prepare
from gancore.train.data import open_data

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

WIDTHS = {"dcgan.width": 4, "dcgan-critic.width": 4}
SIZES = {"sprites.count": 64, **WIDTHS, "sgd.lr": 1e-3}
IMAGES = {"gen": "dcgan", "loss": "bce", "optim": "sgd"}
POINTS = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic", "loss": "bce", "optim": "sgd"}
COMPOSITIONS = {
    "batch-norm": {**IMAGES, "norm": "batch"},
    "conditional-norm": {**IMAGES, "norm": str(EXAMPLES / "conditional_norm.py")},
    "self-modulation": {**IMAGES, "gen_norm": str(EXAMPLES / "self_modulation.py")},
    "noise": {**IMAGES, "reg": ["instance-noise", "noisy-labels", "label-smoothing"]},
    "augment": {**IMAGES, "reg": ["augment"]},
    "minibatch-discrimination": {**IMAGES, "reg": ["minibatch-discrimination"]},
    "virtual-batch": {**IMAGES, "norm": "virtual-batch", "options": {"virtual-batch.reference": 6}},
    "experience-replay": {**IMAGES, "reg": ["experience-replay"], "options": {"experience-replay.per-update": 5}},
    "extra-step": {
        **IMAGES, "reg": ["experience-replay"],
        "options": {"experience-replay.mode": "extra-step", "experience-replay.extra-after": 2},
    },
    "acgan": {**IMAGES, "cond": ["acgan"]},
    "wgan-gp": {**IMAGES, "loss": "wgan-gp", "options": {"n-critic.critic": 2}},
    "wgan-gp-cross-sample": {
        **IMAGES, "loss": "wgan-gp", "reg": ["minibatch-discrimination"], "options": {"n-critic.critic": 1},
    },
    "wgan-gp-batch-norm": {
        **IMAGES, "loss": "wgan-gp", "critic_norm": "batch", "options": {"n-critic.critic": 1},
    },
    "ema": {**IMAGES, "reg": ["ema"]},
    "clipping": {**IMAGES, "reg": ["weight-clipping"]},
    "in-turn": {**IMAGES, "options": {"n-critic.reuse-fakes": True}},
    "term-gradients": {
        **IMAGES, "loss": "wgan-gp", "metric": ["term-gradients", "weight-change"],
        "options": {"n-critic.critic": 2, "term-gradients.every": 3, "weight-change.every": 3},
    },
    "points": POINTS,
    "signals": {
        **IMAGES, "data": str(EXAMPLES / "audio.py"), "norm": "batch",
        "options": {"audio.length": 32, "audio.count": 24, **WIDTHS},
    },
    "volumes": {
        **IMAGES, "data": str(EXAMPLES / "volumes.py"), "norm": "batch",
        "options": {"volumes.side": 8, "volumes.count": 24, **WIDTHS},
    },
}  # fmt: skip


class Doubles:
    """Data whose samples are float64."""

    def __init__(self, data):
        self.data = data

    def __getattr__(self, name):
        return getattr(self.data, name)

    def __len__(self):
        return len(self.data)

    def take(self, indices, rng):
        samples, labels = self.data.take(indices, rng)
        return samples.double(), labels


def train(chosen, steps=3):
    """Make a few steps in float64; return the training."""
    images = "data" not in chosen
    own = {name: value for name, value in SIZES.items() if images or name.startswith("sgd")}
    chosen = {**chosen, "options": {**own, **chosen.get("options", {})}}
    settings = {"batch": 8, "device": "cpu", "force": True, **({"size": "16"} if images else {})}
    composition = compose(**chosen, settings=settings)
    training = prepare(
        composition, Doubles(open_data(composition)), choose_runtime(composition.settings)
    )
    for _ in range(steps):
        training.train_step()
    return training


def tensors(training):
    """Return every weight and every tensor of a component, by name."""
    gan = training.context.gan
    found = {
        f"{role}/{name}": each
        for role in ("generator", "critic")
        for name, each in gan.player(role).state_dict().items()
    }
    found |= component_state(training.context.hooks)[0]
    return {name: each.detach().clone().contiguous() for name, each in found.items()}


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    if sys.argv[2] == "messages":
        os.environ.pop("LOCAL_WORLD_SIZE")  # torchrun says with it who is on this machine
    for name, chosen in COMPOSITIONS.items():
        training = train(chosen)
        assert (sys.argv[2] == "memory") == isinstance(
            training.context.runtime.group.exchange, SharedMemory
        )
        if training.context.runtime.group.is_main:
            save_file(tensors(training), Path(sys.argv[1]) / f"{name}.safetensors")
