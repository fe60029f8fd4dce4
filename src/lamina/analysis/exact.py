"""A model's network in float64, apart from the model, for analysis to do with as it likes."""

import torch

from lamina.errors import ConfigError
from lamina.model import Model, build_network
from lamina.network.mlp import MLP


def float64_copy(model: Model) -> MLP:
    """Return a copy of the network of ``model``, with the same weights as float64, in evaluation mode.

    Raises:
        ConfigError: the model is the average of several networks.
    """
    members = len(model.network.members())
    if members > 1:
        raise ConfigError(
            f"the model averages {members} networks, and this looks at one: take model.member(0), "
            "or train one with members=1."
        )
    config = model.config.replace(dtype="float64")
    network = build_network(model.encoder, model.schema.target.n_outputs, config, torch.Generator())
    assert isinstance(network, MLP)
    network.load_state_dict(model.network.state_dict())
    return network.eval()
