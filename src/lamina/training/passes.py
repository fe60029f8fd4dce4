"""Forward and backward pass in closed form, into memory that is allocated once.

Autograd allocates every intermediate result anew, and fresh memory costs more than the arithmetic of a small layer.
Here each layer is a stage that writes where it wrote the step before. The list of layers is closed: affine maps,
activations, dropout, batch normalization, and the input layers; a network with any other is left to autograd.

Shapes: what flows between stages is (m, n, units), of m members and n rows.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lamina.native import kernels
from lamina.network.embeddings import Inputs
from lamina.network.layers import Activate, Affine, Dropout
from lamina.network.members import FirstAffine, MemberAffine, Members, Network
from lamina.network.mlp import MLP
from lamina.training.affine_stages import AffineStage, AnyAffine, NarrowAffineStage, OneAffineStage, affine_kind
from lamina.training.hidden_stages import Biases, HiddenStage, NormalizedStage
from lamina.training.input_stages import InputStage, input_layers, with_gradients
from lamina.training.int8 import PixelAffineStage, PixelStage, suits_int8


class Stage(Protocol):
    """One layer for a fixed number of rows.

    ``forward`` may change its input, ``backward`` its gradient, in place; ``backward`` sets the ``grad`` of the layer's
    parameters and returns the gradient by the stage's input.
    """

    def forward(self, x: Tensor) -> Tensor: ...

    def backward(self, gradient: Tensor) -> Tensor: ...


class ActivationStage:
    """σ in place where its derivative follows from its value, else beside its input."""

    def __init__(self, module: Activate) -> None:
        self.record, self.parameter = module.record, module.parameter

    def forward(self, x: Tensor) -> Tensor:
        in_place = self.record.in_place
        if in_place is not None:
            self.output = in_place.function(x)
            return self.output
        self.input = x
        if self.parameter is None:
            return self.record.function(x)
        m, n, units = x.shape
        y: Tensor = self.record.function(_by_row(x), self.parameter.detach())
        return y.view(n, m, units).transpose(0, 1).contiguous()

    def backward(self, gradient: Tensor) -> Tensor:
        in_place = self.record.in_place
        if in_place is not None:
            return in_place.backward(gradient, self.output)
        if self.parameter is None:
            return gradient.mul_(self.record.derivative(self.input))
        assert self.record.parameter is not None
        assert self.parameter.grad is not None
        m, n, units = gradient.shape
        x, by_output, value = _by_row(self.input), _by_row(gradient), self.parameter.detach()
        by_value = by_output * self.record.parameter.derivative(x, value)
        self.parameter.grad.copy_(by_value.sum() if len(value) == 1 else by_value.sum(0))
        by_input = by_output * self.record.derivative(x, value)
        return by_input.view(n, m, units).transpose(0, 1).contiguous()


class DropoutStage:
    """Units set to 0 at random; the draws are those of ``lamina.network.layers.Dropout`` for the same minibatch."""

    def __init__(self, module: Dropout, like: Tensor, by_row: bool = True) -> None:
        """``by_row``: whether the members of a row are neighbours where the draws are counted."""
        self.module, self.by_row = module, by_row
        self.kept = torch.empty_like(like, dtype=torch.int16)
        self.mask, self.out = torch.empty_like(like), torch.empty_like(like)
        self.zero, self.factor = like.new_zeros(()), 1 / (1 - module.p)

    def forward(self, x: Tensor) -> Tensor:
        m, n, units = x.shape
        bits = self.module.draw(x.numel(), x.device)
        of_units = bits.view(n, m, units).transpose(0, 1) if self.by_row else bits.view(m, n, units)
        # Compared as what they are and converted after it: at once, torch would take twice as long.
        self.mask.copy_(torch.ge(of_units, self.module.threshold, out=self.kept))
        return torch.addcmul(self.zero, x, self.mask, value=self.factor, out=self.out)

    def backward(self, gradient: Tensor) -> Tensor:
        return torch.addcmul(self.zero, gradient, self.mask, value=self.factor, out=gradient)


class BatchNormStage:
    """γ (x - mean) / sqrt(variance + ε) + β over the rows of the minibatch; Ioffe and Szegedy 2015, section 3."""

    def __init__(self, module: nn.BatchNorm1d, like: Tensor) -> None:
        m, _, units = like.shape
        self.module, self.out, self.by_input = module, torch.empty_like(like), torch.empty_like(like)
        mean, inverse = like.new_empty(2, m, units)
        whole: list[Any] = [module.weight, module.bias, module.running_mean, module.running_var]
        whole += [module.weight.grad, module.bias.grad, mean, inverse]
        # torch's kernel takes one member at a time.
        self.of_members = list(zip(*(each.detach().view(m, units) for each in whole), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        self.input, module = x, self.module
        assert module.num_batches_tracked is not None
        for i, (weight, bias, running_mean, running_var, _, _, mean, inverse) in enumerate(self.of_members):
            torch.ops.aten.native_batch_norm.out(
                x[i], weight, bias, running_mean, running_var, True, module.momentum, module.eps,
                out=self.out[i], save_mean=mean, save_invstd=inverse,
            )  # fmt: skip
        module.num_batches_tracked += 1
        return self.out

    def backward(self, gradient: Tensor) -> Tensor:
        for i, (weight, _, _, _, by_weight, by_bias, mean, inverse) in enumerate(self.of_members):
            torch.ops.aten.native_batch_norm_backward.out(
                gradient[i], self.input[i], weight, None, None, mean, inverse, True, self.module.eps, [True] * 3,
                out0=self.by_input[i], out1=by_weight, out2=by_bias,
            )  # fmt: skip
        return self.by_input


class FirstStage:
    """The affine maps behind the input layers: of each encoding (c, n, width), or (1, n, width) that c members share.

    Args:
        parts: of each encoding, or of each member: the members, and the map.
    """

    def __init__(self, parts: Sequence[tuple[slice, AnyAffine | PixelAffineStage]]) -> None:
        self.parts = parts
        m, stage = parts[-1][0].stop, parts[0][1]
        self.out = stage.out.new_empty(m, *stage.out.shape[1:])
        for members, each in parts:
            each.out = self.out[members]

    def forward(self, encoded: list[Tensor]) -> Tensor:
        for x, (_, stage) in zip(encoded, self.parts, strict=True):
            stage.forward(x.expand(len(stage.weight), -1, -1))
        return self.out

    def backward(self, gradient: Tensor, learns: list[bool]) -> list[Tensor]:
        """Return the gradients by the inputs of those parts that learn, and nothing useful for the others."""
        gradients = []
        for (members, stage), each in zip(self.parts, learns, strict=True):
            part = gradient[members]
            if each and not isinstance(stage, PixelAffineStage):
                gradients.append(stage.backward(part))
            else:
                stage.backward_to_weights(part)
                gradients.append(part)
        return gradients


class Passes:
    """Forward and backward through a network for minibatches of one size; ``passes_of`` makes it."""

    def __init__(
        self,
        inputs: Sequence[InputStage | PixelStage],
        input_dropout: list[DropoutStage],
        first: FirstStage,
        stages: list[Stage],
    ) -> None:
        self.inputs, self.input_dropout, self.first, self.stages = inputs, input_dropout, first, stages

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the outputs (m, n, n_outputs); the next call overwrites them."""
        x = self.first.forward(self.encode(inputs))
        for stage in self.stages:
            x = stage.forward(x)
        return x

    def backward(self, gradient: Tensor) -> None:
        """Set the ``grad`` of every parameter from the gradient by the outputs, which is overwritten."""
        for stage in reversed(self.stages):
            gradient = stage.backward(gradient)
        self.backward_to_inputs(self.first.backward(gradient, [each.learns for each in self.inputs]))

    def encode(self, inputs: Inputs) -> list[Tensor]:
        """Return what the first maps read: of each encoding (c, n, width), or (1, n, width) that c members share."""
        encoded = [stage.forward(inputs) for stage in self.inputs]
        if not self.input_dropout:
            return encoded
        return [stage.forward(x) for stage, x in zip(self.input_dropout, encoded, strict=True)]

    def backward_to_inputs(self, by_encoded: list[Tensor]) -> None:
        """Set the ``grad`` of the input layers' parameters from the gradients by what ``encode`` returned."""
        for i, each in enumerate(self.inputs):
            if each.learns:
                each.backward(self.input_dropout[i].backward(by_encoded[i]) if self.input_dropout else by_encoded[i])


