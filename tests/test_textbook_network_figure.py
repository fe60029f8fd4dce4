"""The network of the text's figure: its verdicts, its edges, and the nodes and edges that are drawn."""

import torch

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.network_figure import EXPERIMENT, draw, edges, measure, network, weights, widths
from lamina.textbook.runner import run_one

QUICK = Setting(quick=True)


def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, QUICK)
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "inputs": "held",
        "hidden": "held",
        "outputs": "held",
        "input-computes-nothing": "held",
        "layers": "held",
        "hidden-connected": "held",
        "output-connected": "held",
        "parameters": "held",
    }
    assert outcome.figures["hidden_parameters"].values == (25, 25, 25)
    assert outcome.figures["output_parameters"].values == (18, 18, 18)


def test_shapes_are_those_of_the_model():
    shapes = [tuple(weight.shape) for weight in weights(network(0))]
    assert shapes == [(4, 5), (5, 3)]
    assert widths(shapes) == [4, 5, 3]


def test_a_missing_edge_is_not_counted():
    affine = torch.nn.Linear(4, 5)
    with torch.no_grad():
        affine.weight.fill_(1.0)
        affine.weight[2, 3] = 0.0
    assert edges(affine, 4) == 19


def test_the_figure_has_a_node_for_each_unit_and_a_line_for_each_edge():
    (drawing,) = draw([measure(0, QUICK)], QUICK)
    (axes,) = drawing.figure.axes
    assert len(axes.lines) == 4 * 5 + 5 * 3
    assert sum(len(nodes.get_offsets()) for nodes in axes.collections) == 4 + 5 + 3
    words = [text.get_text() for text in axes.texts]
    assert words[:12] == ["x₁", "x₂", "x₃", "x₄", "h₁", "h₂", "h₃", "h₄", "h₅", "o₁", "o₂", "o₃"]
    assert words[12:] == [
        "input layer: not counted",
        "hidden layer: 4 × 5 + 5 = 25",
        "output layer: 5 × 3 + 3 = 18",
    ]
