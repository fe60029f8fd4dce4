"""The step of several members by compiled loops, each thread taking one member after the other through all its layers.

Layer by layer, what a layer of all members wrote has left a core's cache when the next layer reads it, and the threads
wait for each other at every layer. Here a member's numbers stay where they are worked on.
"""

from collections.abc import Mapping
from ctypes import pointer
from typing import Any

import torch
from torch import Tensor

from lamina.losses import Loss
from lamina.native import kernels, members
from lamina.training.affine_stages import AffineStage, NarrowAffineStage, OneAffineStage
from lamina.training.fused import FusedOptimizer
from lamina.training.hidden_stages import HiddenStage, draw
from lamina.training.passes import Passes


class MemberByMember:
    """One training step, with the tensors of ``passes``; the update, if an optimizer is given, in the same loops.

    Args:
        passes, loss, optimizer: such that ``member_by_member`` accepts them.
    """

    def __init__(
        self, passes: Passes, loss: kernels.CompiledLoss | None, optimizer: FusedOptimizer | None = None
    ) -> None:
        self.passes, self.loss, self.optimizer = passes, loss, optimizer
        self.parts: list[tuple[slice, Any]] = list(passes.first.parts)
        stages: list[Any] = passes.stages
        maps, hidden = stages[1::2], stages[::2]
        behind = [*hidden, None]
        outputs = [passes.first.out, *(stage.out for stage in maps)]
        self.like = outputs[-1]
        m, n, _ = self.like.shape
        of_hidden = enumerate(zip(hidden, outputs, strict=False))
        self.dropped = [(i, stage.dropout, out) for i, (stage, out) in of_hidden if stage.dropout is not None]
        layers = []
        for part, ((of_part, first), inputs) in enumerate(zip(self.parts, passes.inputs, strict=True)):
            for member in range(of_part.start, of_part.stop):
                i = member - of_part.start
                layers.append(_layer(first, i, behind[0], optimizer))
                layers[-1].input, layers[-1].x = part, i * inputs.out[0].numel() if len(inputs.out) > 1 else 0
                layers[-1].by_x = first.by_input[i].data_ptr() if inputs.learns else None
                layers += [
                    _layer(stage, member, after, optimizer) for stage, after in zip(maps, behind[1:], strict=True)
                ]
        self.step, self.memory = members.step_of(layers, len(self.parts), m, n, self.like.dtype)
        self.run = members.runner(self.like.dtype)
        if loss is not None:
            self.step.loss, self.step.option = loss.kind, loss.option
        self.by_encoded = [stage.by_input for _, stage in self.parts]
        self.of_inputs: list[tuple[list[Any], float]] = []
        if optimizer is not None:
            self.step.adam, self.step.decay = pointer(optimizer.adam), optimizer.param_groups[0]["weight_decay"]
            maps = [stage for _, stage in self.parts] + maps
            self.of_inputs = optimizer.before([each for stage in maps for each in (stage.weight, stage.bias)])

    def __call__(self, inputs: Mapping[str, Tensor], target: Tensor, weights: Tensor | None) -> float:
        """Return the mean loss before the update."""
        with torch.no_grad():
            self._enter(inputs, target, weights)
            if self.optimizer is not None:
                self.optimizer.start()
            value = self.run(self.step)
            self.passes.backward_to_inputs(self.by_encoded)
            if self.optimizer is not None:
                for tensors, decay in self.of_inputs:
                    kernels.adam_(self.optimizer.adam, decay, *tensors)
        return value

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs (m, n, k) in evaluation mode, without dropout; the next call overwrites them."""
        self._read([stage.forward(dict(inputs)) for stage in self.passes.inputs])
        return members.forward(self.step, self.like)

    def _enter(self, inputs: Mapping[str, Tensor], target: Tensor, weights: Tensor | None) -> None:
        """Tell the loops where the minibatch is, in tensors that are kept for as long as they are read."""
        assert self.loss is not None
        step = self.step
        self._read(self.passes.encode(dict(inputs)))
        drawn = {i: draw(dropout, out) for i, dropout, out in self.dropped}
        for i, bits in drawn.items():
            step.bits[i] = bits.data_ptr()
        target = self.loss.target(target, self.like)
        step.target = target.data_ptr()
        weights = None if weights is None else weights.to(self.like.dtype)
        step.weights, step.of_member, step.of_row = kernels.of_weights(weights)
        self.minibatch = drawn, target, weights

    def _read(self, encoded: list[Tensor]) -> None:
        self.encoded = [each.contiguous() for each in encoded]
        for i, x in enumerate(self.encoded):
            self.step.inputs[i] = x.data_ptr()


def member_by_member(
    passes: Passes, loss: Loss | None = None, optimizer: FusedOptimizer | None = None
) -> MemberByMember | None:
    """Return the step, ``None`` where the loops do not know all layers and the loss, or leave threads without work.

    Args:
        passes: of the network, for a number of rows.
        loss: ``None``: for ``forward`` alone.
        optimizer: moves the network's flat weights; ``None``: that is done elsewhere, from the gradients.
    """
    stages: list[Any] = passes.stages
    maps, hidden = stages[1::2], stages[::2]
    is_known = (
        (loss is None or loss.compiled is not None)
        and len(maps) == len(hidden)
        and all(isinstance(stage, AffineStage | OneAffineStage) for _, stage in passes.first.parts)
        and all(isinstance(stage, AffineStage | OneAffineStage | NarrowAffineStage) for stage in maps)
        and all(isinstance(stage, HiddenStage) for stage in hidden)
    )
    if not is_known:
        return None
    of_a_member = [passes.first.parts[0][1].weight[0], *(stage.weight[0] for stage in maps)]
    if not members.takes_members(passes.first.out, sum(weight.numel() for weight in of_a_member)):
        return None
    return MemberByMember(passes, None if loss is None else loss.compiled, optimizer)


def _layer(stage: Any, i: int, hidden: HiddenStage | None, optimizer: FusedOptimizer | None) -> members.MemberLayer:
    """Return what the map ``stage`` and the ``hidden`` stage behind it do for the map's member ``i``."""
    tensors = {name: getattr(stage, name)[i] for name in ("weight", "bias", "by_weight", "by_bias")}
    if optimizer is not None:
        for name in ("weight", "bias"):
            tensors[f"{name}_mean"], tensors[f"{name}_square"] = optimizer.moments(tensors[name])
    slope, threshold, factor = (1.0, 0, 1.0) if hidden is None else (hidden.slope, hidden.threshold, hidden.factor)
    _, fan_in, fan_out = stage.weight.shape
    return members.MemberLayer(
        **{name: tensor.data_ptr() for name, tensor in tensors.items()}, weight_row=stage.weight.stride(1),
        fan_in=fan_in, fan_out=fan_out, is_narrow=isinstance(stage, NarrowAffineStage), slope=slope,
        threshold=threshold, factor=factor,
    )  # fmt: skip
