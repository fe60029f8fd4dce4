"""Deep instead of wide: a layer of two units doubles the pieces of a function, and one layer counts its units."""

from typing import Any

import numpy as np
import torch

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

Layer = tuple[Any, Any]  # W (fan_in, units), b (units,)

# Rows of mean 0 and deviation 1, so that the network sees x itself and not x standardised.
UNIT_ROWS = (np.array([[-1.0], [1.0]]), np.array([-1.0, 1.0]))
OPTIONS: dict[str, Any] = {
    "task": "regression",
    "numeric": "standard",
    "dtype": "float64",
    "early_stopping": False,
    "dropout": 0.0,
}
LEARNED, PARABOLA = 8, 8  # depths
# Hidden units of two networks of one input and one output that have 463 parameters each.
DEEP, WIDE = (14, 14, 14), (154,)
TAUGHT = 3  # compositions of the tent map that both are to learn: 8 pieces


def network(layers: list[Layer]) -> lamina.Model:
    """Return the ReLU network of one input that has these weights, the output layer last."""
    run = lamina.prepare(UNIT_ROWS, hidden_units=tuple(len(b) for _, b in layers[:-1]), **OPTIONS)
    names = [f"hidden.{i}.affine" for i in range(len(layers) - 1)] + ["output"]
    tensors = {}
    for name, (W, b) in zip(names, layers, strict=True):
        tensors[f"{name}.weight"] = torch.tensor(np.array(W, dtype=float))
        tensors[f"{name}.bias"] = torch.tensor(np.array(b, dtype=float))
    run.state.network.load_state_dict(tensors)
    return run.current()


def sawtooth(depth: int) -> list[Layer]:
    """Return the layers of T(T(...T(x))), with T(x) = 2 ReLU(x) - 4 ReLU(x - 1/2), up to 1 and down again."""
    tent = ([[2, 2], [-4, -4]], [0, -0.5])  # the two units of the next T, from the two of this one
    return [([[1, 1]], [0, -0.5]), *[tent] * (depth - 1), ([[2], [-4]], [0])]


def parabola(depth: int) -> list[Layer]:
    """Return the layers of x - Σ T(...T(x)) / 4^s, s = 1, ..., depth: it is x² at the multiples of 2^-depth."""
    # The third unit carries the sum, which is never negative.
    others = [([[2, 2, -2 / 4**s], [-4, -4, 4 / 4**s], [0, 0, 1]], [0, -0.5, 0]) for s in range(1, depth)]
    return [([[1, 1, 1]], [0, -0.5, 0]), *others, ([[-2 / 4**depth], [4 / 4**depth], [1]], [0])]


def in_one_layer(depth: int) -> list[Layer]:
    """Return the layers of the same function as ``sawtooth(depth)``, with a unit for each of its pieces."""
    n = 2**depth
    change = 2.0 * n * (-1.0) ** np.arange(n)  # of the slope, where a piece begins
    change[0] = n
    return [(np.ones((1, n)), -np.arange(n) / n), (change[:, None], [0])]


def pieces_of(model: lamina.Model) -> Any:
    return lamina.linear_pieces(model, [[0.0]], [[1.0]])


def pieces_of_random(n: int, rng: np.random.Generator) -> int:
    """Return the number of pieces on [0, 1] of a layer of ``n`` units that all bend there."""
    weights, bends = rng.normal(size=(1, n)), rng.random(n)
    model = network([(weights, -weights[0] * bends), (rng.normal(size=(n, 1)), [0])])
    return int(pieces_of(model).n_distinct)


def parabola_error(depth: int) -> float:
    """Return the largest |f(x) - x²| on [0, 1], which is in the middle of a piece or at its ends."""
    pieces = pieces_of(network(parabola(depth)))
    ends = np.concatenate([[0.0], pieces.positions, [1.0]])
    x = np.concatenate([ends, (ends[1:] + ends[:-1]) / 2])
    return float(np.abs(pieces.at(x)[:, 0] - x**2).max())


