"""`python -m streamforge`."""

from streamforge.cli import main

main()
