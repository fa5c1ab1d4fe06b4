import pytest

from gan_plugin_schedules.stop_when import StopWhen
from gancore import UsageError
from gancore.testing import check_component, copy_state


def reasons(values, **options):
    stop = StopWhen(figure="a/b", **options)
    return [stop.stop({} if value is None else {"a/b": value}) for value in values]


def test_stop_when_conforms():
    check_component(StopWhen, figure="critic/total", above=1e9)


def test_a_run_ends_at_the_third_row_in_a_row():
    assert reasons([0.8, 0.7, 0.9], above=0.7) == [None, None, "a/b is 0.9"]


def test_a_row_that_falls_back_begins_the_count_anew():
    assert reasons([0.8, 0.6, 0.8, 0.8], above=0.7) == [None] * 4


def test_rows_without_the_figure_are_passed_over():
    assert reasons([0.8, None, 0.8, None, 0.8], above=0.7)[-1] == "a/b is 0.8"


def test_either_bound_ends_the_run():
    assert reasons([0.1], below=0.1, above=0.9, rows=1) == ["a/b is 0.1"]
    assert reasons([0.9], below=0.1, above=0.9, rows=1) == ["a/b is 0.9"]
    assert reasons([0.5], below=0.1, above=0.9, rows=1) == [None]


def test_the_count_survives_a_resume():
    stop, again = (StopWhen(figure="a/b", above=0.5) for _ in range(2))
    for _ in range(2):
        stop.stop({"a/b": 1.0})
    copy_state(stop, again)
    assert again.stop({"a/b": 1.0}) == "a/b is 1"


def test_a_figure_that_twenty_rows_lack_is_told_once_with_the_nearest_name():
    stop = StopWhen(figure="frechet/ratoi", above=2.0)
    said = [stop.record({"step": 1.0, "frechet/ratio": 3.0})] + [
        stop.record({"step": 1.0}) for _ in range(30)
    ]
    assert [each for each in said if each] == [
        "stop-when waits for frechet/ratoi, which no row has had; did you mean frechet/ratio?"
    ]
    assert said[19]


def test_a_figure_that_was_seen_once_is_never_missed():
    stop = StopWhen(figure="a/b", above=2.0)
    assert not any(stop.record(row) for row in [{"a/b": 1.0}, *[{"step": 1.0}] * 30])


@pytest.mark.parametrize("options", [{}, {"figure": "a/b"}, {"above": 1.0}])
def test_a_stop_without_figure_or_bound_is_refused(options):
    with pytest.raises(UsageError, match="needs a figure and a bound"):
        StopWhen(**options)
