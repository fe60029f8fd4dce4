"""A network as plain arrays: what the NumPy runtime computes, and what the ONNX graph is made of.

All arrays are float64, the precision in which a model predicts; what training composes (low rank, Kronecker products,
batch normalization) is composed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import Encoder
from lamina.errors import ConfigError, ModelFileError
from lamina.export.numpy_functions import ACTIVATE, OUTPUT_OF_LOSS
from lamina.linear_part import LinearPart, taken_from

Array = NDArray[Any]
Tensors = Mapping[str, Array]
_EPSILON = 1e-5  # of both normalizations, torch's default


@dataclass(frozen=True)
class Pieces:
    """Piecewise-linear encoding: of column ``column[t]`` the piece clip((x - left[t]) * scale[t], 0, 1), each (T,)."""

    column: Array
    left: Array
    scale: Array


@dataclass(frozen=True)
class Embedding:
    """Learned numbers of pieces, max(0, W^T p + b), as in ``lamina.network.embeddings.PiecewiseEmbedding``.

    ``left`` and ``scale`` are (d, T), ``weight`` (d, T, w), ``bias`` (d, w).
    """

    left: Array
    scale: Array
    weight: Array
    bias: Array


@dataclass(frozen=True)
class Waves:
    """Periodic encoding: ``frequency`` and ``phase`` (d, f), ``mixture`` (d, f, w), ``bias`` (d, w)."""

    frequency: Array
    phase: Array
    mixture: Array
    bias: Array


@dataclass(frozen=True)
class Inputs:
    """One input layer, its parts in the order in which they stand side by side.

    Attributes:
        numbers: how numbers enter; ``None``: as they are, standardised.
        flags: number of missing flags.
        hot_column, hot_code: (h,): the one-hot column is 1 where ``codes[:, hot_column] == hot_code``.
        tables: embeddings, each with the position of its column among the codes.
        pixel_scale, pixel_shift: (p,), empty without images.
        width: of everything together.
    """

    numbers: Pieces | Embedding | Waves | None
    flags: int
    hot_column: Array
    hot_code: Array
    tables: tuple[tuple[int, Array], ...]
    pixel_scale: Array
    pixel_shift: Array
    width: int


@dataclass(frozen=True)
class Block:
    """A hidden layer: affine map, normalization, activation.

    Attributes:
        weights: of the first layer one (width, units) for each input layer, side by side in the result; of a later one
            a single (fan_in, units), or (members, fan_in, units).
        bias: (all units,), of all members together.
        scale, shift: (all units,) of batch or layer normalization; ``None`` without.
        normalized: whether each member's units are brought to mean 0 and variance 1 first (layer normalization).
        activation: its name.
        parameter: its learned numbers (1,) or (all units,), or ``None``.
    """

    weights: tuple[Array, ...]
    bias: Array
    scale: Array | None
    shift: Array | None
    normalized: bool
    activation: str
    parameter: Array | None


@dataclass(frozen=True)
class Plan:
    """A network. ``output`` is as a block's ``weights``, ``output_map`` a key of ``OUTPUT_MAP``.

    ``linear`` is what counts for a share of the outputs beside the members, or ``None``.
    """

    inputs: tuple[Inputs, ...]
    blocks: tuple[Block, ...]
    output: tuple[Array, ...]
    output_bias: Array
    members: int
    output_map: str
    linear: LinearPart | None = None
    epsilon: float = _EPSILON


def plan_of(encoder: Encoder, config: Mapping[str, Any], tensors: Tensors, n_outputs: int) -> Plan:
    """Return the plan of a network.

    Args:
        encoder: of the model.
        config: its options, as ``Config.as_json`` returns them.
        tensors: its weights by name.
        n_outputs: width of the output.

    Raises:
        ConfigError: a sparse block, or an activation, layer or loss that is not built in.
        ModelFileError: the weights do not have the shapes that the options say.
    """
    _check_supported(encoder, config)
    units = tuple(config["hidden_units"] or ())
    named = config["activation"]
    activations = (named,) * len(units) if isinstance(named, str) else tuple(named)
    members = config["members"] or 1
    tensors, linear = taken_from(tensors, encoder, n_outputs)
    read = _Reader(tensors)
    inputs = _input_layers(encoder, config["numeric"], members, read)
    blocks, width = [], inputs[0].width
    for i, (n, name) in enumerate(zip(units, activations, strict=True)):
        before = f"hidden.{i}."
        if members > 1 and i == 0:
            weights, bias = _first_affine(read, f"{before}affine.", inputs, members * n)
        else:
            weights = (_weight(read, f"{before}affine.", config, width, n, members),)
            bias = read(f"{before}affine.bias", (members * n,))
        scale, shift = _normalization(read, f"{before}norm.", config["normalization"], members * n)
        parameter = read.either(f"{before}activation.parameter", members * n)
        normalized = config["normalization"] == "layer"
        blocks.append(Block(weights, bias, scale, shift, normalized, name, parameter))
        width = n
    if members > 1 and not units:
        output, output_bias = _first_affine(read, "output.", inputs, members * n_outputs)
    else:
        shape = (width, n_outputs) if members == 1 else (members, width, n_outputs)
        output, output_bias = (read("output.weight", shape),), read("output.bias", (members * n_outputs,))
    output_map = OUTPUT_OF_LOSS[config["loss"]]
    return Plan(tuple(inputs), tuple(blocks), output, output_bias, members, output_map, linear)


class _Reader:
    """Reads tensors as float64 and checks their shapes."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def __call__(self, name: str, shape: tuple[int, ...]) -> Array:
        if name not in self.tensors:
            raise ModelFileError(f"the weights have no {name!r}; train or copy the model again.")
        array = self.tensors[name]
        if array.shape != shape:
            raise ModelFileError(f"the weights {name!r} have the shape {array.shape}, expected {shape}.")
        return array.astype(np.float64)

    def vector(self, name: str) -> Array:
        """Return an array (n,) of any length."""
        return self(name, self.tensors[name].shape[:1] if name in self.tensors else (0,))

    def either(self, name: str, units: int) -> Array | None:
        """Return an activation's learned numbers (1,) or (units,), or ``None`` where there are none."""
        if name not in self.tensors:
            return None
        one = self.tensors[name].shape == (1,)
        return self(name, (1,) if one else (units,))


