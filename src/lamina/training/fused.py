"""One pass over a few large tensors for an update, and nothing around it: compiled loops, or torch's fused kernels.

``torch.optim.Optimizer`` imports torch's compiler when the first one is made, which takes a second, and the bookkeeping
of its ``step`` costs more than the update of a small network. What an optimizer is asked for here has the names and the
shapes that it has there: ``param_groups``, ``state``, ``step``, ``zero_grad``, ``state_dict``, ``load_state_dict``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import hardshrink

from lamina.native import kernels

Groups = list[dict[str, Any]]


class FusedOptimizer:
    """Parameters in groups, each with its learning rate and weight decay, moved by the gradients in their ``grad``.

    Attributes:
        kind: ``Adam``, ``AdamW`` or ``SGD``: torch's class of the same update.
        param_groups: as given, with ``lr``, which may be set before each step.
        options: those of the kernel that are the same for all groups: ``beta1``, ``beta2``, ``eps``; ``momentum`` ...
        adam: of Adam by compiled loops, the step that was begun last.
        state: of each parameter, what the update keeps, of the parameter's shape, and ``step``, how many were done.
    """

    def __init__(self, kind: str, groups: Groups, learning_rate: float, **options: Any) -> None:
        self.kind, self.options = kind, options
        self.param_groups: Groups = [{**group, "lr": learning_rate} for group in groups]
        device = groups[0]["params"][0].device
        self._n_steps = torch.zeros((), device=device)
        # The same memory: to count on is done in a fraction of the time.
        self._counter: Any = self._n_steps.numpy() if device.type == "cpu" else self._n_steps
        parameters = [parameter for group in groups for parameter in group["params"]]
        self._is_compiled = kind != "SGD" and all(kernels.suits(each) for each in parameters)
        self.adam = kernels.Adam(decoupled=kind == "AdamW")
        if self._is_compiled:
            self.adam.beta1, self.adam.beta2, self.adam.epsilon = (options[each] for each in ("beta1", "beta2", "eps"))
        names = () if options.get("momentum") == 0 else _KEPT[kind]
        self._kept = [[[torch.zeros_like(each) for each in group["params"]] for _ in names] for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        for group, kept in zip(groups, self._kept, strict=True):
            for i, parameter in enumerate(group["params"]):
                values = {name: of_all[i] for name, of_all in zip(names, kept, strict=True)}
                self.state[parameter] = {"step": self._n_steps, **values}

    def step(self) -> None:
        with torch.no_grad():
            self.start()
            for group, kept in zip(self.param_groups, self._kept, strict=True):
                params: list[Tensor] = group["params"]
                gradients: Any = [parameter.grad for parameter in params]
                rate, decay = group["lr"], group["weight_decay"]
                if self._is_compiled and all(each.is_contiguous() for each in gradients):
                    self.adam.rate = rate
                    for tensors in zip(params, gradients, *kept, strict=True):
                        kernels.adam_(self.adam, decay, *tensors)
                    continue
                of_torch: Any = _OF_TORCH[self.kind]
                options = {"lr": rate, "weight_decay": decay, **self.options, **_FIXED[self.kind]}
                if self.kind == "SGD":
                    of_torch(params, gradients, *(kept or [[]]), **options)
                else:
                    of_torch(params, gradients, *kept, [], [self._n_steps] * len(params), **options)
            if int(self._counter) % _CLEARED_EVERY == 0 and not self._is_compiled:
                self._clear_tiny()

    def start(self) -> None:
        """Count a step, which ``adam`` says then: for loops that do it themselves."""
        self._counter += 1.0
        self.adam.rate, self.adam.count = self.param_groups[0]["lr"], self._counter

    @property
    def is_of_vectors(self) -> bool:
        """Whether this is Adam by compiled loops, on one vector for each group."""
        return self._is_compiled and all(len(group["params"]) == 1 for group in self.param_groups)

    def moments(self, tensor: Tensor) -> list[Tensor]:
        """Return what Adam keeps of ``tensor``, which lies in a group's vector, by windows of its shape and strides."""
        i, start = self._place(tensor)
        return [of_one.as_strided(tensor.shape, tensor.stride(), start) for (of_one,) in self._kept[i]]

    def before(self, tensors: list[Tensor]) -> list[tuple[list[Any], float]]:
        """Return what lies before all ``tensors`` in each vector: weights, gradient, moments; and the group's decay."""
        places, found = [self._place(each) for each in tensors], []
        for i, (group, kept) in enumerate(zip(self.param_groups, self._kept, strict=True)):
            (vector,) = group["params"]
            end = min((start for of_group, start in places if of_group == i), default=len(vector))
            if end:
                of_all = [vector.detach(), vector.grad, *(of_one for (of_one,) in kept)]
                found.append(([each[:end] for each in of_all], group["weight_decay"]))
        return found

    def _place(self, tensor: Tensor) -> tuple[int, int]:
        """Return the group whose vector ``tensor`` lies in, and where it begins there."""
        for i, group in enumerate(self.param_groups):
            (vector,) = group["params"]
            start = (tensor.data_ptr() - vector.data_ptr()) // tensor.element_size()
            if 0 <= start < len(vector):
                return i, start
        raise ValueError("the tensor lies in none of the vectors that this optimizer moves")

    def _clear_tiny(self) -> None:
        """Set what has all but decayed to 0: the moments of a weight without a gradient, as behind a dead unit.

        Rounded, the smallest numbers decay no further, and a processor takes a hundred times as long for each of them
        ("denormal" ones, below 1.2e-38) as for any other.
        """
        for of_group in self._kept:
            for of_name in of_group:
                for tensor in of_name:
                    tensor.copy_(hardshrink(tensor, _TINY))

    def zero_grad(self, set_to_none: bool = False) -> None:
        for parameter in self.state:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return ``state`` by the number of the parameter, and the groups with these numbers."""
        numbers = {parameter: i for i, parameter in enumerate(self.state)}
        groups = [{**group, "params": [numbers[each] for each in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[parameter]: kept for parameter, kept in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, given: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned, copied.

        Raises:
            KeyError, ValueError: it is of other parameters.
        """
        for i, kept in enumerate(self.state.values()):
            for name, tensor in kept.items():
                other = given["state"][i][name]
                if other.shape != tensor.shape:  # copy_ would broadcast
                    raise ValueError(f"{name} is of shape {tuple(other.shape)}, not {tuple(tensor.shape)}")
                tensor.copy_(other)
        for group, values in zip(self.param_groups, given["param_groups"], strict=True):
            group["lr"], group["weight_decay"] = values["lr"], values["weight_decay"]


# A moment that falls by 0.9 a step does not get from here below 1.2e-38 in so many steps.
_TINY, _CLEARED_EVERY = 1e-36, 16
_OF_TORCH = {"Adam": torch._fused_adam_, "AdamW": torch._fused_adamw_, "SGD": torch._fused_sgd_}
_KEPT = {"Adam": ("exp_avg", "exp_avg_sq"), "AdamW": ("exp_avg", "exp_avg_sq"), "SGD": ("momentum_buffer",)}
# From a buffer of zeros the ordinary step of SGD keeps the first gradient, so that none is a first step.
_FIXED: dict[str, dict[str, Any]] = {
    "Adam": {"amsgrad": False, "maximize": False},
    "AdamW": {"amsgrad": False, "maximize": False},
    "SGD": {"dampening": 0.0, "maximize": False, "is_first_step": False},
}