def side_by_side(depth: int, seed: int) -> Any:
    """Return x, sawtooth(depth) and what a network with as many units in one layer learned of it, each (n,)."""
    x = (np.arange(16 * 2**depth) + 0.5)[:, None] / (16 * 2**depth)
    y = network(sawtooth(depth)).predict(x)
    training: dict[str, Any] = {
        "optimizer": "lbfgs",
        "epochs": 200,
        "weight_decay": 0.0,
        "baselines": False,
        "seed": seed,
    }
    model = lamina.fit((x, y), hidden_units=(2 * depth,), **OPTIONS, **training)
    return np.stack([x[:, 0], y, model.predict(x)])


def trained_errors(function: Any, seed: int) -> dict[str, float]:
    """Return the root mean square errors of a deep and a wide network of 463 parameters, trained alike."""
    x = (np.arange(512) + 0.5)[:, None] / 512
    y = function(x)
    training: dict[str, Any] = {"epochs": 200, "learning_rate": 0.01, "batch_size": 64, "weight_decay": 0.0}
    errors = {}
    for name, units in (("deep", DEEP), ("wide", WIDE)):
        model = lamina.fit((x, y), hidden_units=units, baselines=False, seed=seed, **OPTIONS, **training)
        assert lamina.parameter_count(model).total == 3 * WIDE[0] + 1
        errors[name] = float(np.sqrt(np.mean((model.predict(x) - y) ** 2)))
    return errors


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng(seed)
    deepest = 10 if setting.quick else 13
    deep = {depth: network(sawtooth(depth)) for depth in range(1, deepest + 1)}
    pieces = {depth: pieces_of(model).n_distinct for depth, model in deep.items()}
    random = {n: pieces_of_random(n, rng) for n in (2**k for k in range(10))}
    wide = network(in_one_layer(deepest))
    x = rng.integers(0, 2**30, size=(2_000, 1)) / 2**30  # of these, both networks compute without rounding
    parameters = [lamina.parameter_count(model).total for model in (deep[deepest], wide)]
    learned = side_by_side(LEARNED, seed)
    errors = {depth: parabola_error(depth) for depth in range(1, PARABOLA + 1)}
    trained = {
        "sawtooth": trained_errors(network(sawtooth(TAUGHT)).predict, seed),
        "parabola": trained_errors(lambda x: x[:, 0] ** 2, seed),
    }
    figures = {
        **{f"trained_{name}_{kind}": error for name, each in trained.items() for kind, error in each.items()},
        **{f"trained_{name}_ratio": each["wide"] / each["deep"] for name, each in trained.items()},
        "pieces_error": max(abs(pieces[depth] - 2**depth) for depth in deep),
        "excess": max(random[n] - (n + 1) for n in random),
        "wide_difference": float(np.abs(wide.predict(x) - deep[deepest].predict(x)).max()),
        "deep_parameters": parameters[0],
        "wide_parameters": parameters[1],
        "parameter_ratio": parameters[1] / parameters[0],
        "learned_error": float(np.abs(learned[2] - learned[1]).mean()),
        "parabola_share": max(error * 4 ** (depth + 1) for depth, error in errors.items()),
        "parabola_ratio": best_in_one_layer(3 * PARABOLA) / errors[PARABOLA],
    }
    return Measured(figures, {"pieces": pieces, "random": random, "errors": errors, "learned": learned})


