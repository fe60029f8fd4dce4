"""Names to records: the one mechanism behind activations, losses, metrics, optimizers, schedules and initial weights.

A *thing* that a user can name is a frozen record in a ``Registry``. Checks with "did you mean", tables in the command
line and parametrised tests are read off the registry, so that a new record appears everywhere at once.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from lamina.errors import ConfigError, did_you_mean


class Named(Protocol):
    @property
    def name(self) -> str: ...


Record = TypeVar("Record", bound=Named)


class Registry(Generic[Record]):
    """An ordered collection of records with distinct names.

    Args:
        kind: what the records are, in the singular, for messages (``"activation"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._records: dict[str, Record] = {}
        self._aliases: dict[str, str] = {}

    def register(self, record: Record, *aliases: str) -> Record:
        """Add ``record``, which other libraries know by ``aliases``, and return it.

        Raises:
            ConfigError: a name is taken.
        """
        for name in (record.name, *aliases):
            if name in self:
                raise ConfigError(f"the {self.kind} {name!r} is registered already; choose another name for yours.")
        self._records[record.name] = record
        self._aliases.update(dict.fromkeys(aliases, record.name))
        return record

    def __getitem__(self, name: str) -> Record:
        """Return the record called ``name``.

        Raises:
            ConfigError: there is none; the message lists the names.
        """
        try:
            return self._records[self._aliases.get(name, name)]
        except (KeyError, TypeError):
            hint = did_you_mean(name, self._records) if isinstance(name, str) else ""
            known = ", ".join(self._records)
            raise ConfigError(f"unknown {self.kind} {name!r}.{hint} Known: {known}.") from None

    def __contains__(self, name: object) -> bool:
        return name in self._records or name in self._aliases

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def names(self) -> tuple[str, ...]:
        """All names, without aliases, in the order of registration."""
        return tuple(self._records)
