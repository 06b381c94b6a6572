"""Imports Dozor once, then forks one `dozor serve` after another: what is killed is a real process.

Starting costs seconds of importing otherwise, twenty times over. For each line on standard input a
process is started, its id and later its exit code are told on standard output.
"""

import os
import sys

import service.server  # noqa: F401 - imported for those who are forked
from service.alerts import sender
from service.cli import main as dozor


def main() -> None:
    """Start, wait, tell; until standard input ends."""
    sender.ATTEMPT_SECONDS = int(sys.argv[1])
    while sys.stdin.readline():
        child = os.fork()
        if not child:
            sys.argv = ["dozor", "serve", "--port", "0"]
            dozor()
            return
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
