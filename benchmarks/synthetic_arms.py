"""The arms of the synthetic benchmark, and what the literature reports of the same mixtures.

An arm is a line of words for `gan run --recipe grid25-quick`; all but the LONGER ones make 8000
generator updates on batches of 128. The literature's protocols differ from this one and from each
other, so their figures stand in tables of their own.
"""

DATA = ("ring8", "grid25")
POINTS = 2500  # as in VEEGAN and PacGAN: the number of modes found depends on it
EVERY = 400  # steps from one evaluation to the next
KEPT = 5  # evaluations whose mean scores a run
NULLS = ("true mixture", "uniform box", "normal of the data's moments")
REPEATS = 50  # draws of a null row
WGAN_GP = "--loss wgan-gp --critic-norm layer --adam.beta1 0"
ARMS = {
    "plain, non-saturating": "",
    "saturating": "--bce.mode saturating",
    "Adam 2e-4, β (.5, .999)": "--adam.lr 2e-4 --adam.beta2 .999",
    "label smoothing .9": "--reg label-smoothing",
    "noisy labels": "--reg noisy-labels",
    "instance noise, σ .2 to 0": "--reg instance-noise --instance-noise.sigma .2"
    " --instance-noise.anneal 8000",
    "instance noise, σ of a mode": "--reg instance-noise --instance-noise.sigma .0125",
    "minibatch discrimination": "--reg minibatch-discrimination"
    " --minibatch-discrimination.kernels 8",
    "packs of 2": "--reg pacgan",
    "experience replay": "--reg experience-replay",
    "EMA .999": "--reg ema",
    "rate falling linearly to 0": "--reg linear-decay --linear-decay.end 8000",
    "dropout .2 in the critic": "--reg dropout --dropout.generator 0 --dropout.critic .2",
    "batch norm in the generator": "--gen-norm batch",
    "layer norm in the critic": "--critic-norm layer",
    "simultaneous": "--schedule simultaneous",
    "WGAN-GP λ 1, 1 critic update": f"{WGAN_GP} --gradient-penalty.weight 1 --n-critic.critic 1",
    "WGAN-GP λ 10, 5 critic updates": f"{WGAN_GP} --adam.lr 1e-4",
    "WGAN, clipped, 5 critic updates": "--loss wgan --optim rmsprop --schedule n-critic",
}

# arms of grid25, trained for longer: two plain ones have the best one's steps, and its time
LONGER = {
    "plain, 16,000 steps": "--steps 16000",
    "plain, 32,000 steps": "--steps 32000",
    "relativistic, R1 and R2, EMA, rate falling": "--steps 16000 --loss relativistic"
    " --reg r1 --r1.gamma .02 --reg r2 --r2.gamma .02 --adam.beta1 0 --adam.beta2 .99"
    " --reg ema --reg linear-decay --linear-decay.end 16000",
    "the same without R2": "--steps 16000 --loss relativistic"
    " --reg r1 --r1.gamma .02 --adam.beta1 0 --adam.beta2 .99"
    " --reg ema --reg linear-decay --linear-decay.end 16000",
    "the same with the loss bce": "--steps 16000"
    " --reg r1 --r1.gamma .02 --reg r2 --r2.gamma .02 --adam.beta1 0 --adam.beta2 .99"
    " --reg ema --reg linear-decay --linear-decay.end 16000",
}
ALL = ARMS | LONGER

# of VEEGAN: table 1 of arXiv:1705.07761; of PacGAN: table 1 of arXiv:1712.04086, ± standard error
# of 10 runs. Modes, percent of high quality, reverse KL, of the ring and of the grid.
LITERATURE = {
    "VEEGAN, table 1": {
        "GAN": ("1", "99.3", "–", "3.3", "0.5", "–"),
        "ALI": ("2.8", "0.13", "–", "15.8", "1.6", "–"),
        "Unrolled GAN, 5 steps": ("7.6", "35.6", "–", "23.6", "16", "–"),
        "VEEGAN": ("8", "52.9", "–", "24.6", "40", "–"),
    },
    "PacGAN, table 1": {
        "GAN": ("6.3 ± .5", "98.2 ± .2", ".45 ± .09", "17.3 ± .8", "94.8 ± .7", ".70 ± .07"),
        "ALI": ("6.6 ± .3", "97.6 ± .4", ".36 ± .04", "24.1 ± .4", "95.7 ± .6", ".14 ± .03"),
        "PacGAN2": ("7.9 ± .1", "95.6 ± 2.0", ".07 ± .03", "23.8 ± .7", "91.3 ± .8", ".13 ± .04"),
        "PacGAN3": ("7.8 ± .1", "97.7 ± .3", ".10 ± .02", "24.6 ± .4", "94.2 ± .4", ".06 ± .02"),
        "PacGAN4": ("7.8 ± .1", "95.9 ± 1.4", ".07 ± .02", "24.8 ± .2", "93.6 ± .6", ".04 ± .01"),
    },
}
