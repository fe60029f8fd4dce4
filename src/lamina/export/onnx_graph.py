"""An ONNX graph under construction: nodes and constants, their results called by generated names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.errors import MissingExtraError

Array = NDArray[Any]

# The first opset that splits text, which dates need; onnx 1.15 and ONNX Runtime 1.17 know it.
OPSET, ML_OPSET, IR_VERSION = 20, 3, 9
_ML_DOMAIN = "ai.onnx.ml"


def onnx_modules() -> Any:
    """Return the module ``onnx`` with its parts.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError("writing ONNX needs onnx: pip install 'lamina[onnx]'.") from None
    return onnx


class Graph:
    """Nodes in the order in which they are computed. What is computed is named by a string."""

    def __init__(self) -> None:
        self.onnx = onnx_modules()
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[tuple[Any, ...], str] = {}

    def add(self, op: str, *inputs: str | float | Array, n_outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first result; numbers among the inputs become float64 constants."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        results = [
            f"{op.lower()}_{len(self.nodes)}",
            *(f"{op.lower()}_{len(self.nodes)}_{i}" for i in range(1, n_outputs)),
        ]
        domain = _ML_DOMAIN if op == "LabelEncoder" else ""
        self.nodes.append(self.onnx.helper.make_node(op, names, results, domain=domain, **attributes))
        return results[0]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant: text of Python strings, else an array, float64 unless ``dtype`` is given."""
        array = np.asarray(value)
        text = array.dtype.kind in "UO"
        array = array.astype(object if text else dtype or np.float64)
        key = (array.dtype.str, array.shape, tuple(array.ravel().tolist()) if text else array.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self.constants)}"
            self.constants.append(self.onnx.numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def integers(self, values: Sequence[int] | int) -> str:
        """Return the name of an int64 constant."""
        return self.constant(values, np.int64)

    def input(self, name: str, element: str, shape: Sequence[Any]) -> str:
        """Declare an input and return its name; ``element`` as in onnx.TensorProto, such as ``DOUBLE``."""
        kind = getattr(self.onnx.TensorProto, element)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, element: str, shape: Sequence[Any]) -> None:
        """Declare that ``value`` leaves the graph under ``name``."""
        kind = getattr(self.onnx.TensorProto, element)
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))

    def cast(self, value: str, element: str) -> str:
        return self.add("Cast", value, to=getattr(self.onnx.TensorProto, element))

    def concat(self, parts: Sequence[str], axis: int = 1) -> str:
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def columns(self, value: str, positions: Sequence[int] | Array) -> str:
        """Return the columns of ``value`` (n, d) at ``positions``."""
        return self.add("Gather", value, self.integers(np.asarray(positions).tolist()), axis=1)

    def reshape(self, value: str, *shape: int) -> str:
        return self.add("Reshape", value, self.integers(shape))

    def reduce(self, op: str, value: str, axis: int, keepdims: bool = True) -> str:
        return self.add(op, value, self.integers([axis]), keepdims=int(keepdims))

    def model(self, name: str, metadata: dict[str, str]) -> Any:
        """Return the finished onnx.ModelProto."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML_DOMAIN, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lamina")
        helper.set_model_props(model, metadata)
        return model
