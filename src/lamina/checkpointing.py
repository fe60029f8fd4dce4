"""The state of a training run beside its model on disk, so that an interrupted run can go on."""

import time
from pathlib import Path

from lamina.errors import ConfigError
from lamina.model_file import read_checkpoint, remove_checkpoint, write_checkpoint
from lamina.run import Run
from lamina.training.checkpoint import Checkpoint

_SECONDS_BETWEEN_WRITES = 5.0


class Checkpointing:
    """Keeps the state of ``run`` after its last whole epoch, and writes it to ``folder`` every few seconds.

    Epochs are what training goes on from: in the middle of one, the weights are ahead of the order of the rows.
    """

    def __init__(self, run: Run, folder: str | Path) -> None:
        self.run = run
        self.folder = Path(folder)
        self.latest: Checkpoint | None = None
        self.fingerprint = ""
        self.written = time.monotonic()

    def resume(self) -> str:
        """Put the run where its checkpoint in the folder was taken, and say so in a sentence.

        Raises:
            ConfigError: the checkpoint is of other data or options.
            ModelFileError: it is damaged.
        """
        found = read_checkpoint(self.folder)
        if found is None:
            return f"{str(self.folder)!r} holds no unfinished run; starting from the beginning"
        document, tensors = found
        if document.get("fingerprint") != self._fingerprint():
            difference = _difference(document, self.run)
            raise ConfigError(
                f"the unfinished run in {str(self.folder)!r} was on other data or options{difference}; "
                "give the same ones, or leave --resume out to start anew."
            )
        self.latest = Checkpoint(document["numbers"], tensors)
        self.run.resume(self.latest)
        return f"resumed after epoch {self.run.state.epoch}"

    def after_epoch(self) -> None:
        """Take the state; write it where the last time was a while ago."""
        self.latest = self.run.checkpoint()
        if time.monotonic() - self.written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the state after the last whole epoch, if there is one.

        Raises:
            ModelFileError: the folder cannot be written.
        """
        if self.latest is not None:
            options = self.run.config.as_json()
            document = {"fingerprint": self._fingerprint(), "config": options, "numbers": self.latest.numbers}
            write_checkpoint(self.folder, document, self.latest.tensors)
        self.written = time.monotonic()

    def remove(self) -> None:
        """Remove what was written: the run is finished."""
        remove_checkpoint(self.folder)

    def _fingerprint(self) -> str:
        self.fingerprint = self.fingerprint or self.run.fingerprint()
        return self.fingerprint


def _difference(document: dict[str, object], run: Run) -> str:
    before, now = document.get("config"), run.config.as_json()
    if not isinstance(before, dict):
        return ""
    changed = [
        f"{name} was {before.get(name)!r}, now {value!r}"
        for name, value in now.items()
        if before.get(name) != value and name not in ("time_limit", "device")
    ]
    return f" ({changed[0]})" if changed else ""
