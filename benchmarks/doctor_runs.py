"""The runs that measure the doctor: many healthy ones, and some with an injected fault.

Each run is one line of words for `gan run`, over the recipe `base` if it names none. A word given
twice counts as it was given last; `--reg`, `--cond`, `--metric` and `--track` add up. Runs are
small: networks of width 4, images have 16 pixels a side.
"""

COMPANIONS = (
    "tests/support/example_components.py"  # commands are started in the root of the repository
)
JUMP = f"--reg {COMPANIONS}:Jump"
LONE = f"--reg {COMPANIONS}:Lone"

SEEN = (
    "--without doctor --metric collapse --metric frechet "
    "--frechet.images 128 --frechet.features pixels8"
    " --metric nearest --metric saturation --metric dead-units --metric train-eval-gap"
    " --metric held-out --metric weight-change --weight-change.every 12"
    " --save-every 100000"
)
IMAGES = (
    f"{SEEN} --data sprites --size 16 --dcgan.width 4 --dcgan-critic.width 4 --batch 16"
    " --steps 240 --log-every 2 --sample-every 24 --sprites.count 256 --adam.lr 1e-3"
)
LETTERS = IMAGES.replace("sprites", "letters")
PENALTY = f"{IMAGES} --loss wgan-gp --n-critic.critic 2 --steps 160 --log-every 1 --sample-every 16"
COLOURS = f"{PENALTY} --gen colorpicker --colorpicker.width 4".replace(" --dcgan.width 4", "")
POINTS = (
    f"{SEEN} --data mixture --gen mlp --critic mlp-critic --norm none --loss bce"
    " --mlp.hidden 64,64 --mlp-critic.hidden 64,64 --batch 64"
    " --steps 480 --log-every 4 --sample-every 40 --adam.lr 1e-3"
)
GAUSSIAN = POINTS.replace("mixture", "gaussian")
# the main command, as it stands
COMMAND = "--gen colorpicker --loss wgan-gp --reg instance-noise --metric collapse"
FEW = (
    f"{IMAGES} --held-out.share 0.25 --dcgan-critic.width 16 --frechet.images 12"
    " --steps 480 --log-every 4 --sample-every 48"
)
STORED = (
    "--reg repeat --repeat.images 2 --repeat.count 256 --dcgan.width 8 --dcgan-critic.width 8"
    " --steps 720 --log-every 6 --sample-every 72"
)
FOUR = (
    "--reg repeat --repeat.images 4 --adam.lr 5e-4 --frechet.images 100"
    " --steps 2400 --log-every 20 --sample-every 240"
)
CIRCLE = GAUSSIAN.replace("64,64", "16").replace(
    "--adam.lr 1e-3", "--n-critic.critic 1 --optim sgd"
)
SLOW = "--batch.momentum 1e-4 --steps 480 --log-every 4 --sample-every 48"
LOUD = "--reg instance-noise --instance-noise.sigma"


def by_rmsprop(words, rate):
    return words.replace("--adam.lr 1e-3", f"--optim rmsprop --rmsprop.lr {rate}")


def clipped(words):
    return by_rmsprop(
        f"{words} --loss wgan --n-critic.critic 2 --steps 200 --log-every 2 --sample-every 20", 1e-3
    )


def rates(generator, critic):
    return f"--adam.lr {generator} --adam.critic-lr {critic}"


