"""The last line of every command: whatever happens becomes one sentence and an exit code."""

import os
import sys
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service import log
from service.cli import base
from service.errors import DozorError

WRONG_USAGE = 2
FAULT = 1


def guarded(command: Callable[[], object]) -> int:
    """Run a command; its exit code."""
    try:
        _check_arguments()
        command()
        sys.stdout.flush()
    except SystemExit as end:
        return _code(end)
    except DozorError as error:
        return _say(str(error), WRONG_USAGE)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _reader_left()
    except SQLAlchemyError as error:
        return _say(f"DOZOR_DATABASE_URL: the database failed: {_first_line(error)}", WRONG_USAGE)
    except Exception as error:  # noqa: BLE001 - nobody wants to read a stack
        if structlog.is_configured():
            structlog.get_logger().debug("command_failed", exc_info=True)
        kind = type(error).__name__
        return _say(f"this should not have happened ({kind}: {_first_line(error)})", FAULT)
    return 0


def _check_arguments() -> None:
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise DozorError(f"the argument {argument!r} is no UTF-8 text") from None


def _code(end: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _say(sentence: str, code: int) -> int:
    base.err.print(f"dozor: {sentence}", markup=False)
    return code


def _first_line(error: Exception) -> str:
    lines = log.mask(str(getattr(error, "orig", None) or error)).splitlines()
    return lines[0] if lines else "no more is known"


def _reader_left() -> int:
    """`dozor ... | head -1`: nobody reads on, and nothing is wrong."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
