import threading
from typing import Any

import pytest

from ingestion.errors import SettingsError
from ingestion.land.failpoints import Failpoint


@pytest.mark.parametrize(
    "text",
    ["before-put", "before-put:0", "before-put:x", "elsewhere:1", ":1", "before-put:1:wait"],
)
def test_a_malformed_failpoint_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="TAPEHOUSE_FAILPOINT"):
        Failpoint(text)


def test_a_failpoint_that_is_not_armed_lets_everything_pass() -> None:
    failpoint = Failpoint()
    failpoint.reach("before-put")
    Failpoint("after-put:1").reach("before-put")


class Crowded(Failpoint):
    """Every thread that reads the count waits until another one has read it too, if one can."""

    def __init__(self, text: str) -> None:
        self.together = threading.Barrier(2)
        super().__init__(text)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name == "_left":
            try:
                self.together.wait(0.1)
            except threading.BrokenBarrierError:
                self.together.reset()
        return found


def test_threads_that_come_at_once_are_all_counted() -> None:
    failpoint = Crowded("before-put:3")
    threads = [threading.Thread(target=failpoint.reach, args=("before-put",)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert vars(failpoint)["_left"] == 1
