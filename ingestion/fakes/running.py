"""The servers in a thread, for tests and for whoever needs them inside a process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from ingestion.clock import Clock, SystemClock
from ingestion.errors import StackError
from ingestion.fakes.desk import House
from ingestion.fakes.site import Options, Site

_START_TIMEOUT_S: Final = 30.0


class Running:
    """Servers that run: where they are, and what they share."""

    def __init__(self, site: Site) -> None:
        self.urls = site.urls()
        self.house: House = site.house


@contextmanager
def running(options: Options | None = None, clock: Clock | None = None) -> Iterator[Running]:
    """Run the servers on free ports until the block is left.

    Raises:
        StackError: they did not start.
    """
    site = Site(replace(options or Options(), port_base=0), clock or SystemClock())
    thread = _Thread(site)
    thread.start()
    try:
        thread.wait_until_ready()
        yield Running(site)
    finally:
        thread.stop()


class _Thread(threading.Thread):
    def __init__(self, site: Site) -> None:
        super().__init__(name="fakes", daemon=True)
        self._site = site
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_stop: asyncio.Event | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # told by the thread that waits
            self._error = error
        finally:
            self._ready.set()

    def wait_until_ready(self) -> None:
        """Return once every port answers."""
        if not self._ready.wait(_START_TIMEOUT_S) or self._error is not None:
            raise StackError(f"the local providers did not start: {self._error}")

    def stop(self) -> None:
        """End the servers and the thread."""
        if self._loop is not None and self._asked_to_stop is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._asked_to_stop.set)
        self.join(_START_TIMEOUT_S)

    async def _main(self) -> None:
        self._loop, self._asked_to_stop = asyncio.get_running_loop(), asyncio.Event()
        ready = asyncio.Event()
        announce = asyncio.create_task(self._announce(ready))
        await self._site.run(self._asked_to_stop, ready)
        await announce

    async def _announce(self, ready: asyncio.Event) -> None:
        await ready.wait()
        self._ready.set()
