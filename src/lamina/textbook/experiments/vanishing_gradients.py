"""Vanishing gradients: the gradient of the first layer against the depth, by activation and by initial weights."""

from typing import Any

import numpy as np
import torch

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

SHALLOWEST, DEEPEST = 2, 50  # layers as the text counts them: the hidden ones and the output
UNITS = 64
ACTIVATIONS = ("sigmoid", "tanh", "relu")
STARTS = {
    "matched": Text("weights matched to σ", "与 σ 匹配的初始权重"),
    "small": Text("weights from N(0, 0.01²)", "初始权重取自 N(0, 0.01²)"),
}


def untrained(rows: Any, depth: int, activation: str, start: str, seed: int) -> lamina.Model:
    """A network of ``depth`` layers before its first step."""
    hidden_units = (UNITS,) * (depth - 1)
    run = lamina.prepare(rows, hidden_units=hidden_units, activation=activation, normalization="none", seed=seed)
    model = run.current()
    if start == "small":
        blocks: list[Any] = list(model.network.hidden)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for affine in [*(block.affine for block in blocks), model.network.output]:
                affine.weight.normal_(0, 0.01, generator=generator)
    return model


def first_gradient(rows: Any, depth: int, activation: str, start: str, seed: int) -> float:
    """Norm of the gradient of the mean loss by the weights of the first layer."""
    return lamina.gradient_flow(untrained(rows, depth, activation, start, seed), rows)[0].weight_gradient


def factor(gradients: list[float]) -> float:
    """What one more layer multiplies the gradient by, from the shallowest to the deepest network."""
    return float((gradients[-1] / gradients[0]) ** (1 / (DEEPEST - SHALLOWEST)))


def measure(seed: int, setting: Setting) -> Measured:
    depths = (SHALLOWEST, 10, DEEPEST) if setting.quick else (SHALLOWEST, 5, 10, 20, 35, DEEPEST)
    digits = lamina.read_table("digits")
    drawn = np.random.default_rng(seed).permutation(digits.n_rows)
    rows = digits.rows(drawn[: 128 if setting.quick else 1024])
    gradients = {
        (activation, start): [first_gradient(rows, depth, activation, start, seed) for depth in depths]
        for activation in ACTIVATIONS
        for start in STARTS
    }
    figures = {}
    for (activation, start), each in gradients.items():
        figures[f"{activation}_{start}"] = each[-1] / each[0]
        figures[f"{activation}_{start}_factor"] = factor(each)
    return Measured(figures, {"gradients": gradients, "depths": depths})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, axes = canvas(1, 2, width=7.8, height=3.3, sharey=True)
    depths = measured[0].kept["depths"]
    for axis, (start, title) in zip(axes, STARTS.items(), strict=True):
        for activation in ACTIVATIONS:
            means = np.mean([np.log10(each.kept["gradients"][activation, start]) for each in measured], axis=0)
            axis.semilogy(depths, 10.0**means, marker="o", markersize=4, label=activation)
        axis.set(title=setting.say(title), xlabel=setting.say(Text("layers", "层数")), xticks=depths)
    axes[0].set_ylabel(setting.say(Text("gradient norm, first layer", "第一层的梯度范数")))
    axes[0].legend()
    caption = Text(
        f"Norm of the gradient of the loss by the first layer's weights, before training, in networks of {UNITS} units "
        "a layer (geometric mean of the seeds).",
        f"训练开始前，损失对第一层权重的梯度范数；各隐藏层有 {UNITS} 个单元（取各种子的几何平均）。",
    )
    return [Drawing("depth", figure, caption)]


def labels() -> dict[str, Text]:
    found = {}
    for activation in ACTIVATIONS:
        for start, name in STARTS.items():
            found[f"{activation}_{start}"] = Text(
                f"gradient at {DEEPEST} layers / at {SHALLOWEST}, {activation}, {name.en}",
                f"{DEEPEST} 层与 {SHALLOWEST} 层的梯度之比，{activation}，{name.zh}",
            )
            found[f"{activation}_{start}_factor"] = Text(
                f"factor for each layer, {activation}, {name.en}", f"每层的倍数，{activation}，{name.zh}"
            )
    return found


