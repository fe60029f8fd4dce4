"""Several perceptrons side by side: one batched product a layer, one prediction."""

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
    """X_i W_i + b_i for each input layer i, the members that read it side by side in its W.

    Shapes: input a list of (n, width of the input layer), or (m, n, width) for m layers of one width in a row; output
    (n, members * units).
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
        outputs = []
        parts: list[Any] = list(self.parts)
        for x in encoded:
            if x.ndim == 2:
                outputs.append(parts.pop(0)(x))
            else:
                m, n, _ = x.shape
                of_each, parts = parts[:m], parts[m:]
                weight, bias = (torch.stack([getattr(p, name) for p in of_each]) for name in ("weight", "bias"))
                outputs.append(torch.baddbmm(bias[:, None], x, weight).transpose(0, 1).reshape(n, -1))
        return torch.cat(outputs, dim=1)


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
    those of a single network; only the affine maps keep the members apart. Members share an input layer that learns
    nothing. Embeddings and frequencies are each member's own: shared, they would tell a member about the targets of the
    rows that it holds out, which the others have learned from. One thing is shared that is learned: the number of an
    activation that has one for each layer.

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
        input_dropout: float = 0.0,
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
            "activation_parameters": activation_parameters, "dropout": dropout,
            "input_dropout": input_dropout, "normalization": normalization,
            "embedding_width": embedding_width, "dtype": dtype,
        }  # fmt: skip
        make: dict[str, Any] = {"generator": generator, "dtype": dtype}
        layers: list[InputLayer] = []
        self.reads: list[int] = []  # the input layer of each member
        for m, kind in enumerate(encodings):
            if not m or kind != encodings[m - 1] or any(True for _ in layers[-1].parameters()):
                layers.append(InputLayer(encoder, numbers=kind, embedding_width=embedding_width, **make))
            self.reads.append(len(layers) - 1)
        self.inputs = nn.ModuleList(layers)
        self.kind = layers[0].kind
        self.n_inputs = sum(layer.width for layer in layers)  # of all input layers together
        widths, counts = [layer.width for layer in layers], [self.reads.count(i) for i in range(len(layers))]
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
                block["affine"] = FirstAffine(widths, counts, units, **make)
            if normalization != "none":
                block["norm"] = NORMALIZATIONS[normalization].make(self.k * units, dtype, self.k)
            block["activation"] = Activate(name, self.k * units, activation_parameters, dtype)
            if dropout:
                block["dropout"] = Dropout(dropout)
            blocks.append(nn.Sequential(block))
            width = units
        self.hidden = nn.Sequential(*blocks)
        self.input_dropout = Dropout(input_dropout)
        self.needs_two_rows = bool(blocks) and normalization != "none" and NORMALIZATIONS[normalization].across_rows
        make.update(initializer="lecun" if initial_weights == "auto" else initial_weights, gain=1.0)
        self.output: nn.Module = (
            MemberAffine(self.k, width, n_outputs, **make) if blocks else FirstAffine(widths, counts, n_outputs, **make)
        )

    def forward(self, inputs: Inputs, weights: Tensor | None = None) -> Tensor:
        """Return the outputs; ``weights`` (n, members) say how much each member counts in the average of a row."""
        outputs = self.outputs_of_each(inputs)
        if self.training:
            return outputs
        return self.combine(outputs, weights)

    def outputs_of_each(self, inputs: Inputs) -> Tensor:
        """Return the outputs (n, members, n_outputs) of each member."""
        outputs: Tensor = self.output(self.hidden(self._encoded(inputs)))
        return outputs.view(len(outputs), self.k, -1)

    def combine(self, outputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the average (n, n_outputs) of the members' outputs (n, members, n_outputs)."""
        if weights is None:
            return self.average(outputs, outputs.new_full(outputs.shape[:2], 1 / self.k))
        return self.average(outputs, weights / weights.sum(1, keepdim=True))

    def hidden_output(self, inputs: Inputs, layer: int) -> Tensor:
        """Return the output (n, members * units) of the hidden layer ``layer``, counted from 0."""
        output: Tensor = self.hidden[: layer + 1](self._encoded(inputs))
        return output

    def _encoded(self, inputs: Inputs) -> list[Tensor]:
        """Return what the input layers make of ``inputs``, those of one encoding in one tensor."""
        encoded = []
        for encoding in dict.fromkeys(self.encodings):
            reads = {self.reads[m] for m in range(self.k) if self.encodings[m] == encoding}
            layers: list[Any] = [self.inputs[i] for i in sorted(reads)]
            fixed = layers[0].fixed(inputs)
            together = layers[0].learned(fixed) if len(layers) == 1 else layers[0].together(layers, fixed)
            encoded.append(self.input_dropout(together))
        return encoded

    def fold_scaling(self) -> None:
        """Do what ``MLP.fold_scaling`` does."""
        first: Any = self.hidden[0].affine if self.hidden else self.output
        layers: list[Any] = list(self.inputs)
        for layer, part in zip(layers, first.parts, strict=True):
            layer.leave_pixels_to(part.weight, part.bias)

    @property
    def n_layers(self) -> int:
        """Layers that compute, in each member: hidden and output."""
        return len(self.hidden) + 1

    def scale_outputs(self, factor: float) -> None:
        """Multiply every output of every member by ``factor``, by their last weights and biases."""
        with torch.no_grad():
            for parameter in self.output.parameters():
                parameter.mul_(factor)

    def members(self) -> list[MLP]:
        """Return each member as a perceptron of its own, with copies of its weights, in evaluation mode."""
        generator = torch.Generator()
        networks = [MLP(numbers=encoding, generator=generator, **self._plain).eval() for encoding in self.encodings]
        self.refresh(networks)
        return networks

    def refresh(self, networks: list[MLP]) -> None:
        """Copy the weights as they are now into ``networks``, which ``members`` returned."""
        with torch.no_grad():
            for m, network in enumerate(networks):
                _copy(network.inputs, self.inputs[self.reads[m]])
                blocks: list[tuple[Any, Any]] = list(zip(network.hidden, self.hidden, strict=True))
                for mine, theirs in blocks:
                    units = mine.affine.weight.shape[1]
                    self._copy_affine(mine.affine, theirs.affine, m)
                    # What a layer holds for each unit is sliced, what it holds once (one pReLU for a layer) is copied.
                    for name, module in mine.named_children():
                        if name != "affine":
                            _copy(module, theirs.get_submodule(name), slice(m * units, (m + 1) * units), self.k * units)
                self._copy_affine(network.output, self.output, m)

    def _copy_affine(self, mine: Affine, theirs: nn.Module, m: int) -> None:
        """Copy what is member ``m``'s of an affine map of all members."""
        if isinstance(theirs, MemberAffine):
            mine.weight.copy_(theirs.weight[m])
            mine.bias.copy_(theirs.bias.view(self.k, -1)[m])
            return
        assert isinstance(theirs, FirstAffine)
        read, units = self.reads[m], len(mine.bias)
        among = m - self.reads.index(read)
        columns = slice(among * units, (among + 1) * units)
        part = theirs.parts[read]
        assert isinstance(part, Affine)
        mine.weight.copy_(part.weight[:, columns])
        mine.bias.copy_(part.bias[columns])

    def summary(self) -> list[LayerSummary]:
        """Return one row for the inputs, for each part of each layer of all members, and for the output."""
        rows = [layer_summary("inputs", self.kind, self.n_inputs, self.inputs)]
        for i, block in enumerate(self.hidden, start=1):
            for name, module in block.named_children():
                if isinstance(module, FirstAffine | MemberAffine):
                    width = sum(p.numel() for p in module.parameters() if p.ndim == 1)
                kind = module.record.name if isinstance(module, Activate) else name
                rows.append(layer_summary(f"hidden {i}", kind, width, module))
        width = sum(p.numel() for p in self.output.parameters() if p.ndim == 1)
        rows.append(layer_summary("output", "affine", width, self.output))
        return rows


def _copy(mine: nn.Module, theirs: nn.Module, units: slice | None = None, n_units: int = 0) -> None:
    """Copy the state of ``theirs``; of a tensor with a number for each of ``n_units`` units, those of ``units``."""
    values = theirs.state_dict()
    for name, tensor in mine.state_dict().items():
        value = values[name]
        tensor.copy_(value[units] if units is not None and value.shape == (n_units,) else value)


# What training and models hold: either has the same methods.
Network = MLP | Members
