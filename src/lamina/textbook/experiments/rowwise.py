"""Rowwise and elementwise: what an output depends on, and what goes wrong when it depends on the minibatch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text


def change(function: Callable[[Tensor], Tensor], seed: int) -> Tensor:
    """Return by how much each output, (6, 5), changes when the input in row 2 and column 1 does."""
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    nudged = x.clone()
    nudged[2, 1] += 1
    return (function(nudged) - function(x)).abs()


def reach(changes: Tensor) -> tuple[float, float]:
    """Return the largest change of the other elements of row 2, and of the other rows."""
    return float(changes[2, [0, 2, 3, 4]].max()), float(changes[[0, 1, 3, 4, 5]].max())


def activations() -> list[Callable[[Tensor], Tensor]]:
    """Every activation that the library knows, each with the initial value of its learned parameter."""
    functions: list[Callable[[Tensor], Tensor]] = []
    for each in lamina.ACTIVATIONS:
        given = () if each.parameter is None else (torch.tensor([each.parameter.initial], dtype=torch.float64),)
        functions.append(lambda x, function=each.function, given=given: function(x, *given))  # type: ignore[misc]
    return functions


def batch_norm(x: Tensor) -> Tensor:
    """Ioffe and Szegedy 2015, algorithm 1, in training: mean and variance of each column over the minibatch."""
    return torch.nn.functional.batch_norm(x, None, None, training=True)


def trained(rows: Any, normalization: str, seed: int) -> lamina.Model:
    return lamina.fit(
        rows,
        hidden_units=(128,),
        normalization=normalization,
        dropout=0.0,
        epochs=20,
        batch_size=32,
        early_stopping=False,
        baselines=False,
        seed=seed,
    )


def probabilities(model: lamina.Model, rows: Any, *, training: bool) -> Any:
    """Return the probabilities of ``rows`` as one minibatch, with the layers as in training or as in prediction."""
    pixels = torch.as_tensor(rows["image"].values.reshape(rows.n_rows, -1))
    # A copy: in training mode batch normalization changes its running statistics even where nothing is learned.
    network = lamina.Model(model.schema, model.encoder, model.network, model.config, model.scaler)._exact_network()
    network.train(training)
    with torch.no_grad():
        return network({"pixels": pixels}).softmax(dim=1).numpy()