def _check_supported(encoder: Encoder, config: Mapping[str, Any]) -> None:
    if encoder.blocks:
        raise ConfigError("a model of a sparse matrix cannot be taken to NumPy or ONNX; use the model itself.")
    named = config["activation"]
    for name in (named,) if isinstance(named, str) else named:
        if name not in ACTIVATE:
            raise ConfigError(
                f"the activation {repr(name)[:80]} is not built in and cannot be taken to NumPy or ONNX; "
                "use the model itself."
            )
    for option, known in (("layer", ("dense", "phm", "low_rank")), ("normalization", ("none", "batch", "layer")),
                          ("loss", tuple(OUTPUT_OF_LOSS))):  # fmt: skip
        if config[option] not in known:
            raise ConfigError(
                f"{option} = {repr(config[option])[:80]} is not built in, so it cannot be taken to NumPy or ONNX; "
                "use the model itself."
            )


def _input_layers(encoder: Encoder, numeric: str, members: int, read: _Reader) -> list[Inputs]:
    """Return the input layers: members share those that learn nothing, see ``lamina.network.members.Members``."""
    if members == 1:
        return [_inputs(encoder, numeric, read, "inputs.")]
    parts = [name for name in read.tensors if name.endswith(".weight") and ".parts." in name]
    if not parts:
        raise ModelFileError("the weights have no first layer of several members; train or copy the model again.")
    return [_inputs(encoder, numeric, read, f"inputs.{i}.") for i in range(len(parts))]


def _first_affine(read: _Reader, prefix: str, inputs: list[Inputs], units: int) -> tuple[tuple[Array, ...], Array]:
    """Return a weight for each input layer, and the bias (units,), of ``lamina.network.members.FirstAffine``."""
    biases = [read.vector(f"{prefix}parts.{i}.bias") for i in range(len(inputs))]
    weights = [
        read(f"{prefix}parts.{i}.weight", (each.width, len(bias)))
        for i, (each, bias) in enumerate(zip(inputs, biases, strict=True))
    ]
    bias = np.concatenate(biases)
    if len(bias) != units:
        raise ModelFileError(f"the weights {prefix}parts are of {len(bias)} units, expected {units}.")
    return tuple(weights), bias


