"""What a fit measured, as plain data that a model folder keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Report:
    """What a fit measured.

    Attributes:
        rows: number of rows by part: ``train``, ``validation``, ``test``.
        scores: by part, then by metric. Early stopping watched the validation rows; the test rows nobody saw.
        baselines: by name, then by metric, on the rows of ``scored_on``.
        scored_on: ``test`` where there is a test part, else ``validation``, else ``""``.
        seconds: ``fit`` (encoding and training) and ``total`` (reading, splitting and baselines too).
        notes: what was inferred, left out or dropped, a sentence each.
        best_epoch: whose weights are kept.
        stopped: why training ended before its last epoch, or ``""``.
        environment: versions and thread count.
        folds: where they were asked for, the cross-validated scores of the same options: their number ``k``, and
            ``scores``, as ``lamina.cross_validation.cross_validate`` returns them.
        calibration: for classes and labels, the ``temperature`` by which the logits are divided, and the validation
            loss before and after, ``loss_before`` and ``loss_after``.
        diagnosis: what was found wrong, one JSON-able record each; see ``lamina.finding.Finding``.
        comparison: MLP, linear model and constant side by side; see ``lamina.scoring.compared``.
        curves: what the page draws of targets and held-out predictions; see ``lamina.curves.curves_of``.
        origin: the data, by hash, and the options that were given; see ``lamina.origin.origin_of``. With the parts that
            are ``seen``.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scored_on: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, float] = field(default_factory=dict)
    diagnosis: Sequence[Mapping[str, Any]] = field(default_factory=list)
    comparison: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> tuple[str, ...]:
        """Parts whose rows the model that training started from may have learned from: no verdict stands on them."""
        return tuple(self.origin.get("seen", ()))

    def part_name(self, part: str) -> str:
        """Return what a part is called beside its scores: ``test``, or ``test, seen``."""
        return f"{part}, seen" if part in self.seen else part
