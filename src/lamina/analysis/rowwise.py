"""Does what a network makes of a row depend on the other rows of its minibatch?

An activation works row by row, and so does an affine map X W + b. A layer that looks across rows, such as batch
normalization in training, gives the same row another output in other company, none at all if it is alone, and must do
something else at prediction.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from lamina.data.encoder import Arrays, Encoder
from lamina.model import Model, as_tensors, build_network
from lamina.network.layers import NORMALIZATIONS, Dropout
from lamina.network.members import Network
from lamina.training.rows import rows_at

# Rows whose outputs are compared, and rows beside them.
_KEPT, _OTHERS = 16, 48
# Products of other sizes are added up in another order: what is less than this, relative to the outputs, is rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class RowwiseMode:
    """The answer for one mode of the network.

    Attributes:
        is_rowwise: whether a row's output is the same among any other rows.
        reason: which layer decides, a sentence.
        max_difference: largest difference that was measured between outputs of the same rows in different
            minibatches, before any output map; of size 1e-15 where it is rounding. Of several members, in training it
            is each one's outputs (n, members, k) that are compared, in evaluation those of their average (n, k).
    """

    is_rowwise: bool
    reason: str
    max_difference: float


@dataclass(frozen=True)
class Rowwise:
    """The answer for both modes: ``training``, as in a training step, and ``evaluation``, as in every prediction.

    ``is_rowwise`` is whether it holds in both, ``max_difference`` the larger of the two.
    """

    training: RowwiseMode
    evaluation: RowwiseMode

    @property
    def is_rowwise(self) -> bool:
        return self.training.is_rowwise and self.evaluation.is_rowwise

    @property
    def reason(self) -> str:
        return f"in training, {self.training.reason}; in evaluation, {self.evaluation.reason}"

    @property
    def max_difference(self) -> float:
        return max(self.training.max_difference, self.evaluation.max_difference)


def rowwise(model: Model) -> Rowwise:
    """Return whether a row's output depends on the other rows of its minibatch: from the layers, and measured.

    The same random rows are put among other rows, among fewer, and where possible alone, in float64. In training mode
    dropout is left out of the measurement: it draws for each row anew, whatever the other rows are.

    Args:
        model: trained or not; it is not changed. An untrained one is ``lamina.prepare(...).current()``.

    Example:
        >>> import lamina
        >>> rowwise(lamina.prepare("iris", normalization="batch").current()).training.is_rowwise
        False
    """
    config = model.config.replace(dtype="float64")
    network = build_network(model.encoder, model.schema.target.n_outputs, config, torch.Generator()).eval()
    network.load_state_dict(model.network.state_dict())
    rng = np.random.default_rng(0)
    normalization = model.config.normalization
    # Evaluation first: a forward pass in training mode moves the running statistics of a batch normalization.
    evaluation = _measured(network, model.encoder, rng)
    for module in network.train().modules():
        if isinstance(module, Dropout):
            module.eval()
    training = _measured(network, model.encoder, rng)
    plain = "every layer computes each row by itself"
    drawn = f"{plain}, and dropout draws for each row anew" if model.config.dropout and network.hidden else plain
    if not network.needs_two_rows:
        return Rowwise(_mode(*training, drawn), _mode(*evaluation, plain))
    across = f"the normalization {normalization!r} looks across the minibatch: {NORMALIZATIONS[normalization].formula}"
    learned = f"the normalization {normalization!r} uses what it has seen in training, the same for every minibatch"
    return Rowwise(RowwiseMode(False, across, training[0]), _mode(*evaluation, learned))


def _mode(difference: float, size: float, reason: str) -> RowwiseMode:
    if difference <= _ROUNDING * size:
        return RowwiseMode(True, reason, difference)
    found = (
        f"no layer should look across rows, but outputs of the same rows differ by {difference:.2g}: "
        "an activation or normalization of your own does"
    )
    return RowwiseMode(False, found, difference)


def _measured(network: Network, encoder: Encoder, rng: np.random.Generator) -> tuple[float, float]:
    """Return the largest difference between outputs of the same rows in different minibatches, and the outputs' size.

    Minibatches of one row are left out in training mode where a layer needs two.
    """
    n_rows = _KEPT + 2 * _OTHERS
    inputs = as_tensors(_random_arrays(encoder, n_rows, rng), "cpu")
    kept, others = torch.arange(_KEPT), torch.arange(_KEPT, n_rows).reshape(2, _OTHERS)
    smallest = 2 if network.training and network.needs_two_rows else 1
    batches = [torch.cat([kept, others[0]]), torch.cat([kept, others[1]]), kept, kept[:smallest]]
    with torch.no_grad():
        outputs = [network({name: rows_at(values, batch) for name, values in inputs.items()}) for batch in batches]
    first = outputs[0]
    differences = [float((output[:_KEPT] - first[: min(len(output), _KEPT)]).abs().max()) for output in outputs[1:]]
    return max(differences), 1.0 + float(first.abs().max())


def _random_arrays(encoder: Encoder, n_rows: int, rng: np.random.Generator) -> Arrays:
    """Return rows as ``encoder.transform`` might, with float64 for its numbers."""
    arrays: Arrays = {}
    if encoder.numbers:
        arrays["numbers"] = rng.normal(size=(n_rows, len(encoder.numbers)))
        flags = sum(code.flag for code in encoder.numbers)
        if flags:
            arrays["flags"] = rng.integers(0, 2, (n_rows, flags)).astype(np.float64)
    if encoder.categories:
        codes = [rng.integers(0, code.n_codes, n_rows, dtype=np.int32) for code in encoder.categories]
        arrays["codes"] = np.stack(codes, axis=1)
    if encoder.images:
        pixels = sum(math.prod(code.shape) for code in encoder.images)
        arrays["pixels"] = rng.integers(0, 256, (n_rows, pixels), dtype=np.uint8)
    for block in encoder.blocks:
        shape = (n_rows, len(block.scales))
        arrays["sparse"] = scipy.sparse.csr_array(rng.normal(size=shape) * (rng.random(shape) < 0.2))
    return arrays
