"""Components for the slots that a test leaves open: plain, small, and hard to make diverge."""

from __future__ import annotations

import math
from typing import Any

import torch
from attrs import define
from torch import Tensor, nn

from gancore.distributed.collectives import average
from gancore.plugins.component import component, hookimpl, option
from gancore.train.batch import Batch
from gancore.train.data import Data, DataSpec
from gancore.train.layers import Layers
from gancore.train.plan import Plan, Update

STAND_IN = "a stand-in for tests"

# by the number of axes that samples have beside their channels: signals, images, volumes
CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class _Generator(nn.Module):
    """A linear layer, a norm, tanh, and one doubling of every axis beside the channels."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        channels, *sides = plan.shape
        # a side that is odd or 1 cannot be doubled to its size, and is made whole at once
        self.shape: tuple[int, ...] = (4, *(side // 2 for side in sides))
        doubles = bool(sides) and all(side % 2 == 0 for side in sides)
        if not doubles:
            self.shape = (4, *sides)
        self.project = nn.Linear(plan.inputs, math.prod(self.shape))
        if doubles:
            last = plan.upsample(4, channels)
        else:
            last = CONVOLUTIONS[len(sides)](4, channels, 1) if sides else nn.Linear(4, channels)
        self.rest = Layers(plan.norm(4, "generator", plan.inputs), nn.Tanh(), last)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Make samples `[N, *shape]` of latents `[N, inputs]`."""
        made: Tensor = self.rest(self.project(z).unflatten(1, self.shape), labels, z)
        return made.tanh()


class _Critic(nn.Module):
    """One convolution that halves every axis beside the channels, a norm, and tanh."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        channels, *sides = plan.critic_shape
        first = CONVOLUTIONS[len(sides)](channels, 6, 4, 2, 1) if sides else nn.Linear(channels, 6)
        self.layers = Layers(first, plan.norm(6, "critic"), nn.Tanh())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute features of a view `[N, *critic_shape]`."""
        features: Tensor = self.layers(images, labels)
        return features


class _Bounded(torch.optim.SGD):
    """Gradient descent with each weight's gradient clipped to norm 1, so that it does not diverge.

    The gradients that components may read stay unclipped, and no weight's step depends on another.
    """

    def step(self, closure: Any = None) -> Any:
        """Step with clipped gradients, and put the gradients back."""
        weights: list[Tensor] = []
        for group in self.param_groups:
            weights += [weight for weight in group["params"] if weight.grad is not None]
        gradients = [weight.grad for weight in weights]
        # by a norm each: one norm of all would carry a change of one weight to every other
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient / torch.linalg.vector_norm(gradient).clamp_min(1.0)
        found = super().step(closure)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return found


@component(source=STAND_IN, provides=["loss.targets", "loss.absolute-scores"])
class StandIn:
    """Fill every slot plainly: linear networks, squared-error loss, gradient descent.

    The networks fit points `(d,)`, signals `(C, T)`, images `(C, H, W)` and volumes `(C, D, H, W)`.
    """

    dim: int = option(3, ge=1, help="columns of the latent")

    @hookimpl
    def latent_width(self) -> int:
        """Return `dim`."""
        return self.dim

    @hookimpl
    def draw_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw normal latents `[n, dim]`."""
        return torch.randn(n, self.dim, generator=rng)

    @hookimpl
    def make_generator(self, plan: Plan) -> nn.Module:
        """Build a generator of two layers."""
        return _Generator(plan)

    @hookimpl
    def make_critic(self, plan: Plan) -> nn.Module:
        """Build a body of one layer."""
        return _Critic(plan)

    @hookimpl
    def make_upsample(self, channels_in: int, channels_out: int, plan: Plan) -> nn.Module:
        """Repeat every element, then convolve with kernels of size 1."""
        convolution = CONVOLUTIONS[len(plan.shape) - 1](channels_in, channels_out, 1)
        return nn.Sequential(nn.Upsample(scale_factor=2), convolution)

    @hookimpl
    def make_norm(self, channels: int) -> nn.Module:
        """Normalise nothing."""
        return nn.Identity()

    @hookimpl
    def make_optimizer(self, params: list[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """Descend with gradients of bounded norm."""
        return _Bounded(params, lr=0.05, momentum=0.5)

    @hookimpl
    def schedule(self) -> list[Update]:
        """Update the critic, then the generator."""
        return [Update("critic"), Update("generator")]


@component(source=STAND_IN, provides=["loss.targets"])
class StandInLoss:
    """Squared distance of scores from their targets."""

    @hookimpl
    def critic_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return a term for each side."""
        terms = {}
        for name, side in (("real", batch.real), ("fake", batch.fake)):
            # an update may have no reals
            if side is not None:
                terms[name] = side.mean((side.score - side.targets).square())
        return terms

    @hookimpl
    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the distance of the fakes' scores from 1."""
        return {"fake": batch.fake.mean((batch.fake.score - 1).square())}


class _SharedBatchNorm(nn.Module):
    """Batch norm of maps `[N, C, …]` over the rows of all processes, with running statistics."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each channel; in training by the batch, which moves the running statistics."""
        axes = [axis for axis in range(maps.dim()) if axis != 1]
        shape = [1, -1, *[1] * (maps.dim() - 2)]
        mean = self.mean
        variance = self.variance
        if self.training:
            mean = average(maps.mean(axes))
            variance = average((maps - mean.view(shape)).square().mean(axes))
            with torch.no_grad():
                self.mean.lerp_(mean.to(self.mean.dtype), 0.1)
                self.variance.lerp_(variance.to(self.variance.dtype), 0.1)
        scale: Tensor = (variance.view(shape) + 1e-5).rsqrt()
        return (maps - mean.view(shape)) * scale


@component(source=STAND_IN)
class StandInLayers:
    """Give both players layers in which a stray pass shows: batch norm, and one that draws."""

    @hookimpl
    def make_norm(self, channels: int) -> nn.Module:
        """Build batch norm, and a layer that draws the slope of each negative value."""
        return nn.Sequential(_SharedBatchNorm(channels), nn.RReLU())


@component(source=STAND_IN)
class StandInReader:
    """Read what a loss need not read: targets, weights and scores of both sides; add no term."""

    @hookimpl
    def critic_terms(self, batch: Batch) -> None:
        """Read the targets of every side."""
        for side in batch.sides.values():
            side.targets  # noqa: B018 - computes them

    @hookimpl
    def generator_terms(self, batch: Batch) -> None:
        """Read the weights of the fakes."""
        batch.fake.weights  # noqa: B018 - computes them


@define(eq=False)
class _Held:
    """The data that `tiny_composition` was given."""

    data: Data


def stand_in_data(data: Data) -> Any:
    """Make a data component that opens `data`."""
    held = _Held(data)

    @component(source=STAND_IN)
    class StandInData:
        """Open the data that the test passed."""

        @hookimpl
        def make_data(self, spec: DataSpec) -> Data:
            """Return them."""
            return held.data

    return StandInData()
