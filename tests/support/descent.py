"""An optimizer and a schedule whose steps can be written down: plain descent of both players."""

import torch

from gancore import Update, component, hookimpl


@component(source="a test")
class Descent:
    """Plain gradient descent."""

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.SGD([weight for _, weight in params], lr=0.5)

    @hookimpl
    def schedule(self):
        return [Update("both")]
