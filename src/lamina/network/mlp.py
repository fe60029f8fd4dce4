"""The multilayer perceptron: inputs, hidden blocks, output layer. Without a hidden block it is a linear model."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.data.encoder import Encoder
from lamina.network.embeddings import InputLayer, Inputs
from lamina.network.layers import NORMALIZATIONS, Activate, Affine, Dropout


@dataclass(frozen=True)
class LayerSummary:
    """One row of a summary: what the layer is, the shape of its output, how many numbers it learns."""

    name: str
    kind: str
    output: tuple[int, ...]
    n_parameters: int


class MLP(nn.Module):
    """H_1 = σ(X W_1 + b_1), ..., O = H_L W_{L+1} + b_{L+1}: logits for classes, values for regression.

    Shapes: input as ``Encoder.transform`` returns it (as tensors), output (n, n_outputs).

    Args:
        encoder: describes the inputs.
        n_outputs: width of the output.
        hidden_units: width of each hidden layer; ``()`` is softmax, logistic or linear regression.
        activation: one name for all hidden layers, or one for each.
        activation_parameters: ``layer`` or ``unit``: how many learned numbers an activation has.
        dropout: share of hidden units dropped in training.
        normalization: ``none``, or a name in ``lamina.network.layers.NORMALIZATIONS``.
        initial_weights: name of a rule, or ``auto`` for the one that each activation names.
        embedding_width: numbers in a category's embedding.
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
        normalization: str = "none",
        initial_weights: str = "auto",
        embedding_width: int = 8,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        names = (activation,) * len(hidden_units) if isinstance(activation, str) else activation
        self.inputs = InputLayer(encoder, embedding_width=embedding_width, generator=generator, dtype=dtype)
        width = self.inputs.width
        blocks = []
        for units, name in zip(hidden_units, names, strict=True):
            record = ACTIVATIONS[name]
            rule = record.initializer if initial_weights == "auto" else initial_weights
            block = OrderedDict[str, nn.Module]()
            block["affine"] = Affine(width, units, initializer=rule, gain=record.gain, generator=generator, dtype=dtype)
            if normalization != "none":
                block["norm"] = NORMALIZATIONS[normalization].make(units, dtype)
            block["activation"] = Activate(name, units, activation_parameters, dtype)
            if dropout:
                block["dropout"] = Dropout(dropout)
            blocks.append(nn.Sequential(block))
            width = units
        self.hidden = nn.Sequential(*blocks)
        self.needs_two_rows = bool(blocks) and normalization != "none" and NORMALIZATIONS[normalization].across_rows
        rule = "lecun" if initial_weights == "auto" else initial_weights
        self.output = Affine(width, n_outputs, initializer=rule, gain=1.0, generator=generator, dtype=dtype)

    def forward(self, inputs: Inputs) -> Tensor:
        output: Tensor = self.output(self.hidden(self.inputs(inputs)))
        return output

    def hidden_output(self, inputs: Inputs, layer: int) -> Tensor:
        """Return the output (n, units) of the hidden layer ``layer``, counted from 0."""
        output: Tensor = self.hidden[: layer + 1](self.inputs(inputs))
        return output

    @property
    def n_layers(self) -> int:
        """Layers that compute: hidden and output. The input layer computes nothing and is not counted."""
        return len(self.hidden) + 1

    def set_dropout_generator(self, generator: torch.Generator) -> None:
        """Make all dropout draw from ``generator``."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def summary(self) -> list[LayerSummary]:
        """Return one row for the inputs, for each part of each layer, and for the output."""
        rows = [LayerSummary("inputs", "input", (self.inputs.width,), _n_parameters(self.inputs))]
        width = self.inputs.width
        for i, block in enumerate(self.hidden, start=1):
            for name, module in block.named_children():
                if isinstance(module, Affine):
                    width = module.weight.shape[1]
                kind = module.extra_repr() if isinstance(module, Activate) else name
                rows.append(LayerSummary(f"hidden {i}", kind, (width,), _n_parameters(module)))
        rows.append(LayerSummary("output", "affine", (self.output.weight.shape[1],), _n_parameters(self.output)))
        return rows


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
