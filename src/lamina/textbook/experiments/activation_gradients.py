"""Each activation and its gradient: drawn, and held against what the text says of it."""

from collections.abc import Callable

import torch
from torch import Tensor

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

ALPHA = 0.25


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The derivative of ``function`` at ``x`` as the text takes it: a backward pass with ones."""
    x = x.clone().requires_grad_()
    y = function(x)
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


def prelu(x: Tensor) -> Tensor:
    return lamina.ACTIVATIONS["prelu"].function(x, torch.tensor([ALPHA], dtype=x.dtype))


def measure(seed: int, setting: Setting) -> Measured:
    # The text's grid, with 0 exactly on it (arange(-8, 8, 0.1) misses 0 by 1e-14), and numbers drawn at random.
    grid = torch.arange(-80, 81, dtype=torch.float64) / 10
    drawn = 4 * torch.randn(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = torch.cat([grid, drawn])
    relu_, sigmoid_, tanh_ = (gradient(f, x) for f in (torch.relu, torch.sigmoid, torch.tanh))
    sigmoid, tanh = torch.sigmoid(x), torch.tanh(x)
    near, away = x[x.abs() <= 0.5], x[x.abs() >= 0.1]
    two_classes = torch.softmax(torch.stack([x, torch.zeros_like(x)], dim=1), dim=1)[:, 0]
    step = lamina.ACTIVATIONS["threshold"].function(away)
    figures = {
        "relu_other": float(((relu_ != 0) & (relu_ != 1)).sum()),
        "relu_at_zero": float(relu_[x == 0].max()),
        "prelu_error": largest(gradient(prelu, x) - torch.where(x > 0, 1.0, ALPHA)),
        "sigmoid_top": float(sigmoid_.max()),
        "sigmoid_top_at": float(x[sigmoid_.argmax()]),
        "sigmoid_far": float(sigmoid_[x.abs() >= 8].max()),
        "sigmoid_formula": largest(sigmoid_ - sigmoid * (1 - sigmoid)),
        "sigmoid_tangent": largest(torch.sigmoid(near) - (0.5 + near / 4)),
        "sigmoid_softmax": largest(sigmoid - two_classes),
        "sigmoid_threshold": largest(torch.sigmoid(1000 * away) - step),
        "tanh_top": float(tanh_.max()),
        "tanh_top_at": float(x[tanh_.argmax()]),
        "tanh_far": float(tanh_[x.abs() >= 8].max()),
        "tanh_formula": largest(tanh_ - (1 - tanh * tanh)),
        "tanh_tangent": largest(torch.tanh(near) - near),
        "tanh_gap": float((1 - tanh.abs()).min()),
        "tanh_odd": largest(torch.tanh(-x) + tanh),
    }
    return Measured(figures)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    x = torch.arange(-80, 81, dtype=torch.float64) / 10
    functions = {"relu": torch.relu, "prelu": prelu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
    figure, axes = canvas(4, 2, height=7.2, sharex=True)
    for (name, function), (left, right) in zip(functions.items(), axes, strict=True):
        left.plot(x, function(x))
        left.set_ylabel(name)
        slope = gradient(function, x)
        # ReLU's derivative and pReLU's jump at 0, where they have the value from the left: no line joins the two sides.
        jumps = name in ("relu", "prelu")
        for side in (x <= 0, x > 0) if jumps else (x < 9,):
            right.plot(x[side], slope[side], color="#2f7fd1", linestyle="-")
        if jumps:
            right.plot(0, slope[x == 0], "o", color="#2f7fd1", markersize=4)
        right.set_ylim(-0.05, 1.1)
    axes[0, 0].set_title(setting.say(Text("function", "函数")))
    axes[0, 1].set_title(setting.say(Text("gradient", "导数")))
    for ax in axes[-1]:
        ax.set_xlabel("x")

    steep, one = canvas()
    fine = torch.linspace(-1, 1, 801, dtype=torch.float64)
    for k in (1, 5, 25, 125):
        one.plot(fine, torch.sigmoid(k * fine), label=f"sigmoid({k} x)")
    one.plot(fine, (fine > 0).double(), label=setting.say(Text("threshold", "阈值函数")), linewidth=1)
    one.set_xlabel("x")
    one.legend(fontsize=9)
    return [
        Drawing(
            "functions",
            figure,
            Text(
                f"Each activation and its gradient; pReLU with α = {ALPHA}.",
                f"各激活函数（左）及其导数（右）；pReLU 取 α = {ALPHA}。",
            ),
        ),
        Drawing(
            "threshold",
            steep,
            Text(
                "The steeper the sigmoid, the closer it is to a threshold unit, everywhere but at 0 itself.",
                "sigmoid 越陡，越接近阈值单元，只有 0 点本身除外。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="activation-gradients",
    title=Text("Each activation and its gradient", "各激活函数及其导数"),
    about=Text(
        "The text draws ReLU, sigmoid and tanh on the numbers from -8 to 8, and their gradients by a backward pass "
        "with ones, and reads properties off the curves. Here the same pass is made in float64 on the same grid and on "
        "2,000 numbers drawn at random, and every property is a number. (What the Chinese text calls a reasoning or a "
        "parameter that is let through is the argument, the input of the function.)",
        "教材在 -8 到 8 的区间上画出 ReLU、sigmoid 和 tanh，再以全 1 张量作反向传播画出它们的导数，并从曲线上读出"
        "若干性质。这里以 float64 在同一网格以及 2000 个随机数上作同样的反向传播，把每条性质都化为一个数。"
        "（书中所说得以通过的“论证”和“参数”，都应为“自变量”，即函数的输入。）",
    ),
    source="4.1.2",
    claims=(
        Claim(
            "relu-0-or-1",
            Text(
                "The derivative of ReLU either vanishes or lets the argument through: it is 0 or 1 everywhere.",
                "ReLU 的导数要么消失，要么让自变量通过：处处为 0 或 1。",
            ),
            "relu_other",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "relu-at-0",
            Text("At 0 the derivative of ReLU is taken from the left: 0.", "输入为 0 时，ReLU 取左侧导数，即 0。"),
            "relu_at_zero",
            at_least=0,
            at_most=0,
            kind="identity",
        ),
        Claim(
            "prelu",
            Text(
                "pReLU lets information through for negative arguments: its derivative there is α, and 1 for positive.",
                "自变量为负时，pReLU 仍让一些信息通过：此处导数为 α，自变量为正时导数为 1。",
            ),
            "prelu_error",
            at_most=1e-14,
            kind="identity",
        ),
        Claim(
            "sigmoid-top",
            Text("The derivative of sigmoid has the maximum 0.25.", "sigmoid 函数的导数的最大值为 0.25。"),
            "sigmoid_top",
            at_least=0.25,
            at_most=0.25,
            kind="identity",
        ),
        Claim(
            "sigmoid-top-at-0",
            Text(
                "The derivative of sigmoid is largest where the input is 0.",
                "sigmoid 函数的导数在输入为 0 时达到最大值。",
            ),
            "sigmoid_top_at",
            at_least=0,
            at_most=0,
            kind="identity",
        ),
        Claim(
            "sigmoid-far",
            Text(
                "Away from 0, in either direction, the derivative of sigmoid approaches 0.",
                "随着输入在任一方向上远离 0，sigmoid 函数的导数接近 0。",
            ),
            "sigmoid_far",
            at_most=1e-3,
            kind="identity",
        ),
        Claim(
            "sigmoid-formula",
            Text(
                "The derivative of sigmoid is sigmoid(x) (1 - sigmoid(x)).",
                "sigmoid 函数的导数为 sigmoid(x) (1 - sigmoid(x))。",
            ),
            "sigmoid_formula",
            at_most=1e-14,
            kind="identity",
        ),
        Claim(
            "sigmoid-linear",
            Text(
                "Near 0 sigmoid is close to linear: for |x| ≤ 0.5 within 0.5³/48, Taylor's bound, of its tangent.",
                "当输入接近 0 时，sigmoid 函数接近线性：|x| ≤ 0.5 时，与切线之差不超过泰勒余项界 0.5³/48。",
            ),
            "sigmoid_tangent",
            at_most=0.5**3 / 48,
            kind="identity",
        ),
        Claim(
            "sigmoid-softmax",
            Text(
                "The sigmoid is a special case of softmax: of two classes with the logits x and 0.",
                "sigmoid 是 softmax 的特例：两个类别，未规范化的预测为 x 和 0。",
            ),
            "sigmoid_softmax",
            at_most=1e-14,
            kind="identity",
        ),
        Claim(
            "sigmoid-threshold",
            Text(
                "The sigmoid is a smooth approximation of a threshold unit: sigmoid(1000 x) is one for |x| ≥ 0.1.",
                "sigmoid 是阈值单元的平滑近似：|x| ≥ 0.1 时，sigmoid(1000 x) 与阈值单元一致。",
            ),
            "sigmoid_threshold",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "tanh-top",
            Text("The derivative of tanh has the maximum 1.", "tanh 函数的导数的最大值为 1。"),
            "tanh_top",
            at_least=1,
            at_most=1,
            kind="identity",
        ),
        Claim(
            "tanh-top-at-0",
            Text("The derivative of tanh is largest where the input is 0.", "tanh 函数的导数在输入为 0 时达到最大值。"),
            "tanh_top_at",
            at_least=0,
            at_most=0,
            kind="identity",
        ),
        Claim(
            "tanh-far",
            Text(
                "Away from 0, in either direction, the derivative of tanh approaches 0.",
                "随着输入在任一方向上远离 0，tanh 函数的导数接近 0。",
            ),
            "tanh_far",
            at_most=1e-3,
            kind="identity",
        ),
        Claim(
            "tanh-formula",
            Text("The derivative of tanh is 1 - tanh²(x).", "tanh 函数的导数为 1 - tanh²(x)。"),
            "tanh_formula",
            at_most=1e-14,
            kind="identity",
        ),
        Claim(
            "tanh-linear",
            Text(
                "Near 0 tanh is close to linear: for |x| ≤ 0.5 within 0.5³/3, Taylor's bound, of its tangent.",
                "当输入接近 0 时，tanh 函数接近线性：|x| ≤ 0.5 时，与切线之差不超过泰勒余项界 0.5³/3。",
            ),
            "tanh_tangent",
            at_most=0.5**3 / 3,
            kind="identity",
        ),
        Claim(
            "tanh-range",
            Text(
                "tanh squashes its input to between -1 and 1, and reaches neither: the smallest distance from them is "
                "above 0. (Beyond |x| = 19 float64 rounds it to 0.)",
                "tanh 函数将其输入压缩到 -1 和 1 之间，且取不到这两个值：与它们的最小距离大于 0。（|x| 超过 19 时，"
                "float64 将其舍入为 0。）",
            ),
            "tanh_gap",
            at_least=2.0**-53,
            kind="identity",
        ),
        Claim(
            "tanh-symmetric",
            Text(
                "tanh is point-symmetric about the origin: tanh(-x) = -tanh(x).",
                "tanh 函数关于坐标系原点中心对称：tanh(-x) = -tanh(x)。",
            ),
            "tanh_odd",
            at_most=1e-14,
            kind="identity",
        ),
    ),
    figures={
        "relu_other": Text("points where ReLU′ is neither 0 nor 1", "ReLU′ 既非 0 又非 1 的点数"),
        "relu_at_zero": Text("ReLU′(0)", "ReLU′(0)"),
        "prelu_error": Text("largest error of pReLU′", "pReLU′ 的最大误差"),
        "sigmoid_top": Text("largest sigmoid′", "sigmoid′ 的最大值"),
        "sigmoid_top_at": Text("where sigmoid′ is largest", "sigmoid′ 取最大值的位置"),
        "sigmoid_far": Text("largest sigmoid′ for |x| ≥ 8", "|x| ≥ 8 时 sigmoid′ 的最大值"),
        "sigmoid_formula": Text("largest error of the formula of sigmoid′", "sigmoid′ 公式的最大误差"),
        "sigmoid_tangent": Text("largest distance of sigmoid from 1/2 + x/4", "sigmoid 与 1/2 + x/4 的最大差"),
        "sigmoid_softmax": Text("largest difference of sigmoid and softmax", "sigmoid 与 softmax 的最大差"),
        "sigmoid_threshold": Text(
            "largest difference of sigmoid(1000 x) and the threshold", "sigmoid(1000 x) 与阈值函数的最大差"
        ),
        "tanh_top": Text("largest tanh′", "tanh′ 的最大值"),
        "tanh_top_at": Text("where tanh′ is largest", "tanh′ 取最大值的位置"),
        "tanh_far": Text("largest tanh′ for |x| ≥ 8", "|x| ≥ 8 时 tanh′ 的最大值"),
        "tanh_formula": Text("largest error of the formula of tanh′", "tanh′ 公式的最大误差"),
        "tanh_tangent": Text("largest distance of tanh from x", "tanh 与 x 的最大差"),
        "tanh_gap": Text("smallest 1 - |tanh|", "1 - |tanh| 的最小值"),
        "tanh_odd": Text("largest |tanh(-x) + tanh(x)|", "|tanh(-x) + tanh(x)| 的最大值"),
    },
    measure=measure,
    draw=draw,
    data=Text("the text's numbers -8 to 8, and numbers drawn at random", "教材中 -8 到 8 的数，以及随机数"),
)
