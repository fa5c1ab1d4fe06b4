"""Facts about packing."""

import pytest
import torch
from support.tables import every_row

from gan_plugin_packing import PacGAN
from gancore import CompositionError, component, compose, hookimpl
from gancore.testing import check_component, some_batch, some_data, train

SETTINGS = {"batch": 8, "size": "16", "device": "cpu"}


@component(source="a test")
class Brighten:
    """Augment single samples."""

    @hookimpl
    def critic_view(self, images):
        assert images.shape[1:] == (3, 16, 16)
        return images + 1


@pytest.mark.parametrize("m", [1, 2, 4])
def test_pacgan_conforms(m):
    # a pack of one is what it was given, which the kit would call a view that does nothing
    check_component(PacGAN, m=m, without=["calls"] if m == 1 else [])


def test_pacgan_of_points_conforms():
    check_component(PacGAN, data=some_data((2,), ()))


@every_row("shape", [(3, 16, 16), (2,), (2, 32), (1, 8, 8, 8)])
def test_a_pack_holds_successive_samples_channel_by_channel(shape):
    batch = some_batch(train(PacGAN(m=2), data=some_data(shape)))
    view, images = batch.real.view, batch.real.images
    assert view.shape == (4, 2 * shape[0], *shape[1:])
    assert torch.equal(view[:, : shape[0]], images[::2])
    assert torch.equal(view[:, shape[0] :], images[1::2])
    assert batch.real.score.shape == (4,)
    assert torch.equal(batch.real.view_labels, batch.real.labels[::2])


@every_row("order", [0, 1])
def test_samples_are_augmented_before_they_are_packed(order):
    both = [PacGAN(m=2), Brighten()]
    batch = some_batch(train(*(both[::-1] if order else both)))
    assert torch.equal(batch.real.view[:, :3], batch.real.images[::2] + 1)


def test_a_pack_of_one_changes_no_bit():
    figures = [train(*packing).train_step() for packing in ([], [PacGAN(m=1)])]
    assert figures[0]["critic/total"] == figures[1]["critic/total"]


def test_a_batch_that_packs_do_not_fill_is_refused_with_one_that_fits():
    with pytest.raises(CompositionError, match="a batch of 8 is not a whole number of packs of 3"):
        train(PacGAN(m=3))


@every_row(
    ("slots", "refused"),
    [
        ({"cond": ["acgan"]}, True),
        ({"cond": ["concat-label"]}, True),
        ({"cond": ["label-maps"]}, True),
        ({"cond": ["embed-label"]}, False),
        ({"cond": ["concat-label"], "options": {"concat-label.to": "generator"}}, False),
        ({"cond": []}, False),
    ],
)
def test_a_critic_that_reads_the_label_of_each_sample_is_refused(slots, refused):
    def composed():
        return compose(reg=["pacgan"], settings=SETTINGS, **slots)

    if not refused:
        composed()
        return
    with pytest.raises(CompositionError, match="a pack has no label") as caught:
        composed()
    assert "pacgan" in caught.value.fix


def test_a_penalty_on_packs_is_noted():
    slots = {"loss": "wgan-gp", "settings": SETTINGS}
    assert any("of a pack" in note for note in compose(reg=["pacgan"], **slots).notes)
    assert not any("of a pack" in note for note in compose(**slots).notes)
