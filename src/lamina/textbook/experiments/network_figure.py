"""The network of the text's figure: 4 inputs, 5 hidden units, 3 outputs; its layers and its parameters counted."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text


def network(seed: int) -> lamina.Model:
    # Iris has the figure's 4 inputs and 3 outputs; standardised, each number is one input.
    return lamina.prepare("iris", hidden_units=(5,), numeric="standard", seed=seed).current()


def weights(model: lamina.Model) -> list[Tensor]:
    """The weight matrix of each layer that computes, (fan_in, fan_out)."""
    blocks: list[Any] = list(model.network.hidden)
    return [*(block.affine.weight for block in blocks), model.network.output.weight]


def widths(shapes: list[tuple[int, int]]) -> list[int]:
    return [shapes[0][0], *(fan_out for _, fan_out in shapes)]


def edges(affine: Any, fan_in: int) -> int:
    """How many of a layer's outputs change when each of its inputs in turn goes from 0 to 1."""
    return int((affine(torch.eye(fan_in)) != affine(torch.zeros(1, fan_in))).sum())


def measure(seed: int, setting: Setting) -> Measured:
    model = network(seed)
    first: Any = model.network.hidden[0]
    shapes = [(int(weight.shape[0]), int(weight.shape[1])) for weight in weights(model)]
    n_inputs, n_hidden, n_outputs = widths(shapes)
    x = torch.randn(100, n_inputs, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        unchanged = model.network.inputs({"numbers": x})
    count = lamina.parameter_count(model)
    figures = {
        "inputs": n_inputs,
        "hidden": n_hidden,
        "outputs": n_outputs,
        "layers": model.network.n_layers,
        "input_change": float((unchanged - x).abs().max()),
        "input_parameters": count.by_layer["inputs"],
        "hidden_edges": edges(first.affine, n_inputs),
        "output_edges": edges(model.network.output, n_hidden),
        "parameters": count.total,
        "hidden_parameters": count.by_layer["hidden 1"],
        "output_parameters": count.by_layer["output"],
    }
    return Measured(figures, {"shapes": shapes})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    shapes = measured[0].kept["shapes"]
    figure, axes = canvas(width=7.2, height=3.4)
    columns = widths(shapes)
    heights = [[i - (units - 1) / 2 for i in range(units)] for units in columns]
    for level, (below, above) in enumerate(pairwise(heights)):
        for x in below:
            for y in above:
                axes.plot([x, y], [level, level + 1], color="#8a7a1f", linewidth=0.8, linestyle="-", zorder=1)
    letters = ["x", *(["h"] * (len(columns) - 2)), "o"]
    for level, positions in enumerate(heights):
        axes.scatter(positions, [level] * len(positions), s=620, color="#2f7fd1", zorder=2)
        for i, x in enumerate(positions):
            axes.text(x, level, f"{letters[level]}{'₀₁₂₃₄₅'[i + 1]}", color="white", ha="center", va="center", zorder=3)
    names = [Text("input layer: not counted", "输入层：不计入层数")]
    for (fan_in, fan_out), name in zip(
        shapes, (Text("hidden layer", "隐藏层"), Text("output layer", "输出层")), strict=True
    ):
        formula = f"{fan_in} × {fan_out} + {fan_out} = {fan_in * fan_out + fan_out}"
        names.append(Text(f"{name.en}: {formula}", f"{name.zh}：{formula}"))
    for level, name in enumerate(names):
        axes.text(2.9, level, setting.say(name), va="center")
    axes.set(xlim=(-2.5, 6.4), ylim=(-0.4, len(columns) - 0.6))
    axes.axis("off")
    caption = Text(
        "Figure 4.1.1 of the text, drawn from the shapes of a model's weights, with the parameters of each layer: "
        "weights and biases.",
        "教材的图 4.1.1，由模型权重的形状画出，并注明每层的参数个数：权重加偏置。",
    )
    return [Drawing("network", figure, caption)]


def exactly(name: str, statement: Text, figure: str, value: float) -> Claim:
    return Claim(name, statement, figure, at_least=value, at_most=value, kind="identity")


EXPERIMENT = Experiment(
    name="network-figure",
    title=Text(
        "The figure's network: 4 inputs, 5 hidden units, 3 outputs", "图中的网络：4 个输入、5 个隐藏单元、3 个输出"
    ),
    about=Text(
        "The text draws an MLP with 4 inputs, one hidden layer of 5 units and 3 outputs, and says that it has two "
        "layers, since the input layer computes nothing, and that both are fully connected. Here the model is built "
        "for the iris flowers, which have 4 measurements and 3 species, and everything is read off the model: its "
        "layers, which units change when an input does, and how many parameters it has.",
        "教材画出一个有 4 个输入、一个含 5 个单元的隐藏层和 3 个输出的 MLP，并指出：输入层不涉及任何计算，"
        "因此层数为 2；两层都是全连接的。这里为鸢尾花数据（4 个测量值、3 个种）构建该模型，一切都从模型本身读出："
        "有哪些层、一个输入改变时哪些单元随之改变，以及有多少个参数。",
    ),
    source="4.1.1.2",
    claims=(
        exactly("inputs", Text("The MLP has 4 inputs.", "这个 MLP 有 4 个输入。"), "inputs", 4),
        exactly(
            "hidden",
            Text("Its hidden layer has 5 hidden units.", "它的隐藏层包含 5 个隐藏单元。"),
            "hidden",
            5,
        ),
        exactly("outputs", Text("It has 3 outputs.", "它有 3 个输出。"), "outputs", 3),
        exactly(
            "input-computes-nothing",
            Text("The input layer computes nothing: what enters leaves.", "输入层不涉及任何计算：输入什么就输出什么。"),
            "input_change",
            0,
        ),
        exactly("layers", Text("The number of layers is therefore 2.", "因此，此 MLP 中的层数为 2。"), "layers", 2),
        exactly(
            "hidden-connected",
            Text(
                "Every input influences every hidden unit: 4 × 5 edges.",
                "每个输入都会影响隐藏层中的每个神经元：4 × 5 条边。",
            ),
            "hidden_edges",
            4 * 5,
        ),
        exactly(
            "output-connected",
            Text(
                "Every hidden unit influences every output: 5 × 3 edges.",
                "隐藏层中的每个神经元又会影响输出层中的每个神经元：5 × 3 条边。",
            ),
            "output_edges",
            5 * 3,
        ),
        exactly(
            "parameters",
            Text(
                "With its biases it has 4 × 5 + 5 + 5 × 3 + 3 = 43 parameters.",
                "连同偏置，它共有 4 × 5 + 5 + 5 × 3 + 3 = 43 个参数。",
            ),
            "parameters",
            4 * 5 + 5 + 5 * 3 + 3,
        ),
    ),
    figures={
        "inputs": Text("inputs", "输入数"),
        "hidden": Text("hidden units", "隐藏单元数"),
        "outputs": Text("outputs", "输出数"),
        "layers": Text("layers of the model", "模型的层数"),
        "input_change": Text("largest change by the input layer", "输入层造成的最大变化"),
        "input_parameters": Text("parameters of the input layer", "输入层的参数个数"),
        "hidden_edges": Text("edges into the hidden layer", "进入隐藏层的边数"),
        "output_edges": Text("edges into the output layer", "进入输出层的边数"),
        "parameters": Text("parameters", "参数个数"),
        "hidden_parameters": Text("parameters of the hidden layer", "隐藏层的参数个数"),
        "output_parameters": Text("parameters of the output layer", "输出层的参数个数"),
    },
    measure=measure,
    draw=draw,
    data=Text("iris flowers, for the shapes only", "鸢尾花数据，只用其形状"),
)
