"""The text's worked answers to its exercises, judged: which of its formulas are right, and which are not."""

import torch
from torch import Tensor

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

ALPHAS = (0.0, 0.01, 0.25, 2.0)
GRID = torch.arange(-80, 81, dtype=torch.float64) / 10  # the text's numbers, with 0 exactly among them


def tanh_derivative_in_the_text(x: Tensor) -> Tensor:
    e = torch.exp(-2 * x)
    return (2 * e - e**2) / (1 + e) ** 2


def tanh_derivative(x: Tensor) -> Tensor:
    e = torch.exp(-2 * x)
    return 4 * e / (1 + e) ** 2  # 1 - tanh² = ((1 + e)² - (1 - e)²) / (1 + e)²: the squares of e cancel


def reason_error(x: Tensor) -> float:
    """Largest difference of the text's form and (1 - (1 - e)²) / (1 + e)², of which the first 1 has no (1 + e)²."""
    e = torch.exp(-2 * x)
    return largest((1 - (1 - e) ** 2) / (1 + e) ** 2 - tanh_derivative_in_the_text(x))


def prelu(x: Tensor, alpha: float) -> Tensor:
    return lamina.ACTIVATIONS["prelu"].function(x, torch.tensor([alpha], dtype=x.dtype))


def prelu_twice(x: Tensor, alpha: float) -> Tensor:
    return prelu(prelu(x, alpha), alpha)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def measure(seed: int, setting: Setting) -> Measured:
    drawn = 3 * torch.randn(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = torch.cat([GRID, drawn])
    leaf = x.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(torch.tanh(leaf).sum(), leaf)
    zero = torch.zeros(1, dtype=torch.float64)
    # Second differences on the grid: 0 where a function is straight; the middle one is at x = 0.
    bends = torch.stack([torch.diff(prelu_twice(GRID, alpha), n=2).abs() for alpha in ALPHAS])
    middle = bends.shape[1] // 2
    figures = {
        "text_error": largest(tanh_derivative_in_the_text(x) - by_autograd),
        "text_at_zero": float(tanh_derivative_in_the_text(zero)),
        "reason_error": reason_error(x),
        "right_error": largest(tanh_derivative(x) - by_autograd),
        "right_at_zero": float(tanh_derivative(zero)),
        "relu_twice": largest(torch.relu(torch.relu(x)) - torch.relu(x)),
        "bend_at_zero": float(bends[:, middle].min()),
        "bend_elsewhere": float(torch.cat([bends[:, :middle], bends[:, middle + 1 :]], dim=1).max()),
        "slope_squared": max(largest(prelu_twice(x, alpha) - prelu(x, alpha**2)) for alpha in ALPHAS),
        "negative_alpha": largest(prelu_twice(x, -0.5) - prelu(x, -0.5)),
        "identity": largest(torch.tanh(x) + 1 - 2 * torch.sigmoid(2 * x)),
    }
    return Measured(figures)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    x = torch.arange(-300, 301, dtype=torch.float64) / 100
    answers, ax = canvas()
    ax.plot(x, tanh_derivative(x), label="4e / (1 + e)²")
    ax.plot(x, tanh_derivative_in_the_text(x), label="(2e - e²) / (1 + e)²")
    ax.set(xlabel="x", ylim=(-1.1, 1.6))
    ax.legend(loc="upper right")

    twice, ax = canvas()
    for alpha in (0.25, 0.5, -0.5):
        ax.plot(x, prelu_twice(x, alpha), label=f"α = {alpha}")
    ax.set(xlabel="x", ylabel="pReLU(pReLU(x))")
    ax.legend()
    return [
        Drawing(
            "tanh",
            answers,
            Text(
                "The derivative of tanh, solid, and the text's closed form of it, dashed; e = exp(-2x).",
                "tanh 的导数（实线）与教材给出的闭式（虚线）；e = exp(-2x)。",
            ),
        ),
        Drawing(
            "prelu",
            twice,
            Text(
                "pReLU of pReLU bends once, at 0; left of it the slope is α², or α where α is negative.",
                "pReLU 的 pReLU 只在 0 处转折；其左侧斜率为 α²，α 为负时则为 α。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="worked-answers",
    title=Text("The text's worked answers, judged", "评判教材的习题解答"),
    about=Text(
        "The text answers its exercises: a closed form of the derivative of tanh, ReLU of ReLU and pReLU of pReLU, and "
        "tanh(x) + 1 = 2 sigmoid(2x). Here each answer is evaluated in float64 on the text's grid and on 2,000 numbers "
        "drawn at random, and held against a backward pass or against the function itself.\n\n"
        "For the derivative of tanh the text gives 1 - tanh²(x), which is right, and then (2e - e²) / (1 + e)² with "
        "e = exp(-2x), which is not. Its numerator 2e - e² is 1 - (1 - e)²: the 1 in 1 - (1 - e)² / (1 + e)² was not "
        "brought over the denominator (1 + e)². Brought over it, it is (1 + e)² / (1 + e)², and the numerator becomes "
        "(1 + e)² - (1 - e)² = 4e. The right form is 4e / (1 + e)².",
        "教材给出了习题的解答：tanh 导数的闭式、ReLU 的 ReLU 与 pReLU 的 pReLU，以及 tanh(x) + 1 = 2 sigmoid(2x)。这里"
        "以 float64 在教材的网格和 2000 个随机数上计算每个答案，并与反向传播或函数本身对照。\n\n"
        "对 tanh 的导数，教材先给出 1 - tanh²(x)，这是正确的；随后写成 (2e - e²) / (1 + e)²，其中 e = exp(-2x)，这是错"
        "误的。分子 2e - e² 就是 1 - (1 - e)²：在 1 - (1 - e)² / (1 + e)² 中，前面的 1 没有通分到分母 (1 + e)² 上。通分"
        "后这个 1 应为 (1 + e)² / (1 + e)²，分子就成为 (1 + e)² - (1 - e)² = 4e。正确的形式是 4e / (1 + e)²。",
    ),
    source="4.1.4",
    claims=(
        Claim(
            "tanh-text",
            Text(
                "The derivative of tanh is (2e - e²) / (1 + e)² with e = exp(-2x), as the text has it.",
                "tanh 的导数为教材所写的 (2e - e²) / (1 + e)²，其中 e = exp(-2x)。",
            ),
            "text_error",
            at_most=1e-12,
            expected="refuted",
            kind="identity",
        ),
        Claim(
            "tanh-text-at-0",
            Text(
                "The text's closed form is 1 at 0, as the text says of the derivative's maximum.",
                "教材的闭式在 0 处为 1，即教材所说的导数最大值。",
            ),
            "text_at_zero",
            at_least=1,
            at_most=1,
            expected="refuted",
            kind="identity",
        ),
        Claim(
            "tanh-reason",
            Text(
                "The reason: the text's numerator 2e - e² is 1 - (1 - e)²; the 1 was not brought over the denominator "
                "(1 + e)².",
                "原因：书中的分子 2e - e² 就是 1 - (1 - e)²，前面的 1 没有通分到分母 (1 + e)² 上。",
            ),
            "reason_error",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "tanh-right",
            Text("The derivative of tanh is 4e / (1 + e)².", "tanh 的导数为 4e / (1 + e)²。"),
            "right_error",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "tanh-right-at-0",
            Text("4e / (1 + e)² is 1 at 0.", "4e / (1 + e)² 在 0 处为 1。"),
            "right_at_zero",
            at_least=1,
            at_most=1,
            kind="identity",
        ),
        Claim(
            "relu-of-relu",
            Text("ReLU of ReLU is ReLU.", "ReLU 的 ReLU 仍是 ReLU。"),
            "relu_twice",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "prelu-linear",
            Text(
                "pReLU of pReLU is a linear function, as the text's last line on it reads.",
                "pReLU 的 pReLU 是线性函数，如教材末句所言。",
            ),
            "bend_at_zero",
            at_most=1e-12,
            expected="refuted",
            kind="identity",
        ),
        Claim(
            "prelu-piecewise",
            Text(
                "pReLU of pReLU is piecewise linear: it is straight on either side of 0.",
                "pReLU 的 pReLU 是分段线性函数：在 0 的两侧都是直线。",
            ),
            "bend_elsewhere",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "prelu-slope",
            Text(
                "For α ≥ 0 pReLU of pReLU is again a pReLU, with the slope α².",
                "α ≥ 0 时，pReLU 的 pReLU 仍是 pReLU，斜率为 α²。",
            ),
            "slope_squared",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "prelu-negative",
            Text(
                "For α < 0 pReLU of pReLU is that pReLU itself: the first leaves no number below 0.",
                "α < 0 时，pReLU 的 pReLU 就是该 pReLU 本身：第一次作用后已没有负数。",
            ),
            "negative_alpha",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "tanh-sigmoid",
            Text("tanh(x) + 1 = 2 sigmoid(2x).", "tanh(x) + 1 = 2 sigmoid(2x)。"),
            "identity",
            at_most=1e-14,
            kind="identity",
        ),
    ),
    figures={
        "text_error": Text("largest error of the text's form of tanh′", "教材的 tanh′ 形式的最大误差"),
        "text_at_zero": Text("the text's form at 0", "教材的形式在 0 处的值"),
        "reason_error": Text(
            "largest difference of the text's form and (1 - (1 - e)²) / (1 + e)²",
            "书中形式与 (1 - (1 - e)²) / (1 + e)² 的最大差",
        ),
        "right_error": Text("largest error of 4e / (1 + e)²", "4e / (1 + e)² 的最大误差"),
        "right_at_zero": Text("4e / (1 + e)² at 0", "4e / (1 + e)² 在 0 处的值"),
        "relu_twice": Text("largest difference of ReLU(ReLU(x)) and ReLU(x)", "ReLU(ReLU(x)) 与 ReLU(x) 的最大差"),
        "bend_at_zero": Text("least bend of pReLU(pReLU(x)) at 0", "pReLU(pReLU(x)) 在 0 处的最小转折"),
        "bend_elsewhere": Text("largest bend of pReLU(pReLU(x)) elsewhere", "pReLU(pReLU(x)) 在别处的最大转折"),
        "slope_squared": Text(
            "largest difference of pReLU(pReLU(x)) and the pReLU of α²", "pReLU(pReLU(x)) 与斜率 α² 的 pReLU 的最大差"
        ),
        "negative_alpha": Text(
            "largest difference of pReLU(pReLU(x)) and pReLU(x), α = -0.5",
            "α = -0.5 时 pReLU(pReLU(x)) 与 pReLU(x) 的最大差",
        ),
        "identity": Text("largest difference of the two sides", "等式两边的最大差"),
    },
    measure=measure,
    draw=draw,
    data=Text("the text's numbers -8 to 8, and numbers drawn at random", "教材中 -8 到 8 的数，以及随机数"),
)
