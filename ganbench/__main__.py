"""The entry of the program, also with `python -m ganbench`."""

import os
import sys

CANNOT_START = 5  # as an internal error: the 1 of Python would be a regression


def main() -> None:
    """Runs the command line; a package that cannot be imported ends it with a sentence."""
    try:
        from ganbench.cli import main as run_command_line
    except Exception as error:
        if os.environ.get("GANBENCH_TRACE"):
            raise
        print(f"ganbench cannot start: {type(error).__name__}: {error}", file=sys.stderr)
        print("Install it again, or set GANBENCH_TRACE=1 for a traceback.", file=sys.stderr)
        sys.exit(CANNOT_START)
    run_command_line()


if __name__ == "__main__":
    main()
