"""All 16 logic operations on two inputs: by hand, learned, and by a linear model, which fails on two of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

Array = NDArray[np.float64]

ROWS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
# Column g: the answers of operation g to the four rows, which are the binary digits of g.
GATES = np.array([[(g >> (3 - row)) & 1 for g in range(16)] for row in range(4)], dtype=np.float64)
NAMES = (
    "0", "AND", "A > B", "A", "A < B", "B", "XOR", "OR", "NOR", "XNOR", "NOT B", "A ≥ B", "NOT A", "A ≤ B", "NAND", "1",
)  # fmt: skip
XOR, XNOR = NAMES.index("XOR"), NAMES.index("XNOR")
OPTIONS: dict[str, Any] = {
    "task": "multilabel",
    "numeric": "standard",
    "early_stopping": False,
    "baselines": False,
    "dropout": 0.0,
    "weight_decay": 0.0,
    "learning_rate": 0.05,
    "schedule": "constant",
    "epochs": 300,
}


def by_hand(x: Array, activation: str) -> Array:
    """The 16 answers, (n, 16), to inputs x (n, 2): one hidden unit for each row of the truth table."""
    # Unit r sees 1 in row r, and 0 or less in the other three; then its answer there is a weight to the output.
    W1 = (2 * ROWS - 1).T  # (2, 4)
    b1 = 1 - ROWS.sum(axis=1)  # (4,)
    Z = x @ W1 + b1  # (n, 4)
    H = np.maximum(Z, 0) if activation == "relu" else (Z > 0).astype(np.float64)
    answers: Array = H @ GATES  # (n, 4)(4, 16)
    return answers


def xor_of_two_units(x: Array) -> Array:
    """XOR of inputs x (n, 2) by two hidden ReLU units: ReLU(A + B) - 2 ReLU(A + B - 1), (n,)."""
    total = x.sum(axis=1)  # both units have the weights 1 and 1; their biases are 0 and -1
    answers: Array = np.maximum(total, 0) - 2 * np.maximum(total - 1, 0)
    return answers


def wrong(answers: Array) -> NDArray[np.int64]:
    """Rows that are answered wrongly, by gate, (16,)."""
    counts: NDArray[np.int64] = (answers != GATES).sum(axis=0)
    return counts


def measure(seed: int, setting: Setting) -> Measured:
    mlp = lamina.fit((ROWS, GATES.astype(int)), hidden_units=(8,), seed=seed, **OPTIONS)
    linear = lamina.fit((ROWS, GATES.astype(int)), hidden_units=(), seed=seed, **OPTIONS)
    by_mlp, by_linear = wrong(mlp.predict(ROWS)), wrong(linear.predict(ROWS))
    others = np.delete(by_linear, [XOR, XNOR])
    figures = {
        "threshold_error": float(np.abs(by_hand(ROWS, "threshold") - GATES).max()),
        "relu_error": float(np.abs(by_hand(ROWS, "relu") - GATES).max()),
        "two_units_error": float(np.abs(xor_of_two_units(ROWS) - GATES[:, XOR]).max()),
        "mlp_failed": int((by_mlp > 0).sum()),
        "linear_failed": int((by_linear > 0).sum()),
        "linear_xor": int((by_linear[[XOR, XNOR]] > 0).sum()),
        "linear_others": int((others > 0).sum()),
    }
    grid = square()
    hand = (xor_of_two_units(grid), by_hand(grid, "relu")[:, XOR])
    surfaces = (*hand, mlp.predict_proba(grid)[:, XOR], linear.predict_proba(grid)[:, XOR])
    return Measured(figures, {"surfaces": surfaces, "right": (4 - by_mlp, 4 - by_linear)})


def square() -> Array:
    """A grid of 61 x 61 points around the unit square, (3721, 2)."""
    side = np.linspace(-0.25, 1.25, 61)
    return np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    titles = (
        Text("by hand, 2 ReLUs", "手工设定，2 个 ReLU"),
        Text("by hand, table", "手工设定，真值表"),
        Text("learned MLP", "学得的 MLP"),
        Text("linear model", "线性模型"),
    )
    figure, grid = canvas(2, 2, width=5.4, height=4.9, sharex=True, sharey=True)
    a, b = square().reshape(61, 61, 2).transpose(2, 0, 1)
    levels = np.linspace(-0.05, 1.05, 12)  # 0.5 is in the middle of a colour, not between two
    for each, title, values in zip(grid.flat, titles, measured[0].kept["surfaces"], strict=True):
        shown = each.contourf(a, b, np.clip(values, 0, 1).reshape(61, 61), levels=levels, cmap="PuOr", alpha=0.85)
        for (row_a, row_b), answer in zip(ROWS, GATES[:, XOR], strict=True):
            each.text(row_a, row_b, f"{answer:.0f}", color="#1b1f24", ha="center", va="center", weight="bold",
                      bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": "none"})  # fmt: skip
        each.set(title=setting.say(title), xticks=[0, 1], yticks=[0, 1])
        each.set(xlabel="A" if each in grid[1] else "", ylabel="B" if each in grid[:, 0] else "")
        each.grid(False)
    figure.colorbar(shown, ax=grid, ticks=[0, 0.5, 1], label="A XOR B")

    counts, (above, below) = canvas(2, 1, width=7.6, height=3.4, sharex=True)
    for one, title, right in zip((above, below), titles[2:], measured[0].kept["right"], strict=True):
        one.bar(range(16), right, color=["#2c9461" if n == 4 else "#d0662a" for n in right], linewidth=0)
        one.set(
            title=setting.say(title),
            ylim=(0, 4.2),
            yticks=[0, 2, 4],
            ylabel=setting.say(Text("rows right", "答对的行数")),
        )
    below.set_xticks(range(16), NAMES, rotation=60)
    return [
        Drawing(
            "xor",
            figure,
            Text(
                "What the four models make of XOR on and around the unit square; the circles hold the right answers. "
                "The linear model says 0.5 everywhere: it decides nothing.",
                "四个模型在单位正方形及其周围给出的异或（XOR）结果；圆圈内为正确答案。线性模型处处为 0.5，等于没有回"
                "答。",
            ),
        ),
        Drawing(
            "gates",
            counts,
            Text(
                "How many of the four rows of each truth table are right, for seed 0.",
                "各真值表的四行中答对的行数，随机种子为 0。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="logic-gates",
    title=Text("Any logic operation on two inputs", "对一对输入的任意逻辑操作"),
    about=Text(
        "The text says that hidden nodes can easily be designed for arbitrary computation, such as basic logic "
        "operations on a pair of inputs. There are 16 of these, one for each truth table.\n\n"
        "XOR is the classical case, and two hidden units do: ReLU(A + B) - 2 ReLU(A + B - 1) is 0, 1, 1 and 0. For all "
        "16 at once a look-up table serves: one hidden unit for each row of the truth table is 1 in its row and 0 in "
        "the other three, and the table itself gives the weights to the outputs. That is no insight into an operation, "
        "and it takes 2^n units for n inputs; but it shows that every operation can be had. It is computed with "
        "threshold units and with ReLU.\n\n"
        "Then one MLP with 8 ReLU units learns the 16 operations at once from their truth tables, and so does a linear "
        "model (16 logistic regressions), from which the hidden layer is missing.",
        "教材说，可以很容易地设计隐藏结点来执行任意计算，例如对一对输入的基本逻辑操作。这样的操作共有 16 种，每张真值表"
        "对应一种。\n\n"
        "异或（XOR）是经典的例子，两个隐藏单元就够了：ReLU(A + B) - 2 ReLU(A + B - 1) 依次为 0、1、1、0。要同时得到全"
        "部 16 种，可以查表：真值表的每一行用一个隐藏单元，它在该行为 1，在其余三行为 0；真值表本身就是到输出的权重。这"
        "并没有揭示某种操作的结构，而且 n 个输入需要 2^n 个单元；但它说明每种操作都能实现。这里分别用阈值单元和 ReLU 计"
        "算。\n\n"
        "随后，一个有 8 个 ReLU 单元的 MLP 从真值表同时学习 16 种操作；没有隐藏层的线性模型（16 个逻辑回归）也同样学"
        "习。",
    ),
    source="4.1.1.4",
    claims=(
        Claim(
            "threshold",
            Text(
                "Hidden threshold units can be designed that perform all 16 logic operations.",
                "可以设计由阈值单元构成的隐藏结点，执行全部 16 种逻辑操作。",
            ),
            "threshold_error",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "relu",
            Text("So can hidden ReLU units, with the same weights.", "用 ReLU 单元和同样的权重也可以。"),
            "relu_error",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "xor-of-two",
            Text(
                "Two hidden ReLU units do for XOR: ReLU(A + B) - 2 ReLU(A + B - 1).",
                "两个隐藏 ReLU 单元就能实现异或（XOR）：ReLU(A + B) - 2 ReLU(A + B - 1)。",
            ),
            "two_units_error",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "learned",
            Text("An MLP learns all 16 from their truth tables.", "MLP 能从真值表学会全部 16 种操作。"),
            "mlp_failed",
            at_most=0,
        ),
        Claim(
            "linear-xor",
            Text("A linear model fails on XOR and on XNOR.", "线性模型学不会异或（XOR）与同或（XNOR）。"),
            "linear_xor",
            at_least=2,
            at_most=2,
            kind="identity",
        ),
        Claim(
            "linear-others",
            Text("A linear model learns the other 14.", "其余 14 种，线性模型都能学会。"),
            "linear_others",
            at_most=0,
        ),
    ),
    figures={
        "threshold_error": Text("largest error by hand, threshold units", "手工设定的最大误差（阈值单元）"),
        "relu_error": Text("largest error by hand, ReLU", "手工设定的最大误差（ReLU）"),
        "two_units_error": Text("largest error of XOR by two units", "两个单元实现 XOR 的最大误差"),
        "mlp_failed": Text("operations that the MLP has wrong", "MLP 答错的操作数"),
        "linear_failed": Text("operations that the linear model has wrong", "线性模型答错的操作数"),
        "linear_xor": Text("of XOR and XNOR, how many the linear model has wrong", "XOR 与 XNOR 中线性模型答错的个数"),
        "linear_others": Text("of the other 14, how many the linear model has wrong", "其余 14 种中线性模型答错的个数"),
    },
    measure=measure,
    draw=draw,
    data=Text("16 truth tables", "16 张真值表"),
)
