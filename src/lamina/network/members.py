"""Several perceptrons side by side: one input layer for each encoding, one batched product a layer, one prediction."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.data.encoder import Encoder
from lamina.initializers import INITIALIZERS
from lamina.network.embeddings import InputLayer, Inputs
from lamina.network.layers import NORMALIZATIONS, Activate, Affine, Dropout
from lamina.network.mlp import MLP, LayerSummary, layer_summary

# (n, members, k) outputs and (n, members) weights that add up to 1 in each row -> (n, k).
Average = Callable[[Tensor, Tensor], Tensor]


class FirstAffine(nn.Module):
    """X_e W_e + b_e for each encoding e, the members of one encoding side by side in its W.

    Shapes: input a list of (n, width of the encoding), output (n, members * units).
    """

    def __init__(
        self,
        widths: list[int],
        members: list[int],
        units: int,
        *,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            Affine(width, n * units, initializer=initializer, gain=gain, generator=generator, dtype=dtype)
            for width, n in zip(widths, members, strict=True)
        )

    def forward(self, encoded: list[Tensor]) -> Tensor:
        return torch.cat([part(x) for part, x in zip(self.parts, encoded, strict=True)], dim=1)


class MemberAffine(nn.Module):
    """H_m W_m + b_m for each member m.

    Shapes: input (n, members * fan_in), output (n, members * fan_out); ``weight`` (members, fan_in, fan_out), ``bias``
    (members * fan_out,).
    """

    def __init__(
        self,
        members: int,
        fan_in: int,
        fan_out: int,
        *,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        weight = torch.empty(members, fan_in, fan_out, dtype=dtype)
        for each in weight:
            INITIALIZERS[initializer].fill(each, gain, generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(members * fan_out, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        members, fan_in, _ = self.weight.shape
        product = torch.bmm(x.view(len(x), members, fan_in).transpose(0, 1), self.weight)
        return product.transpose(0, 1).reshape(len(x), -1) + self.bias

    def extra_repr(self) -> str:
        return "{} x ({} -> {})".format(*self.weight.shape)


class Members(nn.Module):
    """k multilayer perceptrons with weights of their own, trained on the same minibatches; their average predicts.

    Each hidden layer is one of ``members * units`` units, so that activations, dropout and batch normalization are
    those of a single network; only the affine maps keep the members apart.

    Shapes: input as ``Encoder.transform`` returns it (as tensors); output (n, members, n_outputs) in training mode, and
    the average (n, n_outputs) in evaluation mode.

    Args:
        encoder: describes the inputs.
        n_outputs: width of the output.
        encodings: of number columns, one for each member: ``piecewise_linear``, ``periodic`` or ``standard``; equal
            ones are neighbours.
        average: the outputs that stand for several members; see ``lamina.losses.Loss.average``.
        hidden_units, activation, ..., dtype: as in ``lamina.network.mlp.MLP``, for each member.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_outputs: int,
        *,
        encodings: tuple[str, ...],
        average: Average,
        hidden_units: tuple[int, ...],
        activation: str | tuple[str, ...] = "relu",
        activation_parameters: str = "layer",
        dropout: float = 0.0,
        normalization: str = "none",
        initial_weights: str = "auto",
        embedding_width: int = 8,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        names = (activation,) * len(hidden_units) if isinstance(activation, str) else activation
        self.k, self.encodings, self.average = len(encodings), encodings, average
        self._plain: dict[str, Any] = {
            "encoder": encoder, "n_outputs": n_outputs, "hidden_units": hidden_units, "activation": activation,
            "activation_parameters": activation_parameters, "dropout": dropout, "normalization": normalization,
            "embedding_width": embedding_width, "dtype": dtype,
        }  # fmt: skip
        kinds = list(dict.fromkeys(encodings))
        make: dict[str, Any] = {"generator": generator, "dtype": dtype}
        layers = [InputLayer(encoder, numbers=kind, embedding_width=embedding_width, **make) for kind in kinds]
        self.inputs = nn.ModuleList(layers)
        self.n_inputs = sum(layer.width for layer in layers)  # of all encodings together
        blocks: list[nn.Module] = []
        width = 0
        for units, name in zip(hidden_units, names, strict=True):
            record = ACTIVATIONS[name]
            make["initializer"] = record.initializer if initial_weights == "auto" else initial_weights
            make["gain"] = record.gain
            block = OrderedDict[str, nn.Module]()
            if blocks:
                block["affine"] = MemberAffine(self.k, width, units, **make)
            else:
                counts = [encodings.count(kind) for kind in kinds]
                block["affine"] = FirstAffine([layer.width for layer in layers], counts, units, **make)
            if normalization != "none":
                block["norm"] = NORMALIZATIONS[normalization].make(self.k * units, dtype, self.k)
            block["activation"] = Activate(name, self.k * units, activation_parameters, dtype)
            if dropout:
                block["dropout"] = Dropout(dropout)
            blocks.append(nn.Sequential(block))
            width = units
        self.hidden = nn.Sequential(*blocks)
        self.needs_two_rows = bool(blocks) and normalization != "none" and NORMALIZATIONS[normalization].across_rows
        make["initializer"] = "lecun" if initial_weights == "auto" else initial_weights
        self.output = MemberAffine(self.k, width, n_outputs, **{**make, "gain": 1.0})

    def forward(self, inputs: Inputs, weights: Tensor | None = None) -> Tensor:
        """Return the outputs; ``weights`` (n, members) say how much each member counts in the average of a row."""
        outputs = self.outputs_of_each(inputs)
        if self.training:
            return outputs
        return self.combine(outputs, weights)

    def outputs_of_each(self, inputs: Inputs) -> Tensor:
        """Return the outputs (n, members, n_outputs) of each member."""
        hidden = self.hidden([layer(inputs) for layer in self.inputs])
        outputs: Tensor = self.output(hidden)
        return outputs.view(len(outputs), self.k, -1)

    def combine(self, outputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the average (n, n_outputs) of the members' outputs (n, members, n_outputs)."""
        if weights is None:
            return self.average(outputs, outputs.new_full(outputs.shape[:2], 1 / self.k))
        return self.average(outputs, weights / weights.sum(1, keepdim=True))

    def hidden_output(self, inputs: Inputs, layer: int) -> Tensor:
        """Return the output (n, members * units) of the hidden layer ``layer``, counted from 0."""
        output: Tensor = self.hidden[: layer + 1]([each(inputs) for each in self.inputs])
        return output

    @property
    def n_layers(self) -> int:
        """Layers that compute, in each member: hidden and output."""
        return len(self.hidden) + 1

    def set_dropout_generator(self, generator: torch.Generator) -> None:
        """Make all dropout draw from ``generator``."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def scale_outputs(self, factor: float) -> None:
        """Multiply every output of every member by ``factor``, by their last weights and biases."""
        with torch.no_grad():
            self.output.weight.mul_(factor)
            self.output.bias.mul_(factor)

    def members(self) -> list[MLP]:
        """Return each member as a perceptron of its own, with copies of its weights, in evaluation mode."""
        return [self._member(m) for m in range(self.k)]

    def _member(self, m: int) -> MLP:
        encoding = self.encodings[m]
        kind = list(dict.fromkeys(self.encodings)).index(encoding)
        among = m - self.encodings.index(encoding)
        network = MLP(numbers=encoding, generator=torch.Generator(), **self._plain)
        network.inputs.load_state_dict(self.inputs[kind].state_dict())
        with torch.no_grad():
            blocks: list[tuple[Any, Any]] = list(zip(network.hidden, self.hidden, strict=True))
            for i, (mine, theirs) in enumerate(blocks):
                units = mine.affine.weight.shape[1]
                if i == 0:
                    part = theirs.affine.parts[kind]
                    columns = slice(among * units, (among + 1) * units)
                    mine.affine.weight.copy_(part.weight[:, columns])
                    mine.affine.bias.copy_(part.bias[columns])
                else:
                    _copy_affine(mine.affine, theirs.affine, m)
                # What a layer holds for each unit is sliced, what it holds once (one pReLU for a layer) is copied.
                for name, module in mine.named_children():
                    if name != "affine":
                        state = theirs.get_submodule(name).state_dict()
                        module.load_state_dict({key: _slice(value, m, units, self.k) for key, value in state.items()})
            _copy_affine(network.output, self.output, m)
        return network.eval()

    def summary(self) -> list[LayerSummary]:
        """Return one row for the inputs, for each part of each layer of all members, and for the output."""
        rows = [layer_summary("inputs", "input", self.n_inputs, self.inputs)]
        for i, block in enumerate(self.hidden, start=1):
            for name, module in block.named_children():
                if isinstance(module, FirstAffine | MemberAffine):
                    width = sum(p.numel() for p in module.parameters() if p.ndim == 1)
                kind = module.record.name if isinstance(module, Activate) else name
                rows.append(layer_summary(f"hidden {i}", kind, width, module))
        rows.append(layer_summary("output", "affine", len(self.output.bias), self.output))
        return rows


def _copy_affine(mine: Affine, theirs: MemberAffine, m: int) -> None:
    mine.weight.copy_(theirs.weight[m])
    mine.bias.copy_(theirs.bias.view(len(theirs.weight), -1)[m])


def _slice(value: Tensor, m: int, units: int, k: int) -> Tensor:
    return value[m * units : (m + 1) * units] if value.shape == (k * units,) else value


# What training and models hold: either has the same methods.
Network = MLP | Members
