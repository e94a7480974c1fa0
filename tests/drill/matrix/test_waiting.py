import pytest

from drill.matrix.errors import StuckError, UnseenError
from drill.matrix.waiting import until


def test_one_that_does_not_answer_is_asked_again() -> None:
    answers = iter([UnseenError("silent"), False, True])

    def look() -> bool:
        answer = next(answers)
        if isinstance(answer, UnseenError):
            raise answer
        return answer

    until(look, 3600, "an answer", StuckError)

    assert list(answers) == []


def test_what_never_comes_is_red_with_its_name() -> None:
    with pytest.raises(StuckError, match="the lag comes to 0"):
        until(lambda: False, 0, "the lag comes to 0", StuckError)


def test_what_is_wrong_with_the_drill_itself_is_not_waited_out() -> None:
    asked: list[int] = []

    def look() -> float:
        asked.append(1)
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        until(look, 3600, "anything", StuckError)

    assert len(asked) == 1
