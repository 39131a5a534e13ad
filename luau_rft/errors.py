"""Mistakes that a user can mend, told without a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something outside the code is wrong; the message names the file and the field and says what to do."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's or a command's ``main``; a ``UserError`` becomes one line on stderr and exit code 1."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; finished work is kept, run the same command to go on", file=sys.stderr)
        sys.exit(130)
