"""The count of parameters is that of the summary, and its formulas are the shapes of what is learned."""

import doctest

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.analysis import parameters


def untrained(data="iris", target=None, **options) -> lamina.Model:
    return lamina.prepare(data, target, **options).current()


def images(n_rows: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n_rows, 28, 28)).astype(np.uint8), np.arange(n_rows) % 10


def test_the_text_s_network_on_images():
    count = lamina.parameter_count(untrained(images(), hidden_units=(256,), normalization="none"))
    assert [(part.name, part.kind, part.formula, part.n_parameters) for part in count.parts if part.n_parameters] == [
        ("hidden 1", "affine", "784 x 256 + 256", 200_960),
        ("output", "affine", "256 x 10 + 10", 2_570),
    ]
    assert count.total == 203_530
    assert count.by_layer == {"inputs": 0, "hidden 1": 200_960, "output": 2_570}


@pytest.mark.parametrize(
    ("options", "formulas"),
    [
        ({"layer": "phm"}, ["4 x 4 x 4 + 4 x 196 x 64 + 256", "4 x 4 x 4 + 4 x 64 x 16 + 64", "64 x 10 + 10"]),
        ({"layer": "low_rank"}, ["784 x 16 + 16 x 256 + 256", "256 x 16 + 16 x 64 + 64", "64 x 10 + 10"]),
        (
            {"normalization": "batch", "activation": ("relu", "prelu"), "activation_parameters": "unit"},
            ["784 x 256 + 256", "256 + 256", "256 x 64 + 64", "64 + 64", "64", "64 x 10 + 10"],
        ),
        ({"hidden_units": ()}, ["784 x 10 + 10"]),
    ],
)
def test_formulas_are_written_out(options, formulas):
    model = untrained(images(), **{"hidden_units": (256, 64), "normalization": "none", **options})
    count = lamina.parameter_count(model)
    assert [part.formula for part in count.parts if part.formula] == formulas
    for part in count.parts:
        assert part.n_parameters == (eval(part.formula.replace("x", "*")) if part.formula else 0)
    assert count.total == sum(parameter.numel() for parameter in model.network.parameters())
    assert sum(count.by_layer.values()) == count.total
    assert model.summary().splitlines()[-1].endswith(f", {count.total:,} parameters")
    rows = [line.split() for line in model.summary().splitlines()[1:-1]]
    assert [int(row[-1].replace(",", "")) for row in rows] == [part.n_parameters for part in count.parts]


def test_embeddings_of_categories_are_counted_with_the_inputs():
    n = 400
    frame = pl.DataFrame({"c": [f"level {i % 20}" for i in range(n)], "y": [float(i % 7) for i in range(n)]})
    model = untrained(frame, "y", task="regression", embedding_width=3, hidden_units=(4,))
    count = lamina.parameter_count(model)
    assert (count.parts[0].formula, count.by_layer["inputs"]) == ("21 x 3", 63)
    assert (
        str(count)
        == "inputs (input): 21 x 3 = 63\nhidden 1 (affine): 3 x 4 + 4 = 16\noutput (affine): 4 x 1 + 1 = 5\ntotal: 84"
    )


def test_the_example_runs():
    assert doctest.testmod(parameters) == (0, 3)
