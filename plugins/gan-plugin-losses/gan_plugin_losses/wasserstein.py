"""The Wasserstein loss, alone and with the other parts of WGAN and WGAN-GP."""

from gancore import component, hookimpl, preset, warns_without

UNBOUNDED = warns_without(
    "lipschitz",
    "nothing bounds the critic's gradient, "
    "so its scores can grow without bound and estimate no distance",
    cite="Arjovsky et al., ICML 2017, section 3",
    fix="--reg gradient-penalty, or --reg weight-clipping",
)


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
        terms = {"fake": batch.fake.mean(batch.fake.score)}
        if batch.real is not None:
            terms = {"real": -batch.real.mean(batch.real.score), **terms}
            # the estimate, which holds no penalty
            log("wasserstein", -terms["real"] - terms["fake"])
        return terms

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": -batch.fake.mean(batch.fake.score)}


@preset(
    source="Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, algorithm 1",
    defaults={
        "reg": ["weight-clipping"],
        "optim": "rmsprop",
        "rmsprop": {"lr": 5e-5},
        "schedule": "n-critic",
        "n-critic": {"critic": 5, "reuse-fakes": False},
    },
)
class WGAN(Wasserstein):
    """Minimise the Wasserstein loss with weight clipping, RMSProp and five critic updates."""


@preset(
    source="Gulrajani et al., NeurIPS 2017, arXiv:1704.00028, algorithm 1 (layer norm: section 4)",
    defaults={
        "reg": ["gradient-penalty"],
        "optim": "adam",
        "adam": {"lr": 1e-4, "beta1": 0.0, "beta2": 0.9},
        "schedule": "n-critic",
        "n-critic": {"critic": 5, "reuse-fakes": False},
        "critic-norm": "layer",
    },
    known_as={"wgangp": ""},
)
class WGANGP(Wasserstein):
    """Minimise the Wasserstein loss with gradient penalty, Adam and five critic updates."""
