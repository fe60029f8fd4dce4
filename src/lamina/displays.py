"""Figures in scikit-learn's manner: a display holds the numbers, ``plot`` draws them; they need the extra ``plot``.

As scikit-learn's own, they draw with pyplot where they are given no axes, so that ``plt.show()`` shows them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from sklearn.utils.validation import check_is_fitted

from lamina.activations import ACTIVATIONS
from lamina.analysis.importance import Importance, permutation_importance
from lamina.analysis.plots import plot
from lamina.data.table import Array
from lamina.errors import ConfigError, MissingExtraError
from lamina.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = "#1f5fa8"
_SHOWN_COLUMNS = 20
# Losses that differ by more than this factor are drawn on a logarithmic axis, as in the report.
_WIDE = 20.0


class TrainingCurveDisplay:
    """The loss by epoch, on training and validation rows, and the epoch whose weights are kept.

    Args:
        train_loss: (epochs,).
        validation_loss: (epochs,), or ``None`` without validation rows.
        best_epoch: whose weights are kept, counted from 1; ``None``: unknown.

    Attributes:
        ax_, figure_: the matplotlib axes and figure, after ``plot``.
    """

    ax_: "Axes"
    figure_: "Figure"

    def __init__(
        self,
        *,
        train_loss: Sequence[float],
        validation_loss: Sequence[float] | None = None,
        best_epoch: int | None = None,
    ) -> None:
        self.train_loss = list(train_loss)
        self.validation_loss = None if validation_loss is None else list(validation_loss)
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> "TrainingCurveDisplay":
        """Draw the training of a fitted estimator, or of a ``lamina.Model``, and return the display.

        Raises:
            sklearn.exceptions.NotFittedError: the estimator is not fitted.
            ConfigError: the model has no history.
            MissingExtraError: matplotlib is not installed.
        """
        model = _model(estimator)
        if not model.history:
            raise ConfigError("the model has no history of epochs; train it with lamina.fit, or fit the estimator.")
        losses = [record.validation_loss for record in model.history]
        watched = [math.nan if loss is None else loss for loss in losses]  # after partial_fit some epochs have none
        display = cls(
            train_loss=[record.train_loss for record in model.history],
            validation_loss=None if all(loss is None for loss in losses) else watched,
            best_epoch=model.report.best_epoch or None,
        )
        return display.plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> "TrainingCurveDisplay":
        """Draw into ``ax``, or into a new figure, and return self.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        self.ax_ = _axes(ax)
        epochs = range(1, len(self.train_loss) + 1)
        curves = {"training": self.train_loss}
        if self.validation_loss is not None:
            curves["validation"] = self.validation_loss
        known = [value for values in curves.values() for value in values if not math.isnan(value)]
        wide = min(known, default=0.0) > 0 and max(known) / min(known) > _WIDE
        plot(
            epochs, list(curves.values()), list(curves), "epoch", "loss",
            yscale="log" if wide else "linear", ax=self.ax_,
        )  # fmt: skip
        if self.best_epoch is not None:
            self.ax_.axvline(self.best_epoch, color="0.5", linewidth=1, label=f"kept: epoch {self.best_epoch}")
            self.ax_.legend(framealpha=0.85, edgecolor="none")
        self.figure_ = _figure(self.ax_)
        return self


