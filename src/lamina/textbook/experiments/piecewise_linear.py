"""Networks of ReLU and of pReLU are piecewise linear: their regions, exactly, while they learn two moons."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

X_RANGE, Y_RANGE = (-1.5, 2.5), (-1.0, 1.5)
LOW, SIZE = np.array([-1.5, -1.0]), np.array([4.0, 2.5])
FROM, TO = [[-1.5, 0.25]], [[2.5, 0.25]]  # a line through both moons
ACTIVATIONS = ("relu", "prelu", "sigmoid")
OPTIONS: dict[str, Any] = {
    "hidden_units": (12, 12),
    "numeric": "standard",
    "dtype": "float64",
    "early_stopping": False,
    "dropout": 0.0,
    "weight_decay": 0.0,
    "batch_size": 32,
}
# Sigmoid needs longer steps, and more of them: with those of ReLU it is still a straight line when ReLU has learned.
LEARNING_RATES = {"relu": 0.02, "prelu": 0.02, "sigmoid": 0.2}
EPOCHS = {"relu": 1, "prelu": 1, "sigmoid": 2}  # times those of ReLU


def two_moons(n: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return points (n, 2) on two half circles, with noise, and which of the two, (n,)."""
    angle, moon = rng.uniform(0, np.pi, n), np.arange(n) % 2
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(moon[:, None] == 0, upper, lower) + 0.15 * rng.normal(size=(n, 2)), moon


def regions_of(model: lamina.Model) -> Any:
    return lamina.linear_regions(model, X_RANGE, Y_RANGE)


def formula_error(model: lamina.Model, regions: Any, rng: np.random.Generator) -> float:
    """Return the largest difference of the logits and the region's formula, at a random point of each region."""
    shares = (rng.dirichlet(np.ones(len(polygon))) for polygon in regions.polygons)
    points = np.stack([share @ polygon for share, polygon in zip(shares, regions.polygons, strict=True)])
    by_formula = np.einsum("nki,ni->nk", regions.weights, points) + regions.biases
    return float(np.abs(model.predict_logits(points) - by_formula).max())


def neighbour_error(model: lamina.Model, rng: np.random.Generator) -> float:
    """Return the largest difference of the logits and a point's formula, within the distance that it is said to "
    "hold."""
    errors = []
    for point in LOW + SIZE * rng.random((20, 2)):
        formula = lamina.local_formula(model, point)
        angle = rng.uniform(0, 2 * np.pi)
        step = formula.distance * rng.random() * np.array([np.cos(angle), np.sin(angle)])
        there = point + step * list(formula.deviations.values())  # the distance is in standard deviations
        row = dict(zip(formula.weights, there, strict=True))
        errors.append(np.abs(model.predict_logits(there[None])[0] - formula.at(row)).max())
    return float(max(errors))


