"""One process against two: sound components pass, and threads stand for processes."""

import random

import pytest
import torch
from support.bad_plugins import bad
from support.tables import every_row
from torch import nn

from gancore import PeerError, average, draw_rows, gather, peers
from gancore.testing import check_two_processes, some_data
from gancore.testing.lockstep import in_processes


def spread(self, batch):
    return {"a": gather(batch.fake.score).std()}


def noise(self, images, rng):
    return images + 0.1 * draw_rows(torch.randn, images.shape, rng)


def shared_shift(self, images, shared_rng):
    return images + torch.randn((), generator=shared_rng)


class Mean(nn.Module):
    def forward(self, maps):
        return maps - average(maps.mean(0))


SOUND = {
    "a standard deviation of all rows": {"critic_terms": spread},
    "noise for the rows of a process": {"critic_view": noise},
    "a number that all processes draw": {"critic_view": shared_shift},
    "a layer that averages over processes": {"make_norm": lambda self: Mean()},
    "dropout of torch": {"make_norm": lambda self: nn.Dropout(0.5)},
}


@every_row("what", SOUND)
def test_what_is_sound_computes_the_same_in_two_processes(what):
    check_two_processes(lambda: [bad(**SOUND[what])()])


@every_row("shape", [(2,), (2, 16), (3, 16, 16), (1, 8, 8, 8)])
def test_the_stand_ins_compute_the_same_for_samples_of_every_shape(shape):
    check_two_processes(lambda: [], data=some_data(shape))


def test_a_component_that_computes_in_float32_is_compared_in_float32():
    def terms(self, batch):
        return {"a": batch.critic(batch.fake.images.float(), batch.fake.labels).score.std()}

    with pytest.raises(AssertionError, match="bad.critic_terms computes over the rows of its own"):
        check_two_processes(lambda: [bad(critic_terms=terms)()])


def test_threads_exchange_as_processes_do_and_share_no_random_numbers():
    def work(group):
        with group.together():
            assert peers() is group
            torch.manual_seed(group.rank)
            random.seed(group.rank)
            before = (torch.rand(()).item(), random.random())
            rows = gather(torch.full((2,), float(group.rank)))
            mean = average(torch.tensor(float(group.rank)))
            after = (torch.rand(()).item(), random.random())
        torch.manual_seed(group.rank)
        random.seed(group.rank)
        again = [(torch.rand(()).item(), random.random()) for _ in range(2)]
        return rows.tolist(), mean.item(), [before, after] == again

    found = in_processes(3, work)
    assert found == [([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], 1.0, True)] * 3
    assert peers().size == 1


def test_threads_that_no_longer_do_the_same_end_with_a_sentence():
    def work(group):
        return group.exchange.all_gather(torch.zeros(1)) if group.rank else None

    with pytest.raises(PeerError, match="no longer do the same"):
        in_processes(2, work)


def test_the_error_of_the_process_that_failed_is_raised_and_not_that_of_those_it_left():
    def work(group):
        if group.rank:
            raise ValueError("its own")
        return group.exchange.all_gather(torch.zeros(1))

    with pytest.raises(ValueError, match="its own"):
        in_processes(2, work)
