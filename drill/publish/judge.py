"""What the readers' notes have to show; nothing of ours is imported but the notes' shape."""

from typing import Final

from drill.publish.race import Course
from drill.publish.readers import Told

SEEN_WITHIN_S: Final = 5.0


def wrong(course: Course) -> list[str]:
    """Return what a course and its readers have shown that must not be."""
    return [line for one in course.told for line in (*_reads(one, course), *_delays(one, course))]


def slowest_s(course: Course) -> float:
    """Return the longest time, in seconds, from the end of a publish to a reader's first sight."""
    delays = [
        seen - at
        for one in course.told
        for number, at in course.published.items()
        if (seen := one.first_at_least(number)) is not None
    ]
    return max(delays, default=float("inf"))


def _reads(one: Told, course: Course) -> list[str]:
    before = [seen for at, seen in one.sights if at < course.rolled_back_at]
    known = {0, *course.in_books}
    return [
        *(f"{one.name}: {problem}" for problem in one.problems),
        *([f"{one.name} saw {len(before)} builds"] if len(before) < 2 else []),
        *([f"{one.name} went back: {before}"] if before != sorted(before) else []),
        *(f"{one.name} saw {seen}, not published" for seen in set(before) - known),
    ]


def _delays(one: Told, course: Course) -> list[str]:
    late = []
    for number, at in course.published.items():
        seen = one.first_at_least(number)
        if seen is None or seen - at > SEEN_WITHIN_S:
            late.append(f"{one.name}: build {number} was seen {_after(seen, at)}")
    back = next((at for at, seen in reversed(one.sights) if seen == course.rolled_back_to), None)
    if one.sights[-1:] != [(back, course.rolled_back_to)] or _is_late(back, course):
        late.append(f"{one.name}: the rollback was seen {_after(back, course.rolled_back_at)}")
    return late


def _is_late(seen: float | None, course: Course) -> bool:
    return seen is None or seen - course.rolled_back_at > SEEN_WITHIN_S


def _after(seen: float | None, at: float) -> str:
    return "never" if seen is None else f"after {seen - at:.1f} s"
