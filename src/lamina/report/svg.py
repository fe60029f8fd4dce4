"""Figures as inline SVG: axes, lines, points and bars, in colours that the page's style sheet gives to classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

# Fits a phone of 390 px as it is, so that letters keep their size.
WIDTH, HEIGHT = 350, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 12, 40
_N_TICKS = 5
_LETTER = 6.2  # width of one, of 11 px, on average


@dataclass(frozen=True)
class Axis:
    """One axis: from ``low`` to ``high``, which differ.

    ``log``: logarithmic, both ends above 0; ``whole``: of whole numbers.
    """

    low: float
    high: float
    label: str
    log: bool = False
    whole: bool = False

    @classmethod
    def around(
        cls, values: Sequence[float], label: str, margin: float = 0.04, log: bool = False, whole: bool = False
    ) -> "Axis":
        """Return an axis on which all ``values``, finite ones, have room."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        if log and low > 0:
            factor = max(high / low, 1.1) ** margin
            return cls(low / factor, high * factor, label, True)
        room = (high - low) * margin or abs(high) * 0.1 or 0.5
        return cls(low - room, high + room, label, whole=whole)

    def at(self, value: float) -> float:
        """Return where ``value`` lies between the ends, 0 to 1."""
        if self.log:
            return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round numbers between the ends: 1, 2 or 5 times a power of 10 apart, or on a log axis such numbers."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1, 2, 5), (1,)):
                found = [d * 10.0**p for p in powers for d in digits if self.low <= d * 10.0**p <= self.high]
                if 2 <= len(found) <= _N_TICKS + 2:
                    return found
            if len(found) > _N_TICKS + 2:
                return found[:: math.ceil(len(found) / _N_TICKS)]
        rough = (self.high - self.low) / _N_TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next((d for d in (1, 2, 5) if d * power >= rough), 10)
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


@dataclass
class Plot:
    """A figure under construction; the shapes are drawn in the order in which they are added.

    ``name`` says what it shows to a reader who cannot see it.
    """

    x: Axis
    y: Axis
    name: str
    shapes: list[str] = field(default_factory=list)

    def line(self, xs: Sequence[float], ys: Sequence[float], kind: str, dots: bool = False) -> None:
        """Add a line through points, in the style of the class ``kind``."""
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        self.shapes.append(f'<polyline class="line {kind}" points="{points}"/>')
        if dots:
            self.points(xs, ys, kind, 2.6)

    def points(self, xs: Sequence[float], ys: Sequence[float], kind: str, radius: float = 2.0) -> None:
        """Add a dot for each point."""
        dots = (
            f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius}"/>' for x, y in zip(xs, ys, strict=True)
        )
        self.shapes.append(f'<g class="dot {kind}">{"".join(dots)}</g>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], kind: str) -> None:
        """Add a bar from 0 to each of n heights, between n + 1 edges."""
        bars = (
            f'<rect x="{self._x(left) + 0.5:.1f}" y="{self._y(h):.1f}" '
            f'width="{max(self._x(right) - self._x(left) - 1, 0.5):.1f}" height="{self._y(0) - self._y(h):.1f}"/>'
            for left, right, h in zip(edges, edges[1:], heights, strict=False)
        )
        self.shapes.append(f'<g class="bar {kind}">{"".join(bars)}</g>')

    def vertical(self, x: float, text: str = "") -> None:
        """Add a dashed line across the plot at ``x``, with a text beside it."""
        at = self._x(x)
        self.shapes.append(f'<path class="mark" d="M{at:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        if text:
            left = at + 5 + len(text) * _LETTER > WIDTH
            anchor = f'x="{at - 4:.1f}" text-anchor="end"' if left else f'x="{at + 4:.1f}"'
            self.shapes.append(f'<text {anchor} y="{_TOP + 10}">{escape(text)}</text>')

    def guide(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Add a dashed line between two points."""
        self.shapes.append(
            f'<path class="mark" d="M{self._x(x1):.1f} {self._y(y1):.1f}L{self._x(x2):.1f} {self._y(y2):.1f}"/>'
        )

    def svg(self) -> str:
        """Return the figure as one ``<svg>`` element."""
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = []
        for value in self.y.ticks():
            y = self._y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{short(value)}</text>')
        for value in self.x.ticks():
            x = self._x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{short(value)}</text>')
        parts += self.shapes
        parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{_fits(self.x.label)}</text>'
        )
        beside = f'transform="translate(11 {middle}) rotate(-90)"'
        parts.append(f'<text {beside} text-anchor="middle">{_fits(self.y.label, 28)}</text>')
        return _element(WIDTH, HEIGHT, self.name, "".join(parts))

    def _x(self, value: float) -> float:
        share = min(max(self.x.at(value), -1.0), 2.0)  # outside it is cut off, wherever it is
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        share = min(max(self.y.at(value), -1.0), 2.0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def ranking(
    names: Sequence[str], values: Sequence[float], name: str, label: str, deviations: Sequence[float] = ()
) -> str:
    """Return horizontal bars, one under the other, with their names above them and whiskers of ``deviations``.

    Args:
        names, values: of the bars.
        name: what the figure shows, for a reader who cannot see it.
        label: of the axis.
        deviations: half the length of the whiskers; empty for none.
    """
    row, top, right = 32, 4, WIDTH - 58
    height = top + row * len(names) + 30
    spread = deviations or [0.0] * len(names)
    low = min([0.0, *(v - d for v, d in zip(values, spread, strict=True))])
    high = max([0.0, *(v + d for v, d in zip(values, spread, strict=True))])
    axis = Axis(low, high if high > low else low + 1, label)

    def x(value: float) -> float:
        return 4 + axis.at(value) * (right - 4)

    parts = []
    for i, (text, value, deviation) in enumerate(zip(names, values, spread, strict=True)):
        y = top + row * i
        left, width = min(x(0), x(value)), max(abs(x(value) - x(0)), 1)
        parts.append(f'<text x="4" y="{y + 12}">{_fits(text, 46)}</text>')
        parts.append(f'<rect class="bar s0" x="{left:.1f}" y="{y + 17}" width="{width:.1f}" height="9"/>')
        if deviation:
            ends = f"M{x(value - deviation):.1f} {y + 21.5}H{x(value + deviation):.1f}"
            parts.append(f'<path class="whisker" d="{ends}"/>')
        parts.append(f'<text x="{WIDTH - 2}" y="{y + 25}" text-anchor="end">{short(value)}</text>')
        # Beside the bar alone: a line from top to bottom would run through the names.
        parts.append(f'<path class="axis" d="M{x(0):.1f} {y + 15}v13"/>')
    parts.append(f'<text x="4" y="{height - 8}">{_fits(label)}</text>')
    return _element(WIDTH, height, name, "".join(parts))


def short(value: float) -> str:
    """Return a number with three digits, large ones as 25k, 1.2M or 3e+09."""
    size = abs(value)
    if 0 < size < 1e-3 or size >= 1e9:
        return f"{value:.2g}"
    for unit, sign in ((1e6, "M"), (1e3, "k")):
        if size >= unit * (1 if sign == "M" else 10):
            return f"{value / unit:.3g}{sign}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def _fits(text: str, letters: int = 52) -> str:
    return escape(text if len(text) <= letters else text[: letters - 1] + "…")


def _element(width: int, height: int, name: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(name)}">{content}</svg>'
    )
