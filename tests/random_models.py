"""Models of random weights, in no time: for tests of what holds for every network, trained or not."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from hypothesis import strategies as st
from torch import nn

import lamina

NUMBERS = ("age", "size", "year")
PIECEWISE_LINEAR = ("identity", "relu", "leaky_relu", "prelu", "hard_tanh")


def frame(n: int = 60, seed: int = 0, task: str = "regression", *, mixed: bool = False) -> pl.DataFrame:
    """Rows of three numbers of different size; mixed: some ages missing, a category and a date too. The target is y."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "age": rng.normal(40, 12, n), "size": rng.exponential(3, n), "year": rng.uniform(1950, 2020, n)
    }  # fmt: skip
    if mixed:
        columns["age"][::7] = np.nan
        columns["kind"] = rng.choice(["red", "green", "blue"], n)
        columns["day"] = np.datetime64("2024-01-31", "us") + rng.integers(0, 400, n).astype("timedelta64[D]")
    y = rng.normal(100, 20, n) if task == "regression" else rng.choice(["no", "perhaps", "yes"], n)
    return pl.DataFrame({**columns, "y": y})


def randomised(model: lamina.Model, seed: int) -> lamina.Model:
    """Return ``model`` with random weights, biases, learned slopes and running statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.ndim > 1:
                tensor.normal_(0, 1.5 / tensor.shape[-2] ** 0.5, generator=generator)
            else:
                tensor.normal_(0, 0.7, generator=generator)
        for module in model.network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.add_(1)
    return model


def random_model(data: Any = None, seed: int = 0, **options: Any) -> lamina.Model:
    """Return a model of random weights, in float64 unless told otherwise, for ``data``, by default ``frame()``."""
    target = None if isinstance(data, tuple) else "y"
    options = {"dtype": "float64", "bins": 5, "validation": 0.0, **options}
    return randomised(lamina.prepare(frame() if data is None else data, target, **options).current(), seed)


def heavy_tailed_model() -> tuple[lamina.Model, pl.DataFrame]:
    """Return a model of four members and its rows, of whose three numbers the second has a heavy tail."""
    rng = np.random.default_rng(3)
    data = frame(200, task="classification").with_columns(size=pl.Series(np.exp(3 * rng.normal(size=200))))
    data[3, "size"] = -1e6
    model = random_model(data, members=4, hidden_units=(5,), numeric="mixed")
    assert [code.bent for code in model.encoder.numbers] == [False, True, False]
    return model, data


def shapes(activations: tuple[str, ...] = PIECEWISE_LINEAR, max_depth: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    """Options of networks of 0 to ``max_depth`` hidden layers, each of its own width and activation."""
    layers = st.lists(st.tuples(st.integers(1, 7), st.sampled_from(activations)), max_size=max_depth)
    return st.builds(
        lambda layers, **more: {
            "hidden_units": tuple(units for units, _ in layers),
            "activation": tuple(name for _, name in layers) if layers else "relu",
            **more,
        },
        layers,
        numeric=st.sampled_from(["standard", "piecewise_linear"]),
        normalization=st.sampled_from(["none", "batch"]),
        activation_parameters=st.sampled_from(["layer", "unit"]),
        seed=st.integers(0, 10_000),
    )


def outputs(model: lamina.Model, data: Any) -> np.ndarray:
    """What the exact tools speak of: values of a regression, logits of classes."""
    return model.predict_outputs(data) if model.task == "regression" else model.predict_logits(data)


def by_hand(weights: list[Any], biases: list[Any], activation: str = "relu") -> lamina.Model:
    """Return the regression of these affine maps on columns x0, x1, ... as they are: no scaling anywhere."""
    weights, biases = ([torch.as_tensor(each, dtype=torch.float64) for each in part] for part in (weights, biases))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, len(weights[0]))), rng.normal(size=(20, len(biases[-1])))
    model = random_model(
        (x, y), numeric="standard", hidden_units=tuple(len(bias) for bias in biases[:-1]), activation=activation
    )
    assert model.scaler is not None
    model.encoder = replace(
        model.encoder, numbers=tuple(replace(code, mean=0.0, scale=1.0) for code in model.encoder.numbers)
    )
    model.scaler = replace(
        model.scaler, columns=tuple(replace(column, mean=0.0, scale=1.0) for column in model.scaler.columns)
    )
    layers = [block[0] for block in model.network.hidden] + [model.network.output]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return model
