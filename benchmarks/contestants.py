"""Contestants of a task: training steps from the same weights on the same samples."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from attrs import field, frozen
from torch import Tensor, nn

from benchmarks import textbook, twins
from benchmarks.draws import Draws
from benchmarks.served import samples
from gancore import Composition, Run, compose

HERE = Path(__file__).resolve().parent
FOR_EVER = 10**9  # steps of a run of which only the first are made, without checkpoints or samples
SLOTS = {
    "dcgan": ("dcgan", "dcgan-critic"),
    "painter": ("colorpicker", "dcgan-critic"),
    "mlp": ("mlp", "mlp-critic"),
}


@frozen(eq=False)
class Contestant:
    """One way to train: `step()` makes a whole step; both networks may be looked at."""

    name: str
    step: Callable[[], object]
    generator: nn.Module = field(repr=False)
    critic: nn.Module = field(repr=False)


def composition(task, idle: int = 0) -> Composition:
    """Compose the task, with so many components that do nothing."""
    generator, critic = SLOTS[task.nets]
    regularizers = [f"idle-{number}={HERE / 'idle.py'}" for number in range(idle)]
    options = {
        "served.shape": task.shape,
        "normal.dim": task.latent,
        "n-critic.critic": task.critic_updates,
        "n-critic.reuse-fakes": task.loss == "bce",
        f"{task.optimizer}.lr": task.lr,
    }
    if task.optimizer == "adam":
        options |= {"adam.beta1": task.betas[0], "adam.beta2": task.betas[1]}
    if task.loss == "bce":
        options["bce.average"] = False
    if task.images:
        own_width = task.width // 2 if task.nets == "painter" else task.width
        options |= {f"{generator}.width": own_width, "dcgan-critic.width": task.width}
    else:
        options |= {f"{name}.hidden": (task.width, task.width) for name in SLOTS["mlp"]}
    if task.noise:
        regularizers.append("instance-noise")
        options["instance-noise.sigma"] = task.noise
    if task.kernels:
        regularizers.append("minibatch-discrimination")
        options["minibatch-discrimination.kernels"] = task.kernels
    if "virtual-batch" in (task.gen_norm, task.critic_norm):
        options["virtual-batch.reference"] = task.reference
    return compose(
        recipe="base",
        data=f"{HERE / 'served.py'}:Served",
        gen=generator,
        critic=critic,
        loss=task.loss,
        optim=task.optimizer,
        gen_norm=task.gen_norm,
        critic_norm=task.critic_norm,
        reg=regularizers,
        options=options,
        settings={
            "batch": task.batch,
            "steps": FOR_EVER,
            "save_every": FOR_EVER,
            "sample_every": FOR_EVER,
            "device": "cpu",
            "precision": task.precision,
        },
    )


def composed(task, folder: Path, idle: int = 0) -> Contestant:
    """Start a run in an empty folder; a step is one of its loop, with the default logging."""
    run = Run.start(composition(task, idle), folder / f"composed-{idle}")
    context = run.training.context
    context.data.place = 0  # what networks took while they were built is no batch
    step = partial(next, steps_of(run))
    return Contestant("composed", step, context.gan.generator.network, context.gan.critic.network)


def steps_of(run: Run) -> Iterator[None]:
    """Train as `run.fit` does, a step at a time, showing nothing."""
    with run.opened() as log:
        run.begin(log)
        while not run.over():
            run.step(log)
            yield


def written(
    task, kind: str, draws: Draws | None = None, start: Contestant | None = None
) -> Contestant:
    """Begin a hand-written loop, `textbook` or `twin`, from the weights of `start`."""
    module = {"textbook": textbook, "twin": twins}[kind]
    generator, critic = module.networks(task)
    if start is not None:
        for own, other in ((generator, start.generator), (critic, start.critic)):
            own.load_state_dict(converted(other.state_dict(), own.state_dict()))
    steps = module.train(task, generator, critic, samples(task.shape), draws or Draws(task))
    return Contestant(kind, partial(next, steps), generator, critic)


def converted(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a composed network with the names and shapes of another form of it.

    A linear layer `[8192, 100]` of a 4×4 map is the transposed convolution `[100, 512, 4, 4]` of a
    single pixel, and one of a flattened map to a number is a convolution as large as the map.
    Labels of references are left out.
    """
    kept = [tensor for name, tensor in state.items() if not name.endswith("labels")]
    return {
        name: reshaped(tensor, wanted)
        for (name, wanted), tensor in zip(like.items(), kept, strict=True)
    }


def reshaped(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a tensor in the shape of another, with the first two dimensions swapped if needed."""
    if tensor.dim() == 2 and wanted.dim() == 4 and tensor.shape[0] != wanted.shape[0]:
        return tensor.T.reshape(wanted.shape)
    return tensor.reshape(wanted.shape)


def gap(one: Contestant, other: Contestant) -> float:
    """Return the largest relative difference between tensors of `other`, a composed run, and `one`.

    A norm below 1e-3 counts as 1e-3: a bias that a norm takes away again stays 0 but for rounding.
    """
    pairs = []
    for own, theirs in ((one.generator, other.generator), (one.critic, other.critic)):
        state = own.state_dict()
        changed = converted(theirs.state_dict(), state)
        pairs += [(state[name].double(), changed[name].double()) for name in state]
    return max(float((a - b).norm() / b.norm().clamp(min=1e-3)) for a, b in pairs)


def make(task, name: str, folder: Path, start: Contestant | None = None) -> Contestant:
    """Make a contestant by its name."""
    return composed(task, folder) if name == "composed" else written(task, name, start=start)


def field_of(task, folder: Path) -> dict[str, Contestant]:
    """Make all contestants of a task, each from the weights with which the composed run begins."""
    start = composed(task, folder)
    others = [name for name in task.contestants if name != "composed"]
    return {"composed": start} | {name: written(task, name, start=start) for name in others}


def scratch() -> tempfile.TemporaryDirectory:
    """Return a folder for runs that nobody keeps."""
    return tempfile.TemporaryDirectory(prefix="gancore-benchmark-")
