"""Which columns make the prediction for a row differ from that for a typical row, and by how much."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamina.analysis.data_rows import data_rows, regions
from lamina.analysis.integrated_gradients import integrate
from lamina.analysis.row_function import one_row
from lamina.analysis.stages import maps_outputs
from lamina.data.encoder import Encoder, ImageCode, weighted_quantiles
from lamina.data.image_features import CELL, gradient_shape
from lamina.data.table import Array, Column, Table
from lamina.errors import ConfigError, LaminaWarning, did_you_mean, shortened
from lamina.linear_part import LinearPart
from lamina.model import Model, as_tensors, build_network
from lamina.network.embeddings import InputLayer, Periodic, PiecewiseEmbedding, PiecewiseLinear
from lamina.network.members import Members, Network

_MAX_BASELINE_ROWS = 100_000


@dataclass(frozen=True)
class Attributions:
    """f(row) - f(baseline), shared out among the columns.

    Attributes:
        output: what f is, such as ``logit(setosa)`` or ``price``.
        value: f of the row.
        baseline_value: f of the baseline.
        contributions: by column, in the model's order, in the unit of f; an image counts by regions, such as
            ``image[0:7,14:21]``.
        row: by column, what the row has there, as text; the mean of the pixels for a region of an image.
        baseline: likewise of the baseline.
        gap: value - baseline_value - Σ contributions, what integration left over.
        maps: by image column, the contributions of its pixels (height, width), or of its cells where the network sees
            features of cells.
    """

    output: str
    value: float
    baseline_value: float
    contributions: Mapping[str, float]
    row: Mapping[str, str]
    baseline: Mapping[str, str]
    gap: float
    maps: Mapping[str, Array]

    def ordered(self) -> list[tuple[str, float]]:
        """Return the columns and their contributions, the largest in size first."""
        return sorted(self.contributions.items(), key=lambda item: -abs(item[1]))

    def __str__(self) -> str:
        width = max(len(name) for name in self.contributions)
        lines = [f"{name:<{width}}  {part:+.4g}" for name, part in self.ordered()]
        return "\n".join([f"{self.output} = {self.value:.4g}, of the baseline {self.baseline_value:.4g}", *lines])


def attributions(model: Model, row: Any, baseline: Any, *, output: Any = None, tolerance: float = 1e-4) -> Attributions:
    """Return what each column of ``row`` adds to the output of ``model``, compared with ``baseline``.

    Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365, eq. 1), of one network or of the average of
    several. The path from the baseline to the row is straight in what the input layer makes of the two (pieces or
    cosines of numbers, one-hot columns and embeddings, flags of missing values), where categories have gradients too;
    the parts of a column are added up. The contributions add up to the difference of the two outputs.

    f is a number in which effects add up: for classes and labels the logit log(p / (1 - p)) of one of them, in which a
    constant added to all outputs of a softmax cancels; for numbers the value in the target's unit, where the target is
    transformed the transformed value, and with the loss ``poisson`` its logarithm.

    Args:
        model: any but one of sparse input.
        row: one row: anything that ``lamina.read_table`` takes, an array (d,), or a mapping from column to value.
        baseline: what to compare with: one row, or several, for which the typical row stands: the median of each
            number, date and pixel, and the most frequent level of each category; weighted where training was.
        output: the class, label or target; ``None``: the predicted class, or the first label or target.
        tolerance: largest gap as a share of the difference. A gap above it, as where an activation jumps, is warned of.

    Raises:
        ConfigError: no such output, a tolerance that is not above 0, or a model of sparse input.
        DataError, SchemaError: the row or the baseline cannot be read or does not fit, or ``row`` is not one row.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", seed=0, epochs=10, members=1)
        >>> rows = lamina.read_table("iris")
        >>> why = attributions(model, rows.rows([0]), rows)
        >>> why.output, abs(why.gap) <= 1e-4 * abs(why.value - why.baseline_value)
        ('logit(setosa)', True)
    """
    if model.encoder.blocks:
        raise ConfigError(
            "the model was trained on a sparse matrix, which this does not follow; train on X.toarray() instead of X."
        )
    if not tolerance > 0:
        raise ConfigError(f"tolerance = {tolerance!r} is not above 0; give a share such as 1e-4.")
    here = one_row(model, row, "row")
    rows = data_rows(model, baseline, _MAX_BASELINE_ROWS, np.random.default_rng(0))
    typical = typical_row(rows.features, rows.weights)
    network = _float64(model)
    start, end = (_encoded(model, network, features) for features in (typical, here))
    owners = [_owners(layer, model.encoder) for layer in _input_layers(network)]
    if model.linear is not None:
        owners.append(model.linear.owners(model.encoder))
    names = list(dict.fromkeys(name for each in owners for name in each))
    position = {name: i for i, name in enumerate(names)}
    name, of_outputs = _chosen_output(model, here, output)
    path = integrate(
        lambda encoded: of_outputs(_outputs(network, model.linear, encoded)), start, end,
        [torch.tensor([position[name] for name in each]) for each in owners], len(names), tolerance,
    )  # fmt: skip
    if abs(path.gap) > path.allowed:
        warnings.warn(
            f"{path.gap:.3g} of the difference of {path.end - path.start:.3g} is not attributed to any column: "
            "the network has jumps, or kinks without number; raise the tolerance to be content with that.",
            LaminaWarning, stacklevel=2,
        )  # fmt: skip
    by_number = dict(zip(names, path.contributions.tolist(), strict=True))
    maps = {code.name: _map(code, by_number) for code in model.encoder.images}
    return Attributions(
        output=name,
        value=path.end,
        baseline_value=path.start,
        contributions=_by_column(model, by_number, maps),
        row=_cells(model, here),
        baseline=_cells(model, typical),
        gap=path.gap,
        maps=maps,
    )


def typical_row(features: Table, weights: Array | None = None) -> Table:
    """Return one row: medians of numbers, dates and pixels, and the most frequent levels of categories, each by itself.

    Args:
        features: as ``Schema.check`` returns them.
        weights: (n,) or ``None``.
    """
    columns = {name: _typical(column, weights) for name, column in features.columns.items()}
    return replace(features, columns=columns, n_rows=1, positions=None, source="the baseline")


def _typical(column: Column, weights: Array | None) -> Column:
    if column.type == "image":
        middle = np.quantile(column.values, 0.5, axis=0, weights=weights, method="inverted_cdf")
        return replace(column, values=np.asarray(middle, dtype=column.values.dtype)[None])
    if column.levels:
        # Code -1, a missing value, is counted in the first place.
        most = int(np.bincount(column.values + 1, weights, len(column.levels) + 1).argmax()) - 1
        return replace(column, values=np.array([most], dtype=np.int32))
    present = ~column.is_missing()
    if not present.any():
        return column.rows(np.array([0]))
    middle = weighted_quantiles(column.values[present], np.array([0.5]), None if weights is None else weights[present])
    return replace(column, values=middle)


def _float64(model: Model) -> Network:
    """Return a copy of the network, of one member or several, in float64, in evaluation mode."""
    config = model.config.replace(dtype="float64")
    network = build_network(model.encoder, model.schema.target.n_outputs, config, torch.Generator())
    network.load_state_dict(model.network.state_dict())
    return network.eval()


def _input_layers(network: Network) -> list[InputLayer]:
    layers: Any = network.inputs if isinstance(network, Members) else [network.inputs]
    return list(layers)


def _encoded(model: Model, network: Network, features: Table) -> list[Tensor]:
    """Return the row behind each input layer, (1, width), and what a linear model sees of it, where one has a share."""
    arrays = model.encoder.transform(features, "float64")
    with torch.no_grad():
        encoded = [layer(as_tensors(arrays, "cpu")) for layer in _input_layers(network)]
    return encoded if model.linear is None else [*encoded, torch.from_numpy(model.linear.columns(arrays))]


def _outputs(network: Network, linear: LinearPart | None, encoded: list[Tensor]) -> Tensor:
    """Return the outputs (n, k) for rows as ``_encoded`` returns them."""
    if not isinstance(network, Members):
        outputs: Tensor = network.output(network.hidden(encoded[0]))
        return outputs
    each: Tensor = network.output(network.hidden(encoded if linear is None else encoded[:-1]))
    together = network.combine(each.view(len(each), network.k, -1))
    if linear is None:
        return together
    weight, bias = torch.from_numpy(linear.weight), torch.from_numpy(linear.bias)
    return linear.keep * together + encoded[-1] @ weight + bias


def _owners(layer: InputLayer, encoder: Encoder) -> list[str]:
    """Return the column of each number behind ``layer``, as ``InputLayer.forward`` orders them; of images the place."""
    numbers = [code.name for code in encoder.numbers]
    owners: list[str]
    if isinstance(layer.pieces, Periodic):
        width = layer.pieces.width // len(numbers) - 1
        owners = [name for name in numbers for _ in range(width)] + numbers
    elif isinstance(layer.pieces, PiecewiseEmbedding):
        owners = [name for name in numbers for _ in range(layer.pieces.width // len(numbers))]
    elif isinstance(layer.pieces, PiecewiseLinear):
        owners = [numbers[column] for column in layer.pieces.column.tolist()]
    else:
        owners = numbers
    owners = owners + [code.name for code in encoder.numbers if code.flag]
    if layer.categories is not None:
        names = [code.name for code in encoder.categories]
        hot, embedded = layer.categories.hot.tolist(), layer.categories.embedded
        owners += [names[hot[column]] for column in layer.categories.column.tolist()]
        for i, table in zip(embedded, layer.categories.tables, strict=True):
            owners += [names[i]] * table.shape[1]
    for image in encoder.images:
        height, width, _ = _grid(image)
        depth = image.width // (height * width)
        owners += [_place(image, i, j) for i in range(height) for j in range(width) for _ in range(depth)]
    return owners


def _grid(image: ImageCode) -> tuple[int, int, int]:
    """Return rows and columns of the places of which the network has numbers, and their size in pixels."""
    if image.features == "gradients":
        return (*gradient_shape(image.shape)[:2], CELL)
    return image.shape[0], image.shape[1], 1


def _place(image: ImageCode, i: int, j: int) -> str:
    return f"{image.name}[{i},{j}]"


def _map(image: ImageCode, by_number: Mapping[str, float]) -> Array:
    height, width, _ = _grid(image)
    return np.array([[by_number[_place(image, i, j)] for j in range(width)] for i in range(height)])


def _by_column(model: Model, by_number: Mapping[str, float], maps: Mapping[str, Array]) -> dict[str, float]:
    """Return the contributions of columns, and of regions of images, in the order of the schema."""
    codes = {code.name: code for code in model.encoder.images}
    found = {}
    for column in model.schema.features:
        if column.name not in codes:
            # A column that becomes no number, such as a category of one level, changes nothing.
            found[column.name] = by_number.get(column.name, 0.0) + 0.0  # -0.0 becomes 0.0
            continue
        for region, place in regions(column.name, *_grid(codes[column.name])).items():
            found[region] = float(maps[column.name][place].sum())
    return found


def _cells(model: Model, features: Table) -> dict[str, str]:
    """Return what a row has in each column, as text; of each region of an image the mean."""
    codes = {code.name: code for code in model.encoder.images}
    found = {}
    for name, column in features.columns.items():
        if name not in codes:
            found[name] = column.cell(0)
            continue
        height, width, cell = _grid(codes[name])
        for region, (rows, columns) in regions(name, height, width, cell).items():
            pixels = (slice(part.start * cell, part.stop * cell) for part in (rows, columns))
            found[region] = f"{column.values[0][tuple(pixels)].mean():.4g}"
    return found


def _chosen_output(model: Model, here: Table, output: Any) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Return what is explained, and how it is had from the network's outputs (n, k), as (n,)."""
    target = model.schema.target
    names = [str(name) for name in target.classes or target.names]
    if output is not None and str(output) not in names:
        hint = did_you_mean(str(output), names)
        raise ConfigError(f"output = {output!r} is no output of the model.{hint} Outputs: {shortened(names)}.")
    if output is not None:
        i = names.index(str(output))
    elif target.task == "classification":
        outputs = model.outputs_of(model.encoder.transform(here, "float64"), 1)
        i = int(target.decide(outputs)[0])
    else:
        i = 0
    if target.task == "classification":
        others = [j for j in range(len(names)) if j != i]
        return f"logit({names[i]})", lambda z: z[:, i] - torch.logsumexp(z[:, others], dim=1)
    if target.task == "multilabel":
        return f"logit({names[i]})", lambda z: z[:, i]
    assert model.scaler is not None
    scaling, transform = model.scaler.columns[i], model.scaler.transform
    name = names[i] if transform == "none" else f"{transform}({names[i]})"
    if maps_outputs(model):  # the prediction is exp(z) times the scale, and z adds up
        return f"log({name})", lambda z: z[:, i] + float(np.log(scaling.scale))
    return name, lambda z: z[:, i] * scaling.scale + scaling.mean
