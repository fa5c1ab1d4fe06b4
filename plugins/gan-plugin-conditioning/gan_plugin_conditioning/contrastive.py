"""ContraGAN and ReACGAN: contrast samples of a batch with each other and with their classes."""

import math

import attrs
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from gan_plugin_conditioning.conditional import CLASS_HEAD, RULES, Conditional
from gancore import Head, component, gather, hookimpl, name_of, option, peers


class Embedding(nn.Module):
    """Map features `[N, F]` to unit vectors f, and labels to unit proxies e_y: `[N, 2, D]`."""

    def __init__(self, features, column, classes, width):
        super().__init__()
        self.column = column
        self.linear = nn.Linear(features, width)
        self.proxies = nn.Embedding(classes, width)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        proxies = self.proxies(labels[:, self.column])
        embedded = self.linear(features).to(proxies)
        return normalize(torch.stack([embedded, proxies], 1), dim=2)


def compare(embedded: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare rows `[N, 2, D]` with labels `[N]` to their proxies and to the M rows of all
    processes.

    Returns f·e_y `[N]`, f·f' `[N, M]`, and as booleans `[N, M]` which rows are of the same class
    and which are the row itself.
    """
    own, proxies = embedded.unbind(1)
    everyone = gather(own)
    first = peers().rank * len(own)  # of this process's rows among those of all
    places = torch.arange(len(everyone), device=own.device)
    itself = places == first + torch.arange(len(own), device=own.device)[:, None]
    same = labels[:, None] == gather(labels)
    return (own * proxies).sum(1), own @ everyone.T, same, itself


def contrast_2c(embedded: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Compute the conditional contrastive loss 2C `[N]` of `Embedding` rows and labels `[N]`."""
    to_proxy, to_rows, same, itself = compare(embedded, labels)
    similar = to_rows / temperature
    proxy = to_proxy[:, None] / temperature
    everything = torch.cat([proxy, similar.masked_fill(itself, -math.inf)], 1)
    attracted = torch.cat([proxy, similar.masked_fill(itself | ~same, -math.inf)], 1)
    return everything.logsumexp(1) - attracted.logsumexp(1)


def contrast_d2d(embedded: Tensor, labels: Tensor, temperature: float, margin: float) -> Tensor:
    """Compute the data-to-data cross-entropy D2D-CE `[N]` of `Embedding` rows and labels `[N]`."""
    to_proxy, to_rows, same, _ = compare(embedded, labels)
    attraction = (to_proxy - margin).clamp(max=0) / temperature
    repulsion = (to_rows - (1 - margin)).relu() / temperature
    negatives = repulsion.masked_fill(same, -math.inf).logsumexp(1)
    # -ln[e^a / (e^a + Σ e^r)]; without a negative the logsumexp is -inf, and the loss 0
    return softplus(negatives - attraction)


@attrs.define(eq=False, kw_only=True)
class Contrastive(Conditional):
    """Embed samples and classes in the critic, and add the mean of a loss of their similarities.

    A base of components, none itself. `losses(embedded, labels)` returns that loss, `[N]`, of
    `Embedding` rows and labels `[N]`; `weight` and `generator_weight` are the players' factors.
    """

    width: int = option(512, ge=1, help="dimension D of the compared vectors")

    # before a tail that appends the label: behind it the head could copy its answer
    @hookimpl(tryfirst=True)
    def extend_critic(self, features, plan):
        return Head(name_of(self), Embedding(features, *self.choose(plan), self.width))

    def contrast(self, side):
        """Return the mean loss of one side, a scalar."""
        labels = side.view_labels[:, self.choose(side.batch.plan)[0]]
        return side.mean(self.losses(side.heads[name_of(self)], labels))

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is not None:
            return {"contrast": self.weight * self.contrast(batch.real)}
        return None

    @hookimpl
    def generator_terms(self, batch):
        return {"contrast": self.generator_weight * self.contrast(batch.fake)}


@component(
    source="Kang and Park, NeurIPS 2020, arXiv:2006.12681, equation 8",
    provides=[CLASS_HEAD, "critic.class-loss"],
    rules=RULES,
    known_as={"2c": ""},
)
class ContraGAN(Contrastive):
    """Contrast samples with their class and with each other: the loss 2C of ContraGAN.

    The critic has unit vectors f `[N, D]`, a linear layer of its features, and a trained unit
    vector e_y for each class. For each sample i of a batch
    ℓ_i = -ln[(e^{f·e_y/t} + Σ_same e^{f·f'/t}) / (e^{f·e_y/t} + Σ_k≠i e^{f·f_k/t})], where the sum
    over `same` is of other samples of its class. The critic also minimises weight·mean ℓ of reals,
    the generator generator_weight·mean ℓ of fakes. Where all vectors are equal ℓ_i is
    ln[N/(1 + n_i)] with n_i other samples of the class; a batch of a single class has ℓ = 0.

    Rows of all processes are compared. The projection head of the source with two layers is one
    layer here. The generator receives [z, onehot(y)] unless `condition` is none. Raises
    CompositionError for a label set that does not exist or has one class.
    """

    temperature: float = option(1.0, gt=0, help="temperature t")
    weight: float = option(1.0, ge=0, help="factor of the critic's loss of reals")
    generator_weight: float = option(1.0, ge=0, help="factor of the generator's loss of fakes")

    def losses(self, embedded, labels):
        return contrast_2c(embedded, labels, self.temperature)


@component(
    source="Kang et al., NeurIPS 2021, arXiv:2111.01118, equation 7; "
    "m_n = 1 - m_p: github.com/POSTECH-CVLab/PyTorch-StudioGAN",
    provides=[CLASS_HEAD, "critic.class-loss"],
    rules=RULES,
    known_as={"d2d-ce": ""},
)
class ReACGAN(Contrastive):
    """Attract samples to their class and repel those of other classes: D2D-CE of ReACGAN.

    With unit vectors f `[N, D]` of samples and e_y of classes, as in `contragan`, for each sample
    ℓ_i = -ln[e^a / (e^a + Σ_j e^{r_j})], where a = min(0, f·e_y - m)/t, the sum is over the samples
    of other classes in the batch, and r_j = max(0, f·f_j - (1 - m))/t. A sample within the margin m
    of its class, and not within that of others, has no gradient, so easy samples count little. A
    batch of a single class has no negative and ℓ = 0. Where all vectors are equal ℓ_i is
    ln[1 + n_i·e^{m/t}] with n_i samples of other classes. The critic also minimises
    weight·mean ℓ of reals, the generator generator_weight·mean ℓ of fakes.

    Rows of all processes are compared. The generator receives [z, onehot(y)] unless `condition` is
    none. Raises CompositionError for a label set that does not exist or has one class.
    """

    temperature: float = option(0.5, gt=0, help="temperature t")
    margin: float = option(0.98, ge=0, le=1, help="margin m of the similarity to the class")
    weight: float = option(0.5, ge=0, help="factor of the critic's loss of reals")
    generator_weight: float = option(0.5, ge=0, help="factor of the generator's loss of fakes")

    def losses(self, embedded, labels):
        return contrast_d2d(embedded, labels, self.temperature, self.margin)
