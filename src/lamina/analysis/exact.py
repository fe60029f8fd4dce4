"""A model's network in float64, apart from the model, for analysis to do with as it likes."""

import torch

from lamina.model import Model, build_network
from lamina.network.mlp import MLP


def float64_copy(model: Model) -> MLP:
    """Return a copy of the network of ``model``, with the same weights as float64, in evaluation mode."""
    config = model.config.replace(dtype="float64")
    network = build_network(model.encoder, model.schema.target.n_outputs, config, torch.Generator())
    network.load_state_dict(model.network.state_dict())
    return network.eval()
