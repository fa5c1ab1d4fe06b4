"""Dropout: forget random numbers of the hidden layers while training."""

from torch import nn

from gancore import CompositionError, component, hookimpl, option

HIDDEN = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.PReLU)  # a tanh or softmax ends a network


def drop_after_activations(net: nn.Module, p: float, role: str) -> None:
    """Put `Dropout(p)` after every hidden activation of `net`, in place; names of weights may change.

    Raises CompositionError where there is no such activation.
    """
    found = net.named_modules(remove_duplicate=False)  # an activation used twice is followed by dropout twice
    places = [(name, each) for name, each in found if name and isinstance(each, HIDDEN)]
    if not places:
        raise CompositionError(
            f"the {role} has no activation module such as ReLU or LeakyReLU to put dropout after",
            where=f"dropout.{role}",
            fix=f"--dropout.{role} 0",
        )
    for name, each in places:
        parent, _, child = name.rpartition(".")
        setattr(net.get_submodule(parent), child, nn.Sequential(each, nn.Dropout(p)))


@component(source="Srivastava et al., JMLR 15 (2014) 1929-1958")
class Dropout:
    """Set each number of a hidden layer to 0 with probability p while training, and divide the others by 1 - p.

    It follows every hidden activation (ReLU and its kin), `[N, C, H, W]` or `[N, F]`, element by element; a block that
    ends in tanh stays as it is, so nothing is dropped from an image. The mean of each number is kept. In evaluation,
    and so in samples and metrics, it does nothing. Trainings reported with dropout in the generator took 0.5 there.
    Tails and heads of the critic are left alone. Raises CompositionError for a network without such an activation.
    """

    generator: float = option(0.0, ge=0, lt=1, help="probability p in the generator; 0 leaves it untouched")
    critic: float = option(0.25, ge=0, lt=1, help="probability p in the critic's body; 0 leaves it untouched")

    @hookimpl
    def adapt_generator(self, net):
        if self.generator:
            drop_after_activations(net, self.generator, "generator")

    @hookimpl
    def adapt_critic(self, net):
        if self.critic:
            drop_after_activations(net.body, self.critic, "critic")
