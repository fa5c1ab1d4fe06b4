"""End a run when a figure has reached a value and holds it."""

from difflib import get_close_matches

from gancore import UsageError, cached, component, hookimpl, option, state

PATIENCE = 20  # rows: more than lie between two drawings of a usual run, when most metrics are measured


@component(
    source="Leguay, github.com/BenoitLeguay/GAN_IconClass: training ends once class accuracy on fakes reaches 0.7",
    known_as={"early-stopping": ""},
)
class StopWhen:
    """End the run when a figure of the metrics row stays above, or below, a value for some rows.

    A row without the figure is passed over: it neither counts nor breaks the series. Where the first twenty rows all
    lack it, the run says so once, for the name may be misspelt. The run ends saved, as at its last step, and can be
    resumed. Raises UsageError where no figure is named, or neither bound is given.
    """

    figure: str = option("", help="name of the figure as in metrics.jsonl, e.g. critic/total")
    above: float | None = option(None, help="end when the figure is at least this, in its own units")
    below: float | None = option(None, help="end when the figure is at most this, in its own units")
    rows: int = option(3, ge=1, help="rows with the figure, one after another, that must all say so")
    held: int = state(0)  # rows so far
    lacking: int = state(0)  # rows without the figure, until it is first seen
    names: frozenset[str] = cached(frozenset())  # figures seen until then

    def __attrs_post_init__(self):
        if not self.figure or (self.above is None and self.below is None):
            fix = "--stop-when.figure class-accuracy/fake --stop-when.above 0.7"
            raise UsageError("stop-when needs a figure and a bound", where="--track stop-when", fix=fix)

    @hookimpl
    def record(self, row):
        if self.figure in row or self.lacking >= PATIENCE:
            self.lacking = PATIENCE
            return None
        self.lacking += 1
        self.names |= row.keys()
        if self.lacking < PATIENCE:
            return None
        near = get_close_matches(self.figure, self.names, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self.names))}"
        return f"stop-when waits for {self.figure}, which no row has had; {hint}"

    @hookimpl
    def stop(self, row):
        if self.figure not in row:
            return None
        value = row[self.figure]
        low, high = self.below is not None and value <= self.below, self.above is not None and value >= self.above
        self.held = self.held + 1 if low or high else 0
        return f"{self.figure} is {value:.4g}" if self.held >= self.rows else None
