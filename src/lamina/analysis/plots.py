"""Figures; they need the extra ``plot`` (matplotlib)."""

import os
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamina.activations import ACTIVATIONS, Activation
from lamina.errors import ConfigError, DataError, MissingExtraError, did_you_mean

Array = NDArray[Any]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = "#1f5fa8"
_CHECK = "#d1495b"
# Curves differ in their dashes too, and from the fifth on in their marks, so that they are told apart without colour.
_COLOURS = (_LINE, _CHECK, "#2a7f62", "#8a5a00", "#6b4fa0")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("", "o", "s", "^")
_SCALES = ("linear", "log", "symlog", "logit")


def backward_with_ones(activation: Activation, x: Tensor) -> Tensor:
    """Return the gradient of ``activation`` at ``x`` as autograd has it: a backward pass with ones."""
    x = x.detach().clone().requires_grad_()
    y = activation.function(x, *_initial_parameter(activation, x))
    (gradient,) = torch.autograd.grad(y, x, grad_outputs=torch.ones_like(y))
    return gradient


def plot_activation(name: str, file: str | Path | None = None, low: float = -8.0, high: float = 8.0) -> "Figure":
    """Draw an activation beside its gradient, the latter in closed form and by a backward pass with ones.

    Args:
        name: an activation, such as ``"relu"``; a learned parameter has its initial value.
        file: where to write the figure; its suffix chooses the format (png, svg, pdf).
        low, high: range of x.

    Returns:
        The matplotlib figure.

    Raises:
        ConfigError: no such activation, an empty range, a format that matplotlib does not know.
        MissingExtraError: matplotlib is not installed.
    """
    activation = ACTIVATIONS[name]
    if not low < high:
        raise ConfigError(f"low = {low:g} must be below high = {high:g}.")
    figure_class = _figure_class()
    # Not linspace: it misses 0, where kinks are, by 1e-16.
    x = low + (high - low) * torch.arange(801, dtype=torch.float64) / 800
    parameter = _initial_parameter(activation, x)
    y, gradient = activation.function(x, *parameter), activation.derivative(x, *parameter)
    by_autograd = backward_with_ones(activation, x)
    difference = float((gradient - by_autograd).abs().max())
    initial = (
        "" if activation.parameter is None else f"  ({activation.parameter.name} = {activation.parameter.initial:g})"
    )

    figure: Figure = figure_class(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(x, y, color=_LINE, linewidth=2)
    left.set_title(textwrap.fill(f"{name}(x) = {activation.formula}{initial}", 46), fontsize=11)
    left.set(xlabel="x", ylabel=f"{name}(x)")
    right.plot(x, gradient, color=_LINE, linewidth=2, label="closed form")
    every = slice(None, None, 20)
    right.plot(x[every], by_autograd[every], ".", color=_CHECK, label="backward pass with ones")
    right.set_title(f"gradient (largest difference {difference:.1g})", fontsize=11)
    right.set(xlabel="x", ylabel=f"grad of {name}")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if file is not None:
        _save(figure, Path(file))
    return figure


def plot(
    x: Any,
    ys: Any,
    labels: str | Sequence[str] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    title: str | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Draw one curve or several, as the text does: ``plot(x, [y, gradient], ["tanh", "its gradient"], "x")``.

    Args:
        x: the points of all curves, (n,), or a list of them, one for each curve. Tensors are detached, here and in ys.
        ys: one curve (n,), or several as a list or the rows of an array (k, n).
        labels: a name for each curve, for the legend, which there is none of without them.
        xlabel, ylabel, title: what is written.
        xlim, ylim: ends of the axes.
        xscale, yscale: ``linear``, ``log``, ``symlog`` or ``logit``.
        ax: axes to draw into, in the place of a new figure.

    Returns:
        The matplotlib figure.

    Raises:
        DataError: a curve is not numbers of shape (n,), or has another length than its x.
        ConfigError: other numbers of labels or of x than of curves, an unknown scale, limits that are not two numbers.
        MissingExtraError: matplotlib is not installed.
    """
    curves = _curves(ys, "ys")
    points = _curves(x, "x")
    points = points * len(curves) if len(points) == 1 else points
    if len(points) != len(curves):
        raise ConfigError(f"x has {len(points)} arrays for {len(curves)} curves; give one for all, or one for each.")
    for i, (px, py) in enumerate(zip(points, curves, strict=True)):
        if len(px) != len(py):
            raise DataError(f"curve {i} of ys has {len(py)} values for {len(px)} values of x; give as many of both.")
    names = [labels] if isinstance(labels, str) else labels
    if names is not None and len(names) != len(curves):
        raise ConfigError(f"labels holds {len(names)} for {len(curves)} curves; give a list with one for each.")
    _check_scale("xscale", xscale)
    _check_scale("yscale", yscale)
    _check_limits("xlim", xlim)
    _check_limits("ylim", ylim)
    axes: Any = _new_axes() if ax is None else ax
    for i, (px, py) in enumerate(zip(points, curves, strict=True)):
        axes.plot(
            px, py, linewidth=1.8, color=_COLOURS[i % len(_COLOURS)], linestyle=_DASHES[i % len(_DASHES)],
            marker=_MARKERS[i // len(_DASHES) % len(_MARKERS)], markevery=max(len(px) // 12, 1), markersize=4,
            label=None if names is None else names[i],
        )  # fmt: skip
    axes.set(xscale=xscale, yscale=yscale, xlim=xlim, ylim=ylim)
    texts = {"xlabel": xlabel, "ylabel": ylabel, "title": title}
    axes.set(**{name: text for name, text in texts.items() if text is not None})
    if names is not None:
        axes.legend(framealpha=0.85, edgecolor="none")  # readable where curves pass behind it
    figure: Figure = axes.figure
    return figure


def _new_axes() -> Any:
    axes = _figure_class()(figsize=(5, 3), layout="constrained").subplots()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _curves(values: Any, name: str) -> list[Array]:
    """Return one array (n,) for each curve in ``values``."""
    if isinstance(values, list | tuple) and len(values) and np.ndim(values[0]):
        arrays = [_array(each, name) for each in values]
    else:
        array = _array(values, name)
        arrays = list(array) if array.ndim == 2 else [array]
    for array in arrays:
        if array.ndim != 1:
            raise DataError(f"a curve of {name} has the shape {array.shape}; expected (n,), one number for each point.")
    return arrays


def _array(values: Any, name: str) -> Array:
    if isinstance(values, list | tuple):
        values = [_detached(each) for each in values]
    try:
        return np.asarray(_detached(values), dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{name} holds what is no number; expected numbers in arrays or tensors of shape (n,)."
        ) from None


def _detached(values: Any) -> Any:
    return values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values


def _check_scale(name: str, scale: Any) -> None:
    if scale not in _SCALES:
        hint = did_you_mean(str(scale), _SCALES)
        raise ConfigError(f"{name} = {scale!r} is not known.{hint} Known: {', '.join(_SCALES)}.")


def _check_limits(name: str, limits: Any) -> None:
    try:
        fits = limits is None or (np.shape(limits) == (2,) and np.isfinite(np.asarray(limits, dtype=np.float64)).all())
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ConfigError(f"{name} = {limits!r} is not two numbers; give the two ends of the axis.")


def _initial_parameter(activation: Activation, x: Tensor) -> tuple[Tensor, ...]:
    if activation.parameter is None:
        return ()
    return (torch.tensor([activation.parameter.initial], dtype=x.dtype),)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing needs matplotlib: pip install 'lamina[plot]'.") from None
    return Figure


def _save(figure: "Figure", path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"cannot draw to {str(path)!r}: there is no folder {str(path.parent)!r}.")
    handle, temporary = tempfile.mkstemp(prefix=".figure-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        figure.savefig(temporary, dpi=144)
        os.replace(temporary, path)
    except ValueError as error:
        raise ConfigError(f"cannot draw to {str(path)!r}: {error}.") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
