"""`python -m gateport`: the command."""

from converters.cli import main

main(prog_name="gateport")
