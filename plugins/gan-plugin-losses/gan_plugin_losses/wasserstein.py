"""The Wasserstein loss, alone and with the other parts of WGAN and WGAN-GP."""

from gancore import component, hookimpl, warns_without

UNBOUNDED = warns_without(
    "lipschitz",
    "nothing bounds the critic's gradient, so its scores can grow without bound "
    "and estimate no distance",
    cite="Arjovsky et al., ICML 2017, section 3",
    fix="--reg gradient-penalty, or --reg weight-clipping",
)


def critic_part(batch, log):
    """Return the terms of the critic, and log mean(s_r) - mean(s_f), an estimate of W1."""
    terms = {"fake": batch.fake.mean(batch.fake.score)}
    if batch.real is not None:
        terms = {"real": -batch.real.mean(batch.real.score), **terms}
        log("wasserstein", -terms["real"] - terms["fake"])
    return terms


def generator_part(batch):
    """Return the term of the generator."""
    return {"fake": -batch.fake.mean(batch.fake.score)}


@component(
    source="Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, equations 2 and 3",
    provides=["loss.wasserstein"],
    rules=[UNBOUNDED],
)
class Wasserstein:
    """Minimise the Wasserstein loss: the difference of the critic's mean scores of fakes and reals.

    The critic minimises mean(s_f) - mean(s_r), the generator -mean(s_f), with raw scores s `[N]`
    without targets. For a 1-Lipschitz critic the logged figure `wasserstein`,
    mean(s_r) - mean(s_f), is at most the distance W1 between the empirical distributions of the two
    batches. A constant added to all scores changes neither.
    """

    @hookimpl
    def critic_terms(self, batch, log):
        return critic_part(batch, log)

    @hookimpl
    def generator_terms(self, batch):
        return generator_part(batch)


@component(
    source="Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, algorithm 1",
    provides=["loss.wasserstein"],
    rules=[UNBOUNDED],
    asks={
        "reg": ["weight-clipping"],
        "optim": "rmsprop",
        "rmsprop": {"lr": 5e-5},
        "schedule": "n-critic",
        "n-critic": {"critic": 5},
    },
)
class WGAN:
    """Minimise the Wasserstein loss with weight clipping, RMSProp and five critic updates."""

    @hookimpl
    def critic_terms(self, batch, log):
        return critic_part(batch, log)

    @hookimpl
    def generator_terms(self, batch):
        return generator_part(batch)


@component(
    source="Gulrajani et al., NeurIPS 2017, arXiv:1704.00028, algorithm 1 (layer norm: section 4)",
    provides=["loss.wasserstein"],
    rules=[UNBOUNDED],
    asks={
        "reg": ["gradient-penalty"],
        "optim": "adam",
        "adam": {"lr": 1e-4, "beta1": 0.0, "beta2": 0.9},
        "schedule": "n-critic",
        "n-critic": {"critic": 5},
        "critic-norm": "layer",
    },
    known_as={"wgangp": ""},
)
class WGANGP:
    """Minimise the Wasserstein loss with gradient penalty, Adam and five critic updates."""

    @hookimpl
    def critic_terms(self, batch, log):
        return critic_part(batch, log)

    @hookimpl
    def generator_terms(self, batch):
        return generator_part(batch)
