"""`python -m app.cli` is the command `starling`."""

from app.cli.main import main

main()
