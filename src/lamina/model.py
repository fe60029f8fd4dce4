"""A trained model: predicts, scores itself on data, is saved and loaded."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamina.config import Config
from lamina.data.encoder import Arrays, Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.table import Table
from lamina.errors import ConfigError, DataError, LaminaWarning, ModelFileError
from lamina.losses import LOSSES
from lamina.metrics import score
from lamina.model_file import read_folder, write_folder
from lamina.network.mlp import MLP
from lamina.training.loop import EpochRecord, predict_outputs

Array = NDArray[Any]


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
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scored_on: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    best_epoch: int = 0
    stopped: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """A trained multilayer perceptron with everything around it.

    Attributes:
        schema: columns and target.
        encoder: from columns to arrays.
        network: the torch module, in evaluation mode, on the CPU.
        config: all options, those chosen from the data included.
        target_mean, target_scale: a regression output times the scale plus the mean is in the target's unit.
        history: one record for each epoch.
        report: what the fit measured.
    """

    schema: Schema
    encoder: Encoder
    network: MLP
    config: Config
    target_mean: float
    target_scale: float
    history: list[EpochRecord] = field(default_factory=list)
    report: Report = field(default_factory=Report)

    @property
    def task(self) -> str:
        """``classification`` or ``regression``."""
        return self.schema.target.task

    @property
    def classes(self) -> Array:
        """The classes in sorted order and their own type, (k,); empty for regression."""
        return self.schema.target.class_array()

    def predict(self, data: Any) -> Array:
        """Return the most probable class, or the value, of each row, (n,).

        Args:
            data: anything that ``lamina.data.readers.read_table`` takes; the target need not be in it.

        Raises:
            DataError, SchemaError: the data cannot be read or does not fit.
        """
        return self.schema.target.decode(self.predict_outputs(data))

    def predict_proba(self, data: Any) -> Array:
        """Return class probabilities (n, k) in the order of ``classes``; arguments and errors as in ``predict``.

        Raises:
            ConfigError: the model is a regression.
        """
        if self.task != "classification":
            raise ConfigError("predict_proba is for classification; this model predicts numbers: use predict.")
        return self.predict_outputs(data)

    def evaluate(self, data: Any) -> dict[str, float]:
        """Return every metric of the task on rows with their target, weighted where training was and weights are there.

        Args:
            data: as in ``predict``, with the target.

        Raises:
            DataError, SchemaError: the data or its target cannot be read or does not fit.
        """
        table = self.read(data)
        if not table.n_rows:
            raise DataError(f"{table.source} has no rows to score.")
        y, weights = target_and_weights(self.schema, table)
        return score(self.task, y, self.predict_outputs(table), weights)

    def predict_outputs(self, data: Any) -> Array:
        """Return probabilities (n, k), or values (n, 1) in the target's unit, as float64."""
        table = self.read(data)
        features, notes = self.schema.check(table)
        for note in [*notes, *self.encoder.unseen(features)]:
            warnings.warn(note, LaminaWarning, stacklevel=3)
        return self.outputs_of(self.encoder.transform(features, self.config.dtype), table.n_rows)

    def outputs_of(self, arrays: Arrays, n_rows: int) -> Array:
        """Return what ``predict_outputs`` does, from encoded arrays."""
        outputs = predict_outputs(self.network, as_tensors(arrays, "cpu"), n_rows)
        prediction: Array = LOSSES[self.config.loss].output_map(outputs).numpy().astype(np.float64)
        return prediction * self.target_scale + self.target_mean if self.task == "regression" else prediction

    def read(self, data: Any) -> Table:
        """Return ``data`` as a table, its categories kept as text."""
        return read_table(data, text_columns=self.schema.category_names)

    def summary(self) -> str:
        """Return the layers, the shapes of their outputs and their parameters as text.

        Layers are counted as usual: hidden and output layers; the input layer computes nothing and is not counted.
        """
        rows = self.network.summary()
        lines = [f"{'layer':<12}{'part':<14}{'output':>10}{'parameters':>14}"]
        lines += [f"{row.name:<12}{row.kind:<14}{row.output[0]:>10}{row.n_parameters:>14,}" for row in rows]
        n_layers, n_parameters = self.network.n_layers, sum(row.n_parameters for row in rows)
        plural = "s" if n_layers > 1 else ""
        return "\n".join([*lines, f"{n_layers} layer{plural}, {n_parameters:,} parameters"])

    def save(self, folder: str | Path) -> Path:
        """Write the model folder; a model that was there is replaced at the end. Return its path.

        Raises:
            ModelFileError: the folder holds something else, or cannot be written.
        """
        document = {
            "schema": self.schema.as_json(),
            "encoder": self.encoder.as_json(),
            "config": self.config.as_json(),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
            "report": asdict(self.report),
            "history": [asdict(record) for record in self.history],
        }
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return write_folder(folder, document, tensors)

    @classmethod
    def load(cls, folder: str | Path) -> "Model":
        """Return the model in a folder.

        Raises:
            ModelFileError: there is none, or it is damaged or of a newer format.
        """
        document, tensors = read_folder(folder)
        try:
            schema = Schema.from_json(document["schema"])
            encoder = Encoder.from_json(document["encoder"])
            config = Config.of(**document["config"])
            network = build_network(encoder, schema.target.n_outputs, config, torch.Generator())
            network.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
            network.eval()
            return cls(
                schema=schema,
                encoder=encoder,
                network=network,
                config=config,
                target_mean=float(document["target_mean"]),
                target_scale=float(document["target_scale"]),
                report=Report(**document["report"]),
                history=[EpochRecord(**record) for record in document["history"]],
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise ModelFileError(f"{str(folder)!r} is not a model of this format: {error}.") from None


def build_network(encoder: Encoder, n_outputs: int, config: Config, generator: torch.Generator) -> MLP:
    """Return the untrained network that a resolved configuration describes."""
    return MLP(
        encoder,
        n_outputs,
        hidden_units=config.hidden_units or (),
        activation=config.activation,
        activation_parameters=config.activation_parameters,
        dropout=config.dropout or 0.0,
        normalization=config.normalization,
        initial_weights=config.initial_weights,
        embedding_width=config.embedding_width,
        generator=generator,
        dtype=getattr(torch, config.dtype),
    )


def as_tensors(arrays: Arrays, device: str) -> dict[str, Tensor]:
    """Return encoded arrays as tensors on ``device``, without a copy where it is the CPU."""
    with warnings.catch_warnings():
        # Arrays read from a file's bytes are read-only, which torch warns of; they are never written to.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in arrays.items()}


def target_and_weights(schema: Schema, table: Table) -> tuple[Array, Array | None]:
    """Return the encoded target (n,) of ``table`` and its rows' weights (n,), or ``None``.

    Raises:
        DataError: no target, a missing or negative weight.
    """
    name = schema.target.name
    if name not in table and table.target is not None:
        name = table.target
    y = schema.target.encode(table, name)
    weight = next((column.name for column in schema.columns if column.role == "weight"), None)
    if weight is None or weight not in table:
        return y, None
    return y, row_weights(table, weight)


def row_weights(table: Table, name: str) -> Array:
    """Return the weight column ``name`` as float64 (n,).

    Raises:
        DataError: a weight is text, missing, negative or infinite.
    """
    column = table[name]
    if column.type != "number":
        raise DataError(f"{table.source}: the weight column {name!r} holds text; expected numbers of at least 0.")
    weights = np.asarray(column.values, dtype=np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{table.source}, column {name!r}, row {table.row_number(row)}: the weight is {weights[row]:g}; "
            "expected a finite number of at least 0."
        )
    return weights


def load(folder: str | Path) -> Model:
    """Return the model in ``folder``; see ``Model.load``."""
    return Model.load(folder)
