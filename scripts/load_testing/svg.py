"""Small plots as inline SVG: axes, lines, areas, bars, dots and marks. Knows nothing of what is plotted.

Colours are classes ("s1" to "s5", "bad"), so that the page's style sheet gives them for light, dark and paper. Every
mark may carry a text that browsers show when the mouse rests on it, without JavaScript.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

Point = tuple[float, float]
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 40  # margins around the plot
HEADROOM = 0.05  # of a linear axis, above its largest value
CHARACTER = 6.6  # width of one, on average


class Axis:
    """Numbers on a line. A logarithmic axis needs `low` above 0; a linear one that begins near 0 begins at 0."""

    def __init__(
        self,
        label: str,
        values: Sequence[float],
        is_log: bool = False,
        from_zero: bool = True,
        ticks: Sequence[float] = (),
    ) -> None:
        known = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)] or [0.0, 1.0]
        self.label = label
        self._ticks = list(ticks)
        self.is_log = is_log and min(known) > 0
        if self.is_log:
            self.low, self.high = _log_bounds(min(known), max(known))
        else:
            self.low = 0.0 if from_zero and min(known) >= 0 else min(known)
            self.high = max(known) if max(known) > self.low else self.low + 1.0
            self.high += (self.high - self.low) * HEADROOM

    def share(self, value: float) -> float:
        """Where a value lies between the ends of the axis, 0 to 1; what is beyond them is set to the end."""
        if self.is_log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Those that were given, else about five round numbers."""
        if self._ticks:
            return self._ticks
        return _log_ticks(self.low, self.high) if self.is_log else _linear_ticks(self.low, self.high)


class Plot:
    """One plot. Draw into it in the order in which things shall lie over one another, then take `svg()`."""

    def __init__(self, x: Axis, y: Axis, name: str, width: int = 560, height: int = 280) -> None:
        self._x, self._y = x, y
        self._name = name
        self._width, self._height = width, height
        self._right, self._bottom = width - RIGHT, height - BOTTOM
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], style: str) -> None:
        """Straight pieces between the points."""
        if points:
            self._parts.append(f'<polyline class="line {style}" points="{self._path(points)}"/>')

    def steps(self, points: Sequence[Point], style: str) -> None:
        """Each value holds until the next point: for what was counted at moments."""
        corners = [corner for a, b in pairwise(points) for corner in (a, (b[0], a[1]))]
        self.line([*corners, *points[-1:]], style)

    def area(self, points: Sequence[Point], style: str) -> None:
        """What lies below a line."""
        if points:
            ends = f"{self._at_x(points[-1][0]):.1f},{self._bottom} {self._at_x(points[0][0]):.1f},{self._bottom}"
            self._parts.append(f'<polygon class="area {style}" points="{self._path(points)} {ends}"/>')

    def dots(self, points: Sequence[Point], style: str, texts: Sequence[str] = (), radius: float = 3.5) -> None:
        """`texts`: shown at rest of the mouse, one each."""
        for number, (x, y) in enumerate(points):
            title = f"<title>{escape(texts[number])}</title>" if texts else ""
            place = f'cx="{self._at_x(x):.1f}" cy="{self._at_y(y):.1f}"'
            self._parts.append(f'<circle class="dot {style}" {place} r="{radius}">{title}</circle>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], style: str, texts: Sequence[str] = ()) -> None:
        """`edges` has one more than `heights`. Empty bars are not drawn."""
        for number, height in enumerate(heights):
            if height <= 0:
                continue
            left, right, top = self._at_x(edges[number]), self._at_x(edges[number + 1]), self._at_y(height)
            wide, high = max(right - left - 1, 0.6), self._bottom - top
            size = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}"'
            title = f"<title>{escape(texts[number])}</title>" if texts else ""
            self._parts.append(f'<rect class="bar {style}" {size}>{title}</rect>')

    def label(self, point: Point, text: str) -> None:
        """Next to a point, on the side that has room."""
        x, y = self._at_x(point[0]), self._at_y(point[1])
        is_left = x + 8 + CHARACTER * len(text) > self._right
        anchor = "end" if is_left else "start"
        self._text(x - 8 if is_left else x + 8, max(y - 7, TOP + 8), text, f'class="label" text-anchor="{anchor}"')

    def mark_x(self, value: float, text: str, row: int = 0) -> None:
        """An upright line with a text at its top; `row` moves the text down, out of another one's way."""
        x = self._at_x(value)
        self._parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self._bottom}"/>')
        is_left = x + 4 + CHARACTER * len(text) > self._right
        anchor = "end" if is_left else "start"
        self._text(x - 4 if is_left else x + 4, TOP + 9 + 13 * row, text, f'class="label" text-anchor="{anchor}"')

    def mark_y(self, value: float, text: str) -> None:
        """A level line with a text, where it lies inside the plot."""
        if not self._y.low <= value <= self._y.high:
            return
        y = self._at_y(value)
        self._parts.append(f'<line class="target" x1="{LEFT}" x2="{self._right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        self._text(LEFT + 5, y - 4, text, 'class="label"')

    def svg(self) -> str:
        """The element."""
        inside = "\n".join([*self._grid(), *self._parts])
        size = f'viewBox="0 0 {self._width} {self._height}"'
        return f'<svg {size} role="img" aria-label="{escape(self._name)}">\n{inside}\n</svg>'

    def _grid(self) -> list[str]:
        before, self._parts = self._parts, []
        for tick in self._y.ticks():
            y = self._at_y(tick)
            self._parts.append(f'<line class="grid" x1="{LEFT}" x2="{self._right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self._text(LEFT - 7, y + 4, number(tick), 'class="tick" text-anchor="end"')
        for tick in self._x.ticks():
            x = self._at_x(tick)
            self._parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self._bottom}" y2="{self._bottom + 4}"/>'
            )
            self._text(x, self._bottom + 16, number(tick), 'class="tick" text-anchor="middle"')
        floor = self._bottom
        self._parts.append(f'<line class="axis" x1="{LEFT}" x2="{self._right}" y1="{floor}" y2="{floor}"/>')
        self._text(self._right, self._height - 6, self._x.label, 'class="name" text-anchor="end"')
        middle = (TOP + self._bottom) / 2
        turned = f'class="name" text-anchor="middle" transform="rotate(-90 12 {middle:.0f})"'
        self._text(12, middle, self._y.label, turned)
        grid, self._parts = self._parts, before
        return grid

    def _text(self, x: float, y: float, text: str, attributes: str) -> None:
        self._parts.append(f'<text {attributes} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self._at_x(x):.1f},{self._at_y(y):.1f}" for x, y in points)

    def _at_x(self, value: float) -> float:
        return LEFT + self._x.share(value) * (self._right - LEFT)

    def _at_y(self, value: float) -> float:
        return self._bottom - self._y.share(value) * (self._bottom - TOP)


def number(value: float) -> str:
    """A tick's number: no more digits than it needs."""
    if value and abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.10g}"


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(count * step, 12) for count in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_bounds(low: float, high: float) -> tuple[float, float]:
    """A little room on both sides, and at least a factor of two."""
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / 1.5, middle * 1.5
    return low / 1.05, high * 1.05


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= 7:
            break
    return inside
