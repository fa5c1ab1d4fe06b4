"""Techniques from the command line: each trains, resumes to the same bits, and is reported."""

import pytest
from support.tables import every_row

SMALL = [
    "--batch",
    "8",
    "--device",
    "cpu",
    "--log-every",
    "10",
    "--data",
    "sprites",
    "--size",
    "16",
]
SMALL += ["--sprites.count", "64", "--dcgan.width", "4", "--dcgan-critic.width", "4"]
# a run that stops writes a row there, so its log, which the doctor stores, has a row more
SMALL += ["--without", "doctor"]
REGS = [
    "extragradient",
    "lookahead",
    "extra-adam",
    "historical-averaging",
    "beta2-schedule",
    "unrolled",
]
REGS += ["accumulate", "logan", "standing-stats", "truncation", "rejection"]
TECHNIQUES = {name: ["--reg", name] for name in REGS}
TECHNIQUES["optimistic-adam"] = ["--optim", "optimistic-adam"]
TECHNIQUES |= {name: ["--loss", name] for name in ("ebgan", "began")}
TECHNIQUES["ema"] = ["--reg", "ema", "--ema.half-life", "100"]
TECHNIQUES["term-schedule"] = [
    "--reg",
    "term-schedule",
    "--term-schedule.term",
    "bce/fake",
    "--term-schedule.end",
    "9",
]


def files_of(run):
    """Return the content of the files of tensors in the last checkpoint of a run."""
    last = max((run / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}


@pytest.mark.slow
@every_row("name", sorted(TECHNIQUES))
def test_a_technique_trains_twenty_steps_and_resumes_to_the_same_bits(gan_here, tmp_path, name):
    given = [*TECHNIQUES[name], *SMALL]
    gan_here("run", *given, "--steps", "20", "--out", "whole")
    # in the middle of a group of accumulated updates, and of a round of lookahead
    gan_here("run", *given, "--steps", "7", "--out", "half")
    gan_here("run", "--resume", "half", "--steps", "20")
    stored = files_of(tmp_path / "half")
    for part, content in files_of(tmp_path / "whole").items():
        assert content == stored[part], part


def test_gan_sample_says_how_samples_were_drawn(gan_here):
    words = ["--gen", "mlp", "--critic", "mlp-critic", "--data", "mixture", "--latent", "normal"]
    given = [*words, "--steps", "2", "--device", "cpu", "--norm", "none", "--batch", "16"]
    given += ["--reg", "truncation", "--truncation.bound", "0.5", "--reg", "rejection"]
    given += ["--without", "ema"]
    gan_here("run", *given, "--out", "r")
    said = gan_here("sample", "r", "-n", "40", "-o", "points").stderr
    assert "drawn by truncation (bound 0.5, of normal) and rejection" in said
    assert int(said.split()[0]) < 40
