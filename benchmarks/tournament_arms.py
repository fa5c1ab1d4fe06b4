"""The arms of the tournament for the default, and the data sets that it is held on.

An arm is a line of words for `gan run --recipe base`; that recipe was the default before.
"""

CHOSEN_BY = ("pokemon", "mnist", "photos")
JUDGES = ("emoji", "sprites")  # nothing was chosen by these

EMA = "--reg ema --ema.decay .99"
REUSE = "--n-critic.reuse-fakes true"
BASE = f"{EMA} {REUSE} --batch 16"
SMALL = "--dcgan.width 16 --dcgan-critic.width 16"
ARMS = {
    "old": "",
    "ema": EMA,
    "batch 64": f"{EMA} {REUSE}",
    "batch 64, lr 4e-4": f"{EMA} {REUSE} --adam.lr 4e-4",
    "batch 32": f"{EMA} {REUSE} --batch 32",
    "batch 16": BASE,
    "batch 8": f"{EMA} {REUSE} --batch 8",
    "average .998": f"--reg ema --ema.decay .998 {REUSE} --batch 16",
    "no average": f"{REUSE} --batch 16",
    "fresh fakes": f"{EMA} --batch 16",
    "lr 4e-4": f"{BASE} --adam.lr 4e-4",
    "lr 1e-4": f"{BASE} --adam.lr 1e-4",
    "hinge": f"{BASE} --loss hinge",
    "relativistic": f"{BASE} --loss relativistic",
    "width 16": f"{BASE} {SMALL}",
    "width 24": f"{BASE} --dcgan.width 24 --dcgan-critic.width 24",
    "16: batch 8": f"{EMA} {REUSE} {SMALL} --batch 8",
    "16: batch 32": f"{EMA} {REUSE} {SMALL} --batch 32",
    "16: average .998": f"--reg ema --ema.decay .998 {REUSE} {SMALL} --batch 16",
    "16: no average": f"{REUSE} {SMALL} --batch 16",
    "16: fresh fakes": f"{EMA} {SMALL} --batch 16",
    "16: lr 4e-4": f"{BASE} {SMALL} --adam.lr 4e-4",
    "16: hinge": f"{BASE} {SMALL} --loss hinge",
    "16: relativistic": f"{BASE} {SMALL} --loss relativistic",
    "16: nearest": f"{BASE} {SMALL} --upsample nearest-conv",
    "16: nearest, batch 8": f"{EMA} {REUSE} {SMALL} --batch 8 --upsample nearest-conv",
    "16: nearest, lr 4e-4": f"{BASE} {SMALL} --upsample nearest-conv --adam.lr 4e-4",
    "16: nearest, relativistic": f"{BASE} {SMALL} --upsample nearest-conv --loss relativistic",
    "16: nearest, lr 1e-4": f"{BASE} {SMALL} --upsample nearest-conv --adam.lr 1e-4",
    "16: nearest, average .998": f"--reg ema --ema.decay .998 {REUSE} {SMALL} --batch 16"
    " --upsample nearest-conv",
    "32: nearest": f"{BASE} --upsample nearest-conv",
    "32: nearest, batch 32": f"{EMA} {REUSE} --batch 32 --upsample nearest-conv",
    "32: nearest, lr 1e-4": f"{BASE} --upsample nearest-conv --adam.lr 1e-4",
    "24: nearest, batch 32": f"{EMA} {REUSE} --batch 32 --upsample nearest-conv"
    " --dcgan.width 24 --dcgan-critic.width 24",
    "24: nearest": f"{BASE} --dcgan.width 24 --dcgan-critic.width 24 --upsample nearest-conv",
    "16: pixel-shuffle": f"{BASE} {SMALL} --upsample pixel-shuffle",
    "16: diffaugment": f"{BASE} {SMALL} --reg diffaugment",
    "16: minibatch-stddev": f"{BASE} {SMALL} --reg minibatch-stddev",
    "16: beta2 .99": f"{BASE} {SMALL} --adam.beta2 .99",
    "16: spectral norm, hinge": f"{BASE} {SMALL} --critic-norm none --reg spectral-norm"
    " --loss hinge --init orthogonal",
    "16: R1 and R2, relativistic": f"{BASE} {SMALL} --critic-norm none --init he"
    " --loss relativistic --reg r1 --r1.gamma .1 --reg r2 --r2.gamma .1",
}
FINALISTS = ("old", "32: nearest, lr 1e-4")
SHORT = 100  # processor seconds of a run of the search
FULL = 240  # of the finalists
