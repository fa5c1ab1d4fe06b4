"""Open the data of a composition and build its training, as the settings of a run want them."""

from __future__ import annotations

from attrs import evolve

from gancore.guard.hooks import guarded
from gancore.hardware.device import compile_networks, data_on_device
from gancore.hardware.layout import use_channels_last
from gancore.recipe.compose import Composition
from gancore.recipe.for_data import fit_to_data
from gancore.recipe.settings import LARGEST_SIDE, LEAST_SIDE
from gancore.run import failure
from gancore.train.data import (
    AREA_ON_CPU,
    AREA_ON_GPU,
    Data,
    adapt_data,
    fitting_tags,
    make_data,
)
from gancore.train.loop import Training
from gancore.train.precision import Runtime


def read_data_of(composition: Composition, runtime: Runtime) -> Data:
    """Read the data of a new run, which no component has adapted yet.

    Where memory ends, say which options ask for so much.
    """
    area = AREA_ON_CPU if runtime.device.type == "cpu" else AREA_ON_GPU
    with failure.memory_explained("the data were opened", composition.origins):
        return make_data(composition, area)


def adapt_data_of(composition: Composition, data: Data) -> Data:
    """Adapt the data of a run; where memory ends, say which options ask for so much."""
    with failure.memory_explained("the data were opened", composition.origins):
        return adapt_data(composition, data)


def open_data_of(composition: Composition) -> Data:
    """Open the data of a composition; where memory ends, say which options ask for so much."""
    with failure.memory_explained("the data were opened", composition.origins):
        return adapt_data(composition, make_data(composition))


def with_fitting_choices(composition: Composition, data: Data) -> Composition:
    """Compose again with what the recipes choose for such data, where they choose something."""
    if not composition.fitted_tags:
        return composition
    fitted = fit_to_data(composition, fitting_tags(data))
    return composition if fitted is composition else guarded(fitted)


def with_chosen_size(composition: Composition) -> Composition:
    """Enter the size at which the data component has read images, where the user gave none."""
    if composition.settings.size is not None:
        return composition
    size = composition.hooks.first("chosen_size")
    # another size could not be given by `--size`, and so could not be read from the recipe
    if size is None or not all(LEAST_SIDE <= side <= LARGEST_SIDE for side in size):
        return composition
    settings = evolve(composition.settings, size="{}x{}".format(*size))
    by = next(each.name for each in composition.chosen if hasattr(each.component, "chosen_size"))
    origins = {**composition.origins, "run.size": f"chosen by {by}"}
    return evolve(composition, settings=settings, origins=origins)


def prepare(composition: Composition, data: Data, runtime: Runtime) -> Training:
    """Return a training at step 0 as the settings want it: memory format, compiled networks, data
    on the device.
    """
    settings = composition.settings
    origins = composition.origins
    with failure.memory_explained("the networks were built", origins):
        training = Training.of(composition, data, runtime)
    context = training.context
    if runtime.device.type == "cpu":
        failure.expect_weights_fit(failure.weight_count(context.gan), origins)
    runtime = use_channels_last(context.gan, context.plan, runtime, settings.channels_last)
    compile_networks(context.gan, settings.compile)
    training.context = evolve(context, runtime=runtime)
    training.source = data_on_device(data, runtime)
    return training
