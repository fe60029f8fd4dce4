"""A whole model, from raw columns to classes or values, as one ONNX graph in float64.

difference = to_onnx(model, "income.onnx", sample="adult-test.csv")
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lamina
from lamina.data.table import Table
from lamina.data.target_scaling import TargetScaler
from lamina.errors import ConfigError, MissingExtraError
from lamina.export.onnx_functions import OUTPUT_MAP, interpolate
from lamina.export.onnx_graph import Graph
from lamina.export.onnx_inputs import add_inputs
from lamina.export.onnx_network import add_network
from lamina.export.plan import plan_of
from lamina.model import Model

Array = NDArray[Any]
_OUTPUTS = ("probabilities", "label", "values")


def to_onnx(model: Model, path: str | Path, *, sample: Any = None) -> float | None:
    """Write ``model`` as an ONNX file, whole or not at all, and compare the two on ``sample``.

    The graph has an input for each feature column, called as the column: numbers are double (n, 1), NaN where missing;
    categories string (n, 1), "" where missing; dates string (n, 1) in ISO 8601, as in 2024-05-31 or
    2024-05-31T12:30:00, UTC, "" where missing, and anything else ends the run; images uint8 (n, height, width), or
    double where ``sample`` has them as floats or the training pixels average 1 at most. It has the outputs
    ``probabilities`` (n, k) double and ``label``: (n,) string, int64, double or bool, the classes' own type; of several
    labels (n, k) int64; for a regression ``values`` (n, k) double. The file's metadata hold ``classes`` and ``schema``
    as JSON.

    Args:
        model: any of built-in parts on dense columns.
        path: of the file; one that is there is replaced.
        sample: rows to compare the predictions on, anything that ``lamina.read_table`` takes; ``None``: no comparison.

    Returns:
        The largest absolute difference between the model's probabilities or values and ONNX Runtime's; those of values
        are divided by the largest value of the column, if that is above 1. ``None`` without a sample.

    Raises:
        ConfigError: something in the model has no ONNX form; the message says what.
        MissingExtraError: onnx, or for the comparison onnxruntime, is not installed.
        DataError, SchemaError: ``sample`` cannot be read or does not fit.
    """
    table = None if sample is None else model.schema.check(model.read(sample))[0]
    if table is not None:
        model.encoder.check_images(table)
    proto = build(model, _image_element(model, table))
    from onnx import checker

    checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    difference = None if table is None else largest_difference(content, model, table)
    _write(Path(path), content)
    return difference


def build(model: Model, image_element: str = "UINT8") -> Any:
    """Return the onnx.ModelProto of ``model``; ``image_element`` is UINT8 or DOUBLE. Errors as in ``to_onnx``."""
    schema, encoder, target = model.schema, model.encoder, model.schema.target
    plan = plan_of(encoder, model.config.as_json(), model.tensors(), target.n_outputs)
    for column in schema.features:
        if column.name in _OUTPUTS:
            raise ConfigError(f"the column {column.name!r} is called as an output of the graph; rename it and train.")
    g = Graph()
    parts = add_inputs(g, schema, encoder, image_element)
    prediction = OUTPUT_MAP[plan.output_map](g, add_network(g, plan, parts))
    if target.task == "regression":
        values = prediction if model.scaler is None else _unscaled(g, model.scaler, prediction)
        g.output("values", values, "DOUBLE", ["n", target.n_outputs])
    else:
        g.output("probabilities", prediction, "DOUBLE", ["n", target.n_outputs])
        _label(g, model, prediction)
    metadata = {
        "classes": json.dumps(list(target.classes or target.names), ensure_ascii=False),
        "schema": json.dumps(schema.as_json(), ensure_ascii=False),
        "lamina_version": lamina.__version__,
    }
    return g.model("lamina", metadata)


def largest_difference(content: bytes, model: Model, table: Table) -> float:
    """Return how far ONNX Runtime and ``model`` are apart on ``table``; see ``to_onnx``.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("comparing needs onnxruntime: pip install 'lamina[onnx]'.") from None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(None, feeds(model, table))[0])
    expected = model.predict_outputs(table)
    difference = np.abs(found - expected)
    if model.task == "regression":
        difference = difference / np.maximum(np.abs(expected).max(axis=0, initial=1.0), 1.0)
    return float(difference.max(initial=0.0))


