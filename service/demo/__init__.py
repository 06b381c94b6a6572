"""The demonstration: two simulated portals, a real Dozor between them, and a second opinion.

Dozor is used only as its users use it: commands and HTTP.
"""

import resource
import signal
import subprocess
import sys
import time
from types import FrameType

from service.demo.compare import compare
from service.demo.show import watch
from service.demo.stage import Stage

SPEED, ONCE_SPEED = 600.0, 300.0  # compared at half: a real second is five of its minutes
ONCE_SECONDS = 25.0
MOST_SHARES = 5.0


def run(*, once: bool, deals: int, speed: float | None, seed: int) -> int:
    """Run the demonstration; the exit code (1: Dozor and the simulator count differently).

    `speed` None: as fast as whoever shares this machine with us lets us follow.
    """
    shares = 1.0 if speed is not None else processes_in_line()
    stage = Stage(deals=deals, speed=speed or (ONCE_SPEED if once else SPEED) / shares, seed=seed)
    signal.signal(signal.SIGTERM, _end)  # what was started is stopped, as on Ctrl-C
    try:
        stage.set_up(lambda text: sys.stderr.write(f"{text}\n"))
        if not once:
            watch(stage, None)
            return 0
        watch(stage, ONCE_SECONDS * shares)
        return compare(stage)
    except KeyboardInterrupt:
        return 0
    finally:
        stage.tear_down()


def processes_in_line() -> float:
    """How many share a processor with us: how much longer a start takes than it works (1 to 5)."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import service.cli"], check=True)
    passed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return min(max(round(passed / worked + 0.3), 1.0), MOST_SHARES) if worked > 0 else 1.0


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
