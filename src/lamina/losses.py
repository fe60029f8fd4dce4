"""Loss functions: per-row values, the gradient at the network's outputs, and the map from outputs to predictions.

Cross-entropy has one code path for any number of classes. With two, softmax over the logits (z0, z1) gives the second
class the probability sigmoid(z1 - z0): the sigmoid output is the two-class case, not a separate loss. Labels that do
not exclude one another (multilabel) have a sigmoid each, and the binary cross-entropy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lamina.native import kernels
from lamina.registry import Registry

Task = Literal["classification", "multilabel", "regression"]
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Loss:
    """One loss.

    Shapes: ``outputs`` (n, k); ``target`` (n,) int64 class codes for classification, else (n, k), 0 or 1 for each label
    or values.

    Attributes:
        name: what a user types.
        formula: for people.
        task: what kind of target it is for.
        per_row: ``(outputs, target) -> (n,)``; with a number as third argument where ``option`` names one.
        gradient: derivative of ``per_row`` by ``outputs``, (n, k), in closed form, with the same arguments.
        output_map: ``outputs -> predictions``, (n, k): probabilities, or values.
        source: paper or textbook.
        average: ``(outputs (n, members, k), weights (n, members)) -> (n, k)``: the outputs whose prediction is the
            weighted mean of the members' predictions; the weights of a row add up to 1.
        option: the option of ``lamina.config`` whose number is the third argument of ``per_row`` and ``gradient``.
        together: ``per_row`` and ``gradient`` at once, where that costs less than one after the other.
        compiled: what the compiled loops call it, where they know it.
        target_scaling: how a number target is brought to the size of 1: ``standard`` (mean 0, standard deviation 1), or
            ``mean`` (divided by its mean and not centred, which needs values of at least 0).
        degree: of numbers c times as large the loss is c^degree times as large.
        link: the outputs of a prediction, the inverse of ``output_map``; of numbers.
        constant: ``(values (n,), weights (n,) or None) -> the number of least mean loss``, with the number of
            ``option`` as third argument; of numbers.
    """

    name: str
    formula: str
    task: Task
    per_row: Callable[..., Tensor]
    gradient: Callable[..., Tensor]
    output_map: Callable[[Tensor], Tensor]
    source: str
    average: Callable[[Tensor, Tensor], Tensor]
    option: str = ""
    target_scaling: Literal["standard", "mean"] = "standard"
    together: Callable[..., tuple[Tensor, Tensor]] | None = None
    compiled: kernels.CompiledLoss | None = None
    degree: int = 0
    link: Callable[[Tensor], Tensor] = lambda predictions: predictions
    constant: Callable[..., float] | None = None

    def mean_and_gradient(
        self, outputs: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean over members and rows, and its derivative by the outputs.

        Args:
            outputs: (m, n, k) of m members; may be overwritten.
            target: the same for each, (n,) or (n, k).
            weights: of rows (n,), or of rows for each member (n, m), see ``weighted_mean``.
        """
        if self.compiled is not None and kernels.suits(outputs):
            return kernels.mean_and_gradient(self.compiled, outputs, target, weights)
        m, n, _ = outputs.shape
        flat, targets = outputs[0], target
        if m > 1:
            flat, targets = outputs.flatten(0, 1), target.expand(m, *target.shape).flatten(0, 1)
        if self.together is not None:
            values, gradient = self.together(flat, targets)
        else:
            values, gradient = self.per_row(flat, targets), self.gradient(flat, targets)
        if weights is None:
            return values.mean(), gradient.div_(float(m * n)).view(outputs.shape)
        of_rows = weights.expand(m, -1) if weights.ndim == 1 else weights.t()
        return (values.view(m, n) * of_rows).mean(), gradient.view(outputs.shape).mul_(of_rows[:, :, None] / (m * n))

    def bound(self, options: Mapping[str, Any]) -> "Loss":
        """Return this loss with the number of its option filled in, so that its functions take two arguments."""
        if not self.option:
            return self
        number = float(options[self.option])
        names = ("per_row", "gradient", "together", "constant")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        with_number: dict[str, Any] = {name: partial(_with, each, number) for name, each in given.items()}
        compiled = None if self.compiled is None else replace(self.compiled, option=number)
        return replace(self, **with_number, compiled=compiled, option="")


