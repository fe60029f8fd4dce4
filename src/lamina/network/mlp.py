"""The multilayer perceptron: inputs, hidden blocks, output layer. Without a hidden block it is a linear model."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.data.encoder import Encoder
from lamina.network.embeddings import InputLayer, Inputs
from lamina.network.layers import NORMALIZATIONS, Activate, Affine, Dropout
from lamina.network.saving_layers import AFFINE_LAYERS, PHM, LowRank


@dataclass(frozen=True)
class LayerSummary:
    """One row of a summary: what the layer is, the shape of its output, how many numbers it learns.

    ``formula`` is how they are counted, from the shapes of what is learned, as in ``784 x 256 + 256``; "" for none.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    n_parameters: int
    formula: str


class MLP(nn.Module):
    """H_1 = σ(X W_1 + b_1), ..., O = H_L W_{L+1} + b_{L+1}: logits for classes, values for regression.

    Shapes: input as ``Encoder.transform`` returns it (as tensors), output (n, n_outputs).

    Args:
        encoder: describes the inputs.
        n_outputs: width of the output.
        hidden_units: width of each hidden layer; ``()`` is softmax, logistic or linear regression.
        activation: one name for all hidden layers, or one for each.
        activation_parameters: ``layer`` or ``unit``: how many learned numbers an activation has.
        dropout, input_dropout: share of hidden units and of inputs dropped in training.
        normalization: ``none``, or a name in ``lamina.network.layers.NORMALIZATIONS``.
        initial_weights: name of a rule, or ``auto`` for the one that each activation names.
        embedding_width: numbers in a category's embedding.
        numbers: how number columns enter; see ``lamina.network.embeddings.InputLayer``.
        layer: kind of the hidden layers' affine maps, a name in ``lamina.network.saving_layers``; the output layer is
            dense always.
        phm_n, rank: see ``lamina.network.saving_layers.PHM`` and ``LowRank``; without effect for other kinds.
        generator: source of the initial weights.
        dtype: of the weights.

    Attributes:
        needs_two_rows: whether a minibatch of one row cannot be trained on, as with batch normalization.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_outputs: int,
        *,
        hidden_units: tuple[int, ...],
        activation: str | tuple[str, ...] = "relu",
        activation_parameters: str = "layer",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        normalization: str = "none",
        initial_weights: str = "auto",
        embedding_width: int = 8,
        numbers: str = "piecewise_linear",
        layer: str = "dense",
        phm_n: int = 4,
        rank: int = 16,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        names = (activation,) * len(hidden_units) if isinstance(activation, str) else activation
        self.inputs = InputLayer(
            encoder, numbers=numbers, embedding_width=embedding_width, generator=generator, dtype=dtype
        )
        width = self.inputs.width
        blocks = []
        for units, name in zip(hidden_units, names, strict=True):
            record = ACTIVATIONS[name]
            rule = record.initializer if initial_weights == "auto" else initial_weights
            block = OrderedDict[str, nn.Module]()
            block["affine"] = AFFINE_LAYERS[layer].make(
                width, units, phm_n=phm_n, rank=rank,
                initializer=rule, gain=record.gain, generator=generator, dtype=dtype,
            )  # fmt: skip
            if normalization != "none":
                block["norm"] = NORMALIZATIONS[normalization].make(units, dtype, 1)
            block["activation"] = Activate(name, units, activation_parameters, dtype)
            if dropout:
                block["dropout"] = Dropout(dropout)
            blocks.append(nn.Sequential(block))
            width = units
        self.hidden = nn.Sequential(*blocks)
        self.input_dropout = Dropout(input_dropout)
        self.needs_two_rows = bool(blocks) and normalization != "none" and NORMALIZATIONS[normalization].across_rows
        rule = "lecun" if initial_weights == "auto" else initial_weights
        self.output = Affine(width, n_outputs, initializer=rule, gain=1.0, generator=generator, dtype=dtype)

    def forward(self, inputs: Inputs) -> Tensor:
        output: Tensor = self.output(self.hidden(self.input_dropout(self.inputs(inputs))))
        return output

    def outputs_of_each(self, inputs: Inputs) -> Tensor:
        """Return the outputs (n, 1, n_outputs) of the only member there is."""
        output: Tensor = self(inputs)
        return output[:, None, :]

    def combine(self, outputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return (n, n_outputs) of ``outputs_of_each``; ``weights`` (n, 1) change nothing."""
        return outputs[:, 0]

    def hidden_output(self, inputs: Inputs, layer: int) -> Tensor:
        """Return the output (n, units) of the hidden layer ``layer``, counted from 0."""
        output: Tensor = self.hidden[: layer + 1](self.inputs(inputs))
        return output

    @property
    def n_inputs(self) -> int:
        """Width of the encoded inputs."""
        return self.inputs.width

    @property
    def n_layers(self) -> int:
        """Layers that compute: hidden and output. The input layer computes nothing and is not counted."""
        return len(self.hidden) + 1

    def scale_outputs(self, factor: float) -> None:
        """Multiply every output by ``factor``, by the last weights and biases."""
        with torch.no_grad():
            self.output.weight.mul_(factor)
            self.output.bias.mul_(factor)

    def fold_scaling(self) -> None:
        """Put the scaling of pixels into the weights that read them, where these are dense: for predictions alone."""
        first = self.hidden[0].affine if self.hidden else self.output
        if isinstance(first, Affine):
            self.inputs.leave_pixels_to(first.weight, first.bias)

    def members(self) -> "list[MLP]":
        """Return the networks whose average this is: itself."""
        return [self]

    def refresh(self, networks: "list[MLP]") -> None:
        """Do nothing: what ``members`` returned is this network, with its weights as they are."""

    def summary(self) -> list[LayerSummary]:
        """Return one row for the inputs, for each part of each layer, and for the output."""
        rows = [layer_summary("inputs", self.inputs.kind, self.inputs.width, self.inputs)]
        width = self.inputs.width
        for i, block in enumerate(self.hidden, start=1):
            for name, module in block.named_children():
                kind = name
                if isinstance(module, Affine | PHM | LowRank):
                    width = len(module.bias)
                if isinstance(module, PHM | LowRank):
                    kind = module.kind
                if isinstance(module, Activate):
                    kind = module.record.name
                rows.append(layer_summary(f"hidden {i}", kind, width, module))
        rows.append(layer_summary("output", "affine", len(self.output.bias), self.output))
        return rows


def layer_summary(name: str, kind: str, width: int, module: nn.Module) -> LayerSummary:
    """Return the row of one layer, or of a part of it."""
    shapes = [parameter.shape for parameter in module.parameters()]
    formula = " + ".join(" x ".join(str(length) for length in shape) for shape in shapes)
    return LayerSummary(name, kind, (width,), sum(shape.numel() for shape in shapes), formula)
