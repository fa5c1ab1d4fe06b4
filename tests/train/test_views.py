"""A view may have other rows than the samples: labels, targets and penalties follow it, or it is
refused.
"""

import importlib.util
import sys

import pytest
import torch
from support.example_components import Packing as Unlabelled
from support.paths import EXAMPLE_COMPONENTS, EXAMPLES

from gancore import CompositionError, PluginError, component, compose, hookimpl
from gancore.run.loop import Run
from gancore.testing import check_component, some_batch, train

PACKING = str(EXAMPLES / "packing.py")
COMPANION = f"{EXAMPLE_COMPONENTS}:Packing"
SMALL = {"sprites.count": 24, "dcgan.width": 4, "dcgan-critic.width": 4}
SETTINGS = {"batch": 8, "size": "16", "steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def packing():
    """The component of the example, imported as a module."""
    spec = importlib.util.spec_from_file_location("packing_example", PACKING)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Packing


@component(source="a test", provides=["loss.test"])
class Classes:
    """Compare scores, targets, weights and labels row by row."""

    @hookimpl
    def critic_terms(self, batch):
        return {name: self.gap(side) for name, side in (("real", batch.real), ("fake", batch.fake))}

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": self.gap(batch.fake)}

    def gap(self, side):
        return side.mean((side.score - side.targets - side.view_labels[:, 0]).square())


def test_labels_that_a_view_returns_are_those_of_scores_heads_and_terms(packing):
    batch = some_batch(train(packing(m=2), Classes()))
    real = batch.real
    assert len(real.images) == len(real.labels) == 8
    assert len(real.view) == len(real.score) == len(real.targets) == len(real.view_labels) == 4
    assert torch.equal(real.view[:, :3], real.images[::2])
    assert torch.equal(real.view_labels, real.labels[::2])
    assert train(packing(m=2), Classes()).train_step()["critic/total"].isfinite()


def test_without_a_view_of_other_rows_the_labels_are_the_samples_own():
    batch = some_batch(train())
    assert batch.real.view_labels is batch.real.labels


def test_labels_that_do_not_follow_a_view_are_none_rather_than_those_of_other_samples():
    batch = some_batch(train(Unlabelled(m=2)))
    assert batch.real.view_labels.shape == (4, 0)


def test_the_packing_of_the_examples_conforms(packing):
    check_component(packing)


@pytest.mark.parametrize("loss", ["bce", "wgan-gp"])
def test_packing_trains_beside_a_critic_that_names_classes(loss, tmp_path):
    norm = {"critic_norm": "layer"} if loss == "wgan-gp" else {}
    chosen = compose(
        reg=[PACKING], cond=["acgan"], loss=loss, settings=SETTINGS, options=SMALL, **norm
    )
    run = Run.start(chosen, tmp_path / "run").fit()
    assert run.training.step == 2


def test_a_view_that_leaves_labels_behind_trains_where_no_component_asks_for_them(tmp_path):
    chosen = compose(
        reg=[COMPANION], loss="wgan-gp", critic_norm="layer", settings=SETTINGS, options=SMALL
    )
    assert Run.start(chosen, tmp_path / "run").fit().training.step == 2


def test_a_view_that_leaves_labels_behind_is_refused_before_training_where_they_are_asked_for(
    tmp_path,
):
    chosen = compose(reg=[COMPANION], cond=["acgan"], settings=SETTINGS, options=SMALL)
    with pytest.raises(
        CompositionError, match="makes 4 views of 8 samples and returns no labels"
    ) as caught:
        Run.start(chosen, tmp_path / "run")
    assert "acgan needs labels" in str(caught.value)
    assert "(images, labels)" in caught.value.fix
    assert not (tmp_path / "run").exists()


def test_a_view_that_leaves_labels_behind_is_refused_beside_a_critic_whose_norms_need_them(
    tmp_path,
):
    norm = str(EXAMPLES / "conditional_norm.py")
    chosen = compose(reg=[COMPANION], critic_norm=norm, settings=SETTINGS, options=SMALL)
    with pytest.raises(CompositionError, match="a layer of the critic needs labels"):
        Run.start(chosen, tmp_path / "run")


def test_labels_of_other_rows_than_the_view_are_refused_by_name(tmp_path):
    (tmp_path / "odd.py").write_text(
        "from gancore import component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Odd:\n"
        '    """Return too few labels."""\n\n'
        "    @hookimpl\n"
        "    def critic_view(self, images, labels):\n"
        "        return images, labels[::2]\n"
    )
    chosen = compose(reg=[str(tmp_path / "odd.py")], settings=SETTINGS, options=SMALL)
    with pytest.raises(
        PluginError, match=r"odd\.critic_view, step 0 gave .* as labels of 8 images is wanted"
    ):
        Run.start(chosen, tmp_path / "run").fit()
