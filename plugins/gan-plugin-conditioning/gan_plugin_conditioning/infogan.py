"""InfoGAN: a code in the latent that can be read from the sample."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from gancore import Head, component, conflicts, grid, hookimpl, name_of, option, save_picture

COLUMNS = 8  # samples along a continuous code in a picture
ROWS = 4  # latents of a picture


class Reader(nn.Module):
    """Compute what Q(c | x) says of a code `[N, K + c]` from the critic's features `[N, F]`."""

    def __init__(self, features, hidden, outputs):
        super().__init__()
        first = nn.Linear(features, hidden)
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.1), nn.Linear(hidden, outputs))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.layers(features)


@component(
    source="Chen et al., NeurIPS 2016, arXiv:1606.03657, equation 6 and appendix C",
    provides=["latent.code"],
    rules=[
        conflicts(
            "critic.packed",
            "a pack of several samples has no code of its own",
            cite="Lin et al., NeurIPS 2018, arXiv:1712.04086",
            fix="leave out the packing, or infogan",
        ),
    ],
)
class InfoGAN:
    """Append a code to the latent, and train both players so that the sample shows it.

    The code c has one of K categories, one-hot, and `continuous` numbers from U[-1, 1). A head Q of
    the critic, two linear layers of its features, reads it from the sample. Both players minimise
    weight·CE(Q(x), category) and continuous_weight·Σ[½(c - μ(x))² + ½ ln 2π], the negative
    log-likelihood of a normal distribution of variance 1, in nats, on fakes x = G(z, c): a lower
    bound of the mutual information of code and sample. Without labels, categories so become kinds
    of samples. With equal logits the cross-entropy is ln K. Fakes that another component has put in
    the place of those just made carry no code, and have no term.

    Q's layers are trained in both updates, as it shares the critic's body. `draw` writes
    `samples/infogan/step-*.png`, of images: a row for each of four latents, a column for each
    category, then blocks in which one continuous code goes from -1 to 1. Logs `accuracy`, the share
    of categories read correctly, 1/K by chance.
    """

    categories: int = option(10, ge=2, help="number K of categories")
    continuous: int = option(2, ge=0, help="number of continuous codes")
    weight: float = option(1.0, ge=0, help="factor of the cross-entropy of categories, λ")
    continuous_weight: float = option(
        0.1, ge=0, help="factor of the negative log-likelihood of continuous codes"
    )
    hidden: int = option(128, ge=1, help="width of the hidden layer of Q")

    @hookimpl
    def latent_width(self):
        return self.categories + self.continuous

    @hookimpl
    def draw_latent(self, n, rng):
        category = torch.randint(self.categories, (n,), generator=rng, device=rng.device)
        numbers = torch.rand(n, self.continuous, generator=rng, device=rng.device)
        return torch.cat([one_hot(category, self.categories), 2 * numbers - 1], 1)

    # before a tail that appends the label: the code must be read from the image
    @hookimpl(tryfirst=True)
    def extend_critic(self, features):
        reader = Reader(features, self.hidden, self.categories + self.continuous)
        return Head(name_of(self), reader)

    def terms(self, batch, log):
        """Return the negative log-likelihoods of the code of the fakes, and log the accuracy."""
        fake = batch.fake
        if fake.z is None or len(fake.z) != len(fake.view):
            return None
        code = fake.z[:, batch.plan.latent_slices[name_of(self)]]
        read = fake.heads[name_of(self)]
        category = code[:, : self.categories].argmax(1)
        logits = read[:, : self.categories]
        log("accuracy", (logits.argmax(1) == category).float().mean())
        entropy = cross_entropy(logits, category, reduction="none")
        terms = {"category": self.weight * fake.mean(entropy)}
        if self.continuous:
            off = code[:, self.categories :] - read[:, self.categories :]
            surprise = (off.square() + math.log(2 * math.pi)).sum(1) / 2
            terms["continuous"] = self.continuous_weight * fake.mean(surprise)
        return terms

    @hookimpl
    def critic_terms(self, batch, log):
        return self.terms(batch, log)

    @hookimpl
    def generator_terms(self, batch, log):
        return self.terms(batch, log)

    @hookimpl
    def draw(self, progress, folder):
        if not progress.plan.images:
            return
        z = progress.latents(ROWS)[:ROWS]
        columns = progress.plan.latent_slices[name_of(self)]
        codes = self.traversal(z[:, columns])
        z = z[:, None].repeat(1, codes.shape[1], 1)
        z[:, :, columns] = codes
        _, labels = progress.reals(ROWS)
        labels = labels.repeat_interleave(codes.shape[1], 0)
        images = progress.make(z.flatten(0, 1), labels).images
        path = folder / name_of(self) / f"step-{progress.step:09d}.png"
        save_picture(grid(images, columns=codes.shape[1]), path)

    def traversal(self, codes):
        """Return codes `[n, T, K + c]` that change one part of each code `[n, K + c]` at a time."""
        parts = []
        # every category, with the latent's own continuous codes
        part = codes[:, None].repeat(1, self.categories, 1)
        part[:, :, : self.categories] = torch.eye(self.categories)
        parts.append(part)
        for place in range(self.categories, codes.shape[1]):
            part = codes[:, None].repeat(1, COLUMNS, 1)
            part[:, :, place] = torch.linspace(-1, 1, COLUMNS)
            parts.append(part)
        return torch.cat(parts, 1)
