"""Exchanges tensors between the processes of one machine through shared memory.

gloo sends tensors through the network stack and several threads, each of which waits for a core.
One step of a network with batch norm exchanges dozens of small tensors. Here each process writes
into a buffer that all of them map, and signals on a socket that it has done so.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
from pathlib import Path

import torch
from attrs import evolve
from torch import Tensor

from gancore.distributed.group import ProcessGroup
from gancore.errors import PeerError

SHM_FOLDER = Path("/dev/shm")  # a file system in memory, on Linux
BUFFER_BYTES = 1 << 20  # larger tensors go in parts of this size, which still fit into the cache
SIGNAL = struct.Struct("q")  # the number of bytes written, to notice processes that have diverged


class SharedMemory:
    """Exchange through one mapped file with two buffers for each process, `[R, 2, bytes]`.

    A process writes into its buffer, signals, and reads the others' buffers after all of them have
    signalled. The two buffers alternate: a peer's second signal implies that it has read our first
    buffer, so we may overwrite that one.
    """

    def __init__(self, rank: int, buffers: Tensor, peers: list[socket.socket]) -> None:
        self.rank = rank
        self.buffers = buffers
        self.peers = peers
        self.turn = 0

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""
        found = values.new_empty(len(self.buffers), *values.shape)
        rows = found.view(len(found), values.numel())
        step = BUFFER_BYTES // values.element_size()
        parts = torch.split(rows, step, dim=1)
        for part, own in zip(parts, torch.split(values.flatten(), step), strict=True):
            part.copy_(self._swap(own))
        return found

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, bit-identical in each."""
        found = torch.empty_like(values, memory_format=torch.contiguous_format)
        step = BUFFER_BYTES // values.element_size()
        parts = torch.split(found.view(-1), step)
        for part, own in zip(parts, torch.split(values.flatten(), step), strict=True):
            # by rank in every process: sums of floats in another order differ in their last bits
            torch.sum(self._swap(own), 0, out=part)
        return found

    def _swap(self, own: Tensor) -> Tensor:
        """Return what all processes wrote, `[R, n]`; valid until the call after the next."""
        self.turn ^= 1
        written = self.buffers[:, self.turn, : own.nbytes].view(own.dtype)
        written[self.rank] = own
        signal = SIGNAL.pack(own.nbytes)
        try:
            for peer in self.peers:
                peer.sendall(signal)
            # after all are sent: processes that wait for each other's signal would wait for ever
            received = [peer.recv(SIGNAL.size) for peer in self.peers]
        except OSError as error:
            raise PeerError.gone(error) from error
        if b"" in received:
            raise PeerError.gone("it closed its end")
        if any(each != signal for each in received):
            raise PeerError(
                "the processes of this run no longer do the same",
                fix="call gather and average in every process, or in none",
            )
        return written


def share_memory(group: ProcessGroup, timeout: float) -> ProcessGroup:
    """Return the group with an exchange through shared memory.

    Returns it unchanged if one of the processes cannot set that up. `timeout` is how many seconds a
    process waits for another.
    """
    folder = group.broadcast_text(_make_buffers(group.size) if group.is_main else "")
    if not folder:
        return group
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            buffers = _open_buffers(Path(folder), group, listener)
            if group.all_reduce_max(buffers is None) or buffers is None:
                return group
            peers = _connect(Path(folder), group, listener, timeout)
            group.all_reduce_max(0)  # wait until all are connected: then the folder may be removed
    finally:
        if group.is_main:
            shutil.rmtree(folder, ignore_errors=True)
    return evolve(group, exchange=SharedMemory(group.rank, buffers, peers))


def _make_buffers(size: int) -> str:
    """Make a folder with the file of the buffers; return '' if there is no room for it."""
    folder = ""
    try:
        place = SHM_FOLDER if os.access(SHM_FOLDER, os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="gan-", dir=place)
        # write every byte: a sparse file would end the process later, when memory runs out
        Path(folder, "buffers").write_bytes(bytes(2 * BUFFER_BYTES * size))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return ""
    return folder


def _open_buffers(folder: Path, group: ProcessGroup, listener: socket.socket) -> Tensor | None:
    """Map the buffers `[R, 2, bytes]` and listen on this rank's socket; None if that fails."""
    try:
        listener.bind(str(folder / str(group.rank)))
        listener.listen(group.size)
        size = 2 * BUFFER_BYTES * group.size
        buffers = torch.from_file(
            str(folder / "buffers"), shared=True, size=size, dtype=torch.uint8
        )
    except (OSError, RuntimeError):
        return None
    return buffers.view(group.size, 2, BUFFER_BYTES)


def _connect(
    folder: Path, group: ProcessGroup, listener: socket.socket, timeout: float
) -> list[socket.socket]:
    """Connect to the lower ranks and accept the higher ones; return the sockets by rank."""
    listener.settimeout(timeout)
    peers = []
    for rank in range(group.rank):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(folder / str(rank)))
        peers.append(peer)
    for _ in range(group.rank + 1, group.size):
        peer, _ = listener.accept()
        peers.append(peer)
    for peer in peers:
        peer.settimeout(timeout)
    return peers
