"""Stored samples, and the order in which they are read."""

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import every_row

from gancore import (
    CompositionError,
    LabelSet,
    StoredData,
    Subset,
    UsageError,
    component,
    compose,
    hookimpl,
)
from gancore.plugins.calling import Component, Hooks
from gancore.run.failure import expect_weights_fit
from gancore.run.prepare import prepare
from gancore.testing import some_data
from gancore.train.data import DataOrder, open_data
from gancore.train.loop import Training
from gancore.train.precision import Runtime
from gancore.train.rng import Streams

ANY = torch.Generator()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_shows_no_sample_twice_while_the_set_fills_a_batch(images, batch, epoch):
    order = DataOrder(images, batch, Streams(0))
    k = epoch * order.batches_per_epoch
    shown = torch.cat([order.indices(k + place) for place in range(order.batches_per_epoch)])
    if images >= batch:
        assert len(shown.unique()) == len(shown) == images // batch * batch
    else:
        assert len(shown) == batch
        assert len(shown.unique()) == images


def test_batch_k_does_not_depend_on_the_batches_before():
    order = DataOrder(50, 8, Streams(4))
    assert torch.equal(order.indices(17), DataOrder(50, 8, Streams(4)).indices(17))


def test_an_epoch_is_shuffled_once_however_many_batches_it_has(monkeypatch):
    shuffled, randperm = [], torch.randperm

    def counted(*given, **named):
        shuffled.append(given)
        return randperm(*given, **named)

    monkeypatch.setattr(torch, "randperm", counted)
    order = DataOrder(1003, 10, Streams(1959))
    batches = [order.indices(k) for k in range(2 * order.batches_per_epoch)]
    assert shuffled == [(1003,), (1003,)]
    assert [len(torch.cat(batches[start : start + 100]).unique()) for start in (0, 100)] == [
        1000,
        1000,
    ]


def test_changing_the_indices_of_a_batch_changes_no_other_batch():
    order = DataOrder(50, 8, Streams(5))
    before = order.indices(1).clone()
    order.indices(0).zero_()
    order.indices(1).zero_()
    assert torch.equal(order.indices(1), before)


def test_epochs_are_shuffled_differently():
    order = DataOrder(50, 50, Streams(4))
    assert not torch.equal(order.indices(0), order.indices(1))


def test_bytes_become_numbers_between_minus_one_and_one():
    data = StoredData(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1))
    images, labels = data.take(torch.arange(3), ANY)
    assert images.flatten().tolist() == pytest.approx([-1, -0.6, 1])
    assert labels.shape == (3, 0)


def test_every_byte_survives_the_round_trip():
    from gancore.run.pictures import to_pixels

    bytes_ = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    images, _ = StoredData(bytes_).take(torch.arange(256), ANY)
    assert torch.equal(to_pixels(images), bytes_)


def test_taking_does_not_change_what_is_stored():
    data = some_data()
    before = data.fingerprint()
    data.take(torch.arange(5), ANY)[0].zero_()
    assert data.fingerprint() == before


def test_a_fingerprint_sees_every_pixel_and_label():
    data = some_data()
    pixels, labels = data.samples.clone(), data.labels.clone()
    pixels[3, 1, 2, 2] ^= 1
    labels[5, 0] = (labels[5, 0] + 1) % 3
    prints = {data.fingerprint(), StoredData(pixels, data.labels, data.label_sets).fingerprint()}
    assert len(prints | {StoredData(data.samples, labels, data.label_sets).fingerprint()}) == 3


def test_labels_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[4, 1\] fit"):
        StoredData(
            torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.int64), (LabelSet("a", ("x",)),)
        )


def test_a_subset_is_the_chosen_samples_in_the_chosen_order():
    data = some_data()
    part = Subset(data, torch.tensor([7, 0, 3]))
    assert (len(part), part.shape, part.label_sets) == (3, data.shape, data.label_sets)
    found = part.take(torch.tensor([2, 0]), ANY)
    wanted = data.take(torch.tensor([3, 7]), ANY)
    assert all(map(torch.equal, found, wanted))


