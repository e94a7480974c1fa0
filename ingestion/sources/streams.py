"""Random numbers that depend on nothing but their names: the same in any order, in any process."""

import hashlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the one stream of random numbers of a seed and names."""
    name = "\x1f".join((str(seed), *names)).encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))