EXPERIMENT = Experiment(
    name="vanishing-gradients",
    title=Text("Vanishing gradients against depth", "梯度消失与深度"),
    about=Text(
        "The text says that the derivative of ReLU is particularly well behaved, which mitigates the well-documented "
        "problem of vanishing gradients that troubled earlier networks. The derivative of sigmoid is 0.25 at most, and "
        "backpropagation multiplies by it once for each layer; that of ReLU is 0 or 1.\n\n"
        f"Here networks of 2 to 50 layers with {UNITS} units in each hidden layer are built for the handwritten digits "
        "and not trained. What is measured, in float64, is the norm of the gradient of the loss by the weights of the "
        "first layer, with initial weights that suit the activation (He et al. for ReLU, Glorot and Bengio for sigmoid "
        "and tanh) and with those from N(0, 0.01²), which do for one hidden layer.",
        "课文说，ReLU 的导数表现特别好，从而缓解了困扰先前神经网络的、有据可查的梯度消失问题。sigmoid 的导数"
        "至多为 0.25，反向传播每经过一层就要乘以它一次；ReLU 的导数则为 0 或 1。\n\n"
        f"这里为手写数字构建 2 到 50 层、每个隐藏层 {UNITS} 个单元的网络，不作训练，以 float64 测量损失对第一层权重的"
        "梯度范数。初始权重有两种：与激活函数相匹配的（ReLU 用 He 等人的方法，sigmoid 和 tanh 用 Glorot 与 Bengio 的"
        "方法），以及只有一个隐藏层时够用的 N(0, 0.01²)。",
    ),
    source="4.1.2.1",
    claims=(
        Claim(
            "sigmoid",
            Text(
                "With sigmoid the gradient vanishes: at 50 layers it is less than a millionth of that at 2.",
                "使用 sigmoid 时梯度消失：50 层时的梯度不到 2 层时的百万分之一。",
            ),
            "sigmoid_matched",
            at_most=1e-6,
        ),
        Claim(
            "sigmoid-quarter",
            Text(
                "Each further layer of sigmoid multiplies the gradient by 0.25 or less, the largest value of its "
                "derivative.",
                "每增加一层 sigmoid，梯度乘以不超过 0.25 的倍数，即其导数的最大值。",
            ),
            "sigmoid_matched_factor",
            at_most=0.25,
        ),
        Claim(
            "relu",
            Text(
                "With ReLU and matched weights it does not vanish: at 50 layers it is at least a hundredth of that "
                "at 2.",
                "使用 ReLU 和匹配的初始权重时梯度不会消失：50 层时的梯度不小于 2 层时的百分之一。",
            ),
            "relu_matched",
            at_least=0.01,
        ),
        Claim(
            "relu-explosion",
            Text(
                "Nor does it explode: at 50 layers it is at most a hundred times that at 2.",
                "梯度也不会爆炸：50 层时的梯度不大于 2 层时的一百倍。",
            ),
            "relu_matched",
            at_most=100,
        ),
        Claim(
            "relu-small",
            Text(
                "ReLU alone is not enough: with weights from N(0, 0.01²) its gradient vanishes too.",
                "仅有 ReLU 还不够：初始权重取自 N(0, 0.01²) 时，梯度同样消失。",
            ),
            "relu_small",
            at_most=1e-6,
        ),
        Claim(
            "tanh-small",
            Text(
                "With weights from N(0, 0.01²) the gradient of tanh vanishes as well, although its derivative is close "
                "to 1.",
                "初始权重取自 N(0, 0.01²) 时，tanh 的导数虽接近 1，梯度也同样消失。",
            ),
            "tanh_small",
            at_most=1e-6,
        ),
    ),
    figures=labels(),
    measure=measure,
    draw=draw,
)