def test_the_fingerprint_of_a_subset_sees_the_data_the_choice_and_its_order():
    data, other = some_data(), some_data(count=39)
    one, swapped = torch.tensor([1, 2]), torch.tensor([2, 1])
    subsets = [Subset(data, one), Subset(data, swapped), Subset(data, one[:1]), Subset(other, one)]
    prints = {each.fingerprint() for each in (data, other, *subsets)}
    assert len(prints) == 6
    assert Subset(data, one.clone()).fingerprint() in prints


def test_a_subset_of_a_subset_reads_through_both():
    data = some_data()
    inner = Subset(data, torch.tensor([7, 0, 3]))
    outer = Subset(inner, torch.tensor([2, 1]))
    assert torch.equal(outer.take(torch.arange(2), ANY)[0], data.take(torch.tensor([3, 0]), ANY)[0])
    # the inner choice shows, though the outer one is the same
    assert outer.fingerprint() != Subset(data, torch.tensor([2, 1])).fingerprint()


def test_a_subset_draws_labels_of_its_own_where_it_knows_them():
    labels = torch.tensor([0] * 30 + [1] * 10).unsqueeze(1)
    data = StoredData(torch.zeros(40, 2), labels, (LabelSet("a", ("x", "y")),))
    last = torch.arange(30, 40)
    assert Subset(data, last, labels[last]).draw_labels(50, ANY).all()
    of_whole = Subset(data, last).draw_labels(50, torch.Generator().manual_seed(0))
    assert torch.equal(of_whole, data.draw_labels(50, torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match=r"\[10, 1\] fit"):
        Subset(data, last, labels)


def test_drawn_labels_have_the_frequencies_of_the_data():
    labels = torch.tensor([0] * 30 + [1] * 10).unsqueeze(1)
    data = StoredData(torch.zeros(40, 1), labels, (LabelSet("a", ("x", "y")),))
    share = data.draw_labels(4000, torch.Generator().manual_seed(0)).float().mean().item()
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5  # four standard errors


@every_row("size", [(1, 1), (7, 7), (7, 100), (2, 9)])
def test_every_player_trains_on_small_images_or_states_its_own_limit(size):
    pairs = [
        (gen, critic)
        for gen in ("dcgan", "colorpicker", "mlp")
        for critic in ("dcgan-critic", "mlp-critic")
    ]
    trained = set()
    for gen, critic in [*pairs, ("progressive", "progressive-critic")]:
        composition = compose(
            gen=gen, critic=critic, settings={"batch": 2}, options={"sprites.count": 1}
        )
        data = StoredData(torch.zeros(4, 3, *size, dtype=torch.uint8))
        try:
            Training.of(composition, data).train_step()
        except CompositionError as error:
            assert error.what.startswith("dcgan")
            assert "at least 8 pixels a side" in error.what
        else:
            trained.add((gen, critic))
    assert trained == {
        ("colorpicker", "mlp-critic"),
        ("mlp", "mlp-critic"),
        ("progressive", "progressive-critic"),
    }


def test_images_larger_than_any_size_that_may_be_asked_for_are_refused_with_the_flag():
    @component(source="a test")
    class Poster:
        @hookimpl
        def make_data(self):
            return StoredData(torch.zeros(2, 1, 4, 2000, dtype=torch.uint8))

    composition = evolve(compose(), hooks=Hooks([Component("poster", "data", Poster())]))
    with pytest.raises(UsageError, match="4×2000 pixels, more than 1024 a side") as told:
        open_data(composition)
    assert told.value.fix.startswith("--size 64")


def test_memory_that_a_component_cannot_have_names_the_options_that_ask_for_it():
    composition = compose(options={"normal.dim": 10**12, "sprites.count": 2})
    composition = evolve(
        composition, origins={"normal.dim": "--normal.dim 1000000000000", "run.batch": "--batch 4"}
    )
    data = StoredData(torch.zeros(4, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(
        UsageError, match="out of memory while the networks were built: [0-9,.]+ GiB"
    ) as told:
        prepare(composition, data, Runtime(torch.device("cpu")))
    assert told.value.fix.startswith("smaller values: --normal.dim 1000000000000")


def test_weights_that_no_machine_holds_are_refused_before_the_first_step():
    with pytest.raises(UsageError, match="1,000,000,000,000,000 weights, which take [0-9,]+ GiB"):
        expect_weights_fit(10**15, {})
