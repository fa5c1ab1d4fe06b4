"""Each kind of bad plugin is caught by the conformance kit, with a sentence that names it."""

import json
from pathlib import Path

import pytest
import torch
from support.tables import every_row
from torch import nn

from gancore import cached, component, hookimpl
from gancore.testing import check_component

PLAYED = Path(__file__).with_name("nothing")


def bad(**members):
    """Make a component class of these members; functions named like hooks are marked."""
    card = members.pop("card", {})
    fields = members.pop("fields", {})
    space = {name: hookimpl(each) if callable(each) and name not in ("state_dict", "load_state_dict") else each
             for name, each in members.items()}  # fmt: skip
    space |= {
        "__doc__": "Be bad.",
        "__module__": __name__,
        "__annotations__": dict.fromkeys(fields, int),
        **fields,
    }
    return component(source="a test", **card)(type("Bad", (), space))


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


def unlearned(self, batch):
    return {"term": torch.ones(())}


def forgetting(self):
    self.seen += 1


def by_seen(self, images):
    return images * (1 + 0.1 * self.seen)


KINDS = {
    "latent-of-another-shape": (
        {"latent_width": lambda self: 2, "draw_latent": lambda self, n: torch.zeros(n, 3)},
        r"bad.draw_latent gave a tensor of float32 \[8, 3\], but a tensor of float32 \[8, 2\] is wanted",
    ),
    "latent-of-another-type": (
        {"latent_width": lambda self: 2, "draw_latent": lambda self, n: torch.zeros(n, 2, dtype=torch.float64)},
        "draw_latent gave a tensor of float64",
    ),
    "width-that-is-no-number": ({"latent_width": lambda self: "3"}, "latent_width gave '3', but a whole number"),
    "term-that-is-a-number": ({"critic_terms": lambda self: {"a": 1.0}}, "critic_terms, step 0 gave {'a': 1.0}"),
    "term-of-every-sample": (
        {"critic_terms": lambda self, batch: {"a": batch.fake.score}},
        r"gave {'a': a tensor of float32 \[8\]}, but {name: scalar tensor}",
    ),
    "term-without-a-gradient": ({"critic_terms": unlearned}, "a term that carries a gradient"),
    "detached-term-of-the-generator": (
        {"generator_terms": lambda self, batch: {"a": batch.fake.score.detach().mean()}},
        "bad.generator_terms, step 0 gave .* a term that carries a gradient",
    ),
    "nan": ({"critic_terms": lambda self, batch: {"a": batch.fake.score.mean() * float("nan")}}, "bad/a is nan"),
    "write-into-images": ({"critic_view": lambda self, images: images.mul_(0.5)}, "bad.critic_view.* writes into"),
    "write-into-targets": ({"critic_targets": lambda self, targets: targets.mul_(0.9)}, "writes into targets"),
    "detached-view": ({"critic_view": lambda self, images: images.detach()}, "lets no gradient pass to the images"),
    "view-of-more-channels": (
        {"critic_view": lambda self, images: torch.cat([images, images], 1)},
        r"bad.critic_view.*: the view is \[N, 6, 16, 16\], but the critic is built for \[N, 3, 16, 16\]",
    ),
    "critic-shape-without-a-view": (
        {"critic_shape": lambda self, shape: (2 * shape[0], *shape[1:])},
        r"bad.critic_shape.*: the view is \[N, 3, 16, 16\], but the critic is built for \[N, 6, 16, 16\]",
    ),
    "view-that-is-no-tensor": ({"critic_view": lambda self, images: [images]}, "a tensor of floating point"),
    "view-of-bytes": ({"critic_view": lambda self, images: images.byte()}, "a tensor of floating point"),
    "targets-of-fewer-rows": (
        {"critic_targets": lambda self, targets: targets[1:]},
        r"critic_targets.* gave a tensor of float32 \[7\], but a tensor of float32 \[8\]",
    ),
    "fakes-without-labels": ({"critic_fakes": lambda self, images: images}, r"a tuple \(images, labels\)"),
    "generator-of-other-samples": (
        {"make_generator": lambda self, plan: Wide(plan)},
        r"the network of bad.make_generator made a tensor of float32 \[8, 5, 16, 16\]",
    ),
    "generator-that-drops-rows": (
        {"adapt_generator": lambda self, net: Drops(net)},
        r"the network of bad.adapt_generator made a tensor of float32 \[7, 3, 16, 16\]",
    ),
    "norm-that-is-no-module": ({"make_norm": lambda self: "batch"}, "make_norm gave 'batch', but a torch module"),
    "state-that-is-not-saved": (
        {"before_step": forgetting, "critic_view": by_seen, "fields": {"seen": cached(0)}},
        r"bad changes seen while training, which is cached\(\) and so not saved",
    ),
    "undeclared-attribute": (
        {"before_step": lambda self: setattr(self, "count", 1)},
        r"no field 'count' that may change; declare one: `count: int = state\(0\)`, or by cached\(\)",
    ),
    "measure-that-is-no-dict": ({"measure": lambda self: 3.0}, "bad.measure.* gave 3.0, but a dict is wanted"),
    "measure-of-a-vector": ({"measure": lambda self: {"a": torch.zeros(2)}}, r"bad.measure: a is a tensor of"),
    "measure-of-nan": ({"measure": lambda self: {"a": float("nan")}}, "bad.measure: a is nan"),
    "record-that-is-no-text": ({"record": lambda self, row: 3}, "bad.record.* gave 3, but a text is wanted"),
    "record-that-writes": ({"record": lambda self, row: row.update(a=1)}, "writes into the row"),
    "record-that-fails": ({"record": lambda self, row: row["no such"]}, "bad failed in record.*KeyError"),
    "stop-that-is-no-text": ({"stop": lambda self, row: True}, "bad.stop.* gave True, but a text is wanted"),
    "draw-that-fails": ({"draw": lambda self, folder: folder.nothing}, "bad failed in draw"),
    "draw-outside": (
        {"draw": lambda self, folder: (folder.parent.parent / "stray").write_text("") and None},
        "draw writes stray outside the run's folder",
    ),
    "recognizes-too-much": ({"recognizes": lambda self, path: 7}, "bad.recognizes gave 7, but 0, 1 or 2 is wanted"),
    "recognizes-that-is-no-number": ({"recognizes": lambda self, path: "yes"}, "bad.recognizes gave 'yes'"),
    "description-that-json-cannot-hold": (
        {"describe_data": lambda self: {"a": PLAYED}},
        "bad.describe_data gave what JSON cannot hold",
    ),
    "sampling-generator-that-is-no-module": (
        {"sampling_generator": lambda self, net: 3},
        "bad.sampling_generator gave 3, but a torch module is wanted",
    ),
    "selection-without-latents": (
        {"select_samples": lambda self, images, labels: (images, labels)},
        r"bad.select_samples gave [\s\S]*a tuple \(images, z, labels\)",
    ),
    "selection-of-unequal-rows": (
        {"select_samples": lambda self, images, z, labels: (images[1:], z, labels)},
        "4 samples became 3 with 4 rows of labels",
    ),
}  # fmt: skip