_LAYERS = Affine, FirstAffine, MemberAffine, Activate, Dropout, nn.BatchNorm1d


def passes_of(network: nn.Module, n: int, precision: str = "float32") -> Passes | None:
    """Return the passes of ``network`` for ``n`` rows, or ``None`` where autograd must take it.

    With the ``precision`` bfloat16, the products of large layers are made in it; with int8, those of pixels. Every
    parameter needs a ``grad`` to write to. Members that have input layers of their own need flat weights.
    """
    if not isinstance(network, MLP | Members) or next(network.parameters()).device.type != "cpu":
        return None
    modules: list[nn.Module] = [module for block in network.hidden for module in block.children()]
    modules.append(network.output)
    if not all(isinstance(module, _LAYERS) for module in modules):
        return None
    inputs: list[InputStage] = []
    for _, layers in input_layers(network):
        learned = [with_gradients(each) for each in zip(*(layer.parameters() for layer in layers), strict=True)]
        if None in learned:
            return None
        inputs.append(InputStage(layers, n, [each for each in learned if each is not None]))
    narrow = precision == "bfloat16"
    first_map = modules.pop(0)
    if precision == "int8" and (of_pixels := _of_pixels(network, first_map, inputs, n)) is not None:
        return Passes([of_pixels[0]], [], of_pixels[1], _stages(modules, of_pixels[1], narrow))
    first = _first_stage(first_map, [members for members, _ in input_layers(network)], inputs, n, narrow)
    if first is None:
        return None
    dropped = inputs if network.input_dropout.p else []
    input_dropout = [DropoutStage(network.input_dropout, stage.out, by_row=False) for stage in dropped]
    return Passes(inputs, input_dropout, first, _stages(modules, first, narrow))


