"""Runs experiments: measures each seed, judges each claim, draws. One list says which experiments there are."""

import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lamina.errors import ConfigError, LaminaError, TrainingError, did_you_mean
from lamina.textbook.drawing import page_style, svg_of
from lamina.textbook.experiment import Claim, Experiment, Measured, Setting, Text, Verdict

# What a user types -> the module that exports EXPERIMENT, in the order of the text; imported when it is run or listed.
EXPERIMENTS = {
    "ten-kinds": "lamina.textbook.experiments.ten_kinds",
    "linear-monotonic": "lamina.textbook.experiments.linear_monotonic",
    "body-temperature": "lamina.textbook.experiments.body_temperature",
    "inverted-images": "lamina.textbook.experiments.inverted_images",
    "representation": "lamina.textbook.experiments.representation",
    "network-figure": "lamina.textbook.experiments.network_figure",
    "parameter-saving": "lamina.textbook.experiments.parameter_saving",
    "stacked-affine": "lamina.textbook.experiments.stacked_affine",
    "rowwise": "lamina.textbook.experiments.rowwise",
    "logic-gates": "lamina.textbook.experiments.logic_gates",
    "universal-approximation": "lamina.textbook.experiments.universal_approximation",
    "deep-instead-of-wide": "lamina.textbook.experiments.deep_instead_of_wide",
    "activation-gradients": "lamina.textbook.experiments.activation_gradients",
    "piecewise-linear": "lamina.textbook.experiments.piecewise_linear",
    "vanishing-gradients": "lamina.textbook.experiments.vanishing_gradients",
    "learned-activations": "lamina.textbook.experiments.learned_activations",
    "worked-answers": "lamina.textbook.experiments.worked_answers",
}


@dataclass(frozen=True)
class Range:
    """A measured figure over the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def __str__(self) -> str:
        """The mean, and the smallest and the largest value where they differ in four digits."""
        mean, low, high = (f"{value:.4g}" for value in (self.mean, self.low, self.high))
        return mean if low == high else f"{mean} ({low} … {high})"


@dataclass(frozen=True)
class Judged:
    """A claim with what was measured of it."""

    claim: Claim
    measured: Range
    verdict: Verdict

    @property
    def unexpected(self) -> bool:
        """Whether the verdict is the opposite of the expected one; an inconclusive one is not."""
        return self.verdict not in (self.claim.expected, "inconclusive")


@dataclass(frozen=True)
class Drawn:
    """A figure as one ``<svg>`` element."""

    name: str
    svg: str
    caption: Text


@dataclass(frozen=True)
class Outcome:
    """An experiment after its run; with ``failure``, nothing was measured."""

    experiment: Experiment
    judged: tuple[Judged, ...]
    figures: dict[str, Range]
    drawn: tuple[Drawn, ...]
    seconds: float
    failure: LaminaError | None = None


def load(name: str) -> Experiment:
    """Return the experiment called ``name``.

    Raises:
        ConfigError: there is none.
    """
    if name not in EXPERIMENTS:
        hint = did_you_mean(name, EXPERIMENTS)
        raise ConfigError(f"there is no experiment {name!r}.{hint} Known: {', '.join(EXPERIMENTS)}.")
    experiment: Experiment = importlib.import_module(EXPERIMENTS[name]).EXPERIMENT
    return experiment


def judge(claim: Claim, values: Sequence[float]) -> Judged:
    """Return the verdict: held when every value is within the claim's bounds, refuted when none is."""
    within = [claim.within(value) for value in values]
    verdict: Verdict = "held" if all(within) else "inconclusive" if any(within) else "refuted"
    return Judged(claim, Range(tuple(values)), verdict)


def run_all(
    experiments: Sequence[Experiment], setting: Setting, before_seed: Callable[[Experiment, int], object] | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each experiment as soon as it is there; one that fails does not stop the others.

    Args:
        experiments: in the order of the page.
        setting: of the whole run.
        before_seed: called before each measurement.
    """
    for experiment in experiments:
        started = time.perf_counter()
        try:
            yield run_one(experiment, setting, before_seed)
        except LaminaError as error:
            yield Outcome(experiment, (), {}, (), time.perf_counter() - started, error)


def run_one(
    experiment: Experiment, setting: Setting, before_seed: Callable[[Experiment, int], object] | None = None
) -> Outcome:
    """Measure an experiment with every seed, judge its claims and draw it.

    Raises:
        TrainingError: a figure is missing, unknown or not finite.
        LaminaError: whatever the experiment raises.
    """
    started = time.perf_counter()
    measured = []
    for seed in experiment.seeds:
        if before_seed is not None:
            before_seed(experiment, seed)
        measured.append(experiment.measure(seed, setting))
        _check(experiment, seed, measured[-1])
    figures = {key: Range(tuple(float(each.figures[key]) for each in measured)) for key in experiment.figures}
    judged = tuple(judge(claim, figures[claim.figure].values) for claim in experiment.claims)
    drawn = draw(experiment, measured, setting)
    return Outcome(experiment, judged, figures, drawn, time.perf_counter() - started)


def draw(experiment: Experiment, measured: list[Measured], setting: Setting) -> tuple[Drawn, ...]:
    """Return the drawings of an experiment, for a page that may be light or dark."""
    with page_style():
        drawings = experiment.draw(measured, setting)
    names = [drawing.name for drawing in drawings]
    if len(set(names)) < len(names):
        raise ConfigError(f"the experiment {experiment.name!r} draws two figures of one name; its names are {names}.")
    return tuple(
        Drawn(drawing.name, svg_of(drawing.figure, f"{experiment.name}-{drawing.name}"), drawing.caption)
        for drawing in drawings
    )


def _check(experiment: Experiment, seed: int, measured: Measured) -> None:
    where = f"the experiment {experiment.name!r} with seed {seed}"
    differing = sorted(set(measured.figures) ^ set(experiment.figures))
    if differing:
        raise TrainingError(f"{where} measured other figures than it declares: {', '.join(differing)}; declare these.")
    for key, value in measured.figures.items():
        if not math.isfinite(value):
            raise TrainingError(f"{where} measured {value} as {key!r}; measure a finite number.")
