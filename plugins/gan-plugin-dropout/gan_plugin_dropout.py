"""Dropout after the hidden activations of the generator or the critic."""

from torch import nn

from gancore import CompositionError, component, hookimpl, option

# no Tanh and no Softmax: these end a network, and its output keeps all its elements
HIDDEN = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.PReLU)


def drop_after_activations(net: nn.Module, p: float, role: str) -> None:
    """Insert `Dropout(p)` after each hidden activation of `net`, in place.

    Names of parameters may change. Raises CompositionError where there is no such activation.
    """
    # with duplicates: an activation module that is used twice is followed by dropout twice
    modules = net.named_modules(remove_duplicate=False)
    activations = [(name, each) for name, each in modules if name and isinstance(each, HIDDEN)]
    if not activations:
        raise CompositionError(
            f"the {role} has no activation module such as ReLU or LeakyReLU to put dropout after",
            where=f"dropout.{role}",
            fix=f"--dropout.{role} 0",
        )
    for name, each in activations:
        parent, _, child = name.rpartition(".")
        setattr(net.get_submodule(parent), child, nn.Sequential(each, nn.Dropout(p)))


@component(source="Srivastava et al., JMLR 15 (2014) 1929-1958")
class Dropout:
    """Zero elements of hidden layers with probability p in training, and divide the rest by 1 - p.

    Dropout follows each hidden activation (ReLU and its variants), `[N, C, H, W]` or `[N, F]`,
    element by element; a block that ends in tanh is left alone, so no pixel of an image is dropped.
    The mean of each element is kept. In evaluation, and so in samples and metrics, dropout is the
    identity. Reported trainings with dropout in the generator used p = 0.5. Tails and heads of the
    critic are left alone. Raises CompositionError for a network without such an activation.
    """

    generator: float = option(0.0, ge=0, lt=1, help="probability p in the generator; 0 is none")
    critic: float = option(0.25, ge=0, lt=1, help="probability p in the critic's body; 0 is none")

    @hookimpl
    def adapt_generator(self, net):
        if self.generator:
            drop_after_activations(net, self.generator, "generator")

    @hookimpl
    def adapt_critic(self, net):
        if self.critic:
            drop_after_activations(net.body, self.critic, "critic")
