"""The demonstration: two simulated portals, a real Dozor between them, and a second opinion.

Dozor is used only as its users use it: commands and HTTP.
"""

import signal
import sys
from types import FrameType

from service.demo.compare import compare
from service.demo.show import watch
from service.demo.stage import Stage

ONCE_SECONDS = 25.0


def run(*, once: bool, deals: int, speed: float, seed: int) -> int:
    """Run the demonstration; the exit code (1: Dozor and the simulator count differently)."""
    stage = Stage(deals=deals, speed=speed, seed=seed)
    signal.signal(signal.SIGTERM, _end)  # what was started is stopped, as on Ctrl-C
    try:
        stage.set_up(lambda text: sys.stderr.write(f"{text}\n"))
        if not once:
            watch(stage, None)
            return 0
        watch(stage, ONCE_SECONDS)
        return compare(stage)
    except KeyboardInterrupt:
        return 0
    finally:
        stage.tear_down()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
