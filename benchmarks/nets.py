"""The networks of the tasks in plain PyTorch: the tutorial's, and those of composed runs."""

# ruff: noqa: D102 - `forward` is what the class says

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_plugin_minibatch_discrimination.similarity import similarity


def maps(task):
    """Return the channels of the generator's feature maps, and the side of the smallest map."""
    side = task.shape[-1]
    count = 0
    while side % 2 == 0 and side >= 8:
        side, count = side // 2, count + 1
    return [min(1024, task.width * 2**k) for k in reversed(range(count))], side


def mlp(before, width, after, active):
    """Build two hidden layers and a last linear one."""
    return [
        nn.Linear(before, width),
        active(),
        nn.Linear(width, width),
        active(),
        nn.Linear(width, after),
    ]


def initialize(net):
    """Draw weights from N(0, 0.02) and scales of norms from N(1, 0.02)."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
    return net


# ── as the tutorial builds them ───────────────────────────────────────────────────────────────────


def tutorial_generator(task):
    """Build `[N, Z, 1, 1] → [N, C, H, W]` of transposed convolutions, or linear layers."""
    if not task.images:
        return nn.Sequential(nn.Flatten(), *mlp(task.latent, task.width, task.shape[0], nn.ReLU))
    channels, side = maps(task)
    layers = [nn.ConvTranspose2d(task.latent, channels[0], side, 1, 0, bias=False)]
    for before, after in pairwise([*channels, task.shape[0]]):
        layers += [
            nn.BatchNorm2d(before),
            nn.ReLU(True),
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        ]
    return initialize(nn.Sequential(*layers, nn.Tanh()))


def tutorial_critic(task):
    """Build `[N, C, H, W] → [N, 1, …]`: probabilities for BCE, scores for WGAN-GP."""
    last = [nn.Sigmoid()] if task.loss == "bce" else []
    if not task.images:
        return nn.Sequential(
            *mlp(task.shape[0], task.width, 1, lambda: nn.LeakyReLU(0.2, inplace=True)), *last
        )
    channels, side = maps(task)
    layers = []
    for before, after in pairwise([task.shape[0], *channels[::-1]]):
        norm = [nn.BatchNorm2d(after)] if layers and task.critic_norm == "batch" else []
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=task.critic_norm == "none"),
            *norm,
            nn.LeakyReLU(0.2, inplace=True),
        ]
    if task.kernels:
        features = channels[0] * side * side
        pairs = AllDifferences(features, task.kernels)
        end = [nn.Flatten(), pairs, nn.Linear(features + task.kernels, 1, bias=False)]
    else:
        end = [nn.Conv2d(channels[0], 1, side, 1, 0, bias=False)]
    return initialize(nn.Sequential(*layers, *end, *last))


class AllDifferences(nn.Module):
    """Minibatch discrimination as usually written: all differences, `[N, N, B, C]`."""

    def __init__(self, features, kernels):
        super().__init__()
        self.kernels = kernels
        self.weight = nn.Parameter(0.02 * torch.randn(features, kernels * 5))

    def forward(self, features: Tensor) -> Tensor:
        rows = (features @ self.weight).view(len(features), self.kernels, -1)  # [N, B, C]
        distances = (rows[None] - rows[:, None]).abs().sum(3)  # [N, N, B]
        # without the sample itself
        close = (torch.exp(-distances).sum(1) - 1) / (len(features) - 1)
        return torch.cat([features, close], 1)


# ── as composed runs do ───────────────────────────────────────────────────────────────────────────


def fast_generator(task):
    """Build `[N, Z] → [N, C, H, W]`, whose first layer is linear; or `[N, Z] → [N, d]`."""
    if task.nets == "painter":
        return Painter(task.shape, task.latent, task.width // 2)
    if not task.images:
        return nn.Sequential(*mlp(task.latent, task.width, task.shape[0], nn.ReLU))
    channels, side = maps(task)
    seed = channels[0], side, side
    layers = [nn.Linear(task.latent, channels[0] * side * side, bias=False), nn.Unflatten(1, seed)]
    for before, after in pairwise([*channels, task.shape[0]]):
        layers += [norm(task.gen_norm, before, task), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False))
    net = initialize(nn.Sequential(*layers, nn.Tanh()))
    virtual = task.gen_norm == "virtual-batch"
    return Referenced(net, torch.randn(task.reference, task.latent)) if virtual else net


class FastCritic(nn.Module):
    """`[N, …] → [N]`, raw scores: a body, perhaps minibatch discrimination, one linear layer."""

    def __init__(self, task):
        super().__init__()
        if task.images:
            channels, side = maps(task)
            layers = []
            features = channels[0] * side * side
            for before, after in pairwise([task.shape[0], *channels[::-1]]):
                norms = (
                    [norm(task.critic_norm, after, task)]
                    if layers and task.critic_norm != "none"
                    else []
                )
                bias = task.critic_norm == "none"
                layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bias), *norms, nn.LeakyReLU(0.2)]
            body = nn.Sequential(*layers, nn.Flatten())
        else:
            *layers, last = mlp(task.shape[0], task.width, 1, lambda: nn.LeakyReLU(0.2))
            body = nn.Sequential(*layers)
            features = task.width
        virtual = task.critic_norm == "virtual-batch"
        self.body = Referenced(body, torch.randn(task.reference, *task.shape)) if virtual else body
        self.pairs = PairsByKernel(features, task.kernels) if task.kernels else None
        self.score = nn.Linear(features + task.kernels, 1, bias=False) if task.images else last
        if task.images:
            initialize(self)

    def forward(self, samples: Tensor) -> Tensor:
        features = self.body(samples)
        if self.pairs is not None:
            features = self.pairs(features)
        return self.score(features).squeeze(1)


def norm(name, channels, task):
    """Build a norm for maps `[N, C, H, W]`."""
    return (
        VirtualNorm(channels, task.reference)
        if name == "virtual-batch"
        else nn.BatchNorm2d(channels)
    )


class PairsByKernel(nn.Module):
    """Minibatch discrimination of which no tensor is larger than `[B, N, N]`."""

    def __init__(self, features, kernels):
        super().__init__()
        self.kernels, self.found = kernels, None
        self.weight = nn.Parameter(0.02 * torch.randn(features, kernels * 5))

    def forward(self, features: Tensor) -> Tensor:
        # [B, N, C]
        rows = (features @ self.weight).unflatten(1, (self.kernels, -1)).transpose(0, 1)
        close = (similarity(rows, rows).sum(2).T - 1) / (len(features) - 1)
        self.found = close.detach().mean(1)
        return torch.cat([features, close], 1)


class VirtualNorm(nn.Module):
    """Virtual batch norm of `[m + N, C, H, W]`, the m samples of the reference first."""

    def __init__(self, channels, reference):
        super().__init__()
        self.reference, self.weight = reference, nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        flat = maps.reshape(*maps.shape[:2], -1)
        c = 1 / (self.reference + 1)
        reference = flat[: self.reference]
        own = flat[self.reference :]
        # [1, C, 1]
        spread_r, mean_r = torch.var_mean(reference, (0, 2), correction=0, keepdim=True)
        spread_i, mean_i = torch.var_mean(own, 2, correction=0, keepdim=True)  # [N, C, 1]
        mean = c * mean_i + (1 - c) * mean_r
        spread = c * (spread_i + (mean_i - mean) ** 2) + (1 - c) * (spread_r + (mean_r - mean) ** 2)
        parts = [
            (reference - mean_r) * (spread_r + 1e-5).rsqrt(),
            (own - mean) * (spread + 1e-5).rsqrt(),
        ]
        return (torch.cat(parts) * self.weight[:, None] + self.bias[:, None]).reshape(maps.shape)


class Referenced(nn.Module):
    """Run a network on its reference and what is given, and return what follows the reference."""

    def __init__(self, net, reference):
        super().__init__()
        self.register_buffer("reference", reference)
        self.net = net

    def forward(self, given: Tensor) -> Tensor:
        return self.net(torch.cat([self.reference, given]))[len(self.reference) :]


# ── the colour picker ─────────────────────────────────────────────────────────────────────────────


class Doubling(nn.Module):
    """Repeat pixels, then convolve 3×3, as one transposed convolution of shifted weights."""

    def __init__(self, before, after):
        super().__init__()
        self.weight = nn.Parameter(nn.Conv2d(before, after, 3, bias=False).weight.detach())

    def forward(self, maps: Tensor) -> Tensor:
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        kernel = functional.pad(kernel, (0, 0, 0, 1)) + functional.pad(kernel, (0, 0, 1, 0))
        kernel = functional.pad(kernel, (0, 1)) + functional.pad(kernel, (1, 0))
        return functional.conv_transpose2d(maps, kernel, stride=2, padding=1)


def described_layer(before, after):
    """Build a linear layer with norm and activation."""
    return nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU())


class Stage(nn.Module):
    """Double a map and, after the first, add what a linear layer makes of the description."""

    def __init__(self, before, after, described):
        super().__init__()
        self.up = Doubling(before, after)
        self.finish = nn.Sequential(nn.BatchNorm2d(after), nn.LeakyReLU())
        self.tell = nn.Linear(described, after) if described else None

    def forward(self, maps: Tensor, h: Tensor) -> Tensor:
        maps = self.up(maps)
        return self.finish(maps if self.tell is None else maps + self.tell(h)[..., None, None])


class Painter(nn.Module):
    """`[N, Z] → [N, C, H, W]`: sixteen colours per image, mixed in each pixel."""

    def __init__(self, shape, latent, width, colors=16, projections=3):
        super().__init__()
        count = (shape[1] // 4).bit_length() - 1
        described = latent * (projections + 1)
        widths = [min(256, width * 2**k) for k in reversed(range(count + 1))]
        self.projections = nn.ModuleList(
            described_layer(latent * k, latent) for k in range(1, projections + 1)
        )
        self.colours = nn.ModuleList(
            nn.Sequential(
                described_layer(described, 128),
                described_layer(128, 64),
                nn.Linear(64, colors),
                nn.Tanh(),
            )
            for _ in range(shape[0])
        )
        self.first = described_layer(described, widths[0] * 16)
        self.stages = nn.ModuleList(
            Stage(*pair, described * bool(k)) for k, pair in enumerate(pairwise(widths))
        )
        self.logits = nn.Conv2d(widths[-1], colors, 3, padding=1)
        self.usage = None

    def forward(self, z: Tensor) -> Tensor:
        for project in self.projections:
            z = torch.cat([z, project(z)], 1)
        maps = self.first(z).unflatten(1, (-1, 4, 4))
        for stage in self.stages:
            maps = stage(maps, z)
        maps = self.logits(maps).softmax(1)  # [N, K, H, W]
        self.usage = torch.special.entr(maps.detach().mean((0, 2, 3))).sum().exp()
        palettes = torch.stack([colours(z) for colours in self.colours], 1)  # [N, C, K]
        return torch.einsum("nkhw,nck->nchw", maps, palettes)