LOSSES: Registry[Loss] = Registry("loss")


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over a minibatch of ``values`` (n,), each times its weight (n,).

    The divisor is the number of rows, not the sum of weights in this minibatch: with weights scaled to mean 1 over the
    whole training set the minibatch loss is an unbiased estimate of the weighted loss, which the other divisor is not.
    """
    return values.mean() if weights is None else (values * weights).mean()


def _with(function: Callable[..., _Found], number: float, *arguments: Any) -> _Found:
    return function(*arguments, number)


def _cross_entropy(outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    return F.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)


def _cross_entropy_gradient(outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    gradient = torch.softmax(outputs, dim=1) - smoothing / outputs.shape[1]
    return gradient.scatter_add_(1, target[:, None], gradient.new_full((len(target), 1), smoothing - 1))


def _cross_entropy_and_gradient(outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    # Not by log_softmax: see _log_softmax.
    of_target, share = target[:, None], smoothing / outputs.shape[1]
    shifted = outputs - outputs.amax(1, keepdim=True)
    at_target = shifted.gather(1, of_target)
    of_all = shifted.sum(1, keepdim=True) if smoothing else None
    gradient = shifted.exp_()
    total = gradient.sum(1, keepdim=True)
    values = total.log().sub_(at_target, alpha=1 - smoothing)
    gradient.div_(total)
    if of_all is not None:
        values.sub_(of_all, alpha=share)
        gradient.sub_(share)
    return values[:, 0], gradient.scatter_add_(1, of_target, at_target.fill_(smoothing - 1))


def _log_softmax(outputs: Tensor, dim: int) -> Tensor:
    """Return what ``torch.log_softmax`` does, which takes up to five times as long where there are few classes."""
    shifted = outputs - outputs.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def _softmax(outputs: Tensor) -> Tensor:
    # Not by torch.softmax: see _log_softmax.
    exponentials = (outputs - outputs.detach().amax(1, keepdim=True)).exp_()
    return exponentials / exponentials.sum(1, keepdim=True)


def _binary_cross_entropy(outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    wanted = target * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").mean(dim=1)


def _binary_cross_entropy_gradient(outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    wanted = target * (1 - smoothing) + smoothing / 2
    return (torch.sigmoid(outputs) - wanted) / outputs.shape[1]


def _squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs - target).square().mean(dim=1)


def _squared_error_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    return 2 * (outputs - target) / outputs.shape[1]


def _absolute_error(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs - target).abs().mean(dim=1)


def _absolute_error_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs - target).sign() / outputs.shape[1]


def _huber(outputs: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    return F.huber_loss(outputs, target, reduction="none", delta=delta).mean(dim=1)


def _huber_gradient(outputs: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    return (outputs - target).clamp(-delta, delta) / outputs.shape[1]


def _quantile(outputs: Tensor, target: Tensor, quantile: float = 0.5) -> Tensor:
    missed = target - outputs
    return torch.where(missed >= 0, quantile * missed, (quantile - 1) * missed).mean(dim=1)


def _quantile_gradient(outputs: Tensor, target: Tensor, quantile: float = 0.5) -> Tensor:
    below = torch.full_like(outputs, -quantile)
    return torch.where(outputs <= target, below, below + 1) / outputs.shape[1]


def _poisson(outputs: Tensor, target: Tensor) -> Tensor:
    # Half the deviance, so that a perfect prediction has the loss 0; xlogy is 0 where the count is.
    return (torch.xlogy(target, target) - target - target * outputs + torch.exp(outputs)).mean(dim=1)


def _poisson_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    return (torch.exp(outputs) - target) / outputs.shape[1]


def _values(outputs: Tensor) -> Tensor:
    return outputs


def _log(predictions: Tensor) -> Tensor:
    return predictions.clamp(min=torch.finfo(predictions.dtype).tiny).log()


Values = NDArray[np.float64]


def _mean(values: Values, weights: Values | None) -> float:
    return float(np.average(values, weights=weights))


def _quantile_of(values: Values, weights: Values | None, quantile: float = 0.5) -> float:
    return float(np.quantile(values, quantile, weights=weights, method="inverted_cdf"))


def _huber_centre(values: Values, weights: Values | None, delta: float = 1.0) -> float:
    from scipy.optimize import minimize_scalar

    outputs = torch.from_numpy(np.ascontiguousarray(values))[:, None]

    def loss(centre: float) -> float:
        return _mean(_huber(torch.full_like(outputs, centre), outputs, delta).numpy(), weights)

    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    return float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9}).x)


# Sums of probabilities as sums of exponentials, so that none is rounded to 0; a weight of 0 is log(0) = -inf.
def _average_softmax(outputs: Tensor, weights: Tensor) -> Tensor:
    return (_log_softmax(outputs, 2) + weights.log()[:, :, None]).logsumexp(1)


def _average_sigmoid(outputs: Tensor, weights: Tensor) -> Tensor:
    logs = weights.log()[:, :, None]
    return (F.logsigmoid(outputs) + logs).logsumexp(1) - (F.logsigmoid(-outputs) + logs).logsumexp(1)


def _average_values(outputs: Tensor, weights: Tensor) -> Tensor:
    return (outputs * weights[:, :, None]).sum(1)


def _average_exponentials(outputs: Tensor, weights: Tensor) -> Tensor:
    return (outputs + weights.log()[:, :, None]).logsumexp(1)


LOSSES.register(
    Loss(
        name="cross_entropy",
        formula="-log softmax(z)[y]",
        task="classification",
        per_row=_cross_entropy,
        gradient=_cross_entropy_gradient,
        output_map=_softmax,
        source="Bishop 2006, eqs. 4.108 and 4.109; smoothed labels: Szegedy et al. 2016, section 7",
        average=_average_softmax,
        option="label_smoothing",
        together=_cross_entropy_and_gradient,
        compiled=kernels.CROSS_ENTROPY,
    )
)
LOSSES.register(
    Loss(
        name="binary_cross_entropy",
        formula="-y log sigmoid(z) - (1 - y) log(1 - sigmoid(z)), mean over labels",
        task="multilabel",
        per_row=_binary_cross_entropy,
        gradient=_binary_cross_entropy_gradient,
        output_map=torch.sigmoid,
        source="Bishop 2006, eqs. 4.90 and 4.91",
        average=_average_sigmoid,
        option="label_smoothing",
    )
)
LOSSES.register(
    Loss(
        name="squared_error",
        formula="(z - y)^2, mean over outputs",
        task="regression",
        per_row=_squared_error,
        gradient=_squared_error_gradient,
        output_map=_values,
        source="Bishop 2006, eq. 3.12",
        average=_average_values,
        compiled=kernels.SQUARED_ERROR,
        degree=2,
        constant=_mean,
    )
)
LOSSES.register(
    Loss(
        name="absolute_error",
        formula="|z - y|, mean over outputs: the median",
        task="regression",
        per_row=_absolute_error,
        gradient=_absolute_error_gradient,
        output_map=_values,
        source="Bishop 2006, section 1.5.5; derivative 0 at 0",
        average=_average_values,
        degree=1,
        constant=_quantile_of,
    )
)
LOSSES.register(
    Loss(
        name="huber",
        formula="e^2 / 2 where |e| <= δ, else δ (|e| - δ / 2), e = z - y",
        task="regression",
        per_row=_huber,
        gradient=_huber_gradient,
        output_map=_values,
        source="Huber 1964, section 2",
        average=_average_values,
        option="huber_delta",
        degree=2,
        constant=_huber_centre,
    )
)
LOSSES.register(
    Loss(
        name="quantile",
        formula="q (y - z) where z <= y, else (1 - q) (z - y): the q-quantile",
        task="regression",
        per_row=_quantile,
        gradient=_quantile_gradient,
        output_map=_values,
        source="Koenker and Bassett 1978, eq. 1.1; derivative -q where z = y",
        average=_average_values,
        option="quantile",
        degree=1,
        constant=_quantile_of,
    )
)
LOSSES.register(
    Loss(
        name="poisson",
        formula="y log(y) - y - y z + exp(z), the prediction being exp(z)",
        task="regression",
        per_row=_poisson,
        gradient=_poisson_gradient,
        output_map=torch.exp,
        source="McCullagh and Nelder 1989, section 2.3: half the Poisson deviance",
        average=_average_exponentials,
        target_scaling="mean",
        degree=1,
        link=_log,
        constant=_mean,
    )
)
