"""What a process that serves asks of the system and of its interpreter."""

import gc
import resource

_COLLECT_AFTER = 2_000
"""How many more containers are made than freed before the youngest are looked at for cycles.

Python's 700 are some hundred events, all of them kept. To look at each of them several times, and now and
then at the whole history, took a third of the CPU of a gateway that follows its log at full speed. Beyond
2,000 little more is to be had, and what requests leave behind takes memory for longer.
"""


def raise_descriptor_limit() -> None:
    """Lets this process open as many connections as it may: each takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_garbage_rarely() -> None:
    """Makes collections rare, and leaves what there is now out of them. For a process that is set up.

    Nearly all that a gateway makes and drops is freed by its count of references; only cycles wait.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
