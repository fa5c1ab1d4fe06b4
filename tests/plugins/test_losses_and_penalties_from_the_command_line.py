"""Losses, penalties, moves of both players and ways of sampling, through files."""

import pytest
from support.tables import every_row

TINY = (
    "--data", "sprites", "--sprites.count", "64", "--size", "16", "--dcgan.width", "4",
    "--dcgan-critic.width", "4", "--batch", "8", "--device", "cpu", "--log-every", "1",
)  # fmt: skip
PLAIN = ("--critic-norm", "none")
WORDS = [
    ("--loss", "hinge", "--reg", "lecam", "--lecam.start", "2", "--reg", "equalised-lr"),
    ("--loss", "lsgan", "--reg", "orthogonal-rows", "--init", "orthogonal"),
    ("--loss", "relativistic", "--reg", "r1", "--reg", "r2", "--r1.every", "2", *PLAIN),
    ("--loss", "ralsgan", "--reg", "lookahead", "--lookahead.k", "2"),
    ("--loss", "dual-contrastive", "--reg", "r1", "--r1.gamma", "none", *PLAIN),
    ("--loss", "ebgan", "--reg", "extra-adam"),
    ("--loss", "began", "--reg", "accumulate"),
    ("--loss", "bce", "--reg", "top-k", "--top-k.every", "2", "--reg", "historical-averaging"),
    ("--reg", "zero-gp", "--reg", "wgan-lp", "--reg", "dragan", *PLAIN),
    ("--reg", "max-gp", "--reg", "wgan-div", *PLAIN),
    ("--loss", "wgan-gp", "--reg", "drift", "--reg", "beta2-schedule"),
    ("--reg", "gn-gan", "--optim", "optimistic-adam", *PLAIN),
    ("--reg", "spectral-norm", "--spectral-norm.generator", "true", "--reg", "r1", *PLAIN),
    ("--reg", "unrolled", "--unrolled.k", "1", *PLAIN),
    ("--reg", "r1", "--reg", "term-schedule", "--term-schedule.term", "r1/penalty", *PLAIN),
    ("--reg", "ema", "--ema.half-life", "10", "--reg", "standing-stats", "--reg", "truncation"),
    ("--reg", "rejection"),
]


def files_of(run):
    """Return the content of the files of tensors in the last checkpoint of a run."""
    last = max((run / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}


@pytest.mark.slow
@every_row("words", WORDS)
def test_a_technique_resumes_to_the_same_bits(gan_here, tmp_path, words):
    whole = tmp_path / "whole"
    half = tmp_path / "half"
    gan_here("run", *words, *TINY, "--steps", "6", "--out", whole)
    gan_here("run", *words, *TINY, "--steps", "3", "--out", half)
    gan_here("run", "--resume", half, "--steps", "6")
    found = files_of(half)
    differ = [name for name, content in files_of(whole).items() if content != found[name]]
    assert not differ


@pytest.mark.slow
@every_row("words", WORDS)
def test_a_technique_trains_in_half_precision(gan_here, tmp_path, words):
    gan_here("run", *words, *TINY, "--steps", "1", "--precision", "bf16", "--out", tmp_path / "r")
