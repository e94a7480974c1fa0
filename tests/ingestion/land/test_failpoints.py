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