def _inputs(encoder: Encoder, numeric: str, read: _Reader, prefix: str) -> Inputs:
    edges = [code.edges for code in encoder.numbers]
    numbers: Pieces | Embedding | Waves | None = None
    width = len(edges)
    # The weights say which encoding a member of ``mixed`` ones has.
    if f"{prefix}pieces.frequency" in read.tensors:
        numbers = _waves(read, f"{prefix}pieces.", len(edges))
        width = len(edges) * (numbers.bias.shape[1] + 1)
    elif f"{prefix}pieces.weight" in read.tensors:
        numbers = _embedding(read, f"{prefix}pieces.", edges)
        width = numbers.bias.size
    elif numeric in ("piecewise_linear", "mixed") and any(edges):
        numbers = _pieces(edges)
        width = len(numbers.column)
    flags = sum(code.flag for code in encoder.numbers)
    # A one-hot column for each level; the code of rare and unseen ones, 0, has none.
    hot = [
        (i, code)
        for i, category in enumerate(encoder.categories)
        if category.one_hot
        for code in range(1, category.n_codes)
    ]
    hot_column, hot_code = np.array(hot, dtype=np.int32).reshape(-1, 2).T
    tables = []
    embedded = [i for i, category in enumerate(encoder.categories) if not category.one_hot]
    for position, i in enumerate(embedded):
        name = f"{prefix}categories.tables.{position}"
        columns = read.tensors[name].shape[-1] if name in read.tensors else 0
        tables.append((i, read(name, (encoder.categories[i].n_codes, columns))))
    pixels = [(code.mean, code.scale) for code in encoder.images for _ in range(code.width)]
    mean, scale = np.array(pixels, dtype=np.float64).reshape(-1, 2).T
    width += flags + len(hot) + sum(table.shape[1] for _, table in tables) + len(pixels)
    return Inputs(
        numbers, flags, np.ascontiguousarray(hot_column), np.ascontiguousarray(hot_code), tuple(tables),
        1 / scale, -mean / scale, width,
    )  # fmt: skip


def _pieces(edges: list[tuple[float, ...]]) -> Pieces:
    column = [i for i, each in enumerate(edges) for _ in each[1:]]
    left = np.array([b for each in edges for b in each[:-1]], dtype=np.float64)
    right = np.array([b for each in edges for b in each[1:]], dtype=np.float64)
    return Pieces(np.array(column, dtype=np.intp), left, 1 / (right - left))


def _embedding(read: _Reader, prefix: str, edges: list[tuple[float, ...]]) -> Embedding:
    d, bins = len(edges), max(len(each) - 1 for each in edges)
    left, scale = np.zeros((2, d, bins))  # a column with fewer bins has some of scale 0
    for j, each in enumerate(edges):
        left[j, : len(each) - 1], scale[j, : len(each) - 1] = each[:-1], 1 / np.diff(each)
    bias = read.tensors.get(f"{prefix}bias")
    width = 0 if bias is None else bias.shape[-1]
    return Embedding(left, scale, read(f"{prefix}weight", (d, bins, width)), read(f"{prefix}bias", (d, width)))


def _waves(read: _Reader, prefix: str, d: int) -> Waves:
    mixture = read.tensors.get(f"{prefix}mixture")
    if mixture is None or mixture.ndim != 3:
        raise ModelFileError(f"the weights have no {prefix}mixture of three axes; train or copy the model again.")
    _, f, w = mixture.shape
    return Waves(
        read(f"{prefix}frequency", (d, f)),
        read(f"{prefix}phase", (d, f)),
        read(f"{prefix}mixture", (d, f, w)),
        read(f"{prefix}bias", (d, w)),
    )


def _weight(read: _Reader, prefix: str, config: Mapping[str, Any], fan_in: int, fan_out: int, members: int) -> Array:
    """Return W (fan_in, fan_out), or (members, fan_in, fan_out); see ``lamina.network.saving_layers``."""
    if members > 1:
        return read(f"{prefix}weight", (members, fan_in, fan_out))
    if config["layer"] == "low_rank":
        rank = min(config["rank"], fan_in, fan_out)
        return np.asarray(read(f"{prefix}U", (fan_in, rank)) @ read(f"{prefix}V", (rank, fan_out)))
    if config["layer"] == "phm":
        n = config["phm_n"]
        rows, columns = -(-fan_in // n), fan_out // n
        A, S = read(f"{prefix}A", (n, n, n)), read(f"{prefix}S", (n, rows, columns))
        blocks = np.einsum("iac,irk->arck", A, S)
        return np.asarray(blocks.reshape(n * rows, n * columns)[:fan_in])
    return read(f"{prefix}weight", (fan_in, fan_out))


def _normalization(read: _Reader, prefix: str, name: str, units: int) -> tuple[Array | None, Array | None]:
    if name == "none":
        return None, None
    scale, shift = read(f"{prefix}weight", (units,)), read(f"{prefix}bias", (units,))
    if name == "layer":
        return scale, shift
    mean, variance = read(f"{prefix}running_mean", (units,)), read(f"{prefix}running_var", (units,))
    scale = scale / np.sqrt(variance + _EPSILON)
    return scale, shift - mean * scale
