"""Universal approximation: one hidden layer of n units, by hand and trained; and what no such layer can do."""

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
HAND, TRAINED = Text("by hand", "手工构造"), Text("trained", "训练得到")
DEFAULT = Text("trained, Lamina's default recipe", "训练得到，Lamina 的默认设置")
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


def step(x: Array) -> Array:
    """A function that is not continuous: 0 up to 1/2, and 1 from there on."""
    return (x >= 0.5).astype(np.float64)


def ramp(n: int) -> Callable[[Array], Array]:
    """The step as two ReLUs can have it: 0 up to 1/2 - 1/(2n), 1 from 1/2 + 1/(2n) on, straight between them."""
    start = 0.5 - 0.5 / n

    def two_units(x: Array) -> Array:
        y: Array = n * (np.maximum(x - start, 0) - np.maximum(x - start - 1 / n, 0))
        return y

    return two_units


def largest_error_at_the_step(approximation: Callable[[Array], Array]) -> float:
    """The largest difference from the step on the grid, and at 1/2 from both sides: there the step comes to 0 and 1."""
    at_the_jump = float(approximation(np.array([0.5]))[0])  # a continuous function has one value there
    difference = float(np.abs(approximation(GRID) - step(GRID)).max())
    return max(difference, abs(at_the_jump - 0), abs(at_the_jump - 1))


