"""Learning-rate schedules by name: a factor between 0 and 1 over the progress of training."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lamina.registry import Registry

WARM_UP = 0.2
_FIRST = 0.04


@dataclass(frozen=True)
class Schedule:
    """One schedule: ``factor(progress)`` times the learning rate, ``progress`` from 0 (first step) to 1 (last)."""

    name: str
    formula: str
    factor: Callable[[float], float]
    source: str


SCHEDULES: Registry[Schedule] = Registry("schedule")


def _constant(progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _one_cycle(progress: float) -> float:
    if progress < WARM_UP:
        return _FIRST + (1 - _FIRST) * progress / WARM_UP
    return _cosine((progress - WARM_UP) / (1 - WARM_UP))


SCHEDULES.register(Schedule("constant", "1", _constant, "Robbins and Monro 1951, with a constant step"))
SCHEDULES.register(Schedule("cosine", "(1 + cos(π p)) / 2", _cosine, "Loshchilov and Hutter 2017, eq. 5, one period"))
SCHEDULES.register(
    Schedule(
        "one_cycle", f"linear to 1 over the first {WARM_UP:.0%}, then cosine to 0", _one_cycle, "Smith and Topin 2018"
    )
)
