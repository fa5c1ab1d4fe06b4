"""Processes of one machine that hand each other tensors through memory that all of them see.

torch's messages between processes of one machine pass the network's stack and several threads that wait for a core; a
step of a network with batch norm sends dozens of small ones. Here each process writes into its own place and says so
on a socket.
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

MEMORY = Path("/dev/shm")  # a folder in memory, on Linux
PLACE = 1 << 20  # bytes that a process hands over at once: they are read again while they are still in the cache
SIZE = struct.Struct("q")


class SharedMemory:
    """Exchange by places in one mapped file, two for each process.

    A process writes, tells the others, and reads when all of them have told it. Then it may use its other place:
    whoever is told of a second message was read in the first.
    """

    def __init__(self, rank: int, places: Tensor, peers: list[socket.socket]) -> None:
        self.rank, self.places, self.peers = rank, places, peers
        self.turn = 0

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""
        found = values.new_empty(len(self.places), *values.shape)
        rows, step = found.view(len(found), values.numel()), PLACE // values.element_size()
        for part, own in zip(torch.split(rows, step, dim=1), torch.split(values.flatten(), step), strict=True):
            part.copy_(self._swap(own))
        return found

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each."""
        found = torch.empty_like(values, memory_format=torch.contiguous_format)
        step = PLACE // values.element_size()
        for part, own in zip(torch.split(found.view(-1), step), torch.split(values.flatten(), step), strict=True):
            torch.sum(self._swap(own), 0, out=part)
        return found

    def _swap(self, own: Tensor) -> Tensor:
        """Return what all processes wrote, `[R, n]`; it lasts until the call after the next."""
        self.turn ^= 1
        ours = self.places[:, self.turn, : own.nbytes].view(own.dtype)
        ours[self.rank] = own
        try:
            for peer in self.peers:
                peer.sendall(SIZE.pack(own.nbytes))
            told = [peer.recv(SIZE.size) for peer in self.peers]
        except OSError as error:
            raise PeerError.gone(error) from error
        if b"" in told:
            raise PeerError.gone("it closed its end")
        if any(each != SIZE.pack(own.nbytes) for each in told):
            raise PeerError(
                "the processes of this run no longer do the same", fix="gather and average are for all of them to call"
            )
        return ours


def share_memory(group: ProcessGroup, patience: float) -> ProcessGroup:
    """Let processes of one machine exchange through memory; where one of them cannot, all keep what they have.

    None waits for another longer than `patience`, in seconds.
    """
    folder = group.broadcast_text(_make_places(group.size) if group.is_main else "")
    if not folder:
        return group
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            places = _open_places(Path(folder), group, listener)
            if group.all_reduce_max(places is None) or places is None:
                return group
            peers = _connect(Path(folder), group, listener, patience)
            group.all_reduce_max(0)  # all are connected, and nobody needs a name any more
    finally:
        if group.is_main:
            shutil.rmtree(folder, ignore_errors=True)
    return evolve(group, exchange=SharedMemory(group.rank, places, peers))


def _make_places(size: int) -> str:
    """Return a new folder with a file of so many processes' places; nothing where there is no room for it."""
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="gan-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        Path(folder, "places").write_bytes(bytes(2 * PLACE * size))  # all of it, lest some be missing later
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return ""
    return folder


def _open_places(folder: Path, group: ProcessGroup, listener: socket.socket) -> Tensor | None:
    """Map the places `[R, 2, bytes]`, and listen under this process's number."""
    try:
        listener.bind(str(folder / str(group.rank)))
        listener.listen(group.size)
        size = 2 * PLACE * group.size
        places = torch.from_file(str(folder / "places"), shared=True, size=size, dtype=torch.uint8)
    except (OSError, RuntimeError):
        return None
    return places.view(group.size, 2, PLACE)


def _connect(folder: Path, group: ProcessGroup, listener: socket.socket, patience: float) -> list[socket.socket]:
    """Reach the processes before this one, and be reached by those after it."""
    listener.settimeout(patience)
    peers = [socket.socket(socket.AF_UNIX) for _ in range(group.rank)]
    for rank, peer in enumerate(peers):
        peer.connect(str(folder / str(rank)))
    peers += [listener.accept()[0] for _ in range(group.rank + 1, group.size)]
    for peer in peers:
        peer.settimeout(patience)
    return peers
