"""Sparse matrices end to end: trained on, predicted from, and exchanged with dense arrays of the same rows."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

import lamina
from lamina.data.table import Column

LAYOUTS = ["csr_array", "csc_array", "coo_array", "csr_matrix", "csc_matrix", "coo_matrix"]
OPTIONS = {"epochs": 4, "hidden_units": (16,)}


def words(n: int = 300, d: int = 30, seed: int = 0) -> tuple[sparse.csr_array, np.ndarray]:
    """Rows of a few entries above 0; the class is whether the first ten columns outweigh the next ten."""
    rng = np.random.default_rng(seed)
    block = sparse.random_array((n, d), density=0.2, rng=rng, format="csr") * 50
    dense = block.toarray()
    return block, (dense[:, :10].sum(axis=1) > dense[:, 10:20].sum(axis=1)).astype(int)


@pytest.fixture(scope="module")
def model() -> lamina.Model:
    return lamina.fit(words(), test=0.2, **OPTIONS)


def test_a_sparse_matrix_is_learned_from():
    block, y = words(1000)
    model = lamina.fit((block, y), test=0.2, epochs=20)
    scores, baselines = model.report.scores["test"], model.report.baselines
    assert scores["accuracy"] > 0.9 > 0.6 > baselines["constant"]["accuracy"]
    assert baselines["linear"]["accuracy"] > 0.85
    new, truth = words(500, seed=1)
    assert model.evaluate((new, truth))["accuracy"] == (model.predict(new) == truth).mean() > 0.9


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_model_and_predictions(layout, model):
    block, y = words()
    given = getattr(sparse, layout)(block)
    again = lamina.fit((given, y), test=0.2, **OPTIONS)
    np.testing.assert_array_equal(again.predict_proba(given), model.predict_proba(block))
    assert again.report.scores == model.report.scores


def test_dense_rows_are_predicted_as_sparse_ones(model):
    block, y = words(100, seed=2)
    np.testing.assert_array_equal(model.predict_proba(block.toarray()), model.predict_proba(block))
    assert model.evaluate((block.toarray(), y)) == model.evaluate((block, y))


@pytest.mark.parametrize("numeric", ["auto", "standard"])
def test_a_model_of_dense_rows_predicts_sparse_ones(numeric):
    block, y = words(100)
    dense = lamina.fit((block.toarray(), y), numeric=numeric, **OPTIONS)
    np.testing.assert_array_equal(dense.predict_proba(block), dense.predict_proba(block.toarray()))
    assert dense.evaluate((block, y)) == dense.evaluate((block.toarray(), y))


def test_the_forward_pass_by_hand(model):
    block, _ = words(50, seed=3)
    scaled = block.toarray() / np.array(model.encoder.blocks[0].scales)
    w = {name: p.numpy().astype(np.float64) for name, p in model.network.state_dict().items()}
    hidden = np.maximum(scaled @ w["hidden.0.affine.weight"] + w["hidden.0.affine.bias"], 0)
    np.testing.assert_allclose(model.hidden_outputs(block), hidden, rtol=1e-9, atol=1e-12)
    logits = hidden @ w["output.weight"] + w["output.bias"]
    np.testing.assert_allclose(model.predict_logits(block), logits, rtol=1e-9, atol=1e-12)


def test_zeros_stay_zeros_and_the_largest_training_value_is_1():
    block, y = words()
    run = lamina.prepare((block, y), validation=0.0, dtype="float64")
    encoded = run.parts["train"].arrays["sparse"]
    found = encoded.toarray()
    np.testing.assert_array_equal(found == 0, block.toarray()[run.parts["train"].positions] == 0)
    assert encoded.nnz == block.nnz
    np.testing.assert_array_equal(np.abs(found).max(axis=0), np.ones(30))


def test_numbers_and_labels_of_sparse_rows():
    block, _ = words(400)
    dense = block.toarray()
    y = np.column_stack([dense[:, :3].sum(axis=1), 1e4 + 100 * dense[:, 3]])
    numbers = lamina.fit((block, y), epochs=60, validation=0.0)
    assert numbers.predict(block).shape == (400, 2)
    assert numbers.evaluate((block, y))["r2"] > 0.8
    labels = lamina.fit((block, sparse.csr_array((y > y.mean(axis=0)).astype(int))), epochs=20)
    assert (labels.task, labels.predict(block).shape) == ("multilabel", (400, 2))
    assert labels.report.scores["validation"]["roc_auc"] > 0.8


def test_a_sparse_model_is_saved_and_loaded(model, tmp_path):
    block, _ = words(50, seed=4)
    loaded = lamina.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict_proba(block), model.predict_proba(block))
    assert (loaded.encoder, loaded.schema) == (model.encoder, model.schema)


def test_rows_without_entries_and_no_rows(model):
    empty = model.predict_proba(sparse.csr_array((3, 30)))
    np.testing.assert_array_equal(empty, model.predict_proba(np.zeros((3, 30))))
    assert model.predict_proba(sparse.csr_array((0, 30))).shape == (0, 2)


def test_more_rows_than_one_slice_of_a_prediction(model):
    block, _ = words(9000, seed=5)
    whole = model.predict_proba(block)
    np.testing.assert_allclose(whole[8100:8300], model.predict_proba(block[8100:8300]), rtol=1e-12)


def test_columns_without_entries_in_training_are_no_harm():
    block, y = words()
    empty = sparse.csr_array(sparse.hstack([block, sparse.csr_array((300, 2))]))
    model = lamina.fit((empty, y), **OPTIONS)
    assert model.encoder.blocks[0].scales[-2:] == (1.0, 1.0)
    assert np.isfinite(model.predict_proba(sparse.csr_array(np.ones((2, 32))))).all()


def test_another_width_is_refused(model):
    block, y = words()
    said = r"X, column 'x': expected sparse rows \(30,\), got \(29,\)"
    for data in (block[:, :29], block.toarray()[:, :29], (block[:, :29], y)):
        with pytest.raises(lamina.SchemaError, match=said):
            model.predict(data)
    dense = lamina.fit((block.toarray(), y), epochs=1, hidden_units=())
    with pytest.raises(lamina.SchemaError, match="X has 29 columns, but the model was trained on 30"):
        dense.predict(block[:, :29])


def test_missing_values_are_refused(model):
    block, y = words()
    block.data[7] = np.nan
    said = "X is a sparse matrix with NaN or infinity in it; a sparse matrix has no missing values"
    with pytest.raises(lamina.DataError, match=said):
        lamina.fit((block, y), **OPTIONS)
    with pytest.raises(lamina.DataError, match=said):
        model.predict(block)


def test_missing_values_of_dense_rows_are_refused(model):
    with pytest.raises(lamina.DataError):
        model.predict(np.full((2, 30), np.nan))


def test_the_order_of_sparse_rows_does_not_matter(model):
    block, y = words()
    order = np.random.default_rng(0).permutation(300)
    again = lamina.fit((block[order], y[order]), test=0.2, **OPTIONS)
    np.testing.assert_array_equal(again.predict_proba(block), model.predict_proba(block))


def test_the_order_of_sparse_counts_does_not_matter():
    rng = np.random.default_rng(0)
    counts = sparse.csr_array(rng.integers(0, 3, (200, 4)))
    y, order = rng.integers(0, 2, 200), rng.permutation(200)
    one, other = (lamina.fit(each, **OPTIONS) for each in ((counts, y), (counts[order], y[order])))
    np.testing.assert_array_equal(one.predict_proba(counts), other.predict_proba(counts))


def test_weights_are_rows_of_a_sparse_matrix():
    block, y = words(150)
    counts = np.arange(150) % 3
    table = lamina.read_table((block, y)).with_column("w", Column("number", counts))
    weighted = lamina.fit(table, weight="w", dtype="float64", **OPTIONS)
    index = np.repeat(np.arange(150), counts)
    repeated = lamina.fit((block[index], y[index]), dtype="float64", **OPTIONS)
    np.testing.assert_array_equal(weighted.predict_proba(block), repeated.predict_proba(block))


QUIET = """
import warnings
import numpy as np, torch
from scipy import sparse
import lamina
warnings.simplefilter("error", UserWarning)
block = sparse.csr_array(np.arange(120.0).reshape(40, 3) % 7)
print(lamina.fit((block, np.arange(40) % 2), epochs=1, hidden_units=(4,)).predict(block).shape)
"""


def test_nobody_is_told_how_torch_keeps_sparse_tensors():
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "(40,)\n")
