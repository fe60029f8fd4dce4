"""What an experiment of ``lamina textbook`` is: claims declared before the measurement, a measurement, its figures.

How to write one:

1. Make ``lamina/textbook/experiments/NAME.py`` (``activation_gradients.py`` is an example) with a docstring, a
   function ``measure``, a function ``draw`` and ``EXPERIMENT = Experiment(...)``. The page and the notebook show this
   file as it is, so a reader must be able to copy it: ``import lamina``, NumPy, torch, and from here only the names
   below and ``lamina.textbook.drawing.canvas``.
2. Add one line to ``EXPERIMENTS`` in ``lamina/textbook/runner.py``, at its place in the order of the text, and the
   module to ``FLOORS`` in ``tests/test_layering.py``.
3. ``measure(seed, setting)`` runs once for each of the seeds (0, 1, 2 unless the experiment names others) and returns
   ``Measured``: finite numbers by key (``figures``; the same keys for every seed, each with its label in
   ``Experiment.figures``), and whatever ``draw`` wants (``kept``). All randomness comes from ``seed``.
   ``setting.quick`` asks for seconds instead of minutes with the same verdicts; ``setting.data_dir`` goes to
   ``lamina.read_table(..., data_dir=...)``. ``data`` and ``quick_data`` say what is measured on.
4. A ``Claim`` names the figure that decides it and its bounds. It is held when every seed is within the bounds, refuted
   when none is, inconclusive otherwise. Set bounds from what the text says, before you look at the measurement; a
   statement of the text that is false keeps its bound and gets ``expected="refuted"``. Try things out with seeds from
   100 on, declare the claim, and only then run it with the experiment's own seeds. What is so by definition, by
   construction or by a theorem gets ``kind="identity"``.
5. ``draw(measured, setting)`` gets all seeds and returns ``Drawing`` objects. Make each figure with ``canvas``: its
   colours are legible on light and dark ground, its text is real text, and its width of 5.4 fits a phone (a wider one
   scrolls there: rather draw two). Set no black, no white and no background; tell curves apart without colour too (the
   cycle of ``canvas`` changes the line style); write formulas in Unicode (σ, α, x²), not in TeX; pick words with
   ``setting.say(Text("epoch", "迭代周期"))``, both languages in place: in the notebook only the one that is meant
   remains (``lamina.textbook.notebooks``).
6. ``Text`` holds English and Simplified Chinese, in the terms of the textbook and with full-width punctuation;
   ``about`` may have paragraphs (an empty line between them), and `backquotes` for code.
7. Raise ``DataError`` and its relatives as usual: the run goes on with the other experiments and reports yours.
8. Test it with ``run_one(EXPERIMENT, Setting(quick=True))`` from the runner: assert the verdict of every claim. Names,
   texts, source and notebook of everything in ``EXPERIMENTS`` are checked by ``tests/test_textbook.py`` anyway.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lamina.errors import ConfigError

Language = Literal["en", "zh"]
Verdict = Literal["held", "refuted", "inconclusive"]
Kind = Literal["measurement", "identity"]

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Text:
    """The same words in English and in Simplified Chinese."""

    en: str
    zh: str

    def to(self, language: Language) -> str:
        """Return the words in ``language``."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class Setting:
    """What a user chose for the whole run.

    Attributes:
        quick: seconds instead of minutes: less data, fewer epochs, the same claims.
        data_dir: folder of Fashion-MNIST's files; ``None``: the cache.
        language: of the page and of the words in figures.
    """

    quick: bool = False
    data_dir: str | None = None
    language: Language = "en"

    def say(self, text: Text) -> str:
        """Return ``text`` in the language of the run."""
        return text.to(self.language)


@dataclass(frozen=True)
class Claim:
    """One statement of the text, with the bound that decides it.

    Attributes:
        name: key, distinct within its experiment.
        statement: what is claimed, as a sentence.
        figure: key of the measured figure that decides.
        at_least, at_most: the figure lies within these, ends included; at least one of them is given.
        expected: ``refuted`` for a statement that is known to be false.
        kind: ``identity`` for what is so by definition, by construction or by a theorem: its measurement checks the
            code and says nothing about data or training. ``measurement`` for what could have come out otherwise.
    """

    name: str
    statement: Text
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    expected: Literal["held", "refuted"] = "held"
    kind: Kind = "measurement"

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ConfigError(f"the claim {self.name!r} has no bound; give it at_least, at_most or both.")

    def within(self, value: float) -> bool:
        """Whether ``value`` satisfies the bounds."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= value <= high

    @property
    def bound(self) -> str:
        """The bounds as a formula: ``≥ 0.9``, ``≤ 1e-12``, ``= 0.25``, ``1 … 2``."""
        if self.at_least is None:
            return f"≤ {self.at_most:.4g}"
        if self.at_most is None:
            return f"≥ {self.at_least:.4g}"
        same = self.at_least == self.at_most
        return f"= {self.at_most:.4g}" if same else f"{self.at_least:.4g} … {self.at_most:.4g}"


@dataclass(frozen=True)
class Measured:
    """What one seed gave.

    Attributes:
        figures: finite numbers by key.
        kept: anything that ``draw`` needs: curves, predictions.
    """

    figures: Mapping[str, float]
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawing:
    """One figure: a short name for its file, the matplotlib figure, and a caption."""

    name: str
    figure: Any
    caption: Text


@dataclass(frozen=True)
class Experiment:
    """One part of the text with its claims, how they are measured, and how the measurement is drawn.

    Attributes:
        name: what a user types.
        title: heading.
        about: what the text says and what is done here.
        source: number of the section of the text, or several: ``"4.1.1.3"``, ``"4.1.1.1, 4.1.4"``.
        claims: declared before the measurement.
        figures: label of each measured figure, by key.
        measure: ``(seed, setting)`` -> the figures of one seed.
        draw: ``(measured, setting)`` -> drawings, from the measurements of all seeds in their order.
        data: what is measured on.
        quick_data: what a quick run is measured on, if that is something else.
        seeds: one measurement for each.
    """

    name: str
    title: Text
    about: Text
    source: str
    claims: tuple[Claim, ...]
    figures: Mapping[str, Text]
    measure: Callable[[int, Setting], Measured]
    draw: Callable[[list[Measured], Setting], list[Drawing]]
    data: Text
    quick_data: Text | None = None
    seeds: tuple[int, ...] = SEEDS

    def __post_init__(self) -> None:
        names = [claim.name for claim in self.claims]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"the experiment {self.name!r} has two claims called {twice!r}; rename one of them.")
        for claim in self.claims:
            if claim.figure not in self.figures:
                raise ConfigError(
                    f"the claim {claim.name!r} of the experiment {self.name!r} is decided by {claim.figure!r}, which is"
                    f" not among its figures {', '.join(self.figures)}; give that figure a label there."
                )

    def data_in(self, setting: Setting) -> Text:
        """What a run with ``setting`` is measured on."""
        return self.quick_data if setting.quick and self.quick_data is not None else self.data
