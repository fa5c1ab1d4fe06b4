"""No normalisation."""

from torch import nn

from gancore import component, hookimpl


@component(
    source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661 (whose networks have none)",
    known_as={"identity": ""},
)
class NoNorm:
    """Use no normalisation: the identity of maps `[N, C, …]`."""

    @hookimpl
    def make_norm(self):
        return nn.Identity()