HEALTHY = {
    "sprites": IMAGES,
    "sprites, seed 1": f"{IMAGES} --seed 1",
    "sprites, seed 2": f"{IMAGES} --seed 2",
    "sprites, three times as long": f"{IMAGES} --steps 720 --log-every 6 --sample-every 72",
    "letters": LETTERS,
    "letters, seed 1": f"{LETTERS} --seed 1",
    "layer norm": f"{IMAGES} --critic-norm layer",
    "no norm in the critic": f"{IMAGES} --critic-norm none",
    "instance norm": f"{IMAGES} --critic-norm instance",
    "virtual batch norm": f"{IMAGES} --gen-norm virtual-batch",
    "nearest-conv": f"{IMAGES} --upsample nearest-conv",
    "bilinear-conv": f"{LETTERS} --upsample bilinear-conv",
    "pixel-shuffle": f"{IMAGES} --upsample pixel-shuffle",
    "glorot": f"{LETTERS} --init glorot",
    "he": f"{IMAGES} --init he",
    "torch's own initial weights": f"{IMAGES} --init torch-default",
    "uniform latents": f"{IMAGES} --latent uniform",
    "rmsprop": by_rmsprop(IMAGES, 5e-4),
    "sgd for the critic": f"{LETTERS} --critic-optim sgd --sgd.lr 0.02",
    "instance noise": f"{IMAGES} --reg instance-noise",
    "label smoothing": f"{IMAGES} --reg label-smoothing",
    "noisy labels": f"{LETTERS} --reg noisy-labels",
    "dropout": f"{IMAGES} --reg dropout",
    "minibatch discrimination": f"{IMAGES} --reg minibatch-discrimination",
    "experience replay": f"{LETTERS} --reg experience-replay",
    "augment": f"{IMAGES} --reg augment",
    "augmented views": f"{LETTERS} --reg augment-views",
    "moving average": f"{IMAGES} --reg ema --ema.decay 0.99",
    "cosine decay": f"{IMAGES} --reg cosine-decay",
    "linear decay": f"{LETTERS} --reg linear-decay",
    "a penalty on a logistic loss": f"{IMAGES} --reg gradient-penalty --critic-norm layer",
    "simultaneous": f"{LETTERS} --schedule simultaneous",
    "boosted": f"{IMAGES} --schedule boosted",
    "monitored": f"{IMAGES} --schedule monitored",
    "two critic updates": f"{LETTERS} --n-critic.critic 2",
    "acgan": f"{IMAGES} --cond acgan",
    "acgan and embedded labels": f"{IMAGES} --cond acgan --cond embed-label",
    "concatenated labels": f"{LETTERS} --cond concat-label",
    "label maps": f"{IMAGES} --cond label-maps",
    "penalty": PENALTY,
    "penalty, seed 1": f"{PENALTY} --seed 1",
    "penalty, letters": PENALTY.replace("sprites", "letters"),
    "penalty of weight 1": f"{PENALTY} --gradient-penalty.weight 1",
    "penalty and instance noise": f"{PENALTY} --reg instance-noise",
    "penalty and label maps": f"{PENALTY} --cond label-maps",
    "penalty and acgan": f"{PENALTY} --cond acgan",
    "colours": COLOURS,
    "colours, seed 1": f"{COLOURS} --seed 1",
    "colours and instance noise": f"{COLOURS} --reg instance-noise --n-critic.critic 4 --steps 100",
    "colours, letters": COLOURS.replace("sprites", "letters"),
    "clipped images": clipped(IMAGES),
    "mixture": POINTS,
    "mixture, seed 1": f"{POINTS} --seed 1",
    "mixture, penalty": (
        f"{POINTS} --loss wgan-gp --n-critic.critic 2 --steps 300 --log-every 3 --sample-every 30"
    ),
    "mixture, minibatch discrimination": f"{POINTS} --reg minibatch-discrimination",
    "mixture, instance noise": f"{POINTS} --reg instance-noise",
    "mixture, clipped": clipped(POINTS),
    "gaussian": GAUSSIAN,
    "gaussian, seed 1": f"{GAUSSIAN} --seed 1",
    "gaussian, penalty": (
        f"{GAUSSIAN} --loss wgan-gp --n-critic.critic 2 --steps 300 --log-every 3 --sample-every 30"
    ),
    "gaussian, clipped": clipped(GAUSSIAN),
    "gaussian, rmsprop": by_rmsprop(GAUSSIAN, 5e-4),
    "sprites, seed 3": f"{IMAGES} --seed 3",
    "sprites, seed 4": f"{IMAGES} --seed 4",
    "letters, seed 2": f"{LETTERS} --seed 2",
    "letters, seed 3": f"{LETTERS} --seed 3",
    "letters, three times as long": f"{LETTERS} --steps 720 --log-every 6 --sample-every 72",
    "letters, layer norm": f"{LETTERS} --critic-norm layer",
    "letters, instance norm": f"{LETTERS} --critic-norm instance",
    "letters, he": f"{LETTERS} --init he",
    "letters, dropout": f"{LETTERS} --reg dropout",
    "letters, minibatch discrimination": f"{LETTERS} --reg minibatch-discrimination",
    "letters, moving average": f"{LETTERS} --reg ema --ema.decay 0.99",
    "letters, label smoothing": f"{LETTERS} --reg label-smoothing",
    "letters, pixel-shuffle": f"{LETTERS} --upsample pixel-shuffle",
    "leaky generator": f"{IMAGES} --dcgan.activation leaky",
    "a last convolution": f"{IMAGES} --dcgan.final conv",
    "a kernel of 3": f"{LETTERS} --dcgan-critic.kernel 3",
    "twice as wide": f"{IMAGES} --dcgan.width 8 --dcgan-critic.width 8",
    "twice as wide, letters": f"{LETTERS} --dcgan.width 8 --dcgan-critic.width 8",
    "batches of 32": f"{IMAGES} --batch 32",
    "noise that fades": (
        f"{IMAGES} --reg instance-noise --instance-noise.sigma 0.2 --instance-noise.anneal 180"
    ),
    "noise that fades, letters": (
        f"{LETTERS} --reg instance-noise --instance-noise.sigma 0.2 --instance-noise.anneal 120"
    ),
    "penalty, seed 2": f"{PENALTY} --seed 2",
    "penalty, letters, seed 1": f"{PENALTY} --seed 1".replace("sprites", "letters"),
    "colours, seed 2": f"{COLOURS} --seed 2",
    "mixture, seed 2": f"{POINTS} --seed 2",
    "mixture, seed 3": f"{POINTS} --seed 3",
    "mixture, moving average": f"{POINTS} --reg ema --ema.decay 0.99",
    "mixture, label smoothing": f"{POINTS} --reg label-smoothing",
    "mixture, cosine decay": f"{POINTS} --reg cosine-decay",
    "mixture, rmsprop": by_rmsprop(POINTS, 5e-4),
    "gaussian, seed 2": f"{GAUSSIAN} --seed 2",
    "gaussian, seed 3": f"{GAUSSIAN} --seed 3",
    "gaussian, instance noise": f"{GAUSSIAN} --reg instance-noise",
    "gaussian, label smoothing": f"{GAUSSIAN} --reg label-smoothing",
    "gaussian, minibatch discrimination": f"{GAUSSIAN} --reg minibatch-discrimination",
    "gaussian, linear decay": f"{GAUSSIAN} --reg linear-decay",
    "gaussian, two critic updates": f"{GAUSSIAN} --n-critic.critic 2",
    "gaussian, leaky": f"{GAUSSIAN} --mlp.activation leaky",
}

