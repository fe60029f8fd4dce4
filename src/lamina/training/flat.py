"""All weights of a network in one piece of memory: an optimizer and a running mean then take one pass over it each."""

from torch import Tensor, nn

from lamina.training.fused import Groups
from lamina.training.optimizers import split_parameters

_ALIGNED = 16  # numbers: each tensor starts at a multiple of 64 bytes in float32


class FlatWeights:
    """The floating-point state of ``network``, laid end to end: matrices, other parameters, running statistics.

    From ``attach`` to ``detach`` the network's parameters are windows on ``weights``, and their ``grad`` on
    ``gradient``. ``load_state_dict`` writes through the windows; whatever replaces a tensor of the network breaks them.

    Attributes:
        weights: (N,), with gaps of zeros that no parameter has and no gradient moves.
        gradient: (P,) of the parameters, which come first.
        n_matrices: numbers of matrices, gaps included, which come before the others.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        matrices, others = split_parameters(network)
        tensors = [*matrices, *others, *_statistics(network).values()]
        ends = [0]
        for tensor in tensors:
            ends.append(ends[-1] + -(-tensor.numel() // _ALIGNED) * _ALIGNED)
        self.n_matrices, n_parameters = ends[len(matrices)], ends[len(matrices) + len(others)]
        self.weights = tensors[0].detach().new_zeros(ends[-1])
        self.gradient = self.weights.new_zeros(n_parameters)
        self._parameters = [*matrices, *others]
        self._starts = ends[:-1]

    def groups(self, weight_decay: float) -> Groups:
        """Return the parameters as two vectors for an optimizer: matrices, which decay, and the rest, which do not."""
        groups: Groups = []
        bounds = (0, self.n_matrices, weight_decay), (self.n_matrices, len(self.gradient), 0.0)
        for start, end, decay in bounds:
            if end > start:
                parameter = nn.Parameter(self.weights[start:end])
                parameter.grad = self.gradient[start:end]
                groups.append({"params": [parameter], "weight_decay": decay})
        return groups

    @property
    def matrices(self) -> Tensor:
        """All weights of two axes and more: no biases, and nothing that is learned one number a unit."""
        return self.weights[: self.n_matrices]

    @property
    def is_attached(self) -> bool:
        return self._parameters[0].data_ptr() == self.weights.data_ptr()

    def attach(self) -> None:
        """Make the network's tensors windows on this memory, with their values kept."""
        if self.is_attached:
            return
        for parameter, start in zip(self._parameters, self._starts, strict=False):
            parameter.data = self._window(self.weights, start, parameter)
            parameter.grad = _at(self.gradient, start, parameter)
        statistics = _statistics(self._network)
        for (name, tensor), start in zip(statistics.items(), self._starts[len(self._parameters) :], strict=True):
            owner, _, leaf = name.rpartition(".")
            setattr(self._network.get_submodule(owner), leaf, self._window(self.weights, start, tensor))

    def detach(self) -> None:
        """Give the network tensors of its own: those that share memory are stored together, wherever one goes."""
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()
            parameter.grad = None
        for name, tensor in _statistics(self._network).items():
            owner, _, leaf = name.rpartition(".")
            setattr(self._network.get_submodule(owner), leaf, tensor.clone())

    @staticmethod
    def _window(memory: Tensor, start: int, tensor: Tensor) -> Tensor:
        return _at(memory, start, tensor).copy_(tensor.detach())


def _at(memory: Tensor, start: int, tensor: Tensor) -> Tensor:
    return memory[start : start + tensor.numel()].view(tensor.shape)


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return the state that is measured, not learned, by name."""
    learned = {name for name, _ in network.named_parameters()}
    state = network.state_dict()
    return {name: tensor for name, tensor in state.items() if name not in learned and tensor.is_floating_point()}
