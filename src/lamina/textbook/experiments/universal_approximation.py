"""Universal approximation: one hidden layer of n ReLU units, built by hand and trained, for three functions."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

Array = NDArray[np.float64]

# On [0, 1]. The first two are smooth; the slope of the root is infinite at 0.
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "bump": lambda x: np.exp(-50 * (x - 0.5) ** 2),
    "root": np.sqrt,
}
FORMULAS = {"sine": "sin(2πx)", "bump": "exp(-50 (x - ½)²)", "root": "√x"}
HAND, TRAINED = Text("by hand", "手工构造"), Text("trained", "训练所得")
HAND_WIDTHS = (4, 8, 16, 32, 64, 128, 256)
LARGEST = HAND_WIDTHS[-1]
GRID = np.linspace(0, 1, 4001)


def by_hand(function: Callable[[Array], Array], n: int) -> Callable[[Array], Array]:
    """A sum of ``n`` ReLUs that equals ``function`` at n + 1 equidistant knots and is straight between them."""
    knots = np.linspace(0, 1, n + 1)
    values = function(knots)
    slopes = np.diff(values) * n
    bends = np.diff(slopes, prepend=0.0)  # unit i begins at knot i, and adds what the slope changes by there
    return lambda x: values[0] + np.maximum(x[:, None] - knots[:-1], 0) @ bends


def trained(function: Callable[[Array], Array], n: int, seed: int, setting: Setting) -> Callable[[Array], Array]:
    """The same layer of ``n`` ReLU units with weights that are learned from 1,024 points of ``function``."""
    x = np.linspace(0, 1, 1024)
    model = lamina.fit(
        (x[:, None], function(x)), task="regression", hidden_units=(n,), numeric="standard", dropout=0.0,
        weight_decay=0.0, early_stopping=False, baselines=False, batch_size=64, learning_rate=0.02,
        epochs=24 if setting.quick else 150, seed=seed,
    )  # fmt: skip
    return lambda at: np.asarray(model.predict(at[:, None]), dtype=np.float64)


def error(approximation: Callable[[Array], Array], function: Callable[[Array], Array]) -> float:
    """Root mean square of the difference on a fine grid."""
    return float(np.sqrt(np.mean((approximation(GRID) - function(GRID)) ** 2)))


def slope(widths: Sequence[int], errors: Sequence[float]) -> float:
    """Slope of the straight line through the points on log axes."""
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


def measure(seed: int, setting: Setting) -> Measured:
    widths = (4, 32, LARGEST) if setting.quick else (4, 12, 32, 96, LARGEST)
    hand = {name: [error(by_hand(f, n), f) for n in HAND_WIDTHS] for name, f in FUNCTIONS.items()}
    learned = {name: [error(trained(f, n, seed, setting), f) for n in widths] for name, f in FUNCTIONS.items()}
    figures = {f"hand_slope_{name}": slope(HAND_WIDTHS[2:], hand[name][2:]) for name in FUNCTIONS}
    figures |= {f"trained_slope_{name}": slope(widths, learned[name]) for name in FUNCTIONS}
    figures["hand_error"] = max(errors[-1] for errors in hand.values())
    figures["trained_error"] = max(errors[-1] for errors in learned.values())
    figures |= {f"ratio_{name}": learned[name][-1] / hand[name][-1] for name in FUNCTIONS}
    figures["ratio_smooth"] = min(figures["ratio_sine"], figures["ratio_bump"])
    return Measured(figures, {"widths": widths, "hand": hand, "trained": learned})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, axes = canvas(1, 3, width=8.6, height=3.2, sharey=True)
    for axis, name in zip(axes, FUNCTIONS, strict=True):
        axis.loglog(HAND_WIDTHS, measured[0].kept["hand"][name], marker="o", markersize=4, label=setting.say(HAND))
        for seed, each in enumerate(measured):
            axis.loglog(
                each.kept["widths"], each.kept["trained"][name], color="#d0662a", linestyle="--", marker="s",
                markersize=4, linewidth=1, label=setting.say(TRAINED) if seed == 0 else None,
            )  # fmt: skip
        axis.set(title=FORMULAS[name], xlabel=setting.say(Text("hidden units", "隐藏单元数")))
        axis.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        axis.minorticks_off()
    axes[0].set_ylabel(setting.say(Text("root mean square error", "均方根误差")))
    axes[0].legend(fontsize=9)
    caption = Text(
        "Error of one hidden layer of ReLU units against its width: built by hand from equidistant knots, and trained "
        "(one line for each seed). The hand-made error of a smooth function falls with the square of the width. "
        "A small trained network may do better, since it chooses its own knots; a large one falls behind.",
        "单隐藏层 ReLU 网络的误差与宽度的关系：用等距节点手工构造，以及训练所得（每个种子一条线）。"
        "对光滑函数，手工构造的误差与宽度的平方成反比。小网络训练后可能更好，因为节点由它自己选择；大网络则落在后面。",
    )
    return [Drawing("errors", figure, caption)]


def labels() -> dict[str, Text]:
    found = {}
    for name, formula in FORMULAS.items():
        found[f"hand_slope_{name}"] = Text(f"slope by hand, {formula}", f"手工构造的斜率，{formula}")
        found[f"trained_slope_{name}"] = Text(f"slope trained, {formula}", f"训练所得的斜率，{formula}")
        found[f"ratio_{name}"] = Text(
            f"error trained / error by hand, {LARGEST} units, {formula}",
            f"{LARGEST} 个单元时训练误差与手工误差之比，{formula}",
        )
    return found


EXPERIMENT = Experiment(
    name="universal-approximation",
    title=Text("Universal approximation: representing is easy, learning is hard", "通用逼近：表示容易，学习困难"),
    about=Text(
        "The text says that a network with a single hidden layer can model any function, given enough nodes and the "
        "right weights, and that actually learning the function is the hard part. Here are three functions on the "
        "interval from 0 to 1: two smooth ones, and a root whose slope is infinite at 0.\n\n"
        "The right weights can be written down: each of n ReLU units begins at one of n equidistant knots and adds "
        "what the slope changes by there, so that the sum interpolates the function. For a smooth function the error "
        "of this falls as 1/n² (a slope of -2 on log axes), and for the root as 1/n, as root mean square. Beside it, "
        "networks of the same form are trained from random weights on 1,024 points without noise.",
        "教材说，即使使用单隐藏层网络，给定足够多的节点和正确的权重集，也可以对任何函数进行建模，尽管实际上学习该函数是"
        "困难的部分。这里取区间 [0, 1] 上的三个函数：两个光滑函数，以及在 0 处斜率为无穷大的平方根。\n\n"
        "正确的权重可以直接写出：n 个 ReLU 单元各从一个等距节点开始，加上该处斜率的变化量，其和便是函数的分段线性插值。"
        "以均方根计，光滑函数的误差按 1/n² 下降（双对数坐标下斜率为 -2），平方根函数则按 1/n 下降。作为对照，同样形式的"
        "网络从随机权重出发，用 1024 个无噪声的点训练。",
    ),
    source="4.1.1.4",
    claims=(
        Claim(
            "sine",
            Text("By hand, the error for sin(2πx) falls as 1/n².", "手工构造时，sin(2πx) 的误差按 1/n² 下降。"),
            "hand_slope_sine",
            at_least=-2.1,
            at_most=-1.9,
        ),
        Claim(
            "bump",
            Text(
                "By hand, the error for exp(-50 (x - ½)²) falls as 1/n².",
                "手工构造时，exp(-50 (x - ½)²) 的误差按 1/n² 下降。",
            ),
            "hand_slope_bump",
            at_least=-2.1,
            at_most=-1.9,
        ),
        Claim(
            "root",
            Text(
                "A function need not be smooth: by hand, the error for √x falls as 1/n.",
                "函数不必光滑：手工构造时，√x 的误差按 1/n 下降。",
            ),
            "hand_slope_root",
            at_least=-1.1,
            at_most=-0.9,
        ),
        Claim(
            "representing",
            Text(
                f"With enough nodes ({LARGEST}) and the right weights, each function is met to 0.001.",
                f"有足够多的节点（{LARGEST} 个）和正确的权重，每个函数的误差都不超过 0.001。",
            ),
            "hand_error",
            at_most=1e-3,
        ),
        Claim(
            "learning",
            Text(
                f"Learning is the hard part: with {LARGEST} units, training is left with at least twice the error of "
                "the hand-made weights for each smooth function.",
                f"学习是困难的部分：对每个光滑函数，{LARGEST} 个单元训练后的误差至少是手工权重的两倍。",
            ),
            "ratio_smooth",
            at_least=2,
        ),
    ),
    figures={
        **labels(),
        "hand_error": Text(f"largest error by hand, {LARGEST} units", f"手工构造的最大误差，{LARGEST} 个单元"),
        "trained_error": Text(f"largest error trained, {LARGEST} units", f"训练所得的最大误差，{LARGEST} 个单元"),
        "ratio_smooth": Text(
            "smallest error trained / error by hand of a smooth function", "光滑函数的训练误差与手工误差之比的最小值"
        ),
    },
    measure=measure,
    draw=draw,
)
