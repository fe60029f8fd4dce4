"""Registries: names in order, aliases that lead to a record and are no names, and answers to names that are none."""

from dataclasses import dataclass, replace

import pytest

from lamina.activations import ACTIVATIONS
from lamina.errors import ConfigError
from lamina.initializers import INITIALIZERS
from lamina.losses import LOSSES
from lamina.metrics import METRICS
from lamina.network.layers import NORMALIZATIONS
from lamina.registry import Registry
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.schedules import SCHEDULES

ALL = [ACTIVATIONS, INITIALIZERS, LOSSES, METRICS, NORMALIZATIONS, OPTIMIZERS, SCHEDULES]


@dataclass(frozen=True)
class Fruit:
    name: str


def fruits() -> Registry[Fruit]:
    registry: Registry[Fruit] = Registry("fruit")
    registry.register(Fruit("apple"), "pomme", "Apfel")
    registry.register(Fruit("pear"))
    return registry


def test_an_alias_leads_to_the_record_and_is_no_name():
    registry = fruits()
    assert registry["pomme"] is registry["Apfel"] is registry["apple"]
    assert registry.names() == ("apple", "pear")
    assert [fruit.name for fruit in registry] == ["apple", "pear"]
    assert all(name in registry for name in ("apple", "pear", "pomme", "Apfel"))
    assert "plum" not in registry


def test_registering_gives_the_record_back():
    plum = Fruit("plum")
    registry = fruits()
    assert registry.register(plum, "prune") is plum
    assert registry["prune"] is plum
    assert registry.names() == ("apple", "pear", "plum")


@pytest.mark.parametrize(
    ("name", "aliases", "taken"),
    [
        ("apple", (), "apple"), ("pomme", (), "pomme"), ("plum", ("pear",), "pear"), ("plum", ("Apfel",), "Apfel"),
        ("plum", ("prune", "pomme"), "pomme"),
    ],
)  # fmt: skip
def test_a_name_or_alias_that_is_taken_is_refused_and_nothing_is_registered(name, aliases, taken):
    registry = fruits()
    with pytest.raises(
        ConfigError, match=f"^the fruit '{taken}' is registered already; choose another name for yours.$"
    ):
        registry.register(Fruit(name), *aliases)
    assert registry.names() == ("apple", "pear")
    assert "plum" not in registry
    assert "prune" not in registry
    assert registry["pomme"].name == "apple"


@pytest.mark.parametrize("name", ["plum", "", 3, None, ["apple"]])
def test_a_name_that_is_none_is_answered_with_those_there_are(name):
    with pytest.raises(ConfigError) as caught:
        fruits()[name]
    assert str(caught.value) == f"unknown fruit {name!r}. Known: apple, pear."


def test_the_closest_name_is_suggested():
    with pytest.raises(ConfigError, match=r"^unknown fruit 'aple'\. Did you mean 'apple'\? Known: apple, pear\.$"):
        fruits()["aple"]


def test_names_that_scikit_learn_uses():
    assert ACTIVATIONS["logistic"].name == "sigmoid"
    assert SCHEDULES["invscaling"].name == "inverse_scaling"
    assert "logistic" in ACTIVATIONS
    assert "logistic" not in ACTIVATIONS.names()
    with pytest.raises(ConfigError, match="the activation 'logistic' is registered already"):
        ACTIVATIONS.register(replace(ACTIVATIONS["relu"], name="logistic"))


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_every_name_finds_its_record(registry):
    assert len(set(registry.names())) == len(registry.names()) == len(list(registry)) > 1
    for record in registry:
        assert registry[record.name] is record
        assert record.name == record.name.lower().replace(" ", "_")
