import subprocess
import sys

import pytest

# Blocks of the size that a batch's lines have; the last keeps the heap from being cut at its end.
HELD_THEN_FREED = """
import sys
import psutil
from ingestion.land import memory
if sys.argv[1] == "trim":
    memory.trim()
import ctypes
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
for _ in range(2):
    free(malloc(2**24))
blocks = [malloc(2**20) for _ in range(100)]
for block in blocks:
    ctypes.memset(block, 1, 2**20)
before = psutil.Process().memory_info().rss
for block in blocks[:-1]:
    free(block)
print(before - psutil.Process().memory_info().rss)
"""


def returned(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", HELD_THEN_FREED, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc only")
def test_what_is_freed_goes_back_to_the_system_at_once() -> None:
    assert returned("trim") > 90 * 2**20
    assert returned("as it is") < 10 * 2**20