def straight(model: lamina.Model, rng: np.random.Generator) -> float:
    """Return on which share of 2,000 line segments of length 0.01 the logits are linear, to rounding.

    Shorter ones would hide a curve behind rounding, where sigmoid is nearly flat: those of length 0.001, which were
    tried first, hid 9 % in a full run. Longer ones would cross more kinks.
    """
    middle, angle = LOW + SIZE * rng.random((2_000, 2)), rng.uniform(0, np.pi, 2_000)
    half = 0.005 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    before, here, after = (model.predict_logits(points) for points in (middle - half, middle, middle + half))
    bend = np.abs(before - 2 * here + after).max(axis=1)
    return float((bend <= 1e-12 * (1 + np.abs(here).max(axis=1))).mean())


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng(seed)
    n, epochs = (600, 40) if setting.quick else (2_000, 80)
    rows = two_moons(n, rng)
    models, maps = {}, {}
    for activation in ACTIVATIONS:
        steps: dict[str, Any] = {"epochs": EPOCHS[activation] * epochs, "learning_rate": LEARNING_RATES[activation]}
        run = lamina.prepare(rows, activation=activation, seed=seed, **steps, **OPTIONS)
        if activation == "relu":
            maps[0] = regions_of(run.current())
        for record in run.train():
            if activation == "relu" and record.epoch in (1, epochs // 10):
                maps[record.epoch] = regions_of(run.current())
        models[activation] = run.finish(baselines=False)
    regions = {name: regions_of(models[name]) for name in ("relu", "prelu")}
    maps[epochs] = regions["relu"]
    x_new, moon = two_moons(2_000, rng)
    accuracy = {name: float(np.mean(model.predict(x_new) == moon)) for name, model in models.items()}
    figures = {
        **{f"{name}_accuracy": value for name, value in accuracy.items()},
        "least_accuracy": min(accuracy.values()),
        **{f"{name}_regions": each.n_regions for name, each in regions.items()},
        "untrained_regions": maps[0].n_regions,
        **{f"{name}_error": formula_error(models[name], each, rng) for name, each in regions.items()},
        "area_error": max(abs(float(each.areas.sum()) / float(SIZE.prod()) - 1) for each in regions.values()),
        "neighbour_error": max(neighbour_error(models[name], rng) for name in regions),
        **{f"{name}_straight": straight(model, rng) for name, model in models.items()},
    }
    lines = {name: lamina.linear_pieces(models[name], FROM, TO) for name in regions}
    t = np.linspace(0, 1, 401)[:, None]
    smooth = models["sigmoid"].predict_logits(np.array(FROM) + t * (np.array(TO) - FROM))
    return Measured(figures, {"maps": maps, "lines": lines, "smooth": smooth})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    from matplotlib.collections import PolyCollection

    kept = measured[0].kept
    moons, grid = canvas(2, 2, width=6.4, height=5, sharex=True, sharey=True)
    for axes, (epoch, regions) in zip(grid.flat, kept["maps"].items(), strict=True):
        middles = np.stack([polygon.mean(axis=0) for polygon in regions.polygons])
        logits = np.einsum("nki,ni->nk", regions.weights, middles) + regions.biases
        shown = PolyCollection(regions.polygons, array=logits[:, 1] - logits[:, 0], cmap="PuOr", linewidths=0.5)
        shown.set(clim=(-6, 6), edgecolor="#7f7f7f")
        axes.add_collection(shown)
        axes.set(xlim=X_RANGE, ylim=Y_RANGE)
        axes.grid(False)
        n = regions.n_regions
        axes.set_title(setting.say(Text(f"epoch {epoch}: {n} regions", f"{epoch} 个迭代周期后：{n} 个区域")))
        axes.set(xlabel="x" if axes in grid[1] else "", ylabel="y" if axes in grid[:, 0] else "")
    difference = Text("logit, lower minus upper moon", "未规范化的预测之差（下方月牙 − 上方月牙）")
    moons.colorbar(shown, ax=grid, extend="both", label=setting.say(difference))

    line, axes = canvas(height=3.2)
    for name, marker in (("relu", "o"), ("prelu", "s")):
        pieces = kept["lines"][name].merged()
        t = np.concatenate([[0.0], pieces.positions, [1.0]])
        values = pieces.values[:, 1] - pieces.values[:, 0]
        axes.plot(X_RANGE[0] + SIZE[0] * t, values, marker=marker, markersize=3, label=name)
    smooth = kept["smooth"]
    axes.plot(np.linspace(*X_RANGE, len(smooth)), smooth[:, 1] - smooth[:, 0], label="sigmoid")
    axes.set_xlabel("x")
    axes.set_ylabel(setting.say(difference), fontsize=9)
    axes.legend()
    return [
        Drawing(
            "regions",
            moons,
            Text(
                "The linear regions of the ReLU network on the plane while it learns (seed 0). In each polygon the "
                "network is one affine formula. The colour shows the difference of the two logits in the middle of "
                "the polygon. Before training all biases are 0, so every kink passes through one point, or starts "
                "there: the mean of the data (the origin after standardising). Training moves the kinks apart.",
                "ReLU 网络学习过程中平面上的线性区域（随机种子为 0）：在每个多边形内，网络是一个仿射函数；颜色表示多边"
                "形中心处的未规范化的预测之差。训练之前所有偏置都为 0，因此划分区域的边界都经过（或始于）同一点，即数"
                "据的均值（标准化后为原点）；训练使这些边界彼此错开。",
            ),
        ),
        Drawing(
            "line",
            line,
            Text(
                "The difference of the two logits along the line y = 0.25 (seed 0). The marks show where two pieces "
                "meet. The sigmoid network has learned the moons as well, but it is curved and has no such points.",
                "沿直线 y = 0.25 的输出（随机种子为 0）：圆点和方点标出折点，即相邻两段的连接处；sigmoid 网络同样"
                "学会了“双月”，但它的曲线是弯的，没有折点。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="piecewise-linear",
    title=Text("Piecewise linear functions", "分段线性函数"),
    about=Text(
        "The text says that the ReLU function is piecewise linear. Its variant pReLU, which the exercises take up, "
        "only adds a linear term, so it is piecewise linear too. Sums and compositions of piecewise linear functions "
        "are piecewise linear, and therefore so are networks of ReLU or pReLU.\n\n"
        "Three networks learn two moons; each has two hidden layers, of ReLU, of pReLU or of sigmoid. "
        "`lamina.linear_regions` cuts a rectangle of the plane into polygons, exactly and without sampling; in each "
        "polygon the network is one affine formula. The experiment compares these formulas with the outputs of the "
        "network. `lamina.local_formula` gives the formula at one point, and the distance within which the formula "
        "holds. The experiment compares this formula with the outputs at random points within that distance. The last "
        "test does not use these tools: on a very short segment (of length 0.01), is the value in the middle the mean "
        "of the values at both ends?",
        "教材说，ReLU 函数是分段线性的。它的变体 pReLU（见习题）只是添加了一个线性项，因此也是分段线性的。分段线性函数"
        "的和与复合仍是分段线性的，所以由这类激活函数构成的网络也是分段线性的。\n\n"
        "这里用三个网络学习“双月”数据。它们各有两个隐藏层，激活函数分别是 ReLU、pReLU 和 sigmoid。"
        "`lamina.linear_regions` 不靠采样，精确地把平面上的矩形区域切成多边形，在每个多边形内网络都是一个仿射函数；实"
        "验把这些仿射函数的值与网络自身的输出比较。`lamina.local_formula` 给出网络在某一点附近的仿射公式，以及公式成立"
        "的距离；实验在这个距离之内取点，作同样的比较。最后一项检验与这些工具无关：在很短的线段上，网络在中点处的值是"
        "否等于两端的值的均值？",
    ),
    source="4.1.2.1",
    claims=(
        Claim(
            "learned",
            Text(
                "All three networks learn the two moons: each network is right on at least 95 % of new points.",
                "三个网络都学会了“双月”：在新样本上，每个网络的精度都至少为 95%。",
            ),
            "least_accuracy",
            at_least=0.95,
        ),
        Claim(
            "relu-regions",
            Text(
                "A ReLU network is affine in each of its regions: the formula of a region gives the outputs of the "
                "network, except for rounding.",
                "ReLU 网络在每个区域内是仿射函数：按该区域的公式算出的值与网络的输出只差舍入误差。",
            ),
            "relu_error",
            at_most=1e-10,
            kind="identity",
        ),
        Claim(
            "prelu-regions",
            Text(
                "A pReLU network, too, is affine in each of its regions, except for rounding.", "pReLU 网络也是如此。"
            ),
            "prelu_error",
            at_most=1e-10,
            kind="identity",
        ),
        Claim(
            "whole-plane",
            Text(
                "The regions leave nothing out: their areas add up to the area of the rectangle.",
                "这些区域没有遗漏：面积之和等于整个矩形的面积。",
            ),
            "area_error",
            at_most=1e-9,
            kind="identity",
        ),
        Claim(
            "within-distance",
            Text(
                "The formula at a point holds within the distance that is stated with it: at random points within "
                "that distance it gives the outputs of the network.",
                "在某一点求得的公式，在 `lamina.local_formula` 给出的距离之内都成立：用该距离之内的随机点检验。",
            ),
            "neighbour_error",
            at_most=1e-10,
            kind="identity",
        ),
        Claim(
            "relu-straight",
            Text(
                "On at least nine in ten short segments, the output of a ReLU network is a straight line; the other "
                "segments cross a border between two regions.",
                "在九成以上的短线段上，ReLU 网络的图像是直线；其余的短线段跨过了区域之间的边界。",
            ),
            "relu_straight",
            at_least=0.9,
        ),
        Claim(
            "prelu-straight",
            Text(
                "On at least nine in ten short segments, the output of a pReLU network, too, is a straight line; the "
                "other segments cross a border between two regions.",
                "pReLU 网络也是如此：在九成以上的短线段上，它的图像是直线。",
            ),
            "prelu_straight",
            at_least=0.9,
        ),
        Claim(
            "sigmoid-curved",
            Text(
                "A sigmoid network is not piecewise linear: on nearly all short segments (at least 95 in 100) its "
                "output is curved.",
                "sigmoid 网络不是分段线性的：在绝大多数（95% 以上）短线段上，它的图像是弯的。",
            ),
            "sigmoid_straight",
            at_most=0.05,
        ),
    ),
    figures={
        "relu_accuracy": Text("accuracy on new points, ReLU", "新样本上的精度，ReLU"),
        "prelu_accuracy": Text("accuracy on new points, pReLU", "新样本上的精度，pReLU"),
        "sigmoid_accuracy": Text("accuracy on new points, sigmoid", "新样本上的精度，sigmoid"),
        "least_accuracy": Text(
            "accuracy on new points, lowest of the three networks", "三个网络在新样本上的精度的最小值"
        ),
        "relu_regions": Text("regions, ReLU", "区域数，ReLU"),
        "prelu_regions": Text("regions, pReLU", "区域数，pReLU"),
        "untrained_regions": Text("regions before training, ReLU", "训练前的区域数，ReLU"),
        "relu_error": Text("largest error of a region's formula, ReLU", "区域公式的最大误差，ReLU"),
        "prelu_error": Text("largest error of a region's formula, pReLU", "区域公式的最大误差，pReLU"),
        "area_error": Text("relative error of the sum of all areas", "面积之和的相对误差"),
        "neighbour_error": Text(
            "largest error of the formula at a point, within its distance", "局部公式在其给定距离之内的最大误差"
        ),
        "relu_straight": Text(
            "share of short segments on which the output is a straight line, ReLU",
            "短线段中，网络图像为直线的比例，ReLU",
        ),
        "prelu_straight": Text(
            "share of short segments on which the output is a straight line, pReLU",
            "短线段中，网络图像为直线的比例，pReLU",
        ),
        "sigmoid_straight": Text(
            "share of short segments on which the output is a straight line, sigmoid",
            "短线段中，网络图像为直线的比例，sigmoid",
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("two moons, generated", "生成的“双月”数据"),
)
