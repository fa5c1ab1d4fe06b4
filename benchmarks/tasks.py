"""The timed tasks: several contestants compute each of them, written in different ways."""

from attrs import evolve, frozen


@frozen(kw_only=True)
class Task:
    """One training loop, as numbers.

    Images are `(C, H, W)` of a side that halves to 4 … 7 pixels, points `(d,)`.

    `loss` is `bce` (one update of each player on the same fakes) or `wgan-gp` (`critic_updates`,
    then the generator's on fresh fakes). `nets` are `dcgan`, `painter` (the colour picker) or
    `mlp`; `width` counts the channels of their largest hidden map, or the outputs of each hidden
    layer.
    """

    name: str
    loss: str = "bce"
    nets: str = "dcgan"
    shape: tuple[int, ...] = (3, 64, 64)
    batch: int = 64
    latent: int = 100
    width: int = 64
    critic_updates: int = 1
    gen_norm: str = "batch"
    critic_norm: str = "batch"
    reference: int = 64  # samples of the reference batch of a virtual batch norm
    kernels: int = 0  # of minibatch discrimination, each comparing 5 numbers; 0 leaves it out
    noise: float = 0.0  # standard deviation of instance noise
    optimizer: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    precision: str = "fp32"
    block: int = 1  # steps timed in one go
    warmup: int = 2  # steps before the first that is timed
    rounds: int = 15
    contestants: tuple[str, ...] = ("composed", "textbook", "twin")

    @property
    def images(self) -> bool:
        """Whether samples are images rather than points."""
        return len(self.shape) == 3

    @property
    def channels_last(self) -> bool:
        """Return whether the fast loops use channels last, by the rule of runs."""
        return self.images and self.batch >= 32

    @property
    def shown(self) -> int:
        """Reals shown in one step."""
        return self.batch * self.critic_updates


WGAN_GP = {
    "loss": "wgan-gp",
    "critic_updates": 5,
    "critic_norm": "none",
    "lr": 1e-4,
    "betas": (0.0, 0.9),
}
DCGAN_64 = Task(name="dcgan-64")
WGAN_GP_64 = Task(name="wgan-gp-64", rounds=8, **WGAN_GP)
DCGAN_28 = Task(name="dcgan-28", shape=(1, 28, 28), block=2, warmup=4)
TOY = Task(
    name="toy-2d",
    nets="mlp",
    shape=(2,),
    batch=256,
    latent=2,
    width=128,
    gen_norm="none",
    critic_norm="none",
    lr=1e-3,
    block=20,
    warmup=40,
    rounds=31,
)
TASKS = {
    task.name: task
    for task in (
        DCGAN_64,
        WGAN_GP_64,
        DCGAN_28,
        Task(name="wgan-gp-28", shape=(1, 28, 28), **WGAN_GP),
        Task(
            name="pokemon-64",
            nets="painter",
            latent=64,
            width=32,
            noise=0.1,
            contestants=("composed", "twin"),
            **{**WGAN_GP, "critic_updates": 2, "lr": 4e-4},
        ),
        TOY,
        evolve(DCGAN_28, name="mbd", kernels=100),
        evolve(
            DCGAN_28,
            name="vbn",
            gen_norm="virtual-batch",
            critic_norm="virtual-batch",
            contestants=("composed", "twin"),
        ),
        evolve(DCGAN_64, name="dcgan-64-bf16", precision="bf16"),
        evolve(WGAN_GP_64, name="wgan-gp-64-bf16", precision="bf16"),
    )
}


def quick(task: Task) -> Task:
    """Return a small version of the task: an eighth as wide, a quarter of the batch."""
    return evolve(task, width=task.width // 8, batch=task.batch // 4, rounds=3)
