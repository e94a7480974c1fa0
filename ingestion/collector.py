"""How often Python looks for garbage: seldom where many objects live and die by themselves."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Containers made since it last looked; a record on its way to Kafka has about five, a batch that is
# landed some 50,000.
_COLLECT_EVERY: Final = 200_000


@contextmanager
def calm() -> Iterator[None]:
    """Collect rarely, and look no more at what is there already.

    What records are made of dies by itself. With its usual 700 the collector takes half of a
    producer's time: each time it looks through the records that wait for Kafka's answer, 100,000 at
    full speed, and hardly ever finds anything.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