# what is put in, and the rules of which at least one should name it
BAD = {
    "a saturating loss and a fast critic": (
        "critic-loss-to-zero",
        f"{IMAGES} --bce.mode saturating {rates(1e-5, 4e-3)}",
    ),
    "the same, letters": (
        "critic-loss-to-zero",
        (f"{LETTERS} --bce.mode saturating {rates(1e-5, 4e-3)}"),
    ),
    "a saturating loss, points": (
        "critic-loss-to-zero",
        (f"{POINTS} --bce.mode saturating {rates(1e-5, 5e-3)}"),
    ),
    "a tiny slow critic": (
        "generator-too-strong",
        (f"{IMAGES} --dcgan.width 16 --dcgan-critic.width 2 {rates(2e-3, 1e-5)}"),
    ),
    "a tiny slow critic, letters": (
        "generator-too-strong",
        (f"{LETTERS} --dcgan.width 16 --dcgan-critic.width 2 {rates(2e-3, 1e-5)}"),
    ),
    "a tiny slow generator": (
        "critic-too-strong critic-loss-to-zero",
        f"{IMAGES} --dcgan.width 1 --dcgan-critic.width 16 {rates(1e-5, 1e-3)}",
    ),
    "a tiny slow generator, letters": (
        "critic-too-strong critic-loss-to-zero",
        f"{LETTERS} --dcgan.width 1 --dcgan-critic.width 16 {rates(1e-5, 5e-4)}",
    ),
    "a generator that does not see its label": (
        "class-ignored",
        (f"{IMAGES} --cond acgan --acgan.condition none --acgan.generator-weight 0"),
    ),
    "the same, seed 1": (
        "class-ignored",
        (f"{IMAGES} --cond acgan --acgan.condition none --acgan.generator-weight 0 --seed 1"),
    ),
    "a critic that stands still under a penalty": (
        "wasserstein-estimate-negative",
        f"{PENALTY} --n-critic.critic 1 {rates(1e-2, 1e-6)}",
    ),
    "a critic that stands still, points": (
        "wasserstein-estimate-negative",
        (f"{POINTS} --loss wgan-gp --n-critic.critic 1 {rates(1e-2, 1e-6)}"),
    ),
    "no penalty to speak of": ("penalty-not-met", f"{PENALTY} --gradient-penalty.weight 1e-4"),
    "no penalty, letters": (
        "penalty-not-met",
        PENALTY.replace("sprites", "letters") + (" --gradient-penalty.weight 1e-4"),
    ),
    "no penalty, points": (
        "penalty-not-met",
        f"{POINTS} --loss wgan-gp --n-critic.critic 2 "
        "--gradient-penalty.weight 1e-4 --steps 200 --log-every 2",
    ),
    "weights driven to the bound": (
        "weights-at-bound",
        POINTS.replace(
            "--adam.lr 1e-3", ("--loss wgan --critic-optim sgd --sgd.lr 1e5 --gen-optim rmsprop")
        )
        + " --n-critic.critic 2 --steps 200 --log-every 2",
    ),
    "a sigmoid at the end": (
        "bounded-wasserstein-scores",
        (f"{POINTS} --loss wasserstein --reg sigmoid-score"),
    ),
    "a sigmoid at the end, images": (
        "bounded-wasserstein-scores",
        f"{IMAGES} --loss wasserstein --reg sigmoid-score",
    ),
    "one mode": ("mode-collapse", f"{POINTS} {rates(2e-2, 1e-6)}"),
    "one mode, seed 1": ("mode-collapse", f"{POINTS} {rates(2e-2, 1e-6)} --seed 1"),
    "one point": ("mode-collapse", f"{GAUSSIAN} {rates(2e-2, 1e-6)}"),
    "one image": ("mode-collapse", f"{IMAGES} {rates(1e-2, 1e-6)}"),
    "rates of 0.1": (
        "critic-loss-unsteady generator-rate-too-high generator-gradient-explodes sudden-noise",
        f"{POINTS} --adam.lr 1e-1",
    ),
    "rates of 0.1, images": (
        "critic-loss-unsteady generator-rate-too-high generator-gradient-explodes sudden-noise",
        f"{IMAGES} --adam.lr 1e-1",
    ),
    "a palette that freezes": ("palette-dead", f"{COLOURS} --n-critic.critic 1 {rates(1, 1e-4)}"),
    "a palette that freezes, seed 1": (
        "palette-dead",
        (f"{COLOURS} --n-critic.critic 1 {rates(1, 1e-4)} --seed 1"),
    ),
    "a generator that is never trained": ("frozen-player", f"{POINTS} {LONE}"),
    "a generator that is never trained, images": ("frozen-player", f"{IMAGES} {LONE}"),
    "rates times 100, points": (
        ("sudden-noise generator-rate-too-high generator-gradient-explodes"),
        f"{POINTS} {JUMP} --jump.at 280",
    ),
    "rates times 100, images": (
        "sudden-noise generator-rate-too-high generator-gradient-explodes",
        f"{IMAGES} {JUMP} --jump.at 150",
    ),
    "rates times 30, late": (
        "late-divergence sudden-noise generator-rate-too-high",
        f"{GAUSSIAN} --reg {COMPANIONS}:Jump --jump.factor 30 --jump.at 280",
    ),
    "rates times 20 under a penalty": (
        "late-divergence penalty-not-met",
        (f"{PENALTY} --reg {COMPANIONS}:Jump --jump.factor 20 --jump.at 80"),
    ),
    "weights driven to the bound, gaussian": (
        "weights-at-bound",
        GAUSSIAN.replace(
            "--adam.lr 1e-3", "--loss wgan --critic-optim sgd --sgd.lr 1e5 --gen-optim rmsprop"
        )
        + " --n-critic.critic 2 --steps 200 --log-every 2",
    ),
    "few sprites": ("critic-overfits", f"{FEW} --sprites.count 32"),
    "few letters": ("critic-overfits", f"{FEW} --sprites.count 32".replace("sprites", "letters")),
    "few points": (
        "critic-overfits",
        f"{GAUSSIAN} --gaussian.count 24 --held-out.share 0.4 --adam.critic-lr 1e-2"
        " --n-critic.critic 4 --frechet.images 7",
    ),
    "two sprites": ("memorisation", f"{IMAGES} {STORED}"),
    "two letters, seed 1": ("memorisation", f"{LETTERS} {STORED} --seed 1"),
    "two letters": ("memorisation", f"{LETTERS} {STORED}"),
    "four points": ("memorisation", f"{GAUSSIAN} {FOUR}"),
    "four points, seed 1": ("memorisation", f"{GAUSSIAN} {FOUR} --seed 1"),
    "two letters under a penalty": (
        "memorisation",
        PENALTY.replace("sprites", "letters") + f" {STORED} --steps 300 --log-every 2"
        " --sample-every 30 --dcgan-critic.width 4",
    ),
    "large weights": ("saturated-output", f"{IMAGES} --dcgan-normal.std 0.5 --gen-norm none"),
    "large weights, letters": (
        "saturated-output",
        f"{LETTERS} --dcgan-normal.std 0.5 --gen-norm none",
    ),
    "a rate of 0.03 without a norm": (
        "saturated-output dead-units generator-rate-too-high",
        f"{IMAGES} --gen-norm none --adam.lr 3e-2",
    ),
    "rectifiers that die": (
        "dead-units",
        f"{GAUSSIAN} --loss wgan-gp --n-critic.critic 1 --adam.lr 3e-2",
    ),
    "rectifiers that die, mixture": ("dead-units", f"{POINTS} --adam.lr 5e-2"),
    "rectifiers that die, letters": ("dead-units", f"{LETTERS} --gen-norm none --adam.lr 5e-2"),
    "slow running statistics": ("train-eval-gap", f"{IMAGES} {SLOW}"),
    "slow running statistics, letters": ("train-eval-gap", f"{LETTERS} {SLOW}"),
    "slow running statistics, seed 1": ("train-eval-gap", f"{LETTERS} {SLOW} --seed 1"),
    "a critic of rate 1e-12": ("weights-unchanged", f"{POINTS} --adam.critic-lr 1e-12"),
    "a critic of rate 1e-12, images": ("weights-unchanged", f"{IMAGES} --adam.critic-lr 1e-12"),
    "both of rate 1e-12": ("weights-unchanged", f"{LETTERS} --adam.lr 1e-12"),
    "momentum of 0.9": ("oscillation", f"{GAUSSIAN} --adam.beta1 0.9 --adam.lr 3e-3"),
    "momentum of 0.9 under a penalty": (
        "oscillation",
        f"{GAUSSIAN} --loss wgan-gp --n-critic.critic 1 --gradient-penalty.weight 1"
        " --adam.beta1 0.9 --adam.lr 3e-3 --log-every 2",
    ),
    "momentum of 0.9, mixture": ("oscillation", f"{POINTS} --adam.beta1 0.9 --adam.lr 5e-3"),
    "players that circle": ("oscillation", f"{CIRCLE} --loss wasserstein --sgd.lr 0.02"),
    "players that circle, seed 1": (
        "oscillation",
        f"{CIRCLE} --loss wasserstein --sgd.lr 0.02 --seed 1",
    ),
    "players that circle, clipped": (
        "oscillation",
        f"{CIRCLE} --loss wgan --sgd.lr 0.05 --sgd.critic-lr 0.02 --weight-clipping.c 0.5",
    ),
    "noise of 0.8": ("noise-stays-high", f"{LETTERS} {LOUD} 0.8"),
    "noise of 0.6": ("noise-stays-high", f"{IMAGES} {LOUD} 0.6"),
    "noise that fades too late": (
        "noise-stays-high",
        f"{GAUSSIAN} {LOUD} 2 --instance-noise.anneal 100000",
    ),
    "one latent number": ("mode-dropping", f"{GAUSSIAN} --normal.dim 1"),
    "one latent number, seed 1": ("mode-dropping", f"{GAUSSIAN} --normal.dim 1 --seed 1"),
    "two hidden units": ("mode-dropping", f"{GAUSSIAN} --mlp.hidden 2,2"),
}