def _stages(modules: list[nn.Module], first: FirstStage, narrow: bool) -> list[Stage]:
    """Return the stages of what follows the first map."""
    stages: list[Stage] = []
    left, out = list(modules), first.out
    maps: Sequence[tuple[slice, Any]] = first.parts
    is_compiled = kernels.suits(out)
    while left:
        hidden = _take_hidden(left) if is_compiled else None
        if hidden is not None:
            stages.append(HiddenStage(_biases_of(maps), *hidden))
            maps = []
            continue
        module = left.pop(0)
        if is_compiled and isinstance(module, nn.BatchNorm1d):
            stages.append(NormalizedStage(module, *(_take_hidden(left) or (1.0, None)), out))
        else:
            stages.append(_stage(module, out, narrow))
        out = getattr(stages[-1], "out", out)  # what an activation returns is of its input's shape
        maps = [(slice(0, len(out)), stages[-1])]
    return stages


def _take_hidden(modules: list[nn.Module]) -> tuple[float, Dropout | None] | None:
    """Take an activation that the compiled loops know, and dropout behind it, from the front of ``modules``.

    Returns its slope below 0 and the dropout; ``None``, and nothing taken, where they know it not.
    """
    activation, dropout = [*modules, None, None][:2]
    if not isinstance(activation, Activate) or activation.record.slope is None:
        return None
    if not isinstance(dropout, Dropout):
        del modules[:1]
        return activation.record.slope, None
    if activation.record.slope != 0:
        return None
    del modules[:2]
    return 0.0, dropout


