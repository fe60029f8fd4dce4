"""Figures; they need the extra ``plot`` (matplotlib)."""

import os
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lamina.activations import ACTIVATIONS, Activation
from lamina.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = "#1f5fa8"
_CHECK = "#d1495b"


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
