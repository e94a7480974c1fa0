"""How freed memory is found and given back: by Python's collector, by the C library."""

import ctypes
import gc
from typing import Final

# <malloc.h> of glibc. Without these a lander that has held 64 MB keeps 100 MB more for good: each
# thread has a heap of its own, and a freed block raises the size from which blocks are returned.
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_RETURNED_BYTES: Final = 256 * 1024
_ARENAS: Final = 2
_COLLECT_EVERY: Final = 200_000  # containers; a batch of messages makes some 50,000


def trim() -> None:
    """Have large freed blocks returned to the system at once; call it before threads start.

    Elsewhere than with glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _RETURNED_BYTES)


def calm_collector() -> None:
    """Collect rarely: the containers of a batch die by themselves, looking through them costs."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
