"""`python -m thunder_cli`, where the `thunder` program is not on the path."""

from thunder_cli.app import main

main()
