"""Which of the texts that a model knows a cell means: one rule for the levels of a category and for classes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lamina.data.table import number_text
from lamina.data.text_values import missing_tokens


class Spelling:
    """Finds one of several texts, however a source spells it.

    A cell means the text that it equals; else the one of the same value (True, TRUE and true; 3 and 3.0), the first of
    several; else, without the blanks around both, one in the same two ways, if no other one is the same without blanks.

    Args:
        texts: what there is; ``None``, which stands for a missing value, is never found.
    """

    def __init__(self, texts: Sequence[str | None]) -> None:
        present = [(text, i) for i, text in enumerate(texts) if text is not None]
        self._exact = dict(present)
        self._by_value = _first_by_value(present)
        stripped = [(text.strip(), i) for text, i in present]
        counts = Counter(text for text, _ in stripped)
        alone = [(text, i) for text, i in stripped if counts[text] == 1]
        self._several = {text for text, count in counts.items() if count > 1}
        self._stripped = dict(alone)
        self._stripped_by_value = _first_by_value(alone)
        self._tokens = missing_tokens(text for text, _ in present)

    def find(self, cell: str) -> int | None:
        """Return the position of the text that ``cell`` means, or ``None`` where it means none."""
        found = self._exact.get(cell)
        if found is None:
            found = self._by_value.get(_value(cell))
        if found is None and (bare := cell.strip()) not in self._several:
            found = self._stripped.get(bare)
            return self._stripped_by_value.get(_value(bare)) if found is None else found
        return found

    def is_missing(self, cell: str) -> bool:
        """Whether ``cell`` stands for a missing value, being none of the texts."""
        return cell.strip() in self._tokens and self.find(cell) is None


def text_of(value: Any) -> str:
    """Return a class as the text that a column of such values has."""
    return value if isinstance(value, str) else str(value) if isinstance(value, bool) else number_text(value)


def _first_by_value(texts: Sequence[tuple[str, int]]) -> dict[str, int]:
    return {_value(text): i for text, i in reversed(texts)}


def _value(text: str) -> str:
    """What sources that spell a text differently mean by it: true for True and TRUE, 3 for 3.0."""
    return text.lower() if text.lower() in ("true", "false") else text.removesuffix(".0")