class ActivationDisplay:
    """An activation and its derivative in one picture; ``lamina.plot_activation`` draws them side by side.

    Args:
        name: of the activation.
        x: (n,).
        function, derivative: their values at x, (n,); of a learned parameter at its initial value.

    Attributes:
        ax_, figure_: the matplotlib axes and figure, after ``plot``.
    """

    ax_: "Axes"
    figure_: "Figure"

    def __init__(self, *, name: str, x: Array, function: Array, derivative: Array) -> None:
        self.name = name
        self.x = x
        self.function = function
        self.derivative = derivative

    @classmethod
    def from_name(
        cls, name: str, *, low: float = -5.0, high: float = 5.0, ax: "Axes | None" = None
    ) -> "ActivationDisplay":
        """Draw the activation called ``name`` between ``low`` and ``high`` and return the display.

        Raises:
            ConfigError: no such activation, or an empty range.
            MissingExtraError: matplotlib is not installed.
        """
        record = ACTIVATIONS[name]
        if not low < high:
            raise ConfigError(f"low = {low:g} must be below high = {high:g}.")
        # Not linspace: it misses 0, where kinks are, by 1e-16.
        x = low + (high - low) * torch.arange(801, dtype=torch.float64) / 800
        parameter = () if record.parameter is None else (torch.tensor([record.parameter.initial], dtype=x.dtype),)
        function, derivative = record.function(x, *parameter), record.derivative(x, *parameter)
        display = cls(name=record.name, x=x.numpy(), function=function.numpy(), derivative=derivative.numpy())
        return display.plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> "ActivationDisplay":
        """Draw into ``ax``, or into a new figure, and return self.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        self.ax_ = _axes(ax)
        plot(self.x, [self.function, self.derivative], [self.name, "derivative"], "x", ax=self.ax_)
        self.figure_ = _figure(self.ax_)
        return self


class PermutationImportanceDisplay:
    """What shuffling each column costs, the most important column on top; the bars' whiskers are standard deviations.

    Args:
        importance: as ``lamina.permutation_importance`` returns it.

    Attributes:
        ax_, figure_: the matplotlib axes and figure, after ``plot``.
    """

    ax_: "Axes"
    figure_: "Figure"

    def __init__(self, importance: Importance) -> None:
        self.importance = importance

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_repeats: int = 5,
        random_state: int = 0,
        metric: str | None = None,
        max_samples: int = 5000,
        ax: "Axes | None" = None,
    ) -> "PermutationImportanceDisplay":
        """Draw the importances of a fitted estimator's columns, or of those of a ``lamina.Model``; return the display.

        Args:
            estimator: fitted.
            X, y: rows and their target, preferably ones that the estimator has not seen.
            n_repeats, random_state, metric, max_samples: ``repeats``, ``seed``, ``metric`` and ``max_rows`` of
                ``lamina.permutation_importance``; its errors are raised here too.
            ax: axes to draw into.

        Raises:
            sklearn.exceptions.NotFittedError: the estimator is not fitted.
            MissingExtraError: matplotlib is not installed.
        """
        importance = permutation_importance(
            _model(estimator), (X, y), n_repeats, random_state, metric, max_rows=max_samples
        )
        return cls(importance).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None, *, max_columns: int = _SHOWN_COLUMNS) -> "PermutationImportanceDisplay":
        """Draw the ``max_columns`` most important columns into ``ax``, or into a new figure, and return self.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        self.ax_ = _axes(ax)
        shown = self.importance.ordered()[:max_columns]
        # By position: names as positions would draw two columns of one name, or of a number's name, on one another.
        places = range(len(shown))
        self.ax_.barh(
            places, [mean for _, mean, _ in shown], xerr=[deviation for _, _, deviation in shown],
            color=_BAR, ecolor=self.ax_.xaxis.label.get_color(), capsize=2,
        )  # fmt: skip
        self.ax_.set_yticks(places, [name for name, _, _ in shown])
        self.ax_.invert_yaxis()
        self.ax_.axvline(0, color="0.5", linewidth=0.8)
        self.ax_.set_xlabel(f"{self.importance.metric.replace('_', ' ')} worse by,\nwhere the column is shuffled")
        n_hidden = len(self.importance.columns) - len(shown)
        if n_hidden > 0:
            self.ax_.set_title(
                f"the {len(shown)} most important of {len(self.importance.columns)} columns", fontsize=10
            )
        self.figure_ = _figure(self.ax_)
        return self


def _model(estimator: Any) -> Model:
    if isinstance(estimator, Model):
        return estimator
    check_is_fitted(estimator, "model_")
    model: Model = estimator.model_
    return model


def _axes(ax: "Axes | None") -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingExtraError("drawing needs matplotlib: pip install 'lamina[plot]'.") from None
    axes = plt.subplots(layout="constrained")[1]
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _figure(axes: Any) -> "Figure":
    figure: Figure = axes.figure
    return figure
