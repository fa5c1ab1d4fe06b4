"""Random numbers follow from (seed, attempt, stream, moment) alone."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from gancore.train.rng import Streams, derive


@given(st.integers(0, 2**63 - 1), st.text(max_size=20), st.integers(0, 10**9))
def test_a_derived_number_fits_a_torch_seed(seed, stream, step):
    assert 0 <= derive(seed, stream, step) < 2**63


def test_equal_keys_give_equal_numbers():
    one, two = (Streams(3).generator("latent", 7) for _ in range(2))
    assert torch.equal(torch.randn(9, generator=one), torch.randn(9, generator=two))


def test_every_part_of_the_key_matters():
    keys = [(0, 0, "a", 1), (1, 0, "a", 1), (0, 1, "a", 1), (0, 0, "b", 1), (0, 0, "a", 2)]
    assert len(
        {Streams(seed, attempt).number(stream, step) for seed, attempt, stream, step in keys}
    ) == len(keys)


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    with Streams(0).building("critic"):
        torch.randn(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_numbers_of_a_seed_do_not_change_between_releases():
    assert derive(0, 0, "global", 0) == 216750507548892105
    assert derive(7, 1, "data-order", 3, 0) == 5067281228839787614