# runs that were not looked at while thresholds were chosen: what the doctor says of these is no
# hindsight
FRESH = {
    "mixture, instance noise",
    "rmsprop",
    "two critic updates",
    "colours",
    "cosine decay",
    "glorot",
    "label smoothing",
    "dropout",
    "colours, letters",
    "a penalty on a logistic loss",
    "penalty",
    "linear decay",
    "nearest-conv",
    "uniform latents",
    "instance norm",
    "mixture, clipped",
    "sprites, three times as long",
    "penalty and acgan",
    "mixture, penalty",
    "the same, letters",
    "one mode, seed 1",
    "a tiny slow generator, letters",
    "acgan",
    "he",
    "a generator that is never trained",
    "clipped images",
    "bilinear-conv",
    "monitored",
    "gaussian, clipped",
    "noisy labels",
    "augment",
    "gaussian, penalty",
    "a palette that freezes, seed 1",
    "virtual batch norm",
    "label maps",
    "augmented views",
    "a generator that is never trained, images",
    "sprites, seed 3",
    "sprites, seed 4",
    "letters, seed 2",
    "letters, seed 3",
    "letters, three times as long",
    "letters, layer norm",
    "letters, instance norm",
    "letters, he",
    "letters, dropout",
    "letters, minibatch discrimination",
    "letters, moving average",
    "letters, label smoothing",
    "letters, pixel-shuffle",
    "leaky generator",
    "a last convolution",
    "a kernel of 3",
    "twice as wide",
    "twice as wide, letters",
    "batches of 32",
    "noise that fades",
    "noise that fades, letters",
    "penalty, seed 2",
    "penalty, letters, seed 1",
    "colours, seed 2",
    "mixture, seed 2",
    "mixture, seed 3",
    "mixture, moving average",
    "mixture, label smoothing",
    "mixture, cosine decay",
    "mixture, rmsprop",
    "gaussian, seed 2",
    "gaussian, seed 3",
    "gaussian, instance noise",
    "gaussian, label smoothing",
    "gaussian, minibatch discrimination",
    "gaussian, linear decay",
    "gaussian, two critic updates",
    "gaussian, leaky",
    "weights driven to the bound, gaussian",
    "few letters",
    "two letters",
    "two letters, seed 1",
    "four points, seed 1",
    "large weights, letters",
    "rectifiers that die, letters",
    "rectifiers that die, mixture",
    "slow running statistics, letters",
    "a critic of rate 1e-12, images",
    "momentum of 0.9, mixture",
    "players that circle, seed 1",
    "noise of 0.6",
    "one latent number, seed 1",
}
