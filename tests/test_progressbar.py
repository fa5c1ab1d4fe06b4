"""What is shown while data are decoded: at once for many items, with rate and time left, and
nothing for few.
"""

import subprocess
import sys
from itertools import count

import pytest

from gancore import progressbar


def lines_of(total, seconds_each):
    """The plain lines for so many items, each of which takes so many seconds."""
    lines, ticks = [], count(0, seconds_each)
    shown = progressbar._with_lines(
        range(total), total, "decoding images", 1, lines.append, lambda: next(ticks)
    )
    assert list(shown) == [*range(total)]
    return lines


def test_the_first_of_many_items_is_announced_before_it_is_done():
    lines, items = [], iter(range(24_000))
    first = next(
        iter(
            progressbar._with_lines(items, 24_000, "decoding images", 1, lines.append, lambda: 0.0)
        )
    )
    assert first == 0
    assert lines == ["decoding images: 24,000"]


def test_plain_lines_have_the_rate_and_the_time_left():
    assert lines_of(24_000, 1 / 512)[1:] == [
        "decoding images: 2,560 of 24,000, 512 a second, 42 s left",
        "decoding images: 10,240 of 24,000, 512 a second, 27 s left",
    ]


def test_few_items_that_take_long_are_shown_too():
    assert lines_of(4, 3.0) == [
        "decoding images: 1 of 4, 3.0 s each, 9 s left",
        "decoding images: 3 of 4, 3.0 s each, 3 s left",
    ]


def test_few_items_that_are_done_at_once_print_nothing():
    assert lines_of(100, 0.001) == []


@pytest.mark.parametrize(("rank", "expected"), [("0", "working: 600\n"), ("1", "")])
def test_of_several_processes_only_the_first_prints(rank, expected):
    code = "from gancore import progress_bar; list(progress_bar(range(600), 600, 'working'))"
    env = {"MASTER_ADDR": "localhost", "RANK": rank}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert done.stderr == expected


def test_items_that_stand_for_several_are_counted_as_such():
    lines, ticks = [], count(0, 4)
    list(
        progressbar._with_lines(range(3), 2500, "drawing", 1000, lines.append, lambda: next(ticks))
    )
    assert lines == ["drawing: 1,000 of 2,500, 250 a second, 6 s left"]
