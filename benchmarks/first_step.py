"""`gan run` until its first step (`run`), or only its imports (`imports`)."""

import sys


def imports() -> None:
    """Import what `gan run` imports until it trains, its components included."""
    from gancore.cli import main  # noqa: F401
    from gancore.recipe.compose import compose
    from gancore.run.loop import Run  # noqa: F401

    compose()


def run() -> None:
    """Run the command and end it after the first step, before anything is saved or drawn."""
    from gancore.cli import main
    from gancore.train.loop import Training

    advance = Training.train_step

    def once(training):
        advance(training)
        sys.stdout.flush()
        raise KeyboardInterrupt

    Training.train_step = once
    try:
        main(["run", "--out", "run"])
    except (KeyboardInterrupt, SystemExit):
        sys.exit(0)


if __name__ == "__main__":
    {"imports": imports, "run": run}[sys.argv[1]]()