def feeds(model: Model, table: Table) -> dict[str, Array]:
    """Return the inputs of the graph of ``model`` for a table, by name; see ``to_onnx``."""
    features, _ = model.schema.check(table)
    arrays: dict[str, Array] = {}
    for expected in model.schema.features:
        column = features[expected.name]
        if expected.kind == "image":
            floats = _image_element(model, features) == "DOUBLE"
            arrays[expected.name] = column.values.astype(np.float64) if floats else column.values
        elif expected.kind == "number":
            arrays[expected.name] = np.asarray(column.values, dtype=np.float64)[:, None]
        else:
            cells = [column.cell(row) for row in range(features.n_rows)]
            arrays[expected.name] = np.array(cells, dtype=object).reshape(-1, 1)
    return arrays


def _image_element(model: Model, table: Table | None) -> str:
    """Return UINT8, or DOUBLE where images are floats; without rows this is seen from their mean, up to 1."""
    images = model.encoder.images
    if table is not None and images:
        return "UINT8" if all(table[code.name].values.dtype == np.uint8 for code in images) else "DOUBLE"
    return "DOUBLE" if any(code.mean <= 1 and code.scale <= 1 for code in images) else "UINT8"


def _unscaled(g: Graph, scaler: TargetScaler, prediction: str) -> str:
    """Return values in the target's unit; see ``lamina.data.target_scaling``."""
    columns = []
    for i, column in enumerate(scaler.columns):
        z = g.add("Add", g.add("Mul", g.columns(prediction, [i]), column.scale), column.mean)
        if scaler.transform in ("log", "log1p"):
            z = g.add("Exp", z) if scaler.transform == "log" else _expm1(g, z)
        elif scaler.transform == "quantile":
            values, scores = column.knots
            z = interpolate(g, z, scores, values)
        elif scaler.transform != "none":
            raise ConfigError(
                f"the target transform {scaler.transform!r} is not built in, so it cannot be exported; use the model."
            )
        columns.append(z)
    return g.concat(columns)


def _expm1(g: Graph, z: str) -> str:
    # exp(z) - 1 = 2 tanh(z / 2) / (1 - tanh(z / 2)) keeps the digits where z is small.
    t = g.add("Tanh", g.add("Mul", g.add("Clip", z, -1.0, 1.0), 0.5))
    small = g.add("Div", g.add("Mul", t, 2.0), g.add("Sub", 1.0, t))
    near = g.add("Less", g.add("Abs", z), 1.0)
    return g.add("Where", near, small, g.add("Sub", g.add("Exp", z), 1.0))


def _label(g: Graph, model: Model, prediction: str) -> None:
    """Add the output ``label``; see ``lamina.data.target.Target.decide``."""
    target = model.schema.target
    if target.task == "multilabel":
        above = g.cast(g.add("GreaterOrEqual", prediction, target.threshold), "INT64")
        g.output("label", above, "INT64", ["n", target.n_outputs])
        return
    if target.positive is None or target.threshold == 0.5:
        code = g.add("ArgMax", prediction, axis=1, keepdims=0)
    else:
        chosen = g.reshape(g.columns(prediction, [target.positive]), -1)
        above = g.add("GreaterOrEqual", chosen, target.threshold)
        code = g.add("Where", above, g.integers(target.positive), g.integers(1 - target.positive))
    classes = model.classes
    kind = {"U": "STRING", "i": "INT64", "f": "DOUBLE", "b": "BOOL"}[classes.dtype.kind]
    table = g.constant(classes, None if kind in ("STRING", "DOUBLE") else classes.dtype)
    g.output("label", g.add("Gather", table, code), kind, ["n"])


def _write(path: Path, content: bytes) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir():
        reason = "it is a folder; name a file" if path.is_dir() else "there is no such folder"
        raise ConfigError(f"cannot write {str(path)!r}: {reason}.")
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
