"""scikit-learn estimators over ``lamina.fitting``: parameters in scikit-learn's names, the same fit beneath.

Parameters are those of ``lamina.config.Config`` under their ``sklearn_name`` where they have one. They hold no logic of
their own: they are checked when ``fit`` runs.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted

from lamina.config import default, options
from lamina.data.frames import is_frame, is_series
from lamina.data.readers import read_table
from lamina.data.table import Column
from lamina.fitting import fit

Array = NDArray[Any]

_WEIGHT_COLUMN = "sample weight"


def config_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's parameters under the configuration's names, without those left at their default."""
    names = {option.sklearn_name or name: name for name, option in options().items()}
    values = {names[parameter]: value for parameter, value in parameters.items()}
    values["seed"] = _seed(values.get("seed"))
    return {name: value for name, value in values.items() if value is not None or default(name) is not None}


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


def _fit(estimator: Any, X: Any, y: Any, sample_weight: Any, task: str) -> None:
    X, y = _checked(estimator, X, min_rows=2), _checked_target(estimator, y, task)
    values = config_values(estimator.get_params(deep=False))
    data: Any = (X, y)
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64).reshape(-1)
        if not weights.any():
            raise ValueError("sample_weight is 0 for every row; expected at least one non-zero sample weight.")
        data = read_table(data).with_column(_WEIGHT_COLUMN, Column("number", weights))
        values["weight"] = _WEIGHT_COLUMN
    # The baselines would cost a second fit that no scikit-learn user asked for.
    estimator.model_ = fit(data, task=task, baselines=False, **values)
    features = [column.name for column in estimator.model_.schema.columns if column.role not in ("target", "weight")]
    estimator.n_features_in_ = len(features)
    if estimator.model_.schema.named:
        estimator.feature_names_in_ = np.array(features, dtype=object)
    estimator.n_iter_ = len(estimator.model_.history)


def _fitted(estimator: Any, X: Any) -> Any:
    """Return X for a prediction, checked against the fit."""
    check_is_fitted(estimator, "model_")
    X = _checked(estimator, X, min_rows=1)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] != estimator.n_features_in_:
        name = type(estimator).__name__
        raise ValueError(
            f"X has {X.shape[1]} features, but {name} is expecting {estimator.n_features_in_} features as input."
        )
    return X


def _checked(estimator: Any, X: Any, min_rows: int) -> Any:
    """Return X; what is no frame goes through scikit-learn's own check, for its messages. NaN stands for missing."""
    if is_frame(X):
        return X
    return check_array(
        X, dtype=None, ensure_all_finite="allow-nan", allow_nd=True, ensure_min_samples=min_rows,
        estimator=estimator, input_name="X",
    )  # fmt: skip


def _checked_target(estimator: Any, y: Any, task: str) -> Any:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    if is_series(y):
        return y
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        message = "A column-vector y was passed when a 1d array was expected; it was flattened to (n,)."
        warnings.warn(message, DataConversionWarning, stacklevel=4)
        values = values.reshape(-1)
    if task == "classification" and values.ndim == 1:
        check_classification_targets(values)
    return values


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multilayer perceptron for classes.

    Frames and arrays are taken as they are: text, categories and missing values need no preparation.

    Args:
        hidden_layer_sizes: units of each hidden layer; ``None``: chosen from the data; ``()``: softmax regression.
        activation, solver, alpha, batch_size, learning_rate, learning_rate_init, max_iter, random_state, momentum,
            early_stopping, validation_fraction, n_iter_no_change, tol: as in scikit-learn; ``None``: chosen from the
            data.
        numeric, dropout, normalization, class_weight, loss, clip_norm, time_limit, device, dtype: see
            ``lamina train --help``.

    Attributes:
        classes_: the classes in sorted order, (k,).
        model_: the fitted ``lamina.Model``.
        n_features_in_, feature_names_in_, n_iter_: as in scikit-learn.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = None,
        activation: Any = "relu",
        *,
        solver: str = "adamw",
        alpha: float | None = None,
        batch_size: int | None = None,
        learning_rate: str = "one_cycle",
        learning_rate_init: float | None = None,
        max_iter: int | None = None,
        random_state: Any = None,
        momentum: float = 0.9,
        early_stopping: bool = True,
        validation_fraction: Any = None,
        n_iter_no_change: int | None = None,
        tol: float | None = None,
        numeric: str = "auto",
        dropout: float | None = None,
        normalization: str = "auto",
        class_weight: Any = None,
        loss: str = "auto",
        clip_norm: float | None = None,
        time_limit: float | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.momentum = momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.numeric = numeric
        self.dropout = dropout
        self.normalization = normalization
        self.class_weight = class_weight
        self.loss = loss
        self.clip_norm = clip_norm
        self.time_limit = time_limit
        self.device = device
        self.dtype = dtype

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPClassifier":
        """Fit to X, a frame or an array (n, d) or (n, height, width), and y (n,) with weights (n,); return self.

        Raises:
            DataError, a ValueError: the data cannot be learned from.
            ConfigError, a ValueError: a parameter is out of bounds.
        """
        _fit(self, X, y, sample_weight, "classification")
        self.classes_ = self.model_.classes
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row, (n,)."""
        X = _fitted(self, X)
        prediction: Array = self.model_.predict(X)
        return prediction

    def predict_proba(self, X: Any) -> Array:
        """Return class probabilities (n, k), in the order of ``classes_``."""
        X = _fitted(self, X)
        probabilities: Array = self.model_.predict_proba(X)
        return probabilities

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class MLPRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Multilayer perceptron for numbers; parameters and attributes as in ``MLPClassifier``, without classes."""

    def __init__(
        self,
        hidden_layer_sizes: Any = None,
        activation: Any = "relu",
        *,
        solver: str = "adamw",
        alpha: float | None = None,
        batch_size: int | None = None,
        learning_rate: str = "one_cycle",
        learning_rate_init: float | None = None,
        max_iter: int | None = None,
        random_state: Any = None,
        momentum: float = 0.9,
        early_stopping: bool = True,
        validation_fraction: Any = None,
        n_iter_no_change: int | None = None,
        tol: float | None = None,
        numeric: str = "auto",
        dropout: float | None = None,
        normalization: str = "auto",
        loss: str = "auto",
        clip_norm: float | None = None,
        time_limit: float | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.momentum = momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.numeric = numeric
        self.dropout = dropout
        self.normalization = normalization
        self.loss = loss
        self.clip_norm = clip_norm
        self.time_limit = time_limit
        self.device = device
        self.dtype = dtype

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Fit to X, a frame or an array (n, d), and y (n,) with weights (n,); return self.

        Errors are those of ``MLPClassifier.fit``.
        """
        _fit(self, X, y, sample_weight, "regression")
        return self

    def predict(self, X: Any) -> Array:
        """Return the value of each row in the target's unit, (n,)."""
        X = _fitted(self, X)
        prediction: Array = self.model_.predict(X)
        return prediction

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
