"""`python -m gateport`: the command."""

from converters.command import main

main()
