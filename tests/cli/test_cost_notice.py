"""What a run costs, said once: at once after a slow first step, else when its speed is known."""

from types import SimpleNamespace

from support.tables import every_row

from gancore.cli import cost
from gancore.progressbar import duration


class Steps:
    """A run of `count` steps that take so many seconds each, by a clock of its own."""

    def __init__(self, count, first, further):
        self.now = 0.0
        self.share = 0.0
        self.count = count
        self.seconds = [first, *[further] * (count - 1)]
        self.training = SimpleNamespace(epoch=0.0)

    def train(self, on_step):
        for number, seconds in enumerate(self.seconds, 1):
            self.now += seconds
            self.share = number / self.count
            self.training.epoch = number / 2
            on_step()


@every_row(
    ("steps", "said"),
    [
        (Steps(10, 120.0, 120.0), ["the first step took 120.0 s", "about 18 min", "--size"]),
        (Steps(10, 0.2, 0.2), []),  # ends before its speed is known
        (Steps(20, 1.0, 1.0), ["1.0 s a step: about 16 s left, 10 passes in all"]),
        (Steps(16, 1.0, 1.0), []),  # what is left is too short to be of interest
        (Steps(10_000, 2.0, 0.1), ["0.10 s a step: about 17 min left, 5,000 passes in all"]),
        (Steps(3000, 6.0, 2.0), ["2.0 s a step: about 1.7 h left, ", "--size, --batch or network"]),
        (Steps(100, 1.0, 2.0), ["2.0 s a step: about 3 min left, 50 passes in all"]),
    ],
)
def test_the_cost_of_a_run_is_said_once(monkeypatch, steps, said):
    lines = []
    monkeypatch.setattr(cost, "say", lines.append)
    steps.train(cost.announce_cost(steps, lambda: steps.now))
    assert len(lines) == bool(said)
    assert all(part in lines[0] for part in said), lines


@every_row(
    ("seconds", "words"),
    [(50, "50 s"), (150, "2 min"), (4000, "1.1 h"), (200_000, "2.3 days"), (100_000, "27.8 h")],
)
def test_a_duration_is_written_in_the_unit_that_fits(seconds, words):
    assert duration(seconds) == words


def test_the_last_step_of_a_run_has_no_rest():
    assert cost.cost_message(3.0, 1.0, 0.0) == "the first step took 3.0 s"
