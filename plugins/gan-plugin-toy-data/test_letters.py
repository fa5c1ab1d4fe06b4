"""Facts about the initials: what is the same, what differs, and that one can read them."""

import os
import string
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFont
from support.tables import every_row

from gan_plugin_toy_data.letters import Letters, fonts
from gan_plugin_toy_data.letters.fonts import Glyphs, load, parse_alphabet
from gancore import DataError, DataSpec, UsageError
from gancore.testing import check_component

LATIN = tuple(string.ascii_uppercase)
SMALL = (32, 32)


def draw(size=SMALL, folder=Path(), count=26, **options):
    return Letters(count=count, **options).make_data(DataSpec(size, folder))


@pytest.fixture(scope="module")
def initials():
    return draw(count=26 * 12)


@pytest.fixture
def own_font(tmp_path):
    """The font that Pillow carries, as a file."""
    held = ImageFont.load_default(20).path
    (tmp_path / "fonts" / "deep").mkdir(parents=True)
    path = tmp_path / "fonts" / "deep" / "Own.TTF"
    path.write_bytes(held.getvalue() if isinstance(held, BytesIO) else Path(held).read_bytes())
    return path


def test_conforms():
    check_component(Letters, count=40)
    check_component(Letters, count=40, letters=2)


def test_3000_grey_initials_of_64_pixels_are_the_default():
    assert Letters().count == 3000
    assert draw(None, count=2).samples.shape == (2, 1, 64, 64)


def test_every_26_in_a_row_hold_each_letter_once(initials):
    assert [(each.name, each.classes) for each in initials.label_sets] == [("letter", LATIN)]
    assert (initials.labels.view(-1, 26).sort(1).values == torch.arange(26)).all()


def test_two_letters_have_a_label_set_each_and_are_dealt_independently():
    data = draw(count=26 * 4, letters=2)
    assert [(each.name, each.classes) for each in data.label_sets] == [
        ("first", LATIN),
        ("second", LATIN),
    ]
    assert (data.labels.view(4, 26, 2).sort(1).values == torch.arange(26)[:, None]).all()
    assert not torch.equal(data.labels[:, 0], data.labels[:, 1])


def test_two_letters_stand_in_the_order_of_their_labels():
    data = draw(letters=2, alphabet="IM", count=8, ornament=False, jitter=0)
    columns = (data.samples < 128).any(2)[:, 0]  # [8, 32]: columns with ink
    for half, labels in (
        (columns[:, :16], data.labels[:, 0]),
        (columns[:, 16:], data.labels[:, 1]),
    ):
        # an I is narrower than an M
        assert half.sum(1)[labels == 0].max() < half.sum(1)[labels == 1].min()


def test_the_same_options_draw_the_same_bytes_and_another_seed_others(initials):
    assert draw(count=26 * 12).fingerprint() == initials.fingerprint()
    assert (draw(seed=1).samples != initials.samples[:26]).flatten(1).any(1).all()


def test_initial_i_does_not_depend_on_count(initials):
    assert torch.equal(draw(count=30).samples, initials.samples[:30])
    assert torch.equal(draw(count=30).labels, initials.labels[:30])


def test_no_two_initials_are_equal(initials):
    assert len({each.numpy().tobytes() for each in initials.samples}) == len(initials)


@every_row(
    ("options", "distinct"),
    [({}, 4), ({"ornament": False}, 4), ({"jitter": 0}, 4), ({"ornament": False, "jitter": 0}, 1)],
)
def test_initials_of_one_letter_differ_by_ornament_and_by_jitter_and_by_nothing_else(
    options, distinct
):
    samples = draw(alphabet="Q", count=4, **options).samples
    assert len({each.numpy().tobytes() for each in samples}) == distinct


