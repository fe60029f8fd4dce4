"""Lamina: the multilayer perceptron done properly."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.activations import ACTIVATIONS, register_activation
    from lamina.analysis.plots import plot_activation
    from lamina.config import Config
    from lamina.cross_validation import cross_validate
    from lamina.data.readers import read_table
    from lamina.errors import (
        ConfigError,
        DataError,
        LaminaError,
        LaminaWarning,
        MissingExtraError,
        ModelFileError,
        SchemaError,
        TrainingError,
    )
    from lamina.estimators import MLPClassifier, MLPRegressor
    from lamina.fitting import fit, prepare
    from lamina.model import Model, load

__version__ = "0.1.0"

# Resolved when first used (PEP 562), so that `lamina --help` does not wait for torch.
_WHERE = {
    "ACTIVATIONS": "lamina.activations",
    "Config": "lamina.config",
    "ConfigError": "lamina.errors",
    "DataError": "lamina.errors",
    "LaminaError": "lamina.errors",
    "LaminaWarning": "lamina.errors",
    "MLPClassifier": "lamina.estimators",
    "MLPRegressor": "lamina.estimators",
    "MissingExtraError": "lamina.errors",
    "Model": "lamina.model",
    "ModelFileError": "lamina.errors",
    "SchemaError": "lamina.errors",
    "TrainingError": "lamina.errors",
    "cross_validate": "lamina.cross_validation",
    "fit": "lamina.fitting",
    "load": "lamina.model",
    "plot_activation": "lamina.analysis.plots",
    "prepare": "lamina.fitting",
    "read_table": "lamina.data.readers",
    "register_activation": "lamina.activations",
}

__all__ = [
    "ACTIVATIONS",
    "Config",
    "ConfigError",
    "DataError",
    "LaminaError",
    "LaminaWarning",
    "MLPClassifier",
    "MLPRegressor",
    "MissingExtraError",
    "Model",
    "ModelFileError",
    "SchemaError",
    "TrainingError",
    "cross_validate",
    "fit",
    "load",
    "plot_activation",
    "prepare",
    "read_table",
    "register_activation",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'lamina' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
