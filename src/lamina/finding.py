"""One thing that is wrong with a run: what shows it, what it comes from, what helps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One verdict on a model, its training or its data.

    Attributes:
        name: what it is, in a few words; the headings of ``docs/diagnosis.md``.
        evidence: the figures that show it, by name; ``columns`` are texts.
        cause: one sentence.
        remedy: what to do, as options of ``lamina train`` and as those of ``lamina.fit``, to be pasted.
    """

    name: str
    evidence: Mapping[str, Any]
    cause: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON-able record."""
        return {"name": self.name, "evidence": dict(self.evidence), "cause": self.cause, "remedy": self.remedy}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Finding":
        """Undo ``as_json``."""
        return cls(record["name"], record["evidence"], record["cause"], record["remedy"])

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_evidence()}): {self.cause} {self.remedy}"

    def shown_evidence(self) -> str:
        """Return the evidence as text."""
        return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.evidence.items())


def option(name: str, value: Any) -> str:
    """Return an option with its value as the command line takes it and as ``lamina.fit`` does.

    Example:
        >>> option("learning_rate", 0.0004)
        '--learning-rate 0.0004 (learning_rate=0.0004)'
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        typed = f"--{flag}" if value else f"--no-{flag}"
    elif isinstance(value, list | tuple):
        typed = f"--{flag} " + ",".join(str(each) for each in value)
    else:
        typed = f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}"
    given = f"{value:g}" if isinstance(value, float) else repr(value)
    return f"{typed} ({name}={given})"


def rounded(value: float, digits: int = 3) -> float:
    """Return ``value`` with so many significant digits; a number that is not finite as 0."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else 0.0


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return " and ".join(map(repr, value)) if isinstance(value, list | tuple) else str(value)
