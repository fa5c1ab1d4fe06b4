"""Signals and volumes: trained from files of the examples, resumed, shared, drawn, measured."""

import re
import wave

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.examples import example
from support.paths import EXAMPLES
from support.tables import every_row

from gancore import DataError, GanError, Run, compose, read_rows
from gancore.cli.sample import save_samples
from gancore.testing import check_component
from gancore.tools.verify_resume import verify

AUDIO = str(EXAMPLES / "audio.py")
VOLUMES = str(EXAMPLES / "volumes.py")
audio = example("audio")
volumes = example("volumes")

SETTINGS = {"batch": 8, "steps": 2, "device": "cpu", "sample_every": 2}
NETWORKS = {"dcgan.width": 2, "dcgan-critic.width": 2}
SMALL = {
    AUDIO: {"audio.length": 64, "audio.count": 24, **NETWORKS},
    VOLUMES: {"volumes.side": 8, "volumes.count": 24, **NETWORKS},
}
BOTH = [AUDIO, VOLUMES]


def small(data, settings=(), options=(), **slots):
    settings = {**SETTINGS, **dict(settings)}
    return compose(data=data, settings=settings, options={**SMALL[data], **dict(options)}, **slots)


def write_wav(path, samples, *, width=2, rate=8000, channels=1):
    """Write whole numbers as a .wav file of `width` bytes a sample."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        signed = width > 1
        file.writeframes(b"".join(n.to_bytes(width, "little", signed=signed) for n in samples))


@every_row("cls", [audio.Audio, volumes.Volumes])
def test_the_data_of_the_examples_conform(cls):
    sizes = {"length": 64, "count": 24} if cls is audio.Audio else {"side": 8, "count": 24}
    check_component(cls, **sizes)


@pytest.mark.slow
@every_row("data", BOTH)
@every_row("precision", ["fp32", "bf16"])
def test_they_resume_to_the_same_bits_pictures_included(data, precision, tmp_path):
    verdict = verify(small(data, {"precision": precision}), 2, tmp_path)
    assert verdict.differences == ()
    assert verdict.pictures > 0


@every_row("data", BOTH)
@every_row("upsample", ["nearest-conv", "bilinear-conv", "transposed"])
@every_row("norm", ["batch", "layer", "instance", "virtual-batch"])
def test_every_upsampler_and_norm_of_any_axes_trains(data, upsample, norm, tmp_path):
    own = {"virtual-batch.reference": 4} if norm == "virtual-batch" else {}
    chosen = small(data, options=own, upsample=upsample, norm=norm)
    assert Run.start(chosen, tmp_path / "run").fit(progress=False).training.step == 2


@every_row("data", BOTH)
@every_row(
    "slots",
    [
        {"loss": "wgan-gp", "critic_norm": "layer"},
        {"cond": ["label-maps", "embed-label"]},
        {"cond": ["acgan"], "reg": ["instance-noise", "dropout", "experience-replay", "ema"]},
        {"reg": ["minibatch-discrimination"], "gen": "mlp", "critic": "mlp-critic"},
        {"norm": str(EXAMPLES / "conditional_norm.py"), "reg": [str(EXAMPLES / "packing.py")]},
        {"metric": ["frechet", "mmd", "sliced-wasserstein", "collapse", "nearest"]},
        {"track": ["doctor", "curves"]},
    ],
)
def test_what_looks_at_no_pixels_trains_on_signals_and_volumes(data, slots, tmp_path):
    own = {f"{data_name(data)}.count": 40}
    if "mlp" in slots.get("gen", ""):
        own |= dict.fromkeys(NETWORKS)
    options = {key: value for key, value in {**SMALL[data], **own}.items() if value is not None}
    chosen = compose(data=data, settings=SETTINGS, options=options, **slots)
    assert Run.start(chosen, tmp_path / "run").fit(progress=False).training.step == 2


def data_name(data):
    return "audio" if data == AUDIO else "volumes"


@every_row("data", BOTH)
@every_row(
    ("slots", "message"),
    [
        ({"upsample": "pixel-shuffle"}, "pixel-shuffle doubles images"),
        ({"gen": "progressive"}, "only images have"),
        ({"gen": "colorpicker"}, "colorpicker makes images"),
        ({"reg": ["augment"]}, "pixels of images"),
        ({"track": ["reals"]}, "a sheet shows images"),
        ({"track": ["scatter"]}, "a scatter plot shows points"),
        ({"metric": ["recognition"]}, "its classifier takes images"),
    ],
)
def test_what_looks_at_pixels_is_refused_in_a_sentence(data, slots, message, tmp_path):
    options = {key: value for key, value in SMALL[data].items() if "dcgan" not in key}
    with pytest.raises(GanError, match=message) as caught:
        Run.start(compose(data=data, settings=SETTINGS, options=options, **slots), tmp_path / "run")
    assert caught.value.fix
    assert not (tmp_path / "run").exists()


def test_a_colour_histogram_of_signals_is_refused_in_a_sentence(tmp_path):
    chosen = small(AUDIO, options={"frechet.features": "palette"}, metric=["frechet"])
    with pytest.raises(GanError, match="the data are signals"):
        Run.start(chosen, tmp_path / "run").fit(progress=False)


@every_row("data", BOTH)
def test_samples_are_drawn_by_the_run_and_saved_as_numbers(data, tmp_path):
    run = Run.start(small(data), tmp_path / "run").fit(progress=False)
    with Image.open(run.folder / "samples/final.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**20)) > 1
    made, _ = run.sample(3)
    save_samples(made, tmp_path / "made")
    import numpy

    stored = [numpy.load(tmp_path / "made" / f"{number:05d}.npy") for number in range(3)]
    assert torch.equal(torch.from_numpy(numpy.stack(stored)), made)


# ── the files of a folder ─────────────────────────────────────────────────────────────────────────


@every_row(
    ("width", "written", "read"),
    [
        (1, [0, 128, 192, 255], [-1, 0, 0.5, 127 / 128]),
        (2, [-(2**15), 0, 2**14, 2**15 - 1], [-1, 0, 0.5, 1 - 2**-15]),
        (4, [-(2**31), 0, 2**30, -(2**30)], [-1, 0, 0.5, -0.5]),
    ],
)
def test_samples_of_a_wav_file_lie_between_minus_one_and_one(width, written, read, tmp_path):
    write_wav(tmp_path / "a.wav", written, width=width)
    sound, rate = audio.read_wav(tmp_path / "a.wav")
    assert (sound.tolist(), rate) == (read, 8000)


def test_channels_are_averaged_and_silence_fills_up_the_last_piece(tmp_path):
    write_wav(tmp_path / "a.wav", [2**14, 0] * 10, channels=2)
    samples = audio.Audio(path=str(tmp_path), length=8).make_data().samples
    assert samples.shape == (2, 1, 8)
    assert samples.flatten().tolist() == [0.25] * 10 + [0.0] * 6


def test_a_folder_trains_and_its_report_names_what_cannot_be_read(tmp_path):
    folder = tmp_path / "sounds"
    (folder / "more").mkdir(parents=True)
    write_wav(folder / "a.wav", range(0, 3000, 10))
    write_wav(folder / "more" / "b.wav", range(0, 6000, 10))
    (folder / "odd.wav").write_bytes(b"no sound")
    write_wav(folder / "wide.wav", range(9), width=3)
    own = {"audio.path": str(folder), "audio.length": 64, **NETWORKS}
    chosen = compose(data=AUDIO, settings=SETTINGS, options=own)
    run = Run.start(chosen, tmp_path / "run").fit(progress=False)
    report = (run.folder / "data-report.json").read_text()
    assert '"used": 2' in report
    assert "odd.wav" in report
    assert "24 bits" in report


@every_row(
    ("files", "message"),
    [
        ({}, "no .wav file can be used"),
        ({"a.wav": 8000, "b.wav": 16000}, "a.wav has 8000 samples a second, but b.wav has 16000"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(files, message, tmp_path):
    for name, rate in files.items():
        write_wav(tmp_path / name, range(100), rate=rate)
    with pytest.raises(DataError, match=re.escape(message)):
        audio.Audio(path=str(tmp_path)).make_data()


# ── whether they learn ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (AUDIO, {"audio.length": 128, "dcgan.width": 8, "dcgan-critic.width": 8}),
        (VOLUMES, {"volumes.side": 8, "dcgan.width": 8, "dcgan-critic.width": 8}),
    ],
)
def test_a_short_training_comes_closer_to_the_data(data, sizes, tmp_path):
    settings = {**SETTINGS, "batch": 32, "steps": 300, "sample_every": 100}
    slots = {"data": data, "metric": ["frechet"]}
    chosen = compose(recipe="base", settings=settings, options=sizes, **slots)
    run = Run.start(chosen, tmp_path / "run").fit(progress=False)
    rows = [row for row in read_rows(run.folder) if "frechet/ratio" in row]
    assert rows[-1]["frechet/ratio"] < rows[0]["frechet/ratio"] / 2
    assert load_file(sorted((run.folder / "checkpoints").iterdir())[-1] / "generator.safetensors")
