"""Doctored plugins: what is wrong with each, and the sentence that says so.

`python tests/support/bad_plugins.py` writes them to docs/reference/bad-plugins.md.
"""

import copy
import sys
from pathlib import Path

import torch
from torch import nn

from gancore import Training, average, cached, component, gather, hookimpl, option, peers, state
from gancore.plugins.calling import Component
from gancore.testing import check_component, check_composes_with, tiny_composition

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bad-plugins.md"
COMMAND = "uv run python tests/support/bad_plugins.py"
INTRODUCTION = f"""# Bad plugins, and what is said of them

<!-- made by `{COMMAND}` from the table of a test; edit that instead -->

Each row is a plugin with one fault, made for a test, which checks that the fault is found and that the sentence is this one. `…`
stands for what depends on the machine or on the place. The first rows are refused by `@component` itself, the others by
`gancore.testing.check_component`, by `gan plugins ./file.py`, or by a run.

| what is wrong | what is said |
| --- | --- |
"""


def bad(**members):
    """Make a component class of these members; functions named like hooks are marked."""
    about = {"source": "a test", **members.pop("about", {})}
    fields = members.pop("fields", {})
    name = members.pop("name", "Bad")
    unmarked = ("state_dict", "load_state_dict", *members.pop("unmarked", ()))
    space = {}
    for member, each in members.items():
        space[member] = hookimpl(each) if callable(each) and member not in unmarked else each
    space |= {
        "__doc__": "Be bad.",
        "__module__": __name__,
        "__annotations__": {field: each[0] for field, each in fields.items()},
    }
    space |= {field: each[1] for field, each in fields.items()}
    return component(**about)(type(name, (), space))


# ── networks and other parts of bad plugins ──────────────────────────────────────────────────────


class Wide(nn.Linear):
    def __init__(self, plan):
        super().__init__(plan.inputs, 5 * 16 * 16)

    def forward(self, z, labels):
        return super().forward(z).unflatten(1, (5, 16, 16))


class Drops(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, labels):
        return self.net(z[1:], labels[1:])


class NoisyLayer(nn.Module):
    def forward(self, maps):
        return maps + 0.1 * torch.randn(maps.shape)


class Calls(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, labels):
        return self.net(z, labels)


class WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.square()

    @staticmethod
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return gradient * values  # and not 2 * values


def unlearned(self, batch):
    return {"term": torch.ones(())}


def count(self):
    self.seen += 1


def by_seen(self, images):
    return images * (1 + 0.1 * self.seen)


def own_noise(self, images, rng):
    return images + 0.1 * torch.randn(images.shape, generator=rng)


def own_flips(self, targets, rng):
    return torch.where(torch.rand(targets.shape, generator=rng) < 0.5, 1 - targets, targets)


def centred(self, images):
    return images - images.mean(0)


def keep_mean(self, batch):
    self.mean = batch.fake.score.mean()


def gather_in_one(self, batch):
    scores = batch.fake.score
    return {"a": (scores if peers().rank else gather(scores)).mean()}


def scaled_by_number(self, batch):
    mean = average(batch.fake.score.mean())
    return {"a": batch.fake.score.mean() * mean.tolist()}


def run_critic(self, gan):
    gan.critic.network(torch.zeros(4, 3, 16, 16), torch.zeros(4, 1, dtype=torch.int64))


def measure_by_critic(self, progress):
    run_critic(self, progress.gan)
    return {"a": 1.0}


def log_by_critic(self, batch, log):
    scores = batch.gan.critic.network(batch.fake.images, batch.fake.labels).score
    log("mean", scores.mean().detach())


def read_own_slice(self, batch):
    batch.fake.z[:, batch.plan.latent_slices["bad"]].sum()


