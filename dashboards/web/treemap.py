"""Squarified treemaps (Bruls, Huizing and van Wijk, 2000)."""

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle; the unit is the caller's."""

    left: float
    top: float
    width: float
    height: float


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """Return a rectangle in ``box`` for each size, areas as the sizes, as square as they may be.

    Sizes are positive and descend; rectangles are in their order and fill the box.
    """
    total = sum(sizes)
    areas = [size * box.width * box.height / total for size in sizes]
    boxes: list[Box] = []
    while areas:
        side = min(box.width, box.height)
        n = 1
        while n < len(areas) and _worst(areas[: n + 1], side) <= _worst(areas[:n], side):
            n += 1
        row, box = _row(areas[:n], box)
        boxes += row
        areas = areas[n:]
    return boxes


def _worst(row: Sequence[float], side: float) -> float:
    thickness = sum(row) / side
    return max(max(thickness**2 / area, area / thickness**2) for area in row)


def _row(areas: Sequence[float], box: Box) -> tuple[list[Box], Box]:
    """Return the rectangles of a row along the box's shorter side, and the box that is left."""
    boxes: list[Box] = []
    if box.width >= box.height:
        width, top = sum(areas) / box.height, box.top
        for area in areas:
            boxes.append(Box(box.left, top, width, area / width))
            top += area / width
        return boxes, Box(box.left + width, box.top, max(box.width - width, 0.0), box.height)
    height, left = sum(areas) / box.width, box.left
    for area in areas:
        boxes.append(Box(left, box.top, area / height, height))
        left += area / height
    return boxes, Box(box.left, box.top + height, box.width, max(box.height - height, 0.0))