def best_in_one_layer(n: int) -> float:
    """Return the least error with which ``n`` units in one layer, so n + 1 pieces, approximate x² on [0, 1]."""
    return 1 / (8 * (n + 1) ** 2)  # of a piece of length h: h² / 8, the line half of h² / 4 below the chord


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    kept = measured[0].kept
    teeth, (above, below) = canvas(2, 1, height=4.2)
    x = np.linspace(0, 1, 513)
    for depth in (1, 2, 4):
        label = setting.say(Text(f"{depth} layers" if depth > 1 else "1 layer", f"{depth} 个隐藏层"))
        above.plot(x, network(sawtooth(depth)).predict(x[:, None]), label=label)
    above.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.3))
    shown = kept["learned"][:, kept["learned"][0] < 1 / 8]
    below.plot(
        shown[0],
        shown[1],
        label=setting.say(Text(f"{LEARNED} layers of 2 units, by hand", f"{LEARNED} 个隐藏层，每层 2 个单元")),
    )
    below.plot(
        shown[0],
        shown[2],
        label=setting.say(
            Text(f"1 layer of {2 * LEARNED} units, trained", f"1 个隐藏层，{2 * LEARNED} 个单元（训练得到）")
        ),
    )
    below.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.3))
    below.set_xlabel("x")

    counts, left = canvas()
    depths, widths = (np.array(list(kept[key])) for key in ("pieces", "random"))
    left.loglog(
        2 * depths, list(kept["pieces"].values()), "o-", label=setting.say(Text("layers of 2 units", "每层 2 个单元"))
    )
    left.loglog(widths, list(kept["random"].values()), "s--", label=setting.say(Text("one layer", "单隐藏层")))
    left.set(
        xlabel=setting.say(Text("hidden units", "隐藏单元数")), ylabel=setting.say(Text("linear pieces", "线性段数"))
    )
    left.legend()

    errors, right = canvas()
    depths = np.array(list(kept["errors"]))
    right.semilogy(
        3 * depths, list(kept["errors"].values()), "o-", label=setting.say(Text("layers of 3 units", "每层 3 个单元"))
    )
    best = [best_in_one_layer(3 * depth) for depth in depths]
    right.semilogy(
        3 * depths, best, "s--", label=setting.say(Text("one layer, the best possible", "单隐藏层，理论最优"))
    )
    right.set(
        xlabel=setting.say(Text("hidden units", "隐藏单元数")),
        ylabel=setting.say(Text("largest error for x²", "逼近 x² 的最大误差")),
    )
    right.legend()
    equal, axes = canvas(height=2.8)
    names = {
        "sawtooth": Text(f"sawtooth of {2**TAUGHT} pieces", f"{2**TAUGHT} 段的锯齿"),
        "parabola": Text("x²", "x²"),
    }
    kinds = {
        "deep": Text("3 layers of 14 units", "3 个隐藏层，每层 14 个单元"),
        "wide": Text("1 layer of 154 units", "1 个隐藏层，154 个单元"),
    }
    for shift, (kind, marker) in zip((-0.1, 0.1), (("deep", "o"), ("wide", "s")), strict=True):
        points = [
            (place + shift, each.figures[f"trained_{name}_{kind}"])
            for place, name in enumerate(names)
            for each in measured
        ]
        axes.semilogy(*np.transpose(points), marker, label=setting.say(kinds[kind]))
    axes.set_xticks(range(len(names)), [setting.say(name) for name in names.values()])
    axes.set(xlim=(-0.5, 1.5), ylabel=setting.say(Text("error after training", "训练后的误差")))
    axes.legend()
    return [
        Drawing(
            "trained",
            equal,
            Text(
                "Root mean square error of two networks that have 463 parameters each and are trained alike (one "
                "mark for each seed).",
                "训练后的均方根误差：两个网络各有 463 个参数，训练方式相同（每个随机种子一个标记）。",
            ),
        ),
        Drawing(
            "sawtooth",
            teeth,
            Text(
                f"Above: the tent map, applied once, twice and four times. Below: the sawtooth of {2**LEARNED} pieces "
                f"({LEARNED} hidden layers) on the first eighth of the interval, and what one layer of {2 * LEARNED} "
                "units learned of it (seed 0).",
                f"上图：1 个、2 个、4 个帐篷映射复合而成的函数。下图：{LEARNED} 个帐篷映射复合而成的函数（"
                f"{2**LEARNED} 段，只画前八分之一），以及把同样多的单元放在一个隐藏层里训练得到的结果（随机种子为 "
                "0）。",
            ),
        ),
        Drawing(
            "pieces",
            counts,
            Text("Linear pieces on [0, 1], counted exactly.", "区间 [0, 1] 上线性段的条数（精确计数）。"),
        ),
        Drawing(
            "parabola",
            errors,
            Text(
                "Largest error for x² on [0, 1]: networks with layers of 3 units, and the lower bound for a single "
                "layer.",
                "在 [0, 1] 上逼近 x² 的最大误差：每层 3 个单元的网络，以及单隐藏层网络的误差下界。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="deep-instead-of-wide",
    title=Text("Deep instead of wide", "用深度代替宽度"),
    about=Text(
        "The text says that a network with one hidden layer can represent anything, but that deeper networks "
        "approximate many functions more compactly than wider networks do.\n\n"
        "The experiment shows this for two functions, with weights set by hand. The first function is a sawtooth. It "
        "is the tent map, applied d times in a network of d hidden layers; the tent map goes up to 1 and down again, "
        "and it needs two ReLU units (Telgarsky 2016, arXiv 1602.04485). Networks of 1 to 10 hidden layers (13 in a "
        "full run) with two units in each layer compute the sawtooth, and `lamina.linear_pieces` counts their linear "
        "pieces without sampling. The second function is x², which equals x minus a sum of sawteeth of decreasing "
        "height (Yarotsky 2017, arXiv 1610.01145, proposition 2). For a single layer, the experiment uses two facts: "
        "a function made of n units has at most n bends, and a function of m linear pieces differs from x² by at "
        "least 1/(8m²) somewhere.\n\n"
        "Training does not always find what a network can represent. So the experiment also trains two networks on "
        f"each function (x², and a sawtooth of {2**TAUGHT} pieces, which takes {TAUGHT} hidden layers by hand): one "
        "has 3 hidden layers of 14 units, and the other a single hidden layer of 154 units. Both have 463 parameters, "
        "and the same data, optimizer (AdamW), steps and learning rate. It also trains a single layer of "
        f"{2 * LEARNED} units, with L-BFGS, on the sawtooth of {2**LEARNED} pieces ({LEARNED} hidden layers by "
        "hand).\n\n"
        "In trials with other seeds, the two networks of 463 parameters gave this result: depth helped for the "
        "sawtooth, and width helped for x². With L-BFGS the difference was small, and sometimes depth and sometimes "
        "width was better. The result holds for this one recipe (AdamW); it is not a general law.",
        "教材说，单隐藏层网络什么函数都能表示，但要逼近许多函数，用更深（而不是更宽）的网络更紧凑。\n\n"
        "这里以两个函数为例，权重由手工设定；层数只数隐藏层。第一个是锯齿函数：帐篷映射先升到 1 再降回，只需两个 ReLU "
        "单元；每个隐藏层施加一次，d 个隐藏层就得到 d 个帐篷映射的复合，即锯齿（Telgarsky 2016，arXiv 1602.04485）。网"
        "络有 1 到 10 个隐藏层（完整运行时到 13 个），每层两个单元；`lamina.linear_pieces` 不靠采样，精确地数出线性段"
        "的条数。第二个是 x²：它等于 x 减去一列高度递减的锯齿函数（Yarotsky 2017，arXiv 1610.01145，命题 2）。关于单隐"
        "藏层网络，要用到两个事实：n 个单元至多给出 n 个折点；由 m 段线性函数构成的任何函数，与 x² 的最大误差都不小于 "
        "1/(8m²)。\n\n"
        f"能够表示的函数，未必能够学到。因此还让两个网络分别学习两个函数，即 x² 和 {2**TAUGHT} 段的锯齿（手工构造时用 "
        f"{TAUGHT} 个隐藏层）：一个有 3 个隐藏层，每层 14 个单元；另一个只有一个隐藏层，154 个单元。两者各有 463 个参"
        f"数，数据、优化器（AdamW）、步数和学习率都相同。此外，用 L-BFGS 让一个只有 {2 * LEARNED} 个单元的单隐藏层网络"
        f"学习 {2**LEARNED} 段的锯齿（手工构造时用 {LEARNED} 个隐藏层）。\n\n"
        "先用另外的随机种子试验前两个网络时，学锯齿是深的网络较好，学 x² 是宽的网络较好；改用 L-BFGS 后差别很小，有时"
        "深的好，有时宽的好。可见这只是一种训练设置（AdamW）下的结果，不是普遍规律。",
    ),
    source="4.1.1.4",
    claims=(
        Claim(
            "doubled",
            Text(
                "Each further hidden layer of two units doubles the number of linear pieces: with d hidden layers "
                "there are 2^d pieces.",
                "每增加一个隐藏层（两个单元），线性段的条数翻一倍：d 个隐藏层给出 2^d 段。",
            ),
            "pieces_error",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "counted",
            Text(
                "In a single layer, n units give at most n + 1 pieces: random layers of 1 to 512 units have no more.",
                "在一个隐藏层里，n 个单元至多给出 n + 1 段：随机生成 1 到 512 个单元的网络，段数都不超过 n + 1。",
            ),
            "excess",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "same-function",
            Text(
                "A single wide layer can represent the same sawtooth as the deepest network, with one unit for each "
                "piece.",
                "单个宽的隐藏层也能表示同样的锯齿，每段用一个单元。",
            ),
            "wide_difference",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "compact",
            Text(
                "For this sawtooth the deep network is more compact: the wide network has more than ten times as "
                "many parameters.",
                "深的网络更紧凑：表示同样的锯齿，单隐藏层网络（每段一个单元）的参数个数是深的网络的十倍以上。",
            ),
            "parameter_ratio",
            at_least=10,
            kind="identity",
        ),
        Claim(
            "side-by-side",
            Text(
                f"{2 * LEARNED} units in a single layer stay far from the sawtooth of {2**LEARNED} pieces ({LEARNED} "
                "hidden layers of two units): their mean absolute error is at least 0.1. (This can be proved: "
                f"{2 * LEARNED} units give at most {2 * LEARNED + 1} linear pieces and cross 1/2 at most "
                f"{2 * LEARNED + 1} times, but the sawtooth crosses it {2**LEARNED} times.)",
                f"{LEARNED} 个隐藏层（共 {2 * LEARNED} 个单元）的锯齿有 {2**LEARNED} 段。把 {2 * LEARNED} 个单元放在一"
                f"个隐藏层里，至多只有 {2 * LEARNED + 1} 段，每段至多穿过 1/2 一次，而锯齿穿过 {2**LEARNED} 次；因此可"
                "以证明，无论学到什么权重，两者平均相差至少 0.1。",
            ),
            "learned_error",
            at_least=0.1,
            kind="identity",
        ),
        Claim(
            "parabola",
            Text(
                "With d hidden layers of three units, the largest error for x² is at most 4^-(d + 1): each further "
                "layer divides the error by four.",
                "用 d 个隐藏层（每层三个单元）逼近 x²，误差不超过 4^-(d + 1)：每增加一个隐藏层，误差降为四分之一。",
            ),
            "parabola_share",
            at_most=1 + 1e-9,
            kind="identity",
        ),
        Claim(
            "parabola-compact",
            Text(
                f"With {3 * PARABOLA} units in {PARABOLA} hidden layers, the largest error for x² is less than a "
                f"tenth of the smallest possible error with {3 * PARABOLA} units in a single layer.",
                f"同样是 {3 * PARABOLA} 个单元，分成 {PARABOLA} 个隐藏层时逼近 x² 的误差，不到放在一个隐藏层里的最"
                "优误差的十分之一。",
            ),
            "parabola_ratio",
            at_least=10,
            kind="identity",
        ),
        Claim(
            "trained-sawtooth",
            Text(
                "Depth helps after training, too: of two trained networks with 463 parameters each, the one with 3 "
                f"hidden layers comes closer to the sawtooth of {2**TAUGHT} pieces than the one with a single hidden "
                "layer.",
                f"训练之后也是如此：各有 463 个参数时，3 个隐藏层的网络比单隐藏层的网络更接近 {2**TAUGHT} 段的锯齿（手"
                f"工构造时用 {TAUGHT} 个隐藏层）。",
            ),
            "trained_sawtooth_ratio",
            at_least=1,
        ),
        Claim(
            "trained-parabola",
            Text(
                "Depth helps for x² as well: with 463 parameters each, a trained network of 3 hidden layers comes "
                "closer to x² than a trained network of one hidden layer.",
                "x² 也是如此：各有 463 个参数时，训练后 3 个隐藏层的网络比单隐藏层的网络更接近 x²。",
            ),
            "trained_parabola_ratio",
            at_least=1,
            expected="refuted",
        ),
    ),
    figures={
        "pieces_error": Text("largest difference of the number of pieces from 2^d", "段数与 2^d 的最大差"),
        "excess": Text(
            "number of pieces of a single layer minus (n + 1), maximum over the widths",
            "各单隐藏层网络的“段数 − (n + 1)”中的最大值",
        ),
        "wide_difference": Text(
            "largest difference of the outputs of the deep and the wide network", "深的网络与宽的网络的输出的最大差"
        ),
        "deep_parameters": Text("parameters of the deepest network", "最深的网络的参数个数"),
        "wide_parameters": Text("parameters of the wide network", "宽的网络的参数个数"),
        "parameter_ratio": Text(
            "parameters of the wide network / of the deepest network", "宽的网络与最深的网络的参数个数之比"
        ),
        "learned_error": Text(
            f"mean absolute error of {2 * LEARNED} units in a single layer, sawtooth of {2**LEARNED} pieces "
            f"({LEARNED} hidden layers)",
            f"训练后的平均绝对误差，1 个隐藏层，{2 * LEARNED} 个单元，{2**LEARNED} 段的锯齿",
        ),
        "parabola_share": Text(
            "4^(d + 1) × (largest error for x²), maximum over d", "4^(d + 1) ×（逼近 x² 的最大误差），对 d 取最大值"
        ),
        **{
            f"trained_{name}_{kind}": Text(
                f"root mean square error after training, {en}, {kind}", f"训练后的误差，{zh}，{shape}"
            )
            for name, en, zh in (
                ("sawtooth", f"sawtooth of {2**TAUGHT} pieces", f"{2**TAUGHT} 段的锯齿"),
                ("parabola", "x²", "x²"),
            )
            for kind, shape in (("deep", "深层"), ("wide", "单层"))
        },
        "trained_sawtooth_ratio": Text(
            f"error after training, wide / deep, sawtooth of {2**TAUGHT} pieces",
            f"训练后的误差之比（单隐藏层网络 / 三隐藏层网络），{2**TAUGHT} 段的锯齿",
        ),
        "trained_parabola_ratio": Text(
            "error after training, wide / deep, x²", "训练后的误差之比（单隐藏层网络 / 三隐藏层网络），x²"
        ),
        "parabola_ratio": Text(
            f"largest error for x², single layer / {PARABOLA} hidden layers",
            f"逼近 x² 的误差之比，单隐藏层的最优误差除以 {PARABOLA} 个隐藏层的误差",
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("functions on the interval from 0 to 1, without noise", "区间 [0, 1] 上的函数，无噪声"),
)
