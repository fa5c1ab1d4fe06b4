"""No normalisation."""

from torch import nn

from gancore import component, hookimpl


@component(
    source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661 (whose players have none)",
    known_as={"identity": ""},
)
class NoNorm:
    """Leave maps `[N, C, …]` as they are; a network asks for its norm and gets the identity."""

    @hookimpl
    def make_norm(self):
        return nn.Identity()