def pack(self, images):
    return images.reshape(len(images) // 2, 2 * images.shape[1], *images.shape[2:])


def static():
    @component(source="a test")
    class Bad:
        """Be bad."""

        @staticmethod
        def critic_view(images):
            return images


def undecorated_parentheses():
    @component
    class Bad:
        """Be bad."""

        @hookimpl
        def critic_view(self, images):
            return images


def wrapping():
    @component(source="a test")
    class Bad:
        """Be bad."""

        @hookimpl(wrapper=True)
        def critic_view(self, images):
            return (yield)


def unmarked(**members):
    return bad(unmarked=tuple(members), **members)


def plain_view(self, images):
    return images


def conditioned_packing():
    packing = bad(critic_shape=lambda self, shape: (2 * shape[0], *shape[1:]), critic_view=pack)
    condition = bad(critic_terms=lambda self, batch: None)
    Training.of(tiny_composition(packing(), Component("labels", "cond", condition())))


def forgetful_sampling():
    forgetful = bad(sampling_generator=lambda self, net: copy.deepcopy(net))
    other = bad(name="Other", sampling_generator=lambda self, net: Calls(net))
    check_composes_with(forgetful, [other])


def check(**members):
    """Return the act of checking a component of these members."""
    return lambda: check_component(bad(**members))


# what is wrong: what is said, and what to do for it to be said
DECLARED = {
    "a method near a hook's name without `@hookimpl`": (
        "Bad.critic_veiw acts on no hook, so it would never run",
        lambda: unmarked(critic_veiw=plain_view),
    ),
    "a marked method that is no hook": (
        "Bad.critic_wiev is marked @hookimpl, but gancore has no such hook",
        lambda: bad(critic_wiev=plain_view),
    ),
    "an argument that the hook does not give": (
        "Bad.critic_view takes sigma, which the hook does not give",
        lambda: bad(critic_view=lambda self, images, sigma: images),
    ),
    "an argument with a default": (
        "Bad.critic_view gives a hook argument a default",
        lambda: bad(critic_view=lambda self, images, step=0: images),
    ),
    "a hook without `self`": (
        "Bad.critic_view has no self",
        lambda: bad(critic_view=lambda images: images),
    ),
    "a static method": ("Bad.critic_view is a staticmethod, but hooks are methods", static),
    "a hook wrapper": ("Bad.critic_view is a hook wrapper; components are only called", wrapping),
    "`@component` without parentheses": (
        "Bad is decorated with @component without parentheses",
        undecorated_parentheses,
    ),
    "no hook at all": ("Bad implements no hook, so it would do nothing", lambda: bad()),
    "no source": (
        "Bad cites no source",
        lambda: bad(critic_view=plain_view, about={"source": " "}),
    ),
    "hooks of a version to come": (
        "Bad is made for hooks of version 99, but this gancore supports version",
        lambda: bad(critic_view=plain_view, about={"api": 99}),
    ),
    "an option without help": (
        "Bad.weight has no help",
        lambda: bad(critic_view=plain_view, fields={"weight": (float, option(1.0))}),
    ),
    "a default that all objects would share": (
        "an option's default is [1, 2], which all objects would share",
        lambda: option([1, 2], help="sizes"),
    ),
    "`state_dict` without `load_state_dict`": (
        "Bad has one of state_dict() and load_state_dict() without the other",
        lambda: bad(critic_view=plain_view, state_dict=lambda self: {}),
    ),
    "`__eq__` without `__hash__`": (
        "Bad cannot be hashed",
        lambda: bad(critic_view=plain_view, __eq__=None, __hash__=None),
    ),
}

CHECKED = {
    "a default out of the option's own range": (
        "Bad cannot be made with its defaults: weight is -1.0, but must be at least 0",
        check(critic_view=plain_view, fields={"weight": (float, option(-1.0, ge=0, help="w"))}),
    ),
    "a latent of another width than `latent_width`": (
        "bad.draw_latent gave a tensor of float32 [8, 3], but a tensor of float32 [8, 2] is wanted",
        check(latent_width=lambda self: 2, draw_latent=lambda self, n: torch.zeros(n, 3)),
    ),
    "a latent of another type": (
        "bad.draw_latent gave a tensor of float64",
        check(
            latent_width=lambda self: 2,
            draw_latent=lambda self, n: torch.zeros(n, 2, dtype=torch.float64),
        ),
    ),
    "a width that is no number": (
        "bad.latent_width gave '3', but a whole number is wanted",
        check(latent_width=lambda self: "3"),
    ),
    "a term that is no tensor": (
        "bad.critic_terms, step 0 gave {'a': 1.0}",
        check(critic_terms=lambda self: {"a": 1.0}),
    ),
    "a term for every sample": (
        "gave {'a': a tensor of float32 [8]}, but {name: scalar tensor}, such as a.mean() is wanted",
        check(critic_terms=lambda self, batch: {"a": batch.fake.score}),
    ),
    "a term without a gradient": (
        "a term that carries a gradient; log(name, value) only logs it is wanted",
        check(critic_terms=unlearned),
    ),
    "a detached term of the generator": (
        "bad.generator_terms, step 0 gave … a term that carries a gradient",
        check(generator_terms=lambda self, batch: {"a": batch.fake.score.detach().mean()}),
    ),
    "a term that is not finite": (
        "bad/a is nan",
        check(critic_terms=lambda self, batch: {"a": batch.fake.score.mean() * float("nan")}),
    ),
    "writing into images": (
        "bad.critic_view, step 0 writes into images",
        check(critic_view=lambda self, images: images.mul_(0.5)),
    ),
    "writing into targets": (
        "bad.critic_targets, step 0 writes into targets",
        check(critic_targets=lambda self, targets: targets.mul_(0.9)),
    ),
    "a detached view": (
        "bad.critic_view, step 0 lets no gradient pass to the images, so the generator cannot learn",
        check(critic_view=lambda self, images: images.detach()),
    ),
    "a view of more channels than `critic_shape`": (
        "bad.critic_view, step 0: the view is [N, 6, 16, 16], but the critic is built for [N, 3, 16, 16]",
        check(critic_view=lambda self, images: torch.cat([images, images], 1)),
    ),
    "`critic_shape` without a view of that shape": (
        "bad.critic_shape: the view is [N, 3, 16, 16], but the critic is built for [N, 6, 16, 16]",
        check(critic_shape=lambda self, shape: (2 * shape[0], *shape[1:])),
    ),
    "a view that is no tensor": (
        "bad.critic_view, step 0 gave … but a tensor of floating point",
        check(critic_view=lambda self, images: [images]),
    ),
    "a view of bytes": (
        "bad.critic_view, step 0 gave a tensor of uint8 [8, 3, 16, 16], but a tensor of floating point",
        check(critic_view=lambda self, images: images.byte()),
    ),
    "a view that draws from torch's global generator": (
        "bad.critic_view draws from torch's global generator",
        check(critic_view=lambda self, images: images + torch.randn(())),
    ),
    "targets of fewer rows": (
        "bad.critic_targets, step 0 gave a tensor of float32 [7], but a tensor of float32 [8] is wanted",
        check(critic_targets=lambda self, targets: targets[1:]),
    ),
    "replaced fakes without their labels": (
        "but a tuple (images, labels) is wanted",
        check(critic_fakes=lambda self, images: images),
    ),
    "a generator of samples of another shape": (
        "the network of bad.make_generator made a tensor of float32 [8, 5, 16, 16]",
        check(make_generator=lambda self, plan: Wide(plan)),
    ),
    "a wrapper of the generator that drops rows": (
        "the network of bad.adapt_generator made a tensor of float32 [7, 3, 16, 16]",
        check(adapt_generator=lambda self, net: Drops(net)),
    ),
    "a norm that is no module": (
        "bad.make_norm gave 'batch', but a torch module is wanted",
        check(make_norm=lambda self: "batch"),
    ),
    "`cached()` for what should be saved": (
        "a resumed run differs; bad changes seen while training, which is cached() and so not saved",
        check(before_step=count, critic_view=by_seen, fields={"seen": (int, cached(0))}),
    ),
    "an attribute that is not declared": (
        "Bad has no field 'count' that may change; declare one: `count: int = state(0)`, or by cached()",
        check(before_step=lambda self: setattr(self, "count", 1)),
    ),
    "figures that are no dict": (
        "bad.measure, step 6 gave 3.0, but a dict is wanted",
        check(measure=lambda self: 3.0),
    ),
    "a figure that is a vector": (
        "bad.measure: a is a tensor of float32 [2], but a number is wanted",
        check(measure=lambda self: {"a": torch.zeros(2)}),
    ),
    "a figure that is not finite": (
        "bad.measure: a is nan",
        check(measure=lambda self: {"a": float("nan")}),
    ),
    "`record` that returns no text": (
        "bad.record, step 6 gave 3, but a text is wanted",
        check(record=lambda self, row: 3),
    ),
    "`record` that writes into the row": (
        "bad.record writes into the row, which all components share",
        check(record=lambda self, row: row.update(a=1)),
    ),
    "`record` that fails": (
        "bad failed in record, step 6: KeyError: 'no such'",
        check(record=lambda self, row: row["no such"]),
    ),
    "`stop` that returns no text": (
        "bad.stop, step 6 gave True, but a text is wanted",
        check(stop=lambda self, row: True),
    ),
    "`draw` that fails": (
        "bad failed in draw, step 6: AttributeError",
        check(draw=lambda self, folder: folder.nothing),
    ),
    "`draw` that writes outside the run": (
        "draw writes stray outside the run's folder",
        check(draw=lambda self, folder: (folder.parent.parent / "stray").write_text("") and None),
    ),
    "`recognizes` of more than 2": (
        "bad.recognizes gave 7, but 0, 1 or 2 is wanted",
        check(recognizes=lambda self, path: 7),
    ),
    "`recognizes` that is no number": (
        "bad.recognizes gave 'yes', but a whole number is wanted",
        check(recognizes=lambda self, path: "yes"),
    ),
    "`recognizes` without an option `path`": (
        "bad.recognizes fits paths, but there is no option `path` to receive the one",
        check(recognizes=lambda self, path: 2),
    ),
    "a description that JSON cannot hold": (
        "bad.describe_data gave what JSON cannot hold",
        check(describe_data=lambda self: {"a": PAGE}),
    ),
    "a chosen size of one side": (
        "bad.chosen_size gave (64,), which is no size",
        check(chosen_size=lambda self: (64,)),
    ),
    "a sampling generator that is no module": (
        "bad.sampling_generator gave 3, but a torch module is wanted",
        check(sampling_generator=lambda self, net: 3),
    ),
    "selected samples without their latents": (
        "bad.select_samples gave … a tuple (images, z, labels) is wanted",
        check(select_samples=lambda self, images, labels: (images, labels)),
    ),
    "selected samples of unequal rows": (
        "4 samples became 3 with 4 rows of labels",
        check(select_samples=lambda self, images, z, labels: (images[1:], z, labels)),
    ),
    "a name written into the code": (
        "under another name than that of its class published-under-another-name failed in critic_terms, "
        "step 0: KeyError: 'bad' … gancore.name_of(self)",
        check(
            latent_width=lambda self: 2,
            draw_latent=lambda self, n, rng: torch.randn(n, 2, generator=rng),
            critic_terms=read_own_slice,
        ),
    ),
    "a standard deviation of one process's rows": (
        "bad.critic_terms computes over the rows of its own process: a is … "
        "gancore.gather(rows) returns the rows of all processes",
        check(critic_terms=lambda self, batch: {"a": batch.fake.score.std()}),
    ),
    "a maximum of one process's rows": (
        "bad.generator_terms computes over the rows of its own process: a is … "
        "gancore.average(values) their mean",
        check(generator_terms=lambda self, batch: {"a": batch.fake.score.max()}),
    ),
    "a view centred over one process's rows": (
        "bad.critic_view computes over the rows of its own process: its rows differ … gancore.gather",
        check(critic_view=centred),
    ),
    "noise drawn without `draw_rows`": (
        "bad.critic_view draws other numbers in two processes than in one: its rows differ … "
        "gancore.draw_rows(torch.randn, shape, rng) draws for the rows of a process",
        check(critic_view=own_noise),
    ),
    "flipped targets drawn without `draw_rows`": (
        "bad.critic_targets draws other numbers in two processes than in one … gancore.draw_rows",
        check(critic_targets=own_flips),
    ),
    "torch's own batch norm": (
        "the generator's layer rest.0 (BatchNorm2d) computes over the rows of one process, "
        "not over the whole batch … gancore.gather(rows) or gancore.average(values)",
        check(make_norm=lambda self, channels: nn.BatchNorm2d(channels)),
    ),
    "`torch.randn` in a forward pass": (
        "the generator's layer rest.0 (NoisyLayer) draws from torch's global generator in its forward "
        "pass … gancore.draw_rows(torch.randn, shape, rng)",
        check(make_norm=lambda self: NoisyLayer()),
    ),
    "state kept of one process's rows": (
        "after 2 steps of two processes components: bad/mean is not what it is after those of one … "
        "gancore.average(values)",
        check(after_critic_update=keep_mean, fields={"mean": (object, state())}),
    ),
    "`gather` in one process alone": (
        "two processes fail where one does not: the processes of this run no longer do the same",
        check(critic_terms=gather_in_one),
    ),
    "a gradient that is stopped by mistake": (
        "Bad.critic_terms: along a random direction of the critic's weights the terms change at a rate "
        "of … their gradient says … detach()",
        check(
            critic_terms=lambda self, batch: {
                "a": (batch.fake.score * batch.fake.score.detach()).mean()
            }
        ),
    ),
    "a number taken out of the graph": (
        "Bad.generator_terms: along a random direction of the generator's weights the terms change",
        check(generator_terms=scaled_by_number),
    ),
    "a wrong backward pass written by hand": (
        "Bad.critic_terms: along a random direction of the critic's weights the terms change",
        check(critic_terms=lambda self, batch: {"a": WrongBackward.apply(batch.fake.score).mean()}),
    ),
    "a metric that runs the critic in training mode": (
        "bad changes the training by what it measures, records or draws (critic: … "
        "gancore.fork_state(network, gan.device)",
        check(measure=measure_by_critic),
    ),
    "a logger that calls a network itself": (
        "bad changes the training by what it logs (critic: … batch.critic(…)",
        check(critic_terms=log_by_critic),
    ),
}

RUN = {
    "a view of packs without labels, beside a condition": (
        "bad makes 4 views of 8 samples and returns no labels for them, but labels needs labels",
        conditioned_packing,
    ),
    "a sampling generator that ignores the one before it": (
        "Other before Bad: bad.sampling_generator drops the network that other returned",
        forgetful_sampling,
    ),
}

BAD_PLUGINS = {**DECLARED, **CHECKED, **RUN}


def page():
    """Write the page of all rows."""
    rows = [f"| {wrong} | {said} |" for wrong, (said, _) in BAD_PLUGINS.items()]
    return INTRODUCTION + "\n".join(rows) + "\n"


def says(text, said):
    """Whether a text holds the parts of a sentence between `…`, in their order."""
    place = 0
    for part in said.split("…"):
        place = text.find(part.strip(), place)
        if place < 0:
            return False
        place += len(part.strip())
    return True


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page()) and 0)