@every_row("kind", KINDS)
def test_the_kit_catches_a_bad_plugin_and_names_what_is_wrong(kind):
    members, said = KINDS[kind]
    with pytest.raises(AssertionError, match=said):
        check_component(bad(**members))


def test_a_critic_that_sums_over_pixels_passes_the_kit():
    class Body(nn.Module):
        def __init__(self, plan):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(plan.critic_shape[0], 64, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(64, 128, 3, padding=1),
                nn.LeakyReLU(0.2),
            )

        def forward(self, view, labels):
            return 10 * self.layers(view).sum((2, 3))

    check_component(bad(make_critic=lambda self, plan: Body(plan)))


def test_a_component_finds_its_latent_under_the_name_that_it_goes_by():
    from gancore import name_of
    from gancore.plugins.calling import Component
    from gancore.testing import train

    seen = []

    def critic_terms(self, batch):
        seen.append(batch.plan.latent_slices[name_of(self)])

    cls = bad(
        latent_width=lambda self: 2,
        draw_latent=lambda self, n: torch.zeros(n, 2),
        critic_terms=critic_terms,
    )
    train(Component("published-so", "reg", cls())).train_step()
    assert seen[0] == slice(0, 2)


def test_a_component_sees_the_folder_of_the_run_above_that_of_draw():
    found = []

    def draw(self, folder):
        found.append(
            (folder.name, json.loads((folder.parent / "metrics.jsonl").read_text())["step"])
        )

    check_component(bad(draw=draw))
    assert found[0] == ("samples", 6)
