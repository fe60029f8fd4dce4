"""Lamina: the multilayer perceptron done properly."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.activations import ACTIVATIONS, register_activation
    from lamina.analysis.attributions import attributions
    from lamina.analysis.collapse import collapse
    from lamina.analysis.conversion import to_sigmoid, to_tanh
    from lamina.analysis.dependence import partial_dependence
    from lamina.analysis.flow import gradient_flow
    from lamina.analysis.formula import local_formula
    from lamina.analysis.importance import permutation_importance
    from lamina.analysis.parameters import parameter_count
    from lamina.analysis.pieces import linear_pieces
    from lamina.analysis.plots import plot, plot_activation
    from lamina.analysis.regions import linear_regions
    from lamina.analysis.rowwise import rowwise
    from lamina.config import Config
    from lamina.cross_validation import cross_validate
    from lamina.data.readers import read_table
    from lamina.displays import ActivationDisplay, PermutationImportanceDisplay, TrainingCurveDisplay
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
    "ActivationDisplay": "lamina.displays",
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
    "PermutationImportanceDisplay": "lamina.displays",
    "SchemaError": "lamina.errors",
    "TrainingCurveDisplay": "lamina.displays",
    "TrainingError": "lamina.errors",
    "attributions": "lamina.analysis.attributions",
    "collapse": "lamina.analysis.collapse",
    "cross_validate": "lamina.cross_validation",
    "fit": "lamina.fitting",
    "gradient_flow": "lamina.analysis.flow",
    "linear_pieces": "lamina.analysis.pieces",
    "linear_regions": "lamina.analysis.regions",
    "load": "lamina.model",
    "local_formula": "lamina.analysis.formula",
    "parameter_count": "lamina.analysis.parameters",
    "partial_dependence": "lamina.analysis.dependence",
    "permutation_importance": "lamina.analysis.importance",
    "plot": "lamina.analysis.plots",
    "plot_activation": "lamina.analysis.plots",
    "prepare": "lamina.fitting",
    "read_table": "lamina.data.readers",
    "register_activation": "lamina.activations",
    "rowwise": "lamina.analysis.rowwise",
    "to_sigmoid": "lamina.analysis.conversion",
    "to_tanh": "lamina.analysis.conversion",
}

__all__ = [
    "ACTIVATIONS",
    "ActivationDisplay",
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
    "PermutationImportanceDisplay",
    "SchemaError",
    "TrainingCurveDisplay",
    "TrainingError",
    "attributions",
    "collapse",
    "cross_validate",
    "fit",
    "gradient_flow",
    "linear_pieces",
    "linear_regions",
    "load",
    "local_formula",
    "parameter_count",
    "partial_dependence",
    "permutation_importance",
    "plot",
    "plot_activation",
    "prepare",
    "read_table",
    "register_activation",
    "rowwise",
    "to_sigmoid",
    "to_tanh",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'lamina' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
