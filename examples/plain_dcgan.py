"""DCGAN on 32x32 images in plain PyTorch, written by hand without gancore.

    python plain_dcgan.py FOLDER_OF_PNGS

A test compares its weights bit for bit with those of `gan run --loss bce` after some steps. For
that, each random number is derived from (seed, purpose, step) as in gancore, and not taken from one
long stream; this also makes resuming exact.
"""

import sys
from hashlib import blake2b
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import softplus


def rng_for(seed, *key):
    """Return a generator derived from the seed, a purpose and a step."""
    text = "/".join(map(str, (seed, 0, *key)))
    digest = blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def make_generator(latent, width):
    layers = [nn.Linear(latent, 4 * width * 16, bias=False), nn.Unflatten(1, (4 * width, 4, 4))]
    for before, after in ((4 * width, 2 * width), (2 * width, width), (width, 3)):
        layers += [nn.BatchNorm2d(before), nn.ReLU()]
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    return nn.Sequential(*layers, nn.Tanh())


def make_body(width):
    layers = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for before, after in ((width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten())


def initialize(net, rng):
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02, generator=rng)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02, generator=rng)
    return net


def real_batch(images, k, batch, seed):
    """Return the k-th batch of the run: shuffled epochs, without the incomplete last batch."""
    epoch, place = divmod(k, len(images) // batch)
    order = torch.randperm(len(images), generator=rng_for(seed, "data-order", epoch, 0))
    return images[order[place * batch : (place + 1) * batch]].float().div(127.5).sub(1.0)


def train(images, steps, batch=64, latent=64, width=32, seed=0, log=print):
    """Train on bytes `[M, 3, 32, 32]`; return generator, critic body and score layer."""
    generator = make_generator(latent, width)
    body = make_body(width)
    score = nn.Linear(4 * width * 16, 1, bias=False)
    initialize(generator, rng_for(seed, "init", "generator", "generator"))
    initialize(body, rng_for(seed, "init", "critic", "body"))
    initialize(score, rng_for(seed, "init", "critic", "score"))

    def critic(view):
        return score(body(view)).squeeze(1)

    weights = [*body.parameters(), *score.parameters()]
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    generator_optimizer = torch.optim.Adam(generator.parameters(), **adam)
    critic_optimizer = torch.optim.Adam(weights, **adam)

    for step in range(steps):
        reals = real_batch(images, step, batch, seed)
        z_rng = rng_for(seed, "latent/normal", step, "critic", 0)
        with torch.no_grad():
            fakes = generator(torch.randn(batch, latent, generator=z_rng))
        critic_loss = 0.5 * softplus(-critic(reals)).mean() + 0.5 * softplus(critic(fakes)).mean()
        critic_loss.backward(inputs=weights)
        critic_optimizer.step()
        critic_optimizer.zero_grad()

        z_rng = rng_for(seed, "latent/normal", step, "generator", 1)
        fakes = generator(torch.randn(batch, latent, generator=z_rng))
        generator_loss = softplus(-critic(fakes)).mean()
        generator_loss.backward(inputs=list(generator.parameters()))
        generator_optimizer.step()
        generator_optimizer.zero_grad()
        if log and step % 50 == 0:
            losses = f"critic {critic_loss.item():.3f}  generator {generator_loss.item():.3f}"
            log(f"step {step}  {losses}")
    return generator, body, score


if __name__ == "__main__":
    from torchvision.io import ImageReadMode, read_image
    from torchvision.transforms.functional import resize
    from torchvision.utils import save_image

    files = sorted(Path(sys.argv[1]).rglob("*.png"))
    pictures = torch.stack(
        [resize(read_image(str(file), ImageReadMode.RGB), [32, 32]) for file in files]
    )
    made = train(pictures, 1000)[0].eval()
    save_image(made(torch.randn(64, 64)) / 2 + 0.5, "plain_dcgan.png")
