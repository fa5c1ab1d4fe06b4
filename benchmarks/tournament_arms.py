"""The arms of the tournament for the default, and the data sets that it is held on.

An arm is a line of words for `gan run --recipe base`; that recipe was the default before.
"""

CHOSEN_BY = ("pokemon", "mnist", "photos", "sprites", "tiles", "icons", "dungeon")
JUDGES = ("emoji",)  # nothing was chosen by these
FLAT = ("sprites", "tiles", "icons")  # in flat colours

EMA = "--reg ema --ema.decay .99"
REUSE = "--n-critic.reuse-fakes true"
BASE = f"{EMA} {REUSE} --batch 16"
BIASES = "--dcgan.bias true --dcgan-critic.bias true"
SMALL = "--dcgan.width 16 --dcgan-critic.width 16"
# the searches, each on the data sets and for the seconds of its table
SEARCHED = {
    "old": "",
    "batch 64": f"{EMA} {REUSE}",
    "batch 64, lr 4e-4": f"{EMA} {REUSE} --adam.lr 4e-4",
    "batch 32": f"{EMA} {REUSE} --batch 32",
    "batch 16": BASE,
    "batch 8": f"{EMA} {REUSE} --batch 8",
    "lr 4e-4": f"{BASE} --adam.lr 4e-4",
    "width 16": f"{BASE} {SMALL}",
    "width 24": f"{BASE} --dcgan.width 24 --dcgan-critic.width 24",
    "16: batch 8": f"{EMA} {REUSE} {SMALL} --batch 8",
    "16: average .998": f"--reg ema --ema.decay .998 {REUSE} {SMALL} --batch 16",
    "16: lr 4e-4": f"{BASE} {SMALL} --adam.lr 4e-4",
    "16: hinge": f"{BASE} {SMALL} --loss hinge",
    "16: nearest": f"{BASE} {SMALL} --upsample nearest-conv",
    "16: nearest, batch 8": f"{EMA} {REUSE} {SMALL} --batch 8 --upsample nearest-conv",
    "16: diffaugment": f"{BASE} {SMALL} --reg diffaugment",
    "32: nearest": f"{BASE} --upsample nearest-conv",
    "32: nearest, batch 32": f"{EMA} {REUSE} --batch 32 --upsample nearest-conv",
    "32: nearest, lr 1e-4": f"{BASE} --upsample nearest-conv --adam.lr 1e-4",
    "32: nearest, lr 1e-4, biases": f"{BASE} --upsample nearest-conv --adam.lr 1e-4 {BIASES}",
}

# the winner with one thing changed, and what goes with that
NEAREST = "--upsample nearest-conv"
SLOW = "--adam.lr 1e-4"
FAST = "--adam.lr 2e-4"
WON = f"{BASE} {NEAREST} {SLOW} {BIASES}"
AT_ANY_RATE = f"{BASE} {NEAREST} {BIASES}"
UNNORMED = f"{AT_ANY_RATE} {FAST} --critic-norm none"
LAYERED = f"{AT_ANY_RATE} {FAST} --critic-norm layer"
PICKER = f"{BASE} --gen colorpicker --dcgan-critic.bias true"
R1 = "--reg r1 --r1.gamma 1"
PAIRED = f"--loss relativistic {R1} --reg r2 --r2.gamma 1"
CHANGED = {
    "without biases": f"{BASE} {NEAREST} {SLOW}",
    "without the average": f"{REUSE} --batch 16 {NEAREST} {SLOW} {BIASES}",
    "average over .998": f"--reg ema --ema.decay .998 {REUSE} --batch 16 {NEAREST} {SLOW} {BIASES}",
    "fresh fakes for the generator": f"{EMA} --batch 16 {NEAREST} {SLOW} {BIASES}",
    "transposed convolutions": f"{BASE} {SLOW} {BIASES}",
    "hinge": f"{WON} --loss hinge",
    "relativistic": f"{WON} --loss relativistic",
    "instance noise": f"{WON} --reg instance-noise",
    "DiffAugment": f"{WON} --reg diffaugment",
    "layer norm for batch norm": f"{WON} --critic-norm layer",
    "R1 for batch norm, lr 2e-4": f"{UNNORMED} {R1}",
    "R1 of γ .1 for batch norm, lr 2e-4": f"{UNNORMED} --reg r1 --r1.gamma .1",
    "R1 in every fourth step for batch norm, lr 2e-4": f"{UNNORMED} {R1} --r1.every 4",
    "R1 for batch norm, He's start, lr 2e-4": f"{UNNORMED} --init he {R1}",
    "R1 and layer norm for batch norm, lr 2e-4": f"{LAYERED} {R1}",
    "R1 and R2 for batch norm, relativistic, lr 2e-4": f"{UNNORMED} {PAIRED}",
    "R1, R2 and layer norm for batch norm, relativistic, lr 2e-4": f"{LAYERED} {PAIRED}",
    "spectral for batch norm, hinge, He's start": f"{AT_ANY_RATE} {SLOW} --critic-norm none"
    " --loss hinge --init he --reg spectral-norm",
    "residual networks": f"{BASE} {NEAREST} {SLOW} --gen resnet --critic resnet-critic"
    " --resnet.width 32 --resnet-critic.width 32",
    "colour picker": f"{PICKER} {SLOW}",
    "colour picker, R1 for batch norm, lr 2e-4": f"{PICKER} {FAST} --critic-norm none {R1}",
    "colour picker, R1 for batch norm, lr 4e-4": f"{PICKER} --adam.lr 4e-4 --critic-norm none {R1}",
    "colour picker, R1 and R2 for batch norm, relativistic, lr 2e-4": f"{PICKER} {FAST}"
    f" --critic-norm none {PAIRED}",
    "colour picker of width 32, R1 and layer norm for batch norm, lr 2e-4": f"{PICKER} {FAST}"
    f" --colorpicker.width 32 --critic-norm layer {R1}",
}
ARMS = SEARCHED | {f"default: {name}": words for name, words in CHANGED.items()}
FINALISTS = ("old", "32: nearest, lr 1e-4, biases")
# what the default is on images in flat colours
FITTED = "default: R1 and R2 for batch norm, relativistic, lr 2e-4"
SHORT = 100  # processor seconds of a run of the search
FULL = 240  # of the finalists
