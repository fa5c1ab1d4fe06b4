"""StyleGAN2 for small images: mapping, modulated convolutions, noise and skipped images."""

from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_plugin_networks.blocks import (
    Noise,
    Repeat,
    channels_of,
    convolve_and_average,
    halvings,
    in_float32,
    repeat_and_convolve,
)
from gancore import Crop, Sample, component, hookimpl, option, requires

SOURCE = "Karras et al., CVPR 2020, arXiv:1912.04958, sections 2 and 4"
IMAGES = requires("data.images", "its convolutions are those of images", fix="--gen mlp")


def activate(maps: Tensor) -> Tensor:
    """Return √2 times the leaky ReLU of slope 0.2, which about keeps the mean square."""
    return functional.leaky_relu(maps, 0.2) * sqrt(2)


class EqualLinear(nn.Module):
    """A linear layer whose weights start from N(0, 1) and are divided by √inputs when used.

    Its weights are its own: `--init` leaves them as they are. `rate` divides the step of Adam.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate = rate
        self.gain = rate / sqrt(inputs)

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.weight * self.gain, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution of odd side k, its weights from N(0, 1) divided by √(C·k²); it may halve."""

    def __init__(self, before: int, after: int, kernel: int, halve: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.gain = 1 / sqrt(before * kernel**2)
        self.halve = halve

    def forward(self, maps: Tensor) -> Tensor:
        weight = self.weight * self.gain
        if self.halve:
            return convolve_and_average(maps, weight)
        return functional.conv2d(maps, weight, padding=weight.shape[-1] // 2)


class Modulated(nn.Module):
    """Convolve maps `[N, C, h, w]` with kernels that each sample's style scales (equations 1 to 3).

    w″ = s·w/√(Σ (s·w)² + eps), over the input channels and pixels of the kernel. Scaling the input
    by s and the output by the root is the same, so one convolution serves the whole batch.
    `demodulate` false leaves the root out, as for images.
    """

    def __init__(self, before, after, style, kernel=3, demodulate=True, double=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.style = EqualLinear(style, before, bias=1.0)
        self.gain = 1 / sqrt(before * kernel**2)
        self.demodulate = demodulate
        self.doubles = double

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        scale = self.style(w)  # s, [N, C]
        weight = self.weight * self.gain
        scaled = maps * scale[..., None, None].to(maps.dtype)
        if self.doubles:
            made = repeat_and_convolve(scaled, weight)
        else:
            made = functional.conv2d(scaled, weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return made
        energies = in_float32(weight).square().sum((2, 3))  # [C', C]
        squares = in_float32(scale).square() @ energies.T  # [N, C']
        return made * (squares + 1e-8).rsqrt()[..., None, None].to(made.dtype)


class Styled(nn.Module):
    """A modulated convolution, noise, a bias a channel and the activation."""

    def __init__(self, before, after, style, size, noise, double=False):
        super().__init__()
        self.convolution = Modulated(before, after, style, double=double)
        self.crop = Crop(size)
        self.noise = Noise(size) if noise else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(after, 1, 1))

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        return activate(self.noise(self.crop(self.convolution(maps, w))) + self.bias)


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]`: styles from z, and a sum of images of each size."""

    def __init__(self, plan, options):
        super().__init__()
        sizes = halvings(plan.shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)
        style = options.style
        widths = [plan.inputs] + [style] * options.mapping
        self.mapping = nn.ModuleList(EqualLinear(*pair, rate=0.01) for pair in pairwise(widths))
        self.seed = nn.Parameter(torch.randn(channels[0], *sizes[0]))
        self.first = Styled(channels[0], channels[0], style, sizes[0], options.noise)
        self.doubling = nn.ModuleList()
        self.keeping = nn.ModuleList()
        self.crops = nn.ModuleList()
        for (before, after), size in zip(pairwise(channels), sizes[1:], strict=True):
            self.doubling.append(Styled(before, after, style, size, options.noise, double=True))
            self.keeping.append(Styled(after, after, style, size, options.noise))
            self.crops.append(nn.Sequential(Repeat(), Crop(size)))
        # rows in which other components may insert layers, one a size
        self.rows = nn.ModuleList(nn.Sequential(nn.Identity()) for _ in channels)
        self.images = nn.ModuleList(
            Modulated(each, plan.shape[0], style, 1, demodulate=False) for each in channels
        )
        self.image_bias = nn.Parameter(torch.zeros(plan.shape[0], 1, 1))
        self.latent = plan.latent
        self.mixing = options.mixing

    def styles(self, z: Tensor) -> Tensor:
        """Map latents `[N, Z]`, of mean square 1 after a division, to styles w `[N, W]`."""
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = activate(layer(w))
        return w

    def mix(self, w: Tensor, z: Tensor) -> Tensor:
        """Return styles for each size, `[N, S, W]`: with probability `mixing`, of a random size on,
        those of the latent of the sample before, under this sample's own condition.
        """
        levels = len(self.images)
        styles = w[:, None].expand(-1, levels, -1)
        if not self.training or not self.mixing:
            return styles
        other = self.styles(torch.cat([z[:, : self.latent].roll(1, 0), z[:, self.latent :]], 1))
        start = torch.randint(1, levels + 1, (len(z), 1), device=z.device)
        mixed = torch.rand(len(z), 1, device=z.device) < self.mixing
        late = torch.arange(levels, device=z.device) >= start
        return torch.where((late & mixed)[..., None], other[:, None], styles)

    def forward(self, z: Tensor, labels: Tensor) -> Sample:
        styles = self.mix(self.styles(z), z)
        # one tensor per size, whose gradients the path length needs
        each = styles.unbind(1)
        maps = self.rows[0](self.first(self.seed.expand(len(z), *self.seed.shape), each[0]))
        image = self.images[0](maps, each[0])
        for k, crop in enumerate(self.crops, 1):
            maps = self.keeping[k - 1](self.doubling[k - 1](maps, each[k]), each[k])
            maps = self.rows[k](maps)
            image = crop(image) + self.images[k](maps, each[k])
        return Sample(image + self.image_bias, {"styles": styles})


class Critic(nn.Module):
    """Compute features `[N, C, H, W] → [N, F]` by residual blocks of equalised convolutions."""

    def __init__(self, plan, options):
        super().__init__()
        sizes = halvings(plan.critic_shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)[::-1]
        # a module, which other components find: they put dropout after it, say
        self.active = nn.LeakyReLU(0.2)
        self.first = EqualConv(plan.critic_shape[0], channels[0], 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    EqualConv(before, before, 3),
                    EqualConv(before, after, 3, halve=True),
                    EqualConv(before, after, 1, halve=True),
                ]
            )
            for before, after in pairwise(channels)
        )
        self.rows = nn.ModuleList(nn.Sequential(nn.Identity()) for _ in self.blocks)
        pixels = sizes[0][0] * sizes[0][1]
        self.last = EqualLinear(channels[-1] * pixels, channels[-1])

    def activate(self, maps: Tensor) -> Tensor:
        """Return √2 times the activation."""
        return self.active(maps) * sqrt(2)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        maps = self.activate(self.first(images))
        for (first, second, skip), row in zip(self.blocks, self.rows, strict=True):
            branch = self.activate(second(self.activate(first(maps))))
            maps = row((branch + skip(maps)) / sqrt(2))
        return self.activate(self.last(maps.flatten(1)))


@component(
    source=SOURCE,
    provides=["generator.styles"],
    rules=[IMAGES],
    defaults={"critic": "stylegan2-lite-critic", "gen-norm": "none", "critic-norm": "none"},
    known_as={"stylegan2": "", "stylegan": ""},
)
class StyleGAN2Lite:
    """Generate images from a learned seed by convolutions that styles modulate; pure PyTorch.

    Fully connected layers map z, divided by its root mean square, to a style w `[N, W]`. Each
    convolution's kernel is scaled by an affine function s of w and divided by its norm: w″ =
    s·w/√(Σ(s·w)² + eps). Noise of a learned strength, a bias and a leaky ReLU follow. Each size of
    map adds an image by a modulated 1×1 convolution to the doubled image of the size before.
    Images are `[N, C, H, W]`, not bounded by a last activation. In training, later sizes have the
    style of another sample's latent with probability `mixing`.

    The sample's extras hold `styles` `[N, S, W]`, one for each size, for `--reg path-length`.
    Weights start from N(0, 1) and are scaled when used (equalised rates), whatever `--init`; norms
    and upsamplers are ignored. Departures: nearest doubling without the blur [1, 3, 3, 1], one
    style a size, and a mapping of 2 layers where the source has 8.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map")
    style: int = option(64, ge=1, help="width of the style w")
    mapping: int = option(2, ge=1, help="layers from z to w; the source has 8")
    noise: bool = option(True, help="false adds no noise to the maps")
    mixing: float = option(0.9, ge=0, le=1, help="probability of mixing two styles in training")

    @hookimpl
    def make_generator(self, plan):
        return Generator(plan, self)


@component(source=SOURCE, provides=["weights.reparametrised"], rules=[IMAGES])
class StyleGAN2LiteCritic:
    """Score images by residual blocks of equalised convolutions, without normalisation.

    View `[N, C, H, W]` to features `[N, F]`: a 1×1 convolution, blocks down to a side of 4 to 7
    pixels, each (conv(conv(h)) + skip(h))/√2 with leaky ReLUs times √2 and averages of 2×2 pixels,
    and a linear layer. The score is linear. Weights start from N(0, 1) and are scaled when used;
    biases of convolutions are left out. The source adds `--reg minibatch-stddev` and R1.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map")

    @hookimpl
    def make_critic(self, plan):
        return Critic(plan, self)