def test_paper_is_light_and_ink_is_dark(initials):
    assert initials.samples.dtype == torch.uint8
    levels = initials.samples.flatten(1).float()
    assert (levels.max(1).values >= 225).all()
    assert (levels.min(1).values <= 80).all()
    assert (levels.quantile(0.75, 1) >= 200).all()


def test_the_ornament_stays_behind_the_letter():
    bare, adorned = (draw(ornament=ornament).samples for ornament in (False, True))
    inked = bare < 80
    assert (adorned[inked].int() - bare[inked].int()).abs().max() <= 1
    assert ((adorned != bare).flatten(1).float().mean(1) > 0.1).all()


@pytest.mark.parametrize("ornament", [True, False])
def test_most_initials_are_nearest_to_the_mean_of_their_own_letter(ornament):
    data = draw(count=26 * 20, ornament=ornament)
    images, labels = data.samples.flatten(1).double(), data.labels[:, 0]
    half = 26 * 10  # means of one half judge the other
    means = torch.stack([images[:half][labels[:half] == each].mean(0) for each in range(26)])
    found = torch.cdist(images[half:], means).argmin(1)
    assert (found == labels[half:]).double().mean() > 0.5  # chance: 1/26


@every_row("size", [(1, 1), (7, 7), (28, 40), (50, 33)])
def test_every_size_is_drawn(size):
    assert draw(size, count=3).samples.shape == (3, 1, *size)


@every_row("letter", LATIN)
def test_a_letter_fills_its_box_and_no_more(letter):
    ink, halo = Glyphs([load(None, 128, LATIN)], 60, 60).draw(0, letter, 0)
    left, top, right, bottom = ink.getbbox()
    assert max(right - left, bottom - top) in (59, 60, 61, 62)
    assert ink.size == halo.size
    assert (np.asarray(halo) >= np.asarray(ink)).all()


# ── alphabets and fonts ───────────────────────────────────────────────────────────────────────────


@every_row(
    ("text", "letters"),
    [
        ("A-Z", string.ascii_uppercase),
        ("AEIOU", "AEIOU"),
        ("a-cX-Z", "abcXYZ"),
        ("AAB", "AB"),
        ("A-", "A-"),
    ],
)
def test_alphabets_are_spelt_out(text, letters):
    assert "".join(parse_alphabet(text)) == letters


@pytest.mark.parametrize(
    ("text", "said"), [("", "is empty"), ("Z-A", "holds Z-A, which runs backwards")]
)
def test_alphabets_that_make_no_sense_are_refused(text, said):
    with pytest.raises(UsageError, match=said):
        draw(alphabet=text)


@pytest.mark.parametrize("text", [" ", "A一", "\ud800"])
def test_letters_that_the_font_does_not_draw_are_refused(text):
    with pytest.raises(DataError, match="the font of Pillow"):
        draw(alphabet=text)


def test_a_font_may_be_a_file_or_lie_deep_in_a_folder(own_font, tmp_path):
    by_file, by_folder = draw(fonts=str(own_font)), draw(fonts="fonts", folder=tmp_path)
    assert by_file.fingerprint() == by_folder.fingerprint() == draw().fingerprint()


def test_files_that_are_no_fonts_and_folders_without_any_are_refused(own_font, tmp_path):
    (own_font.parent / "bad.otf").write_bytes(b"no font")
    with pytest.raises(DataError, match=r"bad\.otf cannot be used"):
        draw(fonts=str(tmp_path))
    with pytest.raises(UsageError, match=r"holds no \.ttf or \.otf file"):
        draw(fonts=str(tmp_path / "nowhere"))


def test_of_the_systems_fonts_those_that_serve_are_used(own_font, monkeypatch):
    (own_font.parent / "bad.otf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "FOLDERS", {fonts.sys.platform: (str(own_font.parent),)})
    assert draw(fonts="system").fingerprint() == draw().fingerprint()
    os.unlink(own_font)
    with pytest.raises(UsageError, match="no font with all the letters"):
        draw(fonts="system")
