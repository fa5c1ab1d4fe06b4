"""Runs that are stopped at their first row and resumed, and what their checkpoints hold."""

from gancore import Run


def in_two_goes(composition, folder):
    """Stop a run at its first row, before its last step, and resume it to the end."""
    first = Run.start(composition, folder)

    def stop(row):
        first.stop_after_step = True

    first.fit(on_row=stop, progress=False)
    assert 0 < first.training.step < composition.settings.steps
    return Run.resume(folder).fit(progress=False)


def checksums(run):
    """Return the checksums of all files of tensors in the last checkpoint."""
    sums = sorted((run.folder / "checkpoints").glob("step-*/SHA256SUMS"))[-1].read_text()
    return [line for line in sums.splitlines() if line.endswith(".safetensors")]
