"""The names that a user types after ``lamina.`` are these, and each of them resolves."""

import ast
import importlib
from pathlib import Path

import pytest

import lamina


def test_all_names_resolve_and_are_listed():
    assert lamina.__all__ == sorted(lamina.__all__)
    for name, module in lamina._WHERE.items():
        assert getattr(lamina, name) is getattr(importlib.import_module(module), name)
    assert sorted(lamina._WHERE, key=lamina.__all__.index) == lamina.__all__
    assert set(lamina.__all__) | {"__version__"} == set(dir(lamina))


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(lamina.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(lamina.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lamina' has no attribute 'fitt'"):
        lamina.fitt  # noqa: B018
