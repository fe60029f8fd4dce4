"""Learning-rate schedules by name: a factor of the learning rate at each step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lamina.registry import Registry

WARM_UP = 0.2
_FIRST = 0.04
_STEPS_DOWN = (0.5, 0.75)


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes:
        name: what a user types.
        formula: for people.
        factor: ``(progress, step, power_t) -> factor`` of the learning rate, with ``progress`` from 0 (first step) to 1
            (last), ``step`` counted from 1, and the option ``power_t``.
        source: paper or textbook.
        needs_end: whether the factor depends on how many steps there will be.
        on_plateau: factor of the learning rate, once more each time the loss stops falling; 1: training stops there.
    """

    name: str
    formula: str
    factor: Callable[[float, int, float], float]
    source: str
    needs_end: bool = True
    on_plateau: float = 1.0


SCHEDULES: Registry[Schedule] = Registry("schedule")


def _constant(progress: float, step: int, power_t: float) -> float:
    return 1.0


def _cosine(progress: float, step: int, power_t: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _warm_up(progress: float, step: int, power_t: float) -> float:
    return min(_FIRST + (1 - _FIRST) * progress / WARM_UP, 1.0)


def _one_cycle(progress: float, step: int, power_t: float) -> float:
    if progress < WARM_UP:
        return _warm_up(progress, step, power_t)
    return _cosine((progress - WARM_UP) / (1 - WARM_UP), step, power_t)


def _step(progress: float, step: int, power_t: float) -> float:
    first, second = _STEPS_DOWN
    return 0.01 if progress >= second else 0.1 if progress >= first else 1.0


def _inverse_scaling(progress: float, step: int, power_t: float) -> float:
    return float(step**-power_t)


SCHEDULES.register(
    Schedule("constant", "1", _constant, "Robbins and Monro 1951, with a constant step", needs_end=False)
)
SCHEDULES.register(Schedule("cosine", "(1 + cos(π p)) / 2", _cosine, "Loshchilov and Hutter 2017, eq. 5, one period"))
SCHEDULES.register(
    Schedule(
        "one_cycle", f"linear to 1 over the first {WARM_UP:.0%}, then cosine to 0", _one_cycle, "Smith and Topin 2018"
    )
)
SCHEDULES.register(
    Schedule("warm_up", f"linear to 1 over the first {WARM_UP:.0%}, then 1", _warm_up, "Goyal et al. 2017, section 2.2")
)
SCHEDULES.register(
    Schedule(
        "step", "1, from half of the steps on 0.1, from three quarters on 0.01", _step, "He et al. 2016, section 4.2"
    )
)
SCHEDULES.register(
    Schedule(
        "inverse_scaling", "1 / t^power_t", _inverse_scaling, "Robbins and Monro 1951, section 2", needs_end=False
    ),
    "invscaling",
)
SCHEDULES.register(
    Schedule(
        "adaptive",
        "a fifth each time the loss has not fallen for `patience` epochs",
        _constant,
        "scikit-learn, MLPClassifier, learning_rate",
        needs_end=False,
        on_plateau=0.2,
    )
)
