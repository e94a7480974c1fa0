"""How the C library gives freed memory back."""

import ctypes
from typing import Final

# <malloc.h> of glibc. Without these a lander that has held 64 MB keeps 100 MB more for good: each
# thread has a heap of its own, and a freed block raises the size from which blocks are returned.
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_RETURNED_BYTES: Final = 256 * 1024
_ARENAS: Final = 2


def trim() -> None:
    """Have large freed blocks returned to the system at once; call it before threads start.

    Elsewhere than with glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _RETURNED_BYTES)
