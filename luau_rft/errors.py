"""Mistakes that a user can mend, told without a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something outside the code is wrong; the message names the file and the field and says what to do."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's or a command's ``main``; what a user can mend is told on stderr, with exit code 1."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written, a folder where a file should be
        path = error.filename2 or error.filename  # of a renaming the target
        place = f"{path}: " if path else ""
        print(f"error: {place}{error.strerror or error}; put that right and run the command again", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; finished work is kept, run the same command to go on", file=sys.stderr)
        sys.exit(130)
