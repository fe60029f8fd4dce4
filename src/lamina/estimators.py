"""scikit-learn estimators over ``lamina.fitting``: parameters in scikit-learn's names, the same fit beneath.

Parameters are those of ``lamina.config.Config`` under their ``sklearn_name`` where they have one. They hold no logic of
their own: they are checked when ``fit`` runs. What both estimators do alike is in ``lamina.estimator_parts``.
"""

from typing import Any

from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call

from lamina.estimator_parts import (
    affine_parameters,
    checked_rows,
    fit_estimator,
    is_stochastic,
    n_features_out,
    partially_fit_estimator,
)

Array = NDArray[Any]


class MLPClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Multilayer perceptron for classes, and for labels that do not exclude one another.

    Frames, arrays and sparse matrices are taken as they are: text, categories and missing values need no preparation.

    Args:
        hidden_layer_sizes: units of each hidden layer; ``None``: chosen from the data; ``()``: softmax regression of
            standardised columns, unless ``numeric`` is given.
        activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle,
            random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction,
            beta_1, beta_2, epsilon, n_iter_no_change, max_fun: as in scikit-learn; ``None``: chosen from the data.
        members: networks side by side whose predictions are averaged; ``None``: 8 for a table if hidden_layer_sizes is
            left out, the solver is adamw and the activation one name other than identity, else 1.
        averaging: decay of the running mean of the weights, which is what is kept; 0: none; ``None``: 0.998 for
            several members and for images whose layers are not named, else 0.
        linear_share: let a linear model count for a share beside several members, where held-out rows gain by it.
        calibrate: divide logits by the temperature that suits the validation rows best.
        scoring: what early stopping watches on the validation rows: a name or a function as scikit-learn knows them
            (greater is better); ``None``: the loss. With it, a share of X is held out from all members alike.
        class_weight: ``"balanced"``, or a weight for each class.
        positive_class, threshold: of two classes, the one that is predicted from this probability on.
        loss, label_smoothing, numeric, dropout, normalization, clip_norm, time_limit, device, dtype,
            precision: see ``lamina train --help``.

    Attributes:
        classes_: the classes in sorted order, (k,); of k labels their positions.
        model_: the fitted ``lamina.Model``.
        coefs_, intercepts_: weights (fan_in, fan_out) and biases (fan_out,) of each layer; of several members, such a
            list for each.
        loss_curve_, validation_curve_, validation_scores_: by epoch; the last two are ``None`` without validation rows.
        loss_, best_loss_, best_validation_score_, n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_,
            feature_names_in_: as in scikit-learn.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = None,
        activation: Any = "relu",
        *,
        solver: str = "adamw",
        alpha: float | None = None,
        batch_size: Any = None,
        learning_rate: str = "one_cycle",
        learning_rate_init: float | None = None,
        power_t: float = 0.5,
        max_iter: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float | None = None,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = True,
        validation_fraction: Any = None,
        beta_1: float = 0.9,
        beta_2: float | None = None,
        epsilon: float = 1e-8,
        n_iter_no_change: int | None = None,
        max_fun: int = 15000,
        scoring: Any = None,
        loss: str = "auto",
        numeric: str = "auto",
        dropout: float | None = None,
        normalization: str = "auto",
        preset: str = "default",
        members: int | None = None,
        averaging: float | None = None,
        linear_share: bool = True,
        clip_norm: float | None = None,
        time_limit: float | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        precision: str = "auto",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        positive_class: Any = None,
        threshold: float = 0.5,
        calibrate: bool = True,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.scoring = scoring
        self.loss = loss
        self.numeric = numeric
        self.dropout = dropout
        self.normalization = normalization
        self.preset = preset
        self.members = members
        self.averaging = averaging
        self.linear_share = linear_share
        self.clip_norm = clip_norm
        self.time_limit = time_limit
        self.device = device
        self.dtype = dtype
        self.precision = precision
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.positive_class = positive_class
        self.threshold = threshold
        self.calibrate = calibrate

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "MLPClassifier":
        """Fit to data and return self.

        Args:
            X: a frame, an array (n, d) or (n, height, width), or a sparse matrix (n, d).
            y: classes (n,), or labels (n, k) of 0 and 1.
            sample_weight: (n,) of at least 0; a weight of 2 equals the row twice, 0 its absence.
            X_val, y_val, sample_weight_val: rows for early stopping, in the place of a share of X.

        Raises:
            DataError, a ValueError: the data cannot be learned from.
            ConfigError, a ValueError: a parameter is out of bounds.
        """
        fit_estimator(self, X, y, sample_weight, X_val, y_val, sample_weight_val, "classification")
        return self

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "MLPClassifier":
        """Train for one pass over X and y and return self; arguments as in ``fit``.

        The first call settles columns, encoding and ``classes``, which it needs: all that there will ever be, (k,).
        """
        _check_partial_fit_first_call(self, classes)
        partially_fit_estimator(self, X, y, sample_weight, self.classes_, "classification")
        return self

    def predict(self, X: Any) -> Array:
        """Return the class of each row, (n,), or its labels, (n, k)."""
        X = checked_rows(self, X)
        prediction: Array = self.model_.predict(X)
        return prediction

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (n, k) of classes or labels, in the order of ``classes_``."""
        X = checked_rows(self, X)
        probabilities: Array = self.model_.predict_proba(X)
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of ``predict_proba``, (n, k)."""
        X = checked_rows(self, X)
        logarithms: Array = self.model_.predict_log_proba(X)
        return logarithms

    def decision_function(self, X: Any) -> Array:
        """Return logits (n, k); of two classes the second one's minus the first one's, (n,)."""
        X = checked_rows(self, X)
        logits: Array = self.model_.predict_logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.model_.classes) == 2 else logits

    def transform(self, X: Any) -> Array:
        """Return the outputs of the last hidden layer, (n, units), those of several members side by side."""
        X = checked_rows(self, X)
        outputs: Array = self.model_.hidden_outputs(X)
        return outputs

    @property
    def coefs_(self) -> list[Any]:
        """Weights (fan_in, fan_out) of each layer; of several members, such a list for each."""
        return affine_parameters(self, "weight")

    @property
    def intercepts_(self) -> list[Any]:
        """Biases (fan_out,) of each layer; of several members, such a list for each."""
        return affine_parameters(self, "bias")

    @property
    def _n_features_out(self) -> int:
        return n_features_out(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Multilayer perceptron for one number or several.

    Parameters and attributes are those of ``MLPClassifier``, except ``classes_`` and the parameters of classes;
    ``hidden_layer_sizes=()`` is linear regression.

    Args:
        loss: ``squared_error``, ``absolute_error``, ``huber`` (with ``huber_delta``), ``quantile`` (with ``quantile``),
            or ``poisson``.
        target_transform: ``none``, ``log``, ``log1p`` or ``quantile``, undone in predictions; ``auto``: chosen on
            validation rows where the target is skewed.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = None,
        activation: Any = "relu",
        *,
        solver: str = "adamw",
        alpha: float | None = None,
        batch_size: Any = None,
        learning_rate: str = "one_cycle",
        learning_rate_init: float | None = None,
        power_t: float = 0.5,
        max_iter: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float | None = None,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = True,
        validation_fraction: Any = None,
        beta_1: float = 0.9,
        beta_2: float | None = None,
        epsilon: float = 1e-8,
        n_iter_no_change: int | None = None,
        max_fun: int = 15000,
        scoring: Any = None,
        loss: str = "auto",
        numeric: str = "auto",
        dropout: float | None = None,
        normalization: str = "auto",
        preset: str = "default",
        members: int | None = None,
        averaging: float | None = None,
        linear_share: bool = True,
        clip_norm: float | None = None,
        time_limit: float | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        precision: str = "auto",
        quantile: float = 0.5,
        huber_delta: float = 1.0,
        target_transform: str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.scoring = scoring
        self.loss = loss
        self.numeric = numeric
        self.dropout = dropout
        self.normalization = normalization
        self.preset = preset
        self.members = members
        self.averaging = averaging
        self.linear_share = linear_share
        self.clip_norm = clip_norm
        self.time_limit = time_limit
        self.device = device
        self.dtype = dtype
        self.precision = precision
        self.quantile = quantile
        self.huber_delta = huber_delta
        self.target_transform = target_transform

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "MLPRegressor":
        """Fit to X and to y, (n,) or (n, k), and return self; arguments and errors as in ``MLPClassifier.fit``."""
        fit_estimator(self, X, y, sample_weight, X_val, y_val, sample_weight_val, "regression")
        return self

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Train for one pass over X and y and return self; the first call settles columns, encoding and scaling."""
        partially_fit_estimator(self, X, y, sample_weight, None, "regression")
        return self

    def predict(self, X: Any) -> Array:
        """Return the value of each row in the target's unit, (n,) or (n, k)."""
        X = checked_rows(self, X)
        prediction: Array = self.model_.predict(X)
        return prediction

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return bounds (n, 2), or (n, k, 2), that a share of ``coverage`` of the values lie between; see ``Model``."""
        X = checked_rows(self, X)
        intervals: Array = self.model_.predict_interval(X, coverage)
        return intervals

    def transform(self, X: Any) -> Array:
        """Return the outputs of the last hidden layer, (n, units), those of several members side by side."""
        X = checked_rows(self, X)
        outputs: Array = self.model_.hidden_outputs(X)
        return outputs

    @property
    def coefs_(self) -> list[Any]:
        """Weights (fan_in, fan_out) of each layer; of several members, such a list for each."""
        return affine_parameters(self, "weight")

    @property
    def intercepts_(self) -> list[Any]:
        """Biases (fan_out,) of each layer; of several members, such a list for each."""
        return affine_parameters(self, "bias")

    @property
    def _n_features_out(self) -> int:
        return n_features_out(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
