"""Early stopping: end a run when a figure has reached a value and keeps it."""

from difflib import get_close_matches

from gancore import UsageError, cached, component, hookimpl, option, state

# rows: more than between two pictures of a typical run, when most metrics are measured
PATIENCE = 20


@component(
    source=(
        "Leguay, github.com/BenoitLeguay/GAN_IconClass: "
        "training ends when class accuracy on fakes reaches 0.7"
    ),
    known_as={"early-stopping": ""},
)
class StopWhen:
    """Stop the run when a figure stays above, or below, a value for some rows of the metrics log.

    A row without the figure is ignored: it neither counts nor interrupts the series. Where the
    first twenty rows all lack it, the run warns once, as the name may be misspelt. The run ends
    with a checkpoint, as after its last step, and can be resumed. Raises UsageError where no figure
    or no bound is given.
    """

    figure: str = option("", help="name of the figure in metrics.jsonl, e.g. critic/total")
    above: float | None = option(
        None, help="end when the figure is at least this, in its own units"
    )
    below: float | None = option(None, help="end when the figure is at most this, in its own units")
    rows: int = option(
        3, ge=1, help="consecutive rows with the figure that must all reach the bound"
    )
    held: int = state(0)  # rows so far
    lacking: int = state(0)  # rows without the figure, until it is first seen
    names: frozenset[str] = cached(frozenset())  # figures seen until then

    def __attrs_post_init__(self):
        if not self.figure or (self.above is None and self.below is None):
            raise UsageError(
                "stop-when needs a figure and a bound",
                where="--track stop-when",
                fix="--stop-when.figure class-accuracy/fake --stop-when.above 0.7",
            )

    @hookimpl
    def record(self, row):
        if self.figure in row or self.lacking >= PATIENCE:
            self.lacking = PATIENCE
            return None
        self.lacking += 1
        self.names |= row.keys()
        if self.lacking < PATIENCE:
            return None
        hint = f"there are {', '.join(sorted(self.names))}"
        near = get_close_matches(self.figure, self.names, n=1, cutoff=0.75)
        if near:
            hint = f"did you mean {near[0]}?"
        return f"stop-when waits for {self.figure}, which no row has had; {hint}"

    @hookimpl
    def stop(self, row):
        if self.figure not in row:
            return None
        value = row[self.figure]
        low = self.below is not None and value <= self.below
        high = self.above is not None and value >= self.above
        self.held = self.held + 1 if low or high else 0
        return f"{self.figure} is {value:.4g}" if self.held >= self.rows else None
