"""What the two scikit-learn estimators share: parameters to options, scikit-learn's checks, and fitted attributes."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted

from lamina.config import default, options
from lamina.data.frames import is_frame, is_series
from lamina.data.masked import unmasked
from lamina.data.readers import read_table
from lamina.data.table import Column
from lamina.data.target import Target
from lamina.errors import ConfigError
from lamina.fitting import fit_partially, prepare, train_to_the_end
from lamina.run import Run
from lamina.training.loop import EpochRecord
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.recipe import validation_fraction

Array = NDArray[Any]

_WEIGHT = "sample weight"

# Parameters that are no options of a training run: what they ask for happens at this door.
DOOR = ("scoring", "verbose", "warm_start")


def config_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's parameters under the configuration's names, without those left at a default of ``None``."""
    names = {option.sklearn_name or name: name for name, option in options().items()}
    values = {names[parameter]: value for parameter, value in parameters.items() if parameter not in DOOR}
    values["seed"] = _seed(values.get("seed"))
    return {name: value for name, value in values.items() if value is not None or default(name) is not None}


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


def fit_estimator(
    estimator: Any, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, sample_weight_val: Any, task: str
) -> None:
    """Fit ``estimator`` and set its fitted attributes; see ``MLPClassifier.fit``."""
    values = config_values(estimator.get_params(deep=False))
    X, y, values["task"] = _checked_data(estimator, X, y, task, min_rows=2)
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val go together; pass both or none.")
    if X_val is not None:
        X_val, y_val, _ = _checked_data(estimator, X_val, y_val, task, min_rows=1)
        values["validation"] = _data(X_val, y_val, sample_weight_val, {})
        if sample_weight_val is not None and sample_weight is None:
            sample_weight = np.ones(_n_rows(X))
    elif estimator.scoring is not None and values.get("validation") is None:
        # A scorer calls predict, in which all members take part: none of them may have seen the rows.
        values["validation"] = validation_fraction(_n_rows(X), estimator.early_stopping)
    start = estimator.model_ if estimator.warm_start and hasattr(estimator, "model_") else None
    if start is not None:
        _check_same(estimator, X, y)
    # The baselines would cost a second fit that no scikit-learn user asked for.
    run = prepare(_data(X, y, sample_weight, values), start=start, every_column=True, **values)
    score = None
    if estimator.scoring is not None:
        if "validation" not in run.parts:
            told = next((note for note in run.notes if note.startswith("no validation rows")), None)
            if told is not None:
                raise ValueError(
                    f"scoring is measured on validation rows, but {told}; pass X_val and y_val, or leave scoring out."
                )
            raise ValueError(
                "scoring is measured on validation rows, and none are held out; "
                "pass X_val and y_val, or validation_fraction with early_stopping."
            )
        set_columns(estimator, run, X)
        held = (X, y, sample_weight) if X_val is None else (X_val, y_val, sample_weight_val)
        score = _scorer(estimator, run, *held)
    each = _print_iteration if estimator.verbose else None
    train_to_the_end(run, score=score, each=each)
    estimator.model_ = run.finish(baselines=False)
    n_seen = estimator.t_ if start is not None else 0
    _set_fitted(estimator, run.state.n_rows + n_seen)
    set_columns(estimator, run, X)
    if hasattr(estimator, "_checkpoint"):
        del estimator._checkpoint


def partially_fit_estimator(estimator: Any, X: Any, y: Any, sample_weight: Any, classes: Any, task: str) -> None:
    """Train ``estimator`` for one pass over X and y and set its fitted attributes."""
    values = config_values(estimator.get_params(deep=False))
    X, y, values["task"] = _checked_data(estimator, X, y, task, min_rows=1)
    so_far, n_seen = None, 0
    if hasattr(estimator, "model_"):
        _check_width(estimator, X)
        so_far, n_seen = (estimator.model_, getattr(estimator, "_checkpoint", None)), estimator.t_
        values["seed"] = estimator.model_.config.seed  # random_state may be a generator, which yields another one
    if values["task"] == "multilabel":
        classes = None
    data = _data(X, y, sample_weight, values)
    estimator.model_, estimator._checkpoint = fit_partially(data, so_far, classes=classes, **values)
    _set_fitted(estimator, n_seen + estimator.model_.report.rows["train"])
    if so_far is None:
        set_columns(estimator, estimator.model_, X)
    if estimator.verbose:
        _print_iteration(estimator.model_.history[-1])


