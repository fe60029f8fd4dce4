"""A trained model: predicts, scores itself on data, is saved and loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamina.config import Config, check_value
from lamina.data.encoder import Arrays, Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.table import Table
from lamina.data.target_scaling import TargetScaler
from lamina.data.weights import target_and_weights
from lamina.errors import ConfigError, DataError, LaminaWarning, ModelFileError, in_one_line
from lamina.intervals import ConformalScores
from lamina.linear_part import LinearPart, taken_from
from lamina.losses import LOSSES
from lamina.metrics import score
from lamina.model_file import Document, Tensors, read_folder, write_folder
from lamina.model_forms import UNFIT, check_form, check_meaning, check_size, missing_row
from lamina.model_report import Report
from lamina.model_upgrades import upgraded
from lamina.network.members import Members, Network
from lamina.network.mlp import MLP
from lamina.report.page import page_of
from lamina.report.subject import Subject
from lamina.training.loop import EpochRecord
from lamina.training.prediction import Predictor, predict_hidden
from lamina.training.rows import csr

Array = NDArray[Any]


@dataclass
class Model:
    """A trained multilayer perceptron with everything around it.

    Attributes:
        schema: columns and target.
        encoder: from columns to arrays.
        network: the torch module, in evaluation mode, on the CPU.
        config: all options, those chosen from the data included.
        scaler: between a number target's unit and the network's outputs; ``None`` for classes and labels.
        linear: a linear model that counts for a share of the outputs of several members; ``None``: none does.
        scores: for numbers, how far predictions of held-out rows were off; ``None`` where none were held out.
        history: one record for each epoch.
        report: what the fit measured.
    """

    schema: Schema
    encoder: Encoder
    network: Network
    config: Config
    scaler: TargetScaler | None
    linear: LinearPart | None = None
    scores: ConformalScores | None = None
    history: list[EpochRecord] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    _exact: Predictor | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def task(self) -> str:
        """``classification``, ``multilabel`` or ``regression``."""
        return self.schema.target.task

    @property
    def classes(self) -> Array:
        """The classes in sorted order and their own type, (k,); empty for multilabel and regression."""
        return self.schema.target.class_array()

    def predict(self, data: Any) -> Array:
        """Return the class or the value of each row, (n,); of several labels or values, (n, k).

        Of two classes, the positive one is predicted from the probability ``schema.target.threshold`` on.

        Args:
            data: anything that ``lamina.data.readers.read_table`` takes; the target need not be in it.

        Raises:
            DataError, SchemaError: the data cannot be read or does not fit.
        """
        return self.schema.target.decode(self.predict_outputs(data))

    def predict_proba(self, data: Any) -> Array:
        """Return probabilities (n, k) of ``classes`` or labels, in their order; arguments and errors as in ``predict``.

        Raises:
            ConfigError: the model is a regression.
        """
        if self.task == "regression":
            raise ConfigError("predict_proba is for classification; this model predicts numbers: use predict.")
        return self.predict_outputs(data)

    def at_threshold(self, threshold: float | str) -> "Model":
        """Return the same model with another threshold; see ``lamina.data.target.Target``.

        Raises:
            ConfigError: the target is neither of two classes nor of labels, or the threshold is out of bounds.
        """
        checked = float(check_value("threshold", threshold))
        target = replace(self.schema.target.deciding(None, checked), positive=self.schema.target.positive)
        return replace(self, schema=replace(self.schema, target=target))

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
        if weights is not None:
            if not weights.any():
                raise DataError(f"{table.source}: every row has the weight 0; there is nothing to score.")
            table, y, weights = table.rows(weights > 0), y[weights > 0], weights[weights > 0]
        return self.score(y, self.predict_outputs(table), weights)

    def score(self, y: Array, outputs: Array, weights: Array | None = None) -> dict[str, float]:
        """Return every metric of the task for an encoded target and the ``predict_outputs`` of its rows."""
        target = self.schema.target
        return score(self.task, y, outputs, weights, decisions=target.decide(outputs), positive=target.positive)

    def predict_outputs(self, data: Any) -> Array:
        """Return probabilities (n, k), or values (n, k) in the target's unit, as float64."""
        return self.outputs_of(*self._encoded(data))

    def predict_interval(self, data: Any, coverage: float = 0.9) -> Array:
        """Return a lower and an upper bound for each row's value, (n, 2), or (n, k, 2) of several values.

        Of rows that are like those of training, a share of ``coverage`` lies within their bounds: see
        ``lamina.intervals``; a warning says where they rest on rows that were seen. With ``target_transform`` none all
        intervals are of one width; with log their width grows with the prediction.

        Args:
            data: as in ``predict``.
            coverage: above 0 and below 1.

        Raises:
            ConfigError: the model is no regression, had no held-out rows in training, or the coverage is out of bounds.
            DataError, SchemaError: the data cannot be read or does not fit.
        """
        if self.task != "regression":
            raise ConfigError("predict_interval is for numbers; this model predicts classes: use predict_proba.")
        if self.scores is None or self.scaler is None:
            raise ConfigError(
                "the model was trained without validation rows, which intervals need; train it with some."
            )
        half_widths = self.scores.half_widths(coverage)
        if "validation" in self.report.seen:
            warnings.warn(
                "the intervals rest on rows that the model which training started from may have learned from, so that "
                "they may be too narrow; train with rows of another table as validation=.",
                LaminaWarning,
                stacklevel=2,
            )
        arrays, n_rows = self._encoded(data)
        outputs = self._values(self._logits(arrays, n_rows))
        bounds = [self.scaler.inverse(outputs + sign * half_widths) for sign in (-1, 1)]
        intervals = np.stack(bounds, axis=-1)
        return intervals[:, 0] if intervals.shape[1] == 1 else intervals

    def _values(self, outputs: Tensor) -> Array:
        return LOSSES[self.config.loss].output_map(outputs).numpy().astype(np.float64)

    def predict_logits(self, data: Any) -> Array:
        """Return the outputs (n, k) before any output map: logits, or values in the network's own unit."""
        return self._logits(*self._encoded(data)).numpy()

    def _logits(self, arrays: Arrays, n_rows: int) -> Tensor:
        with self._exact_predictor() as predictor:
            outputs = predictor.outputs(as_tensors(arrays, "cpu"), n_rows)
        return outputs if self.linear is None else torch.from_numpy(self.linear.blended(outputs.numpy(), arrays))

    def predict_log_proba(self, data: Any) -> Array:
        """Return the logarithms of ``predict_proba``, exact where a probability itself would be rounded to 0 or 1."""
        from scipy.special import log_expit, log_softmax

        if self.task == "regression":
            raise ConfigError("predict_log_proba is for classification; this model predicts numbers: use predict.")
        logits = self.predict_logits(data)
        return np.asarray(log_expit(logits) if self.task == "multilabel" else log_softmax(logits, axis=1))

    def hidden_outputs(self, data: Any, layer: int = -1) -> Array:
        """Return what a hidden layer makes of each row, (n, units), after activation; the last one by default.

        Raises:
            ConfigError: there is no such layer.
        """
        n_hidden = len(self.network.hidden)
        if not -n_hidden <= layer < n_hidden:
            raise ConfigError(f"layer = {layer}, but the network has {n_hidden} hidden layers.")
        arrays, n_rows = self._encoded(data)
        with self._exact_predictor() as predictor:
            return predict_hidden(predictor.network, as_tensors(arrays, "cpu"), n_rows, layer % n_hidden).numpy()

    def outputs_of(self, arrays: Arrays, n_rows: int) -> Array:
        """Return what ``predict_outputs`` does, from encoded arrays."""
        return prediction_of(self._logits(arrays, n_rows), self.config.loss, self.scaler)

    def _encoded(self, data: Any) -> tuple[Arrays, int]:
        table = self.read(data)
        features, notes = self.schema.check(table)
        self.encoder.check_images(features)
        for note in [*notes, *self.encoder.unseen(features)]:
            warnings.warn(note, LaminaWarning, stacklevel=4)
        return self.encoder.transform(features, "float64"), table.n_rows

    @contextmanager
    def _exact_predictor(self) -> Iterator[Predictor]:
        """Yield the network in float64: a row's prediction is then the same alone and among others, to 1e-12."""
        if self.config.dtype == "float64":
            yield Predictor(self.network, by_loops=False)
            return
        if self._exact is None:
            config = self.config.replace(dtype="float64")
            exact = build_network(self.encoder, self.schema.target.n_outputs, config, torch.Generator())
            self._exact = Predictor(exact)
        predictor = self._exact
        with predictor.lock:
            # Again each time: the weights belong to the user, who may have changed them since.
            predictor.network.load_state_dict(self.network.state_dict())
            with torch.no_grad():
                predictor.network.fold_scaling()
            yield predictor

    def read(self, data: Any) -> Table:
        """Return ``data`` as a table, its categories kept as text."""
        return read_table(data, text_columns=self.text_columns)

    @property
    def text_columns(self) -> dict[str, frozenset[str]]:
        """The columns that are read as text, and the texts of each that the model knows; see ``read_table``."""
        return self.schema.text_columns(self.encoder.levels)

    def summary(self) -> str:
        """Return the layers, the shapes of their outputs and their parameters as text.

        Layers are counted as usual: hidden and output layers; the input layer computes nothing and is not counted.
        """
        rows = self.network.summary()
        lines = [f"{'layer':<12}{'part':<14}{'output':>10}{'parameters':>14}"]
        lines += [f"{row.name:<12}{row.kind:<14}{row.output[0]:>10}{row.n_parameters:>14,}" for row in rows]
        n_layers, n_parameters = self.network.n_layers, sum(row.n_parameters for row in rows)
        plural = "s" if n_layers > 1 else ""
        if self.linear is not None:
            lines.append(f"beside them a linear model, which counts for {self.linear.share:.0%} of each output")
        return "\n".join([*lines, f"{n_layers} layer{plural}, {n_parameters:,} parameters"])

    def member(self, i: int) -> "Model":
        """Return member ``i`` of several, counted from 0, as a model of one network, without the linear model's share.

        Raises:
            ConfigError: there is no such member.
        """
        networks = self.network.members()
        if not 0 <= i < len(networks):
            raise ConfigError(f"there is no member {i}; this model has {len(networks)}, counted from 0.")
        encoding = getattr(self.network, "encodings", (self.config.numeric,))[i]
        config = self.config.replace(members=1, numeric=encoding)
        return replace(self, network=networks[i], config=config, linear=None)

    def save(self, folder: str | Path) -> Path:
        """Write the model folder; a model that was there is replaced at the end. Return its path.

        Raises:
            ModelFileError: the folder holds something else, or cannot be written.
        """
        return write_folder(folder, *self._state(), page=self.page())

    def page(self) -> str:
        """Return what the fit measured as one HTML page that loads nothing: the ``report.html`` of a model folder."""
        layers = self.network.summary()
        share = 0.0 if self.linear is None else self.linear.share
        about = Subject(self.schema, self.config, self.report, self.history, layers, self.network.n_layers, share)
        return page_of(about)

    @classmethod
    def load(cls, folder: str | Path) -> "Model":
        """Return the model in a folder.

        Raises:
            ModelFileError: there is none, or it is damaged or of a newer format.
        """
        document, tensors = read_folder(folder)
        try:
            model = cls._of(check_form(upgraded(document), EpochRecord), tensors)
            model._try()
        except UNFIT as error:
            raise ModelFileError(f"{str(folder)!r} is not a model of this format: {in_one_line(error)}.") from None
        return model

    def _try(self) -> None:
        """Predict a row of missing values: what does not fit together fails where the model is loaded."""
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            self.predict(missing_row(self.schema))
            if self.scores is not None:
                self.predict_interval(missing_row(self.schema), 0.01)

    def _state(self) -> tuple[Document, Tensors]:
        document = {
            "schema": self.schema.as_json(),
            "encoder": self.encoder.as_json(),
            "config": self.config.as_json(),
            "scaler": None if self.scaler is None else self.scaler.as_json(),
            "scores": None if self.scores is None else self.scores.as_json(),
            "report": asdict(self.report),
            "history": [asdict(record) for record in self.history],
        }
        return document, self.tensors()

    def tensors(self) -> Tensors:
        """Return all that was learned, by name: the network's weights, and the linear model's where it has a share."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return weights if self.linear is None else {**weights, **self.linear.as_tensors()}

    @classmethod
    def _of(cls, document: Document, tensors: Tensors) -> "Model":
        schema = Schema.from_json(document["schema"])
        encoder = Encoder.from_json(document["encoder"])
        config = Config.of(**document["config"])
        check_meaning(schema, encoder)
        check_size(encoder, config.as_dict(), schema.target.n_outputs, sum(array.size for array in tensors.values()))
        tensors, linear = taken_from(tensors, encoder, schema.target.n_outputs)
        network = build_network(encoder, schema.target.n_outputs, config, torch.Generator())
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in tensors.items()})
        network.eval()
        return cls(
            schema=schema,
            encoder=encoder,
            network=network,
            config=config,
            scaler=None if document["scaler"] is None else TargetScaler.from_json(document["scaler"]),
            linear=linear,
            scores=None if document["scores"] is None else ConformalScores.from_json(document["scores"]),
            report=Report(**document["report"]),
            history=[EpochRecord(**record) for record in document["history"]],
        )

    # A pickle holds what a folder holds, so that the two predict the same.
    def __getstate__(self) -> tuple[Document, Tensors]:
        return self._state()

    def __setstate__(self, state: tuple[Document, Tensors]) -> None:
        self.__dict__.update(self._of(*state).__dict__)


def prediction_of(outputs: Tensor, loss: str, scaler: TargetScaler | None) -> Array:
    """Return probabilities, or values in the target's unit, (n, k) float64, for a network's outputs (n, k)."""
    prediction: Array = LOSSES[loss].output_map(outputs).numpy().astype(np.float64)
    return prediction if scaler is None else scaler.inverse(prediction)


def build_network(encoder: Encoder, n_outputs: int, config: Config, generator: torch.Generator) -> Network:
    """Return the untrained network that a resolved configuration describes."""
    common: dict[str, Any] = {
        "hidden_units": config.hidden_units or (),
        "activation": config.activation,
        "activation_parameters": config.activation_parameters,
        "dropout": config.dropout or 0.0,
        "input_dropout": config.input_dropout or 0.0,
        "normalization": config.normalization,
        "initial_weights": config.initial_weights,
        "embedding_width": config.embedding_width,
        "generator": generator,
        "dtype": getattr(torch, config.dtype),
    }
    members = config.members or 1
    if members == 1:
        shape: dict[str, Any] = {"layer": config.layer, "phm_n": config.phm_n, "rank": config.rank}
        return MLP(encoder, n_outputs, numbers=config.numeric, **shape, **common)
    encodings = _encodings(config.numeric, members)
    return Members(encoder, n_outputs, encodings=encodings, average=LOSSES[config.loss].average, **common)


def _encodings(numeric: str, members: int) -> tuple[str, ...]:
    """Return each member's encoding of numbers: of mixed ones the first half has piecewise embeddings."""
    if numeric != "mixed":
        return (numeric,) * members
    return ("piecewise_embedding",) * ((members + 1) // 2) + ("periodic",) * (members // 2)


def as_tensors(arrays: Arrays, device: str) -> dict[str, Tensor]:
    """Return encoded arrays as tensors on ``device``, without a copy where it is the CPU."""
    with warnings.catch_warnings():
        # Arrays read from a file's bytes are read-only, which torch warns of; they are never written to.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {name: _tensor(values).to(device) for name, values in arrays.items()}


def _tensor(values: Any) -> Tensor:
    if isinstance(values, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(values))
    crow, col = (torch.from_numpy(part.astype(np.int64)) for part in (values.indptr, values.indices))
    return csr(crow, col, torch.from_numpy(values.data), values.shape)


def load(folder: str | Path) -> Model:
    """Return the model in ``folder``; see ``Model.load``."""
    return Model.load(folder)
