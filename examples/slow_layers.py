"""A learning rate of its own for some layers: `--reg ./examples/slow_layers.py`."""

from gancore import CompositionError, component, hookimpl, option


@component(source="Karras et al., StyleGAN, CVPR 2019, appendix C: 0.01 for the mapping network")
class SlowLayers:
    """Multiply the learning rate of the weights whose name contains `name`.

    The optimiser may be any that was chosen: its weights are split into two parameter groups.
    Raises CompositionError where no weight of either player has such a name.
    """

    name: str = option("0.", help="part of the names of the weights")
    factor: float = option(0.01, ge=0, help="their learning rate, as a factor of the optimiser's")

    @hookimpl
    def adapt_optimizer(self, optimizer, params, role):
        slow = [weight for name, weight in params if self.name in name]
        if not slow:
            raise CompositionError(
                f"no weight of the {role} has {self.name!r} in its name",
                where="--slow-layers.name",
                fix=f"one of its weights is called {params[0][0]!r}",
            )
        chosen = {id(weight) for weight in slow}
        for group in list(optimizer.param_groups):
            moved = [weight for weight in group["params"] if id(weight) in chosen]
            group["params"] = [weight for weight in group["params"] if id(weight) not in chosen]
            others = {key: value for key, value in group.items() if key != "params"}
            optimizer.add_param_group({**others, "params": moved, "lr": self.factor * group["lr"]})
        return optimizer