def _biases_of(maps: Sequence[tuple[slice, Any]]) -> Biases:
    """Take the biases from the maps before an activation, for its stage to add; none where something stands between."""
    if not all(isinstance(stage, AffineStage | OneAffineStage) for _, stage in maps):
        return []
    for _, stage in maps:
        stage.has_bias = False
    return [(members if len(maps) > 1 else None, stage.bias, stage.by_bias) for members, stage in maps]


def _of_pixels(
    network: Network, module: nn.Module, inputs: list[InputStage], n: int
) -> tuple[PixelStage, FirstStage] | None:
    """Return the stages of pixels and of the map that reads them, in integers; ``None`` where they do not suit."""
    map_of_all = module.parts[0] if isinstance(module, FirstAffine) else module
    if len(inputs) > 1 or not isinstance(map_of_all, Affine):
        return None
    weight, bias = map_of_all.weight, map_of_all.bias
    if not suits_int8(inputs[0].layer, n, weight.shape[1]):
        return None
    assert weight.grad is not None
    assert bias.grad is not None
    m = network.k if isinstance(network, Members) else 1
    pixels = PixelStage(inputs[0].layer, network.input_dropout, n)
    biases = bias.detach().view(m, 1, -1), bias.grad.view(m, 1, -1)
    stage = PixelAffineStage(weight.detach(), biases[0], weight.grad, biases[1], n, pixels)
    return pixels, FirstStage([(slice(0, m), stage)])


def _first_stage(
    module: nn.Module, members: list[slice], inputs: list[InputStage], n: int, narrow: bool
) -> FirstStage | None:
    """Return the stage of the maps behind ``inputs``, each of which the members of one slice read."""
    affines: list[Any] = list(module.parts) if isinstance(module, FirstAffine) else [module]
    parts = []
    for each, stage in zip(members, inputs, strict=True):
        mine, affines = affines[: len(stage.out)], affines[len(stage.out) :]
        if len(mine) == 1:
            tensors = _of_members(mine[0], each.stop - each.start)
            parts.append((each, affine_kind(tensors[0], n, narrow)(*tensors, n)))
            continue
        weight, bias = with_gradients([part.weight for part in mine]), with_gradients([part.bias for part in mine])
        if weight is None or bias is None:
            return None
        make = affine_kind(weight[0], n, narrow)
        parts.append((each, make(weight[0], bias[0][:, None], weight[1], bias[1][:, None], n)))
    return FirstStage(parts)


def _stage(module: nn.Module, like: Tensor, narrow: bool) -> Stage:
    """Return the stage of ``module``, whose input is like ``like``."""
    if isinstance(module, Activate):
        return ActivationStage(module)
    if isinstance(module, Dropout):
        return DropoutStage(module, like)
    if isinstance(module, nn.BatchNorm1d):
        return BatchNormStage(module, like)
    assert isinstance(module, Affine | MemberAffine)
    tensors, n = _of_members(module, len(like)), like.shape[1]
    if kernels.is_narrow(tensors[0]):
        return NarrowAffineStage(*tensors, n)
    return affine_kind(tensors[0], n, narrow)(*tensors, n)


def _of_members(module: Affine | MemberAffine, m: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return weight (m, fan_in, fan_out) and bias (m, 1, fan_out) of m members, and the gradients of both.

    The module's weight is that, or (fan_in, m * fan_out) where all members read one input.
    """
    weight, bias = module.weight, module.bias
    assert weight.grad is not None
    assert bias.grad is not None
    values, by_values = weight.detach(), weight.grad
    if weight.ndim == 2:
        values, by_values = (each.view(len(each), m, -1).transpose(0, 1) for each in (values, by_values))
    return values, bias.detach().view(m, 1, -1), by_values, bias.grad.view(m, 1, -1)


def _by_row(x: Tensor) -> Tensor:
    """Return (m, n, units) as (n, m * units)."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)
