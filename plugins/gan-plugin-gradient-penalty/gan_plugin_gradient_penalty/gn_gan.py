"""Gradient normalisation: divide each score by its own gradient."""

import torch

from gancore import (
    CompositionError,
    Critic,
    CriticOutput,
    component,
    conflicts,
    hookimpl,
    warns_with,
)


class NormalizedCritic(Critic):
    """A critic with the score s/(‖∂s/∂x‖ + |s|) in (-1, 1), `[N]`."""

    @classmethod
    def of(cls, critic):
        """Return a critic of the same parts, under the same names."""
        made = cls.__new__(cls)
        made.__dict__.update(critic.__dict__)
        return made

    def forward(self, view, labels):
        with_graph = torch.is_grad_enabled()
        view = view.to(torch.promote_types(view.dtype, torch.float32))
        # in the generator's update the view has a graph already, which is kept
        if not (with_graph and view.requires_grad):
            view = view.detach().requires_grad_()
        # a tensor of its own: `input_gradients` of a penalty computes no gradient by its input in
        # the pass below
        view = view.clone() if with_graph else view
        with torch.enable_grad(), torch.autocast(view.device.type, enabled=False):
            out = super().forward(view, labels)
            refuse_columns(out.score)
            (gradient,) = torch.autograd.grad(out.score.sum(), view, create_graph=with_graph)
            norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
            # where score and gradient are 0 the quotient is 0
            size = (norm + out.score.abs()).clamp_min(torch.finfo(norm.dtype).tiny)
            score = out.score / size
        if with_graph:
            return CriticOutput(score, out.features, out.heads)
        heads = {name: head.detach() for name, head in out.heads.items()}
        return CriticOutput(score.detach(), out.features.detach(), heads)


def refuse_columns(score):
    """Raise CompositionError for a critic with several scores a sample."""
    if score.dim() > 1:
        raise CompositionError(
            "gradient normalisation divides one score a sample by its gradient, "
            f"but the critic gives {score.shape[1]}",
            where="reg gn-gan",
            fix="leave gn-gan out",
        )


@component(
    source="Wu et al., ICCV 2021, arXiv:2109.02235, equation 7",
    provides=["lipschitz", "critic.gradient-normalised"],
    rules=[
        conflicts(
            "critic.batch-statistics",
            "a score is divided by the gradient of its own sample, "
            "but with batch statistics it depends on every sample",
            cite="Gulrajani et al. 2017, section 4",
            fix="--critic-norm none",
        ),
        conflicts(
            "loss.energy",
            "the loss puts an error of reconstruction in the place of the normalised score",
            fix="leave gn-gan out",
        ),
        warns_with(
            "critic.gradient-penalty",
            "the normalised score has a gradient of norm at most 1 already, and a penalty on it "
            "needs a third derivative",
            cite="Wu et al. 2021, section 3.3",
            fix="leave one of them out",
        ),
        warns_with(
            "weights.clipped",
            "the normalised score has a gradient of norm at most 1 already",
            cite="Wu et al. 2021, section 3.3",
            fix="leave weight-clipping out",
        ),
    ],
    known_as={"gradient-normalisation": "", "gradient-normalization": "", "gngan": ""},
)
class GNGAN:
    """Divide each score by the size of its gradient: s ← s/(‖∂s/∂x‖ + |s|), `[N]` in (-1, 1).

    The gradient is by the critic's input, the view, over all of C·H·W. For piecewise linear critics
    the new score has a gradient of norm at most 1. It has no parameter; every pass of the critic
    costs one gradient, and every update a second derivative. Computed in float32, also under
    autocast. Features and heads are left alone. Raises CompositionError for a critic with several
    scores a sample.
    """

    @hookimpl
    def adapt_critic(self, net):
        return NormalizedCritic.of(net)