def is_stochastic(estimator: Any) -> bool:
    """Whether the estimator's solver takes minibatches, as ``partial_fit`` needs.

    Raises:
        AttributeError: it takes all rows at once.
    """
    if estimator.solver in OPTIMIZERS and OPTIMIZERS[estimator.solver].full_batch:
        raise AttributeError(
            f"partial_fit needs minibatches, but the solver {estimator.solver!r} takes all rows at once."
        )
    return True


def checked_rows(estimator: Any, X: Any) -> Any:
    """Return X for a prediction, checked against the fit.

    Raises:
        NotFittedError: the estimator is not fitted.
        ValueError: another number of features than in ``fit``.
    """
    check_is_fitted(estimator, "model_")
    X = _checked(estimator, X, min_rows=1)
    _check_width(estimator, X)
    named, fitted_named = is_frame(X), hasattr(estimator, "feature_names_in_")
    name = type(estimator).__name__
    if named and not fitted_named:
        warnings.warn(f"X has feature names, but {name} was fitted without feature names", UserWarning, stacklevel=3)
    if fitted_named and not named:
        message = f"X does not have valid feature names, but {name} was fitted with feature names"
        warnings.warn(message, UserWarning, stacklevel=3)
    return X


def affine_parameters(estimator: Any, kind: str) -> list[Any]:
    """Return ``weight`` or ``bias`` of each layer, hidden layers first, as copies; of several members, a list for each.

    Shapes: weights (fan_in, fan_out), biases (fan_out,).
    """
    check_is_fitted(estimator, "model_")
    lists = []
    for network in estimator.model_.network.members():
        layers = [*(block.affine for block in network.hidden), network.output]
        lists.append([getattr(layer, kind).detach().numpy().copy() for layer in layers])
    return lists[0] if len(lists) == 1 else lists


def n_features_out(estimator: Any) -> int:
    """Return the number of units of the last hidden layer, of all members together: the width of ``transform``.

    Raises:
        ConfigError: there is none.
    """
    members = estimator.model_.network.members()
    if not len(members[0].hidden):
        raise ConfigError("the network has 0 hidden layers, so that there are no hidden outputs; give it some.")
    return sum(len(network.hidden[-1].affine.bias) for network in members)


def set_columns(estimator: Any, fitted: Any, X: Any) -> None:
    """Set ``n_features_in_``, and ``feature_names_in_`` where X has names, from a run's or a model's schema."""
    columns = [column for column in fitted.schema.columns if column.role not in ("target", "weight")]
    estimator.n_features_in_ = sum(column.shape[0] if column.kind == "sparse" else 1 for column in columns)
    if is_frame(X):
        estimator.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _set_fitted(estimator: Any, n_rows_seen: int) -> None:
    model = estimator.model_
    history = model.history
    target = model.schema.target
    estimator.n_iter_ = len(history)
    estimator.t_ = n_rows_seen
    estimator.loss_curve_ = [record.train_loss for record in history]
    estimator.loss_ = history[-1].train_loss
    watched = history[-1].validation_loss is not None
    estimator.best_loss_ = None if watched and estimator.early_stopping else min(estimator.loss_curve_)
    estimator.validation_curve_ = [record.validation_loss for record in history] if watched else None
    scores = [record.validation_score for record in history if record.validation_score is not None]
    estimator.validation_scores_ = scores if watched else None
    estimator.best_validation_score_ = max(scores) if watched and scores else None
    estimator.n_layers_ = len(model.network.hidden) + 2
    estimator.n_outputs_ = target.n_outputs
    outputs = {"classification": "softmax", "multilabel": "logistic", "regression": "identity"}
    estimator.out_activation_ = "exp" if model.config.loss == "poisson" else outputs[target.task]
    _set_classes(estimator, target)


def _set_classes(estimator: Any, target: Target) -> None:
    if target.task == "classification":
        estimator.classes_ = target.class_array()
    elif target.task == "multilabel":
        estimator.classes_ = np.arange(target.n_outputs)


def _n_rows(X: Any) -> int:
    return int(X.shape[0])


