"""What a run costs, said once when its first step was slow."""

import pytest
from support.tables import every_row

from gancore.cli import cost
from gancore.progressbar import duration


class Steps:
    """A run of ten steps that take so many seconds each, by a clock of its own."""

    def __init__(self, seconds):
        self.now, self.share, self.seconds = 0.0, 0.0, seconds

    def train(self, on_step):
        for _ in range(10):
            self.now += self.seconds
            self.share += 0.1
            on_step()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(120.0, ["the first step took 120.0 s", "about 18 min", "--size"]), (0.2, [])],
)
def test_the_cost_of_a_run_is_said_once_after_a_slow_first_step(monkeypatch, seconds, said):
    lines, run = [], Steps(seconds)
    monkeypatch.setattr(cost, "say", lines.append)
    run.train(cost.announce_cost(run, lambda: run.now))
    assert len(lines) == bool(said)
    assert all(part in lines[0] for part in said)


@every_row(
    ("seconds", "words"),
    [(50, "50 s"), (150, "2 min"), (4000, "1.1 h"), (200_000, "2.3 days"), (100_000, "27.8 h")],
)
def test_a_duration_is_written_in_the_unit_that_fits(seconds, words):
    assert duration(seconds) == words


def test_the_last_step_of_a_run_has_no_rest():
    assert cost.cost_message(3.0, 1.0, 0.0) == "the first step took 3.0 s"
