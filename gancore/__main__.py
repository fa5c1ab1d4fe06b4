"""`python -m gancore` is `gan`."""

from gancore.cli import main

main()
