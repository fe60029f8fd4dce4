"""One training step: forward, loss, backward, clip, update."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lamina.losses import Loss, weighted_mean
from lamina.training.fused import FusedOptimizer
from lamina.training.member_step import MemberByMember, member_by_member
from lamina.training.optimizers import AnyOptimizer, split_parameters
from lamina.training.passes import Passes, passes_of
from lamina.training.rows import Rows

Step = Callable[[Mapping[str, Tensor], Tensor, Tensor | None], float]

_SLICE_ROWS = 65536


def make_step(
    network: nn.Module,
    loss: Loss,
    optimizer: AnyOptimizer,
    clip_norm: float | None,
    autograd: bool = False,
    precision: str = "float32",
) -> Step:
    """Return ``step(inputs, target, weights) -> loss`` over one minibatch, the loss being that before the update.

    The passes are in closed form where ``lamina.training.passes`` knows every layer, else by autograd.

    Args:
        network: maps inputs to outputs (n, k), or (n, members, k).
        loss: compared with the target, and averaged with ``weights`` (n,), (n, members) or ``None``.
        optimizer: of the network's parameters.
        clip_norm: the gradient of all parameters together is shortened to this Euclidean norm; ``None``: never.
        autograd: by autograd in any case.
        precision: of the products in closed form; see ``passes_of``.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    of_size: dict[int, Passes | MemberByMember | None] = {}
    for parameter in network.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)

    moved_by_loops = None
    if clip_norm is None and isinstance(optimizer, FusedOptimizer) and optimizer.is_of_vectors:
        moved_by_loops = optimizer

    def way_of(n: int) -> Passes | MemberByMember | None:
        passes = passes_of(network, n, precision)
        return None if passes is None else member_by_member(passes, loss, moved_by_loops) or passes

    def step(inputs: Mapping[str, Tensor], target: Tensor, weights: Tensor | None) -> float:
        n = len(target)
        if n not in of_size:
            of_size[n] = None if autograd or "sparse" in inputs else way_of(n)
        way = of_size[n]
        if way is None:
            optimizer.zero_grad(set_to_none=False)
            mean = _mean_loss(network(inputs), target, weights, loss)
            torch.autograd.backward(mean)
            value = float(mean.detach())
        elif isinstance(way, MemberByMember):
            value = way(inputs, target, weights)
            if moved_by_loops is not None:
                return value
        else:
            with torch.no_grad():
                of_outputs, gradient = loss.mean_and_gradient(way.forward(dict(inputs)), target, weights)
                way.backward(gradient)
            value = float(of_outputs)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        return value

    return step


def make_full_batch_step(network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, weight_decay: float) -> Step:
    """Return ``step(inputs, target, weights) -> loss`` over all rows, for an optimizer that searches along a line.

    The gradient is added up over slices of bounded memory. The objective, and the value returned, is the loss plus
    ½ α ‖W‖² / n with α = ``weight_decay`` over the n rows, W being the weights without biases.
    """
    matrices, _ = split_parameters(network)

    def step(inputs: Mapping[str, Tensor], target: Tensor, weights: Tensor | None) -> float:
        rows = Rows(inputs, target, weights)

        def closure() -> float:
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for start in range(0, len(rows), _SLICE_ROWS):
                index = torch.arange(start, min(start + _SLICE_ROWS, len(rows)), device=target.device)
                part = rows if len(index) == len(rows) else rows.at(index)
                share = len(index) / len(rows)
                value = _mean_loss(network(part.inputs), part.target, part.weights, loss) * share
                torch.autograd.backward(value)
                total += float(value.detach())
            if weight_decay:
                penalty = 0.5 * weight_decay / len(rows) * torch.stack([w.square().sum() for w in matrices]).sum()
                torch.autograd.backward(penalty)
                total += float(penalty.detach())
            return total

        return float(optimizer.step(closure))

    return step


def _mean_loss(outputs: Tensor, target: Tensor, weights: Tensor | None, loss: Loss) -> Tensor:
    """Return the mean loss of outputs (n, k), or of every member's outputs (n, members, k), on the same targets."""
    if outputs.ndim == 3:
        members = outputs.shape[1]
        outputs, target = outputs.flatten(0, 1), target.repeat_interleave(members, dim=0)
        if weights is not None:
            weights = weights[:, None].expand(-1, members) if weights.ndim == 1 else weights
            weights = weights.flatten()
    return weighted_mean(loss.per_row(outputs, target), weights)
