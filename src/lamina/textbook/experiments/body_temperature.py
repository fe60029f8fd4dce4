"""Not even monotonic: the risk of death falls with body temperature up to 37 °C and rises above it."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

GRID = np.linspace(33, 41, 801)
LINEAR = {"hidden_units": (), "optimizer": "lbfgs"}
# Without dropout, weight decay and the encoding of numbers that Lamina would choose: only the hidden layers differ.
MLP = {"hidden_units": (64, 64), "dropout": 0.0, "epochs": 25}


def risk(temperature: Any) -> Any:
    """The probability of death that the patients are drawn with: 0.02 at 37 °C, 0.69 at 33 °C and at 41 °C."""
    return 1 / (1 + np.exp(4 - 1.2 * np.abs(temperature - 37)))


def patients(n: int, rng: np.random.Generator, lowest: float = 33) -> tuple[Any, Any]:
    temperature = rng.uniform(lowest, 41, n)
    return temperature, (rng.random(n) < risk(temperature)).astype(int)


def fitted(x: Any, y: Any, seed: int, **options: Any) -> lamina.Model:
    return lamina.fit((x[:, None], y), numeric="standard", weight_decay=0.0, baselines=False, seed=seed, **options)


def distance(temperature: Any) -> Any:
    return np.abs(temperature - 37)


def predictions(models: dict[str, lamina.Model], temperature: Any) -> dict[str, Any]:
    """Return what each model takes for the probability of death, (n,); ``told`` gets the distance from 37 °C."""
    inputs = {name: distance(temperature) if name == "told" else temperature for name in models}
    return {name: model.predict_proba(inputs[name][:, None])[:, 1] for name, model in models.items()}


def auc(score: Any, y: Any) -> float:
    """The probability that a dead patient has a higher score than a living one; equal scores count one half."""
    _, position, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[position]  # equal scores share their mean rank
    n_dead, n_alive = y.sum(), (1 - y).sum()
    return float((rank[y == 1].sum() - n_dead * (n_dead + 1) / 2) / (n_dead * n_alive))


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng(seed)
    x, y = patients(10_000 if setting.quick else 40_000, rng)
    models = {
        "linear": fitted(x, y, seed, **LINEAR),
        "told": fitted(distance(x), y, seed, **LINEAR),
        "mlp": fitted(x, y, seed, **MLP),
    }
    x, y = patients(20_000, rng)
    best = auc(risk(x), y)
    scores = {name: auc(predicted, y) for name, predicted in predictions(models, x).items()}
    fever = fitted(*patients(10_000, rng, lowest=35), seed, **LINEAR)
    x_fever, y_fever = patients(20_000, rng, lowest=35)
    fever_auc = auc(fever.predict_proba(x_fever[:, None])[:, 1], y_fever)
    fever_best = auc(risk(x_fever), y_fever)
    curves = predictions(models, GRID)
    signs = np.sign(np.diff(curves["linear"]))
    figures = {
        "best_auc": best,
        **{f"{name}_auc": score for name, score in scores.items()},
        "fever_auc": fever_auc,
        "fever_best": fever_best,
        "linear_both": float(min((signs > 0).sum(), (signs < 0).sum())),
        "told_short": best - scores["told"],
        "mlp_short": best - scores["mlp"],
        "mlp_lowest": float(GRID[curves["mlp"].argmin()]),
    }
    return Measured(figures, curves)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, axes = canvas(width=5.4, height=3)
    truth = setting.say(Text("truth", "真实概率"))
    axes.plot(GRID, risk(GRID), color="#2f7fd1", linestyle="-", linewidth=6, alpha=0.35, label=truth)
    names = {
        "mlp": (Text("MLP of T", "以 T 为输入的多层感知机"), "#d0662a", "-"),
        "told": (Text("logistic regression of |T - 37|", "以 |T - 37| 为特征的逻辑回归"), "#2c9461", "--"),
        "linear": (Text("logistic regression of T", "以 T 为特征的逻辑回归"), "#b8559c", "-."),
    }
    for name, (label, color, style) in names.items():
        axes.plot(GRID, measured[0].kept[name], color=color, linestyle=style, linewidth=2, label=setting.say(label))
    axes.set(
        xlabel=setting.say(Text("body temperature T (°C)", "体温 T（°C）")),
        ylabel=setting.say(Text("probability of death", "死亡概率")),
    )
    axes.legend(loc="upper center")
    caption = Text(
        "The probability of death that the patients were drawn with, and what each model made of them (seed 0).",
        "生成病人数据所用的死亡概率，以及各模型学到的结果（种子 0）。",
    )
    return [Drawing("risk", figure, caption)]


EXPERIMENT = Experiment(
    name="body-temperature",
    title=Text("Body temperature: not monotonic", "体温：非单调的关系"),
    about=Text(
        "The text: above 37 °C a higher body temperature means a greater risk, below 37 °C a smaller one; no linear "
        "model can say both. The distance from 37 °C as the feature mends it.\n\n"
        "Here patients are drawn with temperatures from 33 °C to 41 °C and a risk of death that grows with the "
        "distance from 37 °C. Models are compared by the area under the ROC curve: the probability that of a patient "
        "who died and one who did not, the first is given the greater risk. 0.5 is chance; the true risk gives the "
        "best there is. The MLP gets the temperature alone.\n\n"
        "Two of the results are so by construction. The temperatures are drawn evenly on both sides of 37 °C, so that "
        "a line gains on one side what it loses on the other: it must be at chance. And the AUC sees only the order, "
        "which every risk that rises with the distance has in common: with the distance as the feature it cannot but "
        "be the best. How bad the line is depends on the patients: from 35 °C to 41 °C, most of them on one side of "
        "37 °C, it is good.",
        "教材指出：体温高于 37 °C 时，温度越高风险越大；低于 37 °C 时，温度越高风险越小。线性模型无法同时表达这两点；"
        "以体温与 37 °C 的距离作为特征就能解决。\n\n"
        "这里生成体温在 33 °C 到 41 °C 之间的病人，其死亡风险随体温与 37 °C 的距离增大。各模型以 ROC 曲线下面积（"
        "AUC）比较，也就是任取一名死者和一名生者，死者的风险被判得更高的概率：0.5 相当于随机猜测，真实风险给出可能的"
        "最大值。多层感知机的输入只有体温本身。\n\n"
        "有两个结果由数据的生成方式就可以知道。体温在 37 °C 两侧均匀抽取时，直线在一侧得到的恰好在另一侧失去，只能相"
        "当于随机猜测。AUC 只取决于次序，而随距离递增的任何风险都给出相同的次序，因此以距离为特征必然达到最优。直线有"
        "多差，取决于病人：体温在 35 °C 到 41 °C 之间、多数高于 37 °C 时，直线就很好。",
    ),
    source="4.1.1.1",
    claims=(
        Claim(
            "monotonic",
            Text(
                "The linear model's risk only rises, or only falls, with temperature: of the steps, none goes the "
                "other way.",
                "线性模型给出的风险随体温只升或只降：没有一步方向相反。",
            ),
            "linear_both",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "linear",
            Text(
                "With as many patients below 37 °C as above, a linear model of the temperature is near chance.",
                "37 °C 以下与以上的病人一样多时，以体温为特征的线性模型接近随机猜测。",
            ),
            "linear_auc",
            at_least=0.45,
            at_most=0.55,
            kind="identity",
        ),
        Claim(
            "one-sided",
            Text(
                "A linear model of the temperature is good where most patients are on one side of 37 °C: from 35 °C to "
                "41 °C it has an AUC of at least 0.75.",
                "如果多数病人在 37 °C 的同一侧，以体温为特征的线性模型就很好：体温在 35 °C 到 41 °C 之间时，AUC 至少 "
                "0.75。",
            ),
            "fever_auc",
            at_least=0.75,
        ),
        Claim(
            "distance",
            Text(
                "With the distance from 37 °C as the feature the linear model is as good as it can be, within 0.01.",
                "以距 37 °C 的距离为特征时，线性模型与可能的最优结果相差不超过 0.01。",
            ),
            "told_short",
            at_most=0.01,
            kind="identity",
        ),
        Claim(
            "mlp",
            Text(
                "The MLP, told nothing of 37 °C, is as good as it can be, within 0.02.",
                "未被告知 37 °C 的多层感知机与可能的最优结果相差不超过 0.02。",
            ),
            "mlp_short",
            at_most=0.02,
        ),
        Claim(
            "turning-point",
            Text(
                "The MLP finds the temperature of the smallest risk, within half a degree.",
                "多层感知机找到风险最小的体温，误差不超过半度。",
            ),
            "mlp_lowest",
            at_least=36.5,
            at_most=37.5,
        ),
    ),
    figures={
        "best_auc": Text("AUC of the true risk", "真实风险的 AUC"),
        "linear_auc": Text("AUC of the logistic regression of T", "以 T 为特征的逻辑回归的 AUC"),
        "told_auc": Text("AUC of the logistic regression of |T - 37|", "以 |T - 37| 为特征的逻辑回归的 AUC"),
        "mlp_auc": Text("AUC of the MLP of T", "以 T 为输入的多层感知机的 AUC"),
        "fever_auc": Text(
            "AUC of the logistic regression of T, 35 to 41 °C", "以 T 为特征的逻辑回归的 AUC，35 到 41 °C"
        ),
        "fever_best": Text("AUC of the true risk, 35 to 41 °C", "真实风险的 AUC，35 到 41 °C"),
        "linear_both": Text("steps of the linear model against its direction", "线性模型中方向相反的步数"),
        "told_short": Text("AUC that |T - 37| falls short of", "以 |T - 37| 为特征时与最优 AUC 之差"),
        "mlp_short": Text("AUC that the MLP falls short of", "多层感知机与最优 AUC 之差"),
        "mlp_lowest": Text("temperature of the MLP's smallest risk (°C)", "多层感知机给出的风险最小的体温（°C）"),
    },
    measure=measure,
    draw=draw,
    data=Text("patients, generated", "生成的病人数据"),
)
