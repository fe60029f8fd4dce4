"""What networks make of encoded rows in evaluation mode: by compiled loops where they know them, else by torch."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from lamina.network.members import Members, Network
from lamina.training.flat import FlatWeights
from lamina.training.member_step import MemberByMember, member_by_member
from lamina.training.passes import passes_of
from lamina.training.rows import Rows, rows_at

# What a layer makes of so many rows, and the rows of so many numbers, stay in the cache of most processors.
_PREDICTION_ROWS, _PREDICTION_NUMBERS = 2048, 2**19
# The loops take so many rows at once, always: a row's outputs are then the same to the last digit, alone or not (where
# MKL's products are: on AMD's processors those of a width that is no multiple of 8 depend on the row's position, to
# 1e-16). More take longer for one row; of images, fewer take longer for many.
_LOOP_ROWS, _LOOP_IMAGES = 128, 256
# Where that does not matter, more at once are a little faster.
_WATCHED_ROWS = 512


class Predictor:
    """The outputs of a network that is kept for predicting, in evaluation mode.

    Its tensors become windows on one piece of memory, which the loops read: new weights are copied into them, as
    ``load_state_dict`` does, and none of them may be replaced.

    Attributes:
        network: as given.
        lock: to be held, where several threads predict, from the change of weights to the outputs: there is one piece
            of memory to work in.

    Args:
        network: on the CPU, or left to torch.
        rows: that the loops take at once; ``None``: as suits a model that is used.
        by_loops: whether the network may be changed so.
    """

    def __init__(self, network: Network, rows: int | None = None, by_loops: bool = True) -> None:
        self.network: Network = network.eval()
        layers: list[Any] = list(network.inputs) if isinstance(network, Members) else [network.inputs]
        self.rows = rows or (_LOOP_IMAGES if layers[0].n_pixels else _LOOP_ROWS)
        self.by_loops = by_loops
        self.loops: MemberByMember | None = None
        self.lock = Lock()
        if by_loops:
            FlatWeights(network).attach()
            passes = passes_of(network, self.rows)
            self.loops = None if passes is None else member_by_member(passes)

    def outputs_of_each(self, inputs: Mapping[str, Tensor], n_rows: int) -> Tensor:
        """Return the outputs (n, members, k) of each member."""
        if self.loops is None or "sparse" in inputs:
            with torch.inference_mode():
                return torch.cat([self.network.outputs_of_each(part) for part in _slices(inputs, n_rows)])
        m, _, k = self.loops.like.shape
        found: Tensor = self.loops.like.new_empty(n_rows, m, k)
        with torch.no_grad():
            for start in range(0, n_rows, self.rows):
                n = min(self.rows, n_rows - start)
                part = {name: _filled_up(values[start : start + n], self.rows) for name, values in inputs.items()}
                found[start : start + n] = self.loops.forward(part)[:, :n].transpose(0, 1)
        return found

    def outputs(self, inputs: Mapping[str, Tensor], n_rows: int) -> Tensor:
        """Return the network's outputs (n, k)."""
        with torch.no_grad():
            return self.network.combine(self.outputs_of_each(inputs, n_rows))

    def __reduce__(self) -> tuple[Any, ...]:
        # What the loops keep are addresses, which are worth nothing in a copy or another process.
        return Predictor, (self.network, self.rows, self.by_loops)


def predict_unseen(
    network: Network, rows: Rows, members: list[Predictor] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return what the members that have not seen a row in training make of it.

    Only those compute: of eight members that hold out a quarter of the rows each, two do.

    Args:
        members: what ``predictors_of`` returned once, to be used again with the weights as they are now.

    Returns:
        The outputs (n, h, k) in evaluation mode, h being the most members that one row has, and weights (n, h) of them:
        1 for a member, 0 where the row has fewer. Where ``rows.held`` is ``None``: of all members, and no weights.
    """
    if rows.held is None:
        return Predictor(network, by_loops=False).outputs_of_each(rows.inputs, len(rows)), None
    held = rows.held > 0
    place = held.cumsum(1) - 1
    weights = (torch.arange(int(held.sum(1).max()), device=held.device) < held.sum(1, keepdim=True)).to(rows.held.dtype)
    if members is None:
        members = predictors_of(network)
    else:
        networks: list[Any] = [each.network for each in members]
        network.refresh(networks)
    each: Tensor | None = None
    for m, member in enumerate(members):
        index = held[:, m].nonzero().squeeze(1)
        if not len(index):
            continue
        inputs = {name: rows_at(values, index) for name, values in rows.inputs.items()}
        outputs = member.outputs(inputs, len(index))
        if each is None:
            each = outputs.new_zeros(*weights.shape, outputs.shape[1])
        each[index, place[index, m]] = outputs
    assert each is not None
    return each, weights


def predict_hidden(network: Network, inputs: Mapping[str, Tensor], n_rows: int, layer: int) -> Tensor:
    """Return the outputs (n, units) of hidden layer ``layer``, counted from 0, in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network.hidden_output(part, layer) for part in _slices(inputs, n_rows)])


def predictors_of(network: Network) -> list[Predictor]:
    """Return each member with weights of its own, for ``predict_unseen``."""
    return [Predictor(each, _WATCHED_ROWS) for each in network.members()]


def _filled_up(values: Tensor, n: int) -> Tensor:
    """Return a copy of ``values`` with the last row repeated, up to ``n`` rows.

    A copy in any case: the last digit of a product depends on where in a line of the cache its rows begin.
    """
    return torch.cat([values, values[-1:].expand(n - len(values), *values.shape[1:])])


def _slices(inputs: Mapping[str, Tensor], n_rows: int) -> list[dict[str, Tensor]]:
    width = sum(values.shape[1] for values in inputs.values() if values.layout != torch.sparse_csr)
    step = min(_PREDICTION_ROWS, max(_PREDICTION_NUMBERS // max(width, 1), 1))
    bounds = range(0, max(n_rows, 1), step)  # no rows: one empty slice, and an empty (0, k)
    return [{name: _between(values, start, start + step) for name, values in inputs.items()} for start in bounds]


def _between(values: Tensor, start: int, end: int) -> Tensor:
    if values.layout != torch.sparse_csr:
        return values[start:end]
    return rows_at(values, torch.arange(start, min(end, len(values)), device=values.device))