def squares(function: Callable[[Array], Array], n: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    """One hidden layer of ``n`` units with the activation z², random weights, and the best weights to the output."""
    weights, biases = rng.normal(size=n), rng.normal(size=n)

    def hidden(x: Array) -> Array:
        units: Array = np.column_stack([(x[:, None] * weights + biases) ** 2, np.ones(len(x))])
        return units

    output, *_ = np.linalg.lstsq(hidden(GRID), function(GRID))

    def approximation(x: Array) -> Array:
        y: Array = hidden(x) @ output
        return y

    return approximation


def best_parabola(function: Callable[[Array], Array]) -> float:
    """Root mean square error of the best polynomial of degree 2 on the grid."""
    values = np.polyval(np.polyfit(GRID, function(GRID), 2), GRID)
    return float(np.sqrt(np.mean((values - function(GRID)) ** 2)))


def trained(function: Callable[[Array], Array], n: int, seed: int, setting: Setting) -> Callable[[Array], Array]:
    """The same layer of ``n`` ReLU units with weights that are learned from 1,024 points of ``function``."""
    short = setting.quick and n < LARGEST  # claims are about the widest
    x = np.linspace(0, 1, 1024)
    model = lamina.fit(
        (x[:, None], function(x)), task="regression", hidden_units=(n,), numeric="standard", dropout=0.0,
        weight_decay=0.0, early_stopping=False, baselines=False, batch_size=64, learning_rate=0.02,
        epochs=24 if short else 150, seed=seed,
    )  # fmt: skip
    return lambda at: np.asarray(model.predict(at[:, None]), dtype=np.float64)


def by_default(function: Callable[[Array], Array], n: int, seed: int) -> Callable[[Array], Array]:
    """As ``trained``, but every option except the width is left to the library."""
    x = np.linspace(0, 1, 1024)
    model = lamina.fit((x[:, None], function(x)), task="regression", hidden_units=(n,), baselines=False, seed=seed)
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
    default = {name: error(by_default(f, LARGEST, seed), f) for name, f in FUNCTIONS.items()}
    figures["hand_error"] = max(errors[-1] for errors in hand.values())
    figures["trained_error"] = max(errors[-1] for errors in learned.values())
    figures |= {f"ratio_{name}": learned[name][-1] / hand[name][-1] for name in FUNCTIONS}
    figures |= {f"default_ratio_{name}": default[name] / hand[name][-1] for name in FUNCTIONS}
    figures["ratio_smooth"] = min(figures["ratio_sine"], figures["ratio_bump"])
    figures["default_least"] = min(figures[f"default_ratio_{name}"] for name in FUNCTIONS)
    at_step = [*(ramp(n) for n in HAND_WIDTHS), trained(step, LARGEST, seed, setting)]
    figures["step_least"] = min(largest_error_at_the_step(each) for each in at_step)
    figures["step_mean_square"] = error(ramp(2 * LARGEST), step)
    rng = np.random.default_rng(seed)
    by_squares = {n: error(squares(FUNCTIONS["sine"], n, rng), FUNCTIONS["sine"]) for n in HAND_WIDTHS}
    figures["squares_least"] = min(by_squares.values()) / best_parabola(FUNCTIONS["sine"])
    kept = {"widths": widths, "hand": hand, "trained": learned, "default": default, "squares": by_squares}
    return Measured(figures, kept)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, axes = canvas(1, 3, width=8.6, height=3.7, sharey=True)
    for axis, name in zip(axes, FUNCTIONS, strict=True):
        axis.loglog(HAND_WIDTHS, measured[0].kept["hand"][name], marker="o", markersize=4, label=setting.say(HAND))
        for seed, each in enumerate(measured):
            axis.loglog(
                each.kept["widths"], each.kept["trained"][name], color="#d0662a", linestyle="--", marker="s",
                markersize=4, linewidth=1, label=setting.say(TRAINED) if seed == 0 else None,
            )  # fmt: skip
        axis.plot(
            [LARGEST] * len(measured), [each.kept["default"][name] for each in measured], "D", color="#2c9461",
            markersize=5, label=setting.say(DEFAULT),
        )  # fmt: skip
        if name == "sine":
            values = list(measured[0].kept["squares"].values())
            axis.loglog(
                HAND_WIDTHS, values, color="#b8559c", linestyle="-.", label=setting.say(Text("σ(z) = z²", "σ(z) = z²"))
            )
        axis.set(title=FORMULAS[name], xlabel=setting.say(Text("hidden units", "隐藏单元数")))
        axis.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        axis.minorticks_off()
    axes[0].set_ylabel(setting.say(Text("root mean square error", "均方根误差")))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=9, loc="outside lower center", ncols=2)

    steps, axis = canvas(width=5.4, height=2.8)
    x = np.linspace(0.35, 0.65, 601)
    for n in (8, 32, 128):
        axis.plot(x, ramp(n)(x), label=setting.say(Text(f"two ReLUs, slope {n}", f"两个 ReLU，斜率 {n}")))
    axis.plot(x, step(x), color="#7f6bd6", linestyle=":", label=setting.say(Text("step", "阶跃函数")))
    axis.set(xlabel="x")
    axis.legend(fontsize=9)
    return [
        Drawing(
            "errors",
            figure,
            Text(
                "Root mean square error of one hidden layer of ReLU units against its width: with weights by hand at "
                "equidistant knots, and after training by a fixed recipe (one line for each seed). For a smooth "
                "function the error by hand falls as 1 / width². A small trained network may have a smaller error "
                "than the weights by hand, because it chooses its own knots; a large trained network has a larger "
                "error. The diamonds are Lamina's default recipe. The left plot also shows units with the activation "
                "z²; their error does not fall.",
                "单隐藏层 ReLU 网络的误差与宽度的关系：一种用等距分点手工构造，另一种按固定设置训练（每个随机种子"
                "一条线）。对光滑函数，手工构造的误差与宽度的平方成反比。训练出的小网络可能更好，因为分点由它自己"
                "选择；训练出的大网络则不如手工构造的。菱形：用库的默认设置训练。左图中还有激活函数为 z² 的网络，"
                "其误差完全不下降。",
            ),
        ),
        Drawing(
            "step",
            steps,
            Text(
                "A step, and continuous functions whose root mean square error for the step becomes smaller and "
                "smaller. At the jump each of them has the value 1/2. There its distance from both values of the "
                "step is 1/2, however steep it is.",
                "阶跃函数，以及在均方意义下越来越接近它的连续函数。这些连续函数在跳跃处的值都是 1/2：无论多陡，与"
                "阶跃函数在跳跃两侧的值都相差 1/2。",
            ),
        ),
    ]


