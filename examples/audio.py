"""Short sounds for a 1-D GAN: `gan run --data ./examples/audio.py`."""

import wave
from pathlib import Path

import torch
from torch import Tensor

from gancore import DataError, LabelSet, StoredData, cached, component, hookimpl, option

NOTES = {"a3": 220.0, "c4": 261.63, "e4": 329.63, "a4": 440.0}  # frequencies in Hz
RATE = 4000  # samples per second of the tones
FULL_SCALE = {1: 2**7, 2: 2**15, 4: 2**31}  # by bytes a sample


def tones(count: int, length: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Make tones `[count, 1, length]` in [-1, 1] and the number of each one's note `[count, 1]`.

    A tone is a sine and its first overtone, with random phases and a random decay.
    """
    notes = torch.randint(len(NOTES), (count, 1), generator=rng)
    phases = 2 * torch.pi * torch.rand(count, 2, 1, generator=rng)
    decay = 5 + 25 * torch.rand(count, 1, generator=rng)  # per second
    seconds = torch.arange(length) / RATE
    turns = 2 * torch.pi * torch.tensor(list(NOTES.values()))[notes] * seconds  # [count, length]
    sound = 0.6 * torch.sin(turns + phases[:, 0]) + 0.3 * torch.sin(2 * turns + phases[:, 1])
    return (sound * torch.exp(-decay * seconds))[:, None], notes


def read_wav(path: Path) -> tuple[Tensor, int]:
    """Read a .wav file of 8, 16 or 32 bits: samples `[T]` in [-1, 1], channels averaged, and rate.

    Raises wave.Error, or EOFError, for a file of another kind.
    """
    with wave.open(str(path)) as file:
        width = file.getsampwidth()
        channels = file.getnchannels()
        rate = file.getframerate()
        data = bytearray(file.readframes(file.getnframes()))
    if width not in FULL_SCALE:
        raise wave.Error(f"{8 * width} bits a sample")
    if not data:
        raise wave.Error("no samples")
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[width]
    numbers = torch.frombuffer(data, dtype=kind).double()
    if width == 1:
        numbers -= 128  # 8 bits are without sign
    return (numbers / FULL_SCALE[width]).view(-1, channels).mean(1).float(), rate


def pieces_of(sound: Tensor, length: int) -> Tensor:
    """Cut a sound `[T]` into pieces `[n, 1, length]`; silence fills up the last one."""
    missing = -len(sound) % length
    return torch.nn.functional.pad(sound, (0, missing)).view(-1, 1, length)


@component(
    source="Donahue, McAuley and Puckette, WaveGAN, ICLR 2019, arXiv:1802.04208 (of waveforms)",
    defaults={
        "gen": "dcgan",
        "critic": "dcgan-critic",
        "upsample": "nearest-conv",
        "dcgan": {"width": 16, "limit": 128},
        # long kernels, since a period of these tones has 9 to 18 samples
        "dcgan-critic": {"width": 16, "limit": 128, "kernel": 9},
        "nearest-conv": {"kernel": 5},
    },
)
class Audio:
    """Use short tones, or the .wav files of a folder, as signals `[N, 1, T]` in [-1, 1].

    Without `path` these are decaying tones of four notes at 4000 samples a second, with the label
    set `note`. With it they are pieces of T samples of each .wav file below the folder, without
    labels: 8, 16 or 32 bits, channels averaged, the last piece of a file filled up with silence.
    Files that cannot be read are listed in `data-report.json`. Raises DataError where no file can
    be used, or files differ in their rate.
    """

    path: str = option("", help="folder of .wav files; empty makes tones")
    length: int = option(256, ge=8, help="samples of one signal, T")
    count: int = option(512, ge=1, help="number of tones")
    report: dict | None = cached()

    @hookimpl
    def make_data(self):
        if not self.path:
            rng = torch.Generator().manual_seed(0)
            sounds, notes = tones(self.count, self.length, rng)
            return StoredData(sounds, notes, (LabelSet("note", tuple(NOTES)),))
        return StoredData(self.read(Path(self.path)))

    def read(self, folder: Path) -> Tensor:
        """Return the pieces of all files below a folder, `[M, 1, T]`, and fill the report."""
        pieces = []
        rates = {}
        skipped = {}
        for file in sorted(folder.rglob("*.wav")):
            name = str(file.relative_to(folder))
            try:
                sound, rates[name] = read_wav(file)
            except (wave.Error, EOFError, OSError) as error:
                skipped[name] = str(error)
                continue
            pieces.append(pieces_of(sound, self.length))
        if not pieces:
            raise DataError(
                f"no .wav file can be used: {len(skipped)} are there, and none can be read",
                where=str(folder),
                fix="a folder of .wav files with 8, 16 or 32 bits a sample",
            )
        if len(set(rates.values())) > 1:
            name, other = min(rates, key=rates.get), max(rates, key=rates.get)
            raise DataError(
                f"{name} has {rates[name]} samples a second, but {other} has {rates[other]}",
                where=str(folder),
                fix="convert all files to one rate",
            )
        self.report = {"used": len(pieces), "skipped": skipped}
        return torch.cat(pieces)

    @hookimpl
    def describe_data(self):
        return self.report