def _data(X: Any, y: Any, sample_weight: Any, values: dict[str, Any]) -> Any:
    """Return X, y and weights as one table; its weight column, if any, is named in ``values``."""
    if sample_weight is None:
        return X, y
    rows = read_table((X, y))
    weights = _check_sample_weight(
        unmasked(sample_weight, "sample_weight"), np.empty((rows.n_rows, 1)), dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():
        raise ValueError("sample_weight is 0 for every row; expected at least one non-zero sample weight.")
    values["weight"] = _WEIGHT
    return rows.with_column(_WEIGHT, Column("number", weights))


def _scorer(estimator: Any, run: Run, X: Any, y: Any, sample_weight: Any) -> Callable[[], float]:
    """Return what scores the model as it is now on the validation rows, with scikit-learn's scorer."""
    scorer = check_scoring(estimator, estimator.scoring)
    positions = run.parts["validation"].positions
    X, y = _safe_indexing(X, positions), _safe_indexing(y, positions)
    # Whole weights are copies of rows by now.
    weighted = sample_weight is not None and run.parts["validation"].weights is not None
    extra = {"sample_weight": np.asarray(sample_weight)[positions]} if weighted else {}

    def score() -> float:
        estimator.model_ = run.current()
        _set_classes(estimator, run.schema.target)
        return float(scorer(estimator, X, y, **extra))

    return score


def _print_iteration(record: EpochRecord) -> None:
    held = "" if record.validation_loss is None else f", validation loss = {record.validation_loss:.8f}"
    print(f"Iteration {record.epoch}, loss = {record.train_loss:.8f}{held}")


def _checked_data(estimator: Any, X: Any, y: Any, task: str, min_rows: int) -> tuple[Any, Any, str]:
    """Return X and y after scikit-learn's checks, and the task, which labels make multilabel."""
    X = _checked(estimator, X, min_rows)
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    if is_series(y) or is_frame(y):
        several = is_frame(y) and len(y.columns) > 1
        return X, y, "multilabel" if several and task == "classification" else task
    values = y.toarray() if hasattr(y, "toarray") else np.asarray(unmasked(y, "y"))
    if values.ndim == 2 and values.shape[1] == 1:
        message = "A column-vector y was passed when a 1d array was expected; it was flattened to (n,)."
        warnings.warn(message, DataConversionWarning, stacklevel=5)
        values = values.reshape(-1)
    if task == "classification":
        if values.ndim == 2 and type_of_target(values) != "multilabel-indicator":
            raise ValueError(
                f"y has the shape {values.shape} and is no indicator of labels, which has 0 and 1 only; "
                "for several targets of classes fit one estimator each."
            )
        if not (values.dtype.kind in "Of" and any(value is None or value != value for value in values.flat)):
            check_classification_targets(values)  # a missing class is named by its row later
        return X, values, "multilabel" if values.ndim == 2 else task
    return X, values.astype(np.float64) if values.dtype == bool else values, task


def _checked(estimator: Any, X: Any, min_rows: int) -> Any:
    """Return X; what is no frame goes through scikit-learn's own check, for its messages. NaN stands for missing."""
    if is_frame(X):
        return X
    sparse = hasattr(X, "toarray")
    X = unmasked(X, "X")  # scikit-learn would bring back what is masked
    X = check_array(
        X, dtype=None, accept_sparse="csr", ensure_all_finite=True if sparse else "allow-nan", allow_nd=True,
        ensure_min_samples=min_rows, estimator=estimator, input_name="X",
    )  # fmt: skip
    if not sparse and X.dtype == object:
        for value in X.flat:
            if isinstance(value, dict | list | tuple | set):
                raise TypeError(f"argument must be a string or a number in every cell of X, not {value!r}")
    return X


def _check_width(estimator: Any, X: Any) -> None:
    if not is_frame(X) and X.ndim == 2 and X.shape[1] != estimator.n_features_in_:
        name = type(estimator).__name__
        raise ValueError(
            f"X has {X.shape[1]} features, but {name} is expecting {estimator.n_features_in_} features as input."
        )


def _check_same(estimator: Any, X: Any, y: Any) -> None:
    """Refuse a warm start on other features or classes, for which the weights mean nothing."""
    _check_width(estimator, X)
    target = estimator.model_.schema.target
    if target.task == "classification":
        found = set(np.unique(np.asarray(unmasked(y, "y"))).tolist())
        if found != set(target.class_array().tolist()):
            raise ValueError(
                "warm_start can only be used where `self.classes_` has the same values as in the previous call to fit. "
                f"Previously got {target.class_array().tolist()}, now {sorted(found)}."
            )
