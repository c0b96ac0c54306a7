"""Runs the command line with `python -m ganbench`."""

from ganbench.cli import main

if __name__ == "__main__":
    main()
