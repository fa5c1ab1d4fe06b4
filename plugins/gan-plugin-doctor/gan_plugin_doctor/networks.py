"""Rules over networks: saturated outputs, dead units, running statistics, weights that stand."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Set
from gan_plugin_doctor.rule import Observation, rule

EVALUATIONS = 3
SATURATED = 0.25  # share of saturated values in fakes minus that in reals


@rule(
    severity="warning",
    needs=("saturation/fake", "saturation/real"),
    least=EVALUATIONS,
    causes=(
        "the generator's last layer has large weights, after a rate that was too high",
        "the data are not scaled to [-1, 1]",
    ),
    attempt=(
        Rate("generator", 0.5),
        Choose("init", "dcgan-normal"),
        Choose("gen-norm", "batch", beside=("none",)),
    ),
    given_by="--metric saturation gives it, for images",
    source="Glorot and Bengio, AISTATS 2010; Radford et al., ICLR 2016, arXiv:1511.06434",
)
def saturated_output(log):
    reals = log.find("saturation/real")
    fakes = log.find("saturation/fake")
    excess = fakes.join(reals, lambda fake, real: fake - real)
    since = excess.held(lambda value: value > SATURATED, EVALUATIONS)
    if since is None:
        return None
    what = (
        f"{fakes.values[-1]:.0%} of the values of samples lie at ±1, "
        f"and {reals.values[-1]:.0%} of those of reals"
    )
    return Observation(since, what, excess.values[-1], SATURATED)


DEAD = 0.5  # share of the units of a layer


@rule(
    severity="warning",
    needs=("dead-units/generator|dead-units/critic",),
    least=EVALUATIONS,
    causes=(
        "large steps pushed rectifiers below zero for every input, where they get no gradient",
        "a layer without a norm, or with a large negative bias",
    ),
    attempt=(
        Rate("both", 0.5),
        Set("dcgan", "activation", "leaky"),
        Set("mlp", "activation", "leaky"),
        Set("dcgan-critic", "activation", "leaky"),
        Set("mlp-critic", "activation", "leaky"),
    ),
    given_by="--metric dead-units gives it, for networks with rectifiers",
    source="Maas, Hannun and Ng, ICML workshop 2013; Radford et al., ICLR 2016, arXiv:1511.06434",
)
def dead_units(log):
    for role in ("generator", "critic"):
        shares = log.find(f"dead-units/{role}")
        since = shares.held(lambda value: value > DEAD, EVALUATIONS)
        if since is not None:
            now = shares.values[-1]
            prefix = f"dead-units/{role}/"
            layers = [key for key in log.series if key.startswith(prefix)]
            worst = max(layers, key=lambda key: log.series[key].values[-1], default=prefix)
            layer = worst.removeprefix(prefix)
            what = f"{now:.0%} of the units of the {role}'s layer {layer} are 0 for every input"
            return Observation(since, what, now, DEAD)
    return None


GAP = (0.7, 1.4)  # Fréchet distance in evaluation mode over that in training mode


@rule(
    severity="warning",
    needs=("train-eval-gap/ratio",),
    least=EVALUATIONS,
    causes=(
        "the running statistics of batch norm lag behind the weights, or average few images",
        "batches are so small that their own statistics shape the samples",
    ),
    attempt=(
        Set("batch", "momentum", 0.1, "higher"),
        Choose("gen-norm", "layer", beside=("batch",)),
        Choose("reg", "cosine-decay", unless=("linear-decay",)),
        Say("Samples and metrics are those of evaluation mode: they are not what the critic sees"),
    ),
    given_by="--metric train-eval-gap gives it",
    source="Brock et al., ICLR 2019, arXiv:1809.11096, appendix (standing statistics); "
    "Ioffe and Szegedy, ICML 2015, arXiv:1502.03167",
)
def train_eval_gap(log):
    ratios = log.find("train-eval-gap/ratio")
    since = ratios.held(lambda value: not GAP[0] <= value <= GAP[1], EVALUATIONS)
    if since is None:
        return None
    now = ratios.values[-1]
    what = (
        f"samples in evaluation mode are {now:.2g} times as far from the data "
        "as those in training mode (Fréchet distance)"
    )
    return Observation(since, what, now, GAP[0] if now < GAP[0] else GAP[1])


STANDING = 1e-8  # change of the weights in a step over their norm; float32 resolves 6e-8 of each
ROWS = 10


@rule(
    severity="fault",
    needs=("weight-change/generator|weight-change/critic",),
    least=ROWS,
    causes=(
        "the learning rate is 0, or below the resolution of the weights",
        "an optimiser or hook of your own steps other weights than the player's",
    ),
    attempt=(
        Set("adam", "lr", 2e-4, "higher"),
        Set("adam", "critic-lr", 2e-4, "higher"),
        Set("rmsprop", "lr", 5e-5, "higher"),
        Set("sgd", "lr", 0.01, "higher"),
        Say("`gan run … --dry-run` shows what is composed"),
    ),
    given_by="--metric weight-change gives it",
    source="You et al. 2017, arXiv:1708.03888; Kingma and Ba, ICLR 2015, arXiv:1412.6980",
)
def weights_unchanged(log):
    for role in ("generator", "critic"):
        changes = log.find(f"weight-change/{role}")
        since = changes.held(lambda value: value < STANDING, ROWS)
        if since is not None:
            now = changes.values[-1]
            what = f"a step changes the {role}'s weights by {now:.2g} of their norm"
            return Observation(since, what, now, STANDING)
    return None
