"""``lamina activations``: the activation functions, their derivatives, and a figure of one."""

from typing import TYPE_CHECKING, Any

import click

from lamina.cli.present import columns, print_json
from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.activations import Activation


@click.command()
@click.argument("name", required=False)
@click.option("--plot", metavar="FILE", help="Draw function and gradient to FILE (png, svg, pdf).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def activations(name: str | None, plot: str | None, as_json: bool) -> int:
    """List the activation functions with formula, derivative and gain; with NAME, that one only."""
    from lamina.activations import ACTIVATIONS

    records = [ACTIVATIONS[name]] if name else list(ACTIVATIONS)
    if plot is not None:
        if name is None:
            raise ConfigError("--plot needs the name of an activation: lamina activations relu --plot relu.png.")
        from lamina.analysis.plots import plot_activation

        plot_activation(name, plot)
        click.echo(plot)
        return 0
    facts = [_facts(record) for record in records]
    if as_json:
        print_json(facts)
    elif name:
        click.echo(columns([(key, str(value)) for key, value in facts[0].items() if value is not None]))
    else:
        body = [(r.name, r.formula, r.derivative_formula, f"{r.gain:.3f}", r.initializer) for r in records]
        click.echo(columns(body, ("name", "formula", "derivative", "gain", "initial weights"), right=(3,)))
    return 0


def _facts(record: "Activation") -> dict[str, Any]:
    return {
        "name": record.name,
        "formula": record.formula,
        "derivative": record.derivative_formula,
        "gain": round(record.gain, 4),
        "kinks": ", ".join(f"{kink.at:g}, from the {kink.side}" for kink in record.kinks) or None,
        "learned": None if record.parameter is None else record.parameter.name,
        "initial_weights": record.initializer,
        "source": record.source,
    }
