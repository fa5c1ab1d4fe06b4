"""What processes of one machine hand each other through memory, and words for what goes wrong."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gancore import PeerError
from gancore.distributed import shared_memory
from gancore.distributed.shared_memory import BUFFER_BYTES, SharedMemory


@contextmanager
def neighbours(size, patience=20):
    """Yield so many ends of one memory, for a thread each."""
    places = torch.zeros(size, 2, BUFFER_BYTES, dtype=torch.uint8)
    sockets = {rank: [] for rank in range(size)}
    for one, other in combinations(range(size), 2):
        for rank, end in zip((one, other), socket.socketpair(), strict=True):
            end.settimeout(patience)
            sockets[rank].append(end)
    yield [SharedMemory(rank, places, sockets[rank]) for rank in range(size)]
    for end in sum(sockets.values(), []):
        end.close()


def at_once(do, *each):
    with ThreadPoolExecutor(len(each[0])) as pool:
        return [
            future.result()
            for future in [pool.submit(do, *given) for given in zip(*each, strict=True)]
        ]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 4),
    st.sampled_from(
        [
            (),
            (0,),
            (5,),
            (3, 0, 2),
            (2, 3, 4, 5),
            (BUFFER_BYTES // 4,),
            (BUFFER_BYTES // 4 + 1,),
            (3, BUFFER_BYTES // 5),
        ]
    ),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8]),
)
def test_all_processes_get_what_each_has_and_its_sum(size, shape, kind):
    given = torch.randint(0, 9, (size, *shape), generator=torch.Generator().manual_seed(0)).to(kind)

    def exchange(end, own):
        return end.all_gather(own), end.all_reduce(own), end.all_gather(own + 1)

    with neighbours(size) as ends:
        for every, total, more in at_once(exchange, ends, given):
            assert every.dtype == total.dtype == kind
            assert torch.equal(every, given)
            assert torch.equal(total, given.sum(0).to(kind))
            assert torch.equal(more, given + 1)


def test_what_lies_in_another_order_is_exchanged_as_it_reads():
    given = torch.arange(48.0).view(2, 2, 3, 2, 2)
    with neighbours(2) as ends:
        totals = at_once(
            lambda end, own: end.all_reduce(own.contiguous(memory_format=torch.channels_last)),
            ends,
            given.unbind(),
        )
    assert all(torch.equal(total, given.sum(0)) for total in totals)


def test_what_was_received_stays_when_more_is_sent():
    def exchange(end):
        found = [end.all_gather(torch.tensor([step, end.rank])) for step in range(50)]
        return torch.stack(found)

    with neighbours(3) as ends:
        for found in at_once(exchange, ends):
            assert torch.equal(found[..., 0], torch.arange(50)[:, None].expand(50, 3))
            assert torch.equal(found[..., 1], torch.arange(3).expand(50, 3))


def test_a_lost_process_is_told():
    with neighbours(3) as ends:
        for peer in ends[2].peers:
            peer.close()
        with pytest.raises(PeerError, match="another process of this run is gone") as caught:
            ends[0].all_gather(torch.ones(2))
        assert "--resume" in caught.value.fix


def test_a_process_that_never_answers_is_told():
    with neighbours(2, patience=0.05) as ends, pytest.raises(PeerError, match="is gone") as caught:
        ends[0].all_gather(torch.ones(2))
    assert "timed out" in caught.value.where


def test_processes_that_do_different_things_are_told():
    def exchange(end):
        with pytest.raises(PeerError, match="no longer do the same"):
            end.all_gather(torch.ones(2 + end.rank))

    with neighbours(2) as ends:
        at_once(exchange, ends)


def test_without_a_folder_in_memory_another_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "SHM_FOLDER", tmp_path / "absent")
    monkeypatch.setattr(shared_memory.tempfile, "tempdir", str(tmp_path))
    folder = shared_memory._make_buffers(2)
    assert [each.name for each in tmp_path.iterdir()] == [folder.rpartition("/")[2]]


def test_without_room_there_are_no_buffers_and_nothing_is_left(monkeypatch, tmp_path):
    def full(path, data):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_memory, "SHM_FOLDER", tmp_path)
    monkeypatch.setattr(shared_memory.Path, "write_bytes", full)
    assert shared_memory._make_buffers(2) == ""
    assert list(tmp_path.iterdir()) == []