def labels() -> dict[str, Text]:
    found = {}
    for name, formula in FORMULAS.items():
        found[f"hand_slope_{name}"] = Text(
            f"slope on log axes of the error by hand, {formula}", f"误差曲线的斜率，手工构造，{formula}"
        )
        found[f"trained_slope_{name}"] = Text(
            f"slope on log axes of the error after training, {formula}", f"误差曲线的斜率，训练得到，{formula}"
        )
        found[f"ratio_{name}"] = Text(
            f"error after training / error by hand, {LARGEST} units, {formula}",
            f"训练后的误差与手工构造的误差之比，{LARGEST} 个单元，{formula}",
        )
        found[f"default_ratio_{name}"] = Text(
            f"error after training by Lamina's default recipe / error by hand, {LARGEST} units, {formula}",
            f"用 Lamina 的默认设置训练后的误差与手工构造的误差之比，{LARGEST} 个单元，{formula}",
        )
    return found


EXPERIMENT = Experiment(
    name="universal-approximation",
    title=Text("Universal approximation: representing is easy, learning is hard", "通用近似：表示容易，学习困难"),
    about=Text(
        "The text says that a network with a single hidden layer can model any function, if it has enough nodes and "
        "the right weights, and that actually learning the function is the hard part. As a theorem (Cybenko 1989; "
        "Leshno et al. 1993) this has three conditions, which the text leaves out: the function is continuous; it is "
        "approximated on a compact set, such as a closed interval; and the activation is not a polynomial. If all "
        "three are met, the largest error can be made as small as one likes. If the function jumps and the activation "
        "is continuous, the network is wrong by at least half the jump somewhere, however wide it is; only the root "
        "mean square error still falls. If the activation is a polynomial, the network is a polynomial of at most the "
        "same degree, however wide the network is.\n\n"
        "Here the networks approximate three continuous functions on the interval from 0 to 1: two smooth functions, "
        "and a square root, whose slope is infinite at 0. A step function then tests the first condition, and a "
        "network with the activation z² tests the third.\n\n"
        "The right weights can be written down by hand. Cut [0, 1] into n equal parts, and connect the function's "
        "values at their ends (the knots) by straight lines, which together form a broken line. The i-th ReLU unit is "
        "0 up to the i-th knot and rises after it. The output weight of the unit is the change of the broken line's "
        "slope at that knot; for the first unit, it is the slope of the first part. The output bias is the function's "
        "value at 0, and so the network is exactly this broken line. Its root mean square error falls as 1/n² for a "
        "smooth function (a slope of -2 on log axes), and as 1/n for √x.\n\n"
        "For comparison, networks are trained from random weights, on 1,024 points without noise, by two recipes. The "
        "fixed recipe trains networks of the same form. Lamina's default recipe first replaces x by several piecewise "
        "linear features of x, so its network has a somewhat different form. For √x, knots at equal distances are not "
        "the best, and training can move them. In a first full run of 150 epochs, the error for √x after training by "
        "the fixed recipe was less than twice the error with weights by hand. The claim had been that the error after "
        "training is at least twice the error by hand. That run refuted the claim for √x; for the two smooth functions "
        "the claim held. It was split into two claims after that run: one is expected to hold for the smooth "
        "functions, and the other to be refuted for √x.",
        "教材说，即使网络只有一个隐藏层，只要有足够多的结点和正确的权重，就可以对任何函数建模，难的是真正学到这个函数"
        "。作为定理（中文版称为“通用近似定理”；Cybenko 1989；Leshno 等 1993），它有三个条件，教材没有写出：函数是连续"
        "的；在紧集（例如闭区间）上逼近；激活函数不是多项式。三个条件都满足时，最大误差可以任意小。如果函数有跳跃，而"
        "激活函数是连续的，那么网络无论多宽，最大误差都不小于跳跃高度的一半，能够继续减小的只有均方根误差。如果激活函"
        "数是多项式，那么网络无论多宽，都只能表示次数不高于激活函数的多项式。\n\n"
        "这里取区间 [0, 1] 上的三个函数：两个光滑函数，以及在 0 处斜率为无穷大的平方根函数；随后用一个阶跃函数检验第一"
        "个条件，用激活函数为 z² 的网络检验第三个条件。\n\n"
        "正确的权重可以直接写出。把 [0, 1] 分成 n 等份，用折线连接函数在各分点的值。每个 ReLU 单元对应一段的左端点，从"
        "该点起不再为 0；它的输出权重等于折线斜率在该点的变化量（第一个单元则等于第一段的斜率）。输出偏置取函数在 0 处"
        "的值，网络就恰好是这条折线。光滑函数的均方根误差按 1/n² 下降（在双对数坐标下斜率为 -2），√x 的则按 1/n 下降。"
        "\n\n"
        "作为对照，用 1024 个无噪声的点从随机权重开始训练网络。训练有两种设置：固定设置训练的是同样形式的网络；Lamina "
        "的默认设置则先把 x 换成 x 的若干个分段线性特征，所以网络的形式略有不同。对 √x 来说，等距分点不是最好的，而训"
        "练可以自己移动分点。首次完整运行（150 个迭代周期）就发现，用固定设置训练后，√x 的误差不到手工构造的两倍。所以"
        "把“训练后的误差至少是手工构造的两倍”拆成两条论断：对两个光滑函数预期成立，对 √x 预期不成立。",
    ),
    source="4.1.1.4",
    claims=(
        Claim(
            "sine",
            Text(
                "With weights by hand, the error for sin(2πx) falls as 1/n².",
                "手工构造的网络逼近 sin(2πx) 时，误差按 1/n² 下降。",
            ),
            "hand_slope_sine",
            at_least=-2.1,
            at_most=-1.9,
            kind="identity",
        ),
        Claim(
            "bump",
            Text(
                "With weights by hand, the error for exp(-50 (x - ½)²) falls as 1/n².",
                "手工构造的网络逼近 exp(-50 (x - ½)²) 时，误差按 1/n² 下降。",
            ),
            "hand_slope_bump",
            at_least=-2.1,
            at_most=-1.9,
            kind="identity",
        ),
        Claim(
            "root",
            Text(
                "A function need not be smooth: with weights by hand, the error for √x falls as 1/n.",
                "函数不必光滑：手工构造的网络逼近 √x 时，误差按 1/n 下降。",
            ),
            "hand_slope_root",
            at_least=-1.1,
            at_most=-0.9,
            kind="identity",
        ),
        Claim(
            "representing",
            Text(
                f"With enough nodes ({LARGEST}) and the right weights, the root mean square error for each of the "
                "three continuous functions is at most 0.001.",
                f"有足够多的结点（{LARGEST} 个）和正确的权重时，逼近三个连续函数的均方根误差都不超过 0.001。",
            ),
            "hand_error",
            at_most=1e-3,
            kind="identity",
        ),
        Claim(
            "any-function",
            Text(
                "Any function can be modelled, as the text says: for the step, too, the largest error is at most a "
                "quarter of the jump.",
                "如教材所说，任何函数都能建模，阶跃函数也不例外：网络在每一点的误差都不超过跳跃高度的四分之一。",
            ),
            "step_least",
            at_most=0.25,
            expected="refuted",
            kind="identity",
        ),
        Claim(
            "not-a-step",
            Text(
                "The function must be continuous: for a step the largest error is at least half the jump, with "
                "weights by hand and after training, at every width.",
                "函数必须连续：逼近阶跃函数时，无论是手工构造还是训练得到，也无论多宽，最大误差都至少是跳跃高度的"
                "一半。",
            ),
            "step_least",
            at_least=0.5,
            kind="identity",
        ),
        Claim(
            "step-in-the-mean",
            Text(
                "The root mean square error can be small even for the step: with two ReLUs of slope 512 it is at "
                "most 0.03.",
                "在均方意义下，阶跃函数也可以逼近：用两个斜率为 512 的 ReLU 单元，均方根误差至多为 0.03。",
            ),
            "step_mean_square",
            at_most=0.03,
            kind="identity",
        ),
        Claim(
            "no-polynomial",
            Text(
                "The activation must not be a polynomial: with the activation z², a network of any width is no "
                "closer to sin(2πx) than the best parabola.",
                "激活函数不能是多项式：激活函数为 z² 时，网络无论多宽，对 sin(2πx) 的逼近都不会优于最佳抛物线。",
            ),
            "squares_least",
            at_least=1 - 1e-9,
            kind="identity",
        ),
        Claim(
            "learning",
            Text(
                f"Learning is the hard part: with {LARGEST} units, the error after training by the fixed recipe is at "
                "least twice the error of the weights by hand, for both smooth functions.",
                f"难的是学习：{LARGEST} 个单元时，用固定设置训练后，两个光滑函数的误差都至少是手工构造的两倍。",
            ),
            "ratio_smooth",
            at_least=2,
        ),
        Claim(
            "learning-root",
            Text(
                f"The same is true for √x: with {LARGEST} units, the error after training by the fixed recipe is at "
                "least twice the error of the weights by hand.",
                f"对 √x 也是如此：同样是 {LARGEST} 个单元，用固定设置训练后，误差至少是手工构造的两倍。",
            ),
            "ratio_root",
            at_least=2,
            expected="refuted",
        ),
        Claim(
            "learning-default",
            Text(
                f"Learning stays hard with Lamina's default recipe: with {LARGEST} units, the error after training is "
                "at least twice the error of the weights by hand, for each of the three functions.",
                "换成 Lamina 的默认设置，学习仍然困难：三个函数的误差都至少是手工构造的两倍。",
            ),
            "default_least",
            at_least=2,
        ),
    ),
    figures={
        **labels(),
        "hand_error": Text(
            f"largest root mean square error among the three functions, by hand, {LARGEST} units",
            f"三个函数的均方根误差的最大值，手工构造，{LARGEST} 个单元",
        ),
        "trained_error": Text(
            f"largest root mean square error among the three functions, after training, {LARGEST} units",
            f"三个函数的均方根误差的最大值，训练得到，{LARGEST} 个单元",
        ),
        "ratio_smooth": Text(
            f"error after training / error by hand, {LARGEST} units, the smaller ratio of the two smooth functions",
            "训练后的误差与手工构造的误差之比，两个光滑函数中的最小值",
        ),
        "default_least": Text(
            f"error after training by Lamina's default recipe / error by hand, {LARGEST} units, the smallest "
            "ratio of the three functions",
            "训练后的误差与手工构造的误差之比，三个函数中的最小值，Lamina 的默认设置",
        ),
        "step_least": Text(
            "largest error at the step, for the best of all the networks",
            "逼近阶跃函数的最大误差（取各网络中的最小值）",
        ),
        "step_mean_square": Text(
            f"root mean square error at the step, two ReLUs of slope {2 * LARGEST}",
            f"逼近阶跃函数的均方根误差，两个斜率为 {2 * LARGEST} 的 ReLU",
        ),
        "squares_least": Text(
            "error with z² / error of the best parabola, sin(2πx), for the width where it is smallest",
            "激活函数为 z² 时的最小误差与最佳抛物线的误差之比",
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("functions on the interval from 0 to 1, without noise", "区间 [0, 1] 上的函数，无噪声"),
)
