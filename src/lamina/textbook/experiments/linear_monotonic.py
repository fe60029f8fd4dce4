"""Linear implies monotonic: whether a loan is repaid rises with income, but not in equal steps."""

from pathlib import Path
from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

INCOMES = np.linspace(1_000, 1_100_000, 2000)
LINEAR = {"hidden_units": (), "optimizer": "lbfgs"}
# Without dropout, weight decay and the encoding of numbers that Lamina would choose: only the hidden layers differ.
MLP = {"hidden_units": (64, 64), "dropout": 0.0, "epochs": 25}
NAMES = {
    "linear": Text("linear", "线性"),
    "log": Text("linear in log", "以对数收入为特征的线性"),
    "mlp": Text("MLP", "多层感知机"),
}
STYLES = {"mlp": ("#d0662a", "-"), "log": ("#2c9461", "--"), "linear": ("#b8559c", "-.")}  # in the order of drawing


def chance(income: Any) -> Any:
    """The probability of repayment that the loans are drawn with: it rises everywhere, and saturates at 0.95."""
    return 0.1 + 0.85 * (1 - np.exp(-income / 60_000))


def loans(n: int, rng: np.random.Generator) -> tuple[Any, Any]:
    income = np.exp(rng.normal(np.log(60_000), 1, n)).clip(INCOMES[0], INCOMES[-1])
    return income, (rng.random(n) < chance(income)).astype(int)


def fitted(x: Any, y: Any, seed: int, **options: Any) -> lamina.Model:
    return lamina.fit(
        (x[:, None], y),
        numeric="standard",
        weight_decay=0.0,
        dtype="float64",
        baselines=False,
        seed=seed,
        **options,
    )


def three_models(income: Any, repaid: Any, seed: int) -> dict[str, Any]:
    """Return a function from incomes (n,) to logits (n,) for each model."""
    linear = fitted(income, repaid, seed, **LINEAR)
    log = fitted(np.log(income), repaid, seed, **LINEAR)
    mlp = fitted(income, repaid, seed, **MLP)
    return {
        "linear": lambda x: logit(linear, x),
        "log": lambda x: logit(log, np.log(x)),
        "mlp": lambda x: logit(mlp, x),
    }


def logit(model: lamina.Model, x: Any) -> Any:
    outputs = model.predict_logits(np.asarray(x, dtype=float)[:, None])
    return outputs[:, 1] - outputs[:, 0]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def log_loss(p: Any, logits: Any) -> float:
    """Mean of -log q(y), where y is 1 with the probability p, and q = sigmoid(logits)."""
    return float(np.mean(p * np.logaddexp(0, -logits) + (1 - p) * np.logaddexp(0, logits)))


def steps(model: Any) -> float:
    """By how much the logit rises from 1,000,000 to 1,050,000, as a share of its rise from 5,000 to 55,000."""
    a, b, c, d = model(np.array([5_000, 55_000, 1_000_000, 1_050_000]))
    return float((d - c) / (b - a))


def turns(curve: Any) -> int:
    """How often a curve changes between rising and falling."""
    signs = np.sign(np.diff(curve))
    signs = signs[signs != 0]
    return int((signs[1:] != signs[:-1]).sum())


def real_loans(seed: int, setting: Setting) -> dict[str, Any] | None:
    """The same models on ``default.csv`` where it lies in ``tables`` beside the images, else ``None``."""
    path = Path(setting.data_dir or ".").parent / "tables" / "default.csv"
    if setting.data_dir is None or not path.exists():
        return None
    table = lamina.read_table(path)
    income, default = table["income"].values, table["default"]
    repaid = (np.array(default.levels)[default.values] == "No").astype(int)
    order = np.random.default_rng(seed).permutation(len(income))
    train, test = order[:7000], order[7000:]
    models = three_models(income[train], repaid[train], seed)
    share = repaid[train].mean()
    losses = {"constant": log_loss(repaid[test], np.log(share / (1 - share)))}
    losses |= {name: log_loss(repaid[test], model(income[test])) for name, model in models.items()}
    x = np.linspace(income.min(), income.max(), 300)
    edges = np.quantile(income, np.linspace(0, 1, 21))
    bins = np.clip(np.searchsorted(edges, income, side="right") - 1, 0, 19)
    shares = [(income[bins == i].mean(), repaid[bins == i].mean()) for i in range(20)]
    curves = {name: sigmoid(model(x)) for name, model in models.items()}
    return {"losses": losses, "x": x, "curves": curves, "shares": shares}


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng(seed)
    models = three_models(*loans(10_000 if setting.quick else 40_000, rng), seed)
    income, _ = loans(20_000, rng)
    p = chance(income)
    least = log_loss(p, np.log(p / (1 - p)))  # no model can be better than the true probability
    excess = {name: log_loss(p, model(income)) - least for name, model in models.items()}
    figures = {
        **{f"{name}_excess": value for name, value in excess.items()},
        "linear_turns": turns(models["linear"](INCOMES)),
        "linear_unequal": abs(steps(models["linear"]) - 1),
        "mlp_steps": steps(models["mlp"]),
        "log_share": 1 - excess["log"] / excess["linear"],
        "mlp_share": 1 - excess["mlp"] / excess["linear"],
    }
    curves = {name: sigmoid(model(INCOMES)) for name, model in models.items()}
    return Measured(figures, {"curves": curves, "real": real_loans(seed, setting)})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    income_label = Text("income (thousands)", "收入（千）")
    figure, (wide, near) = canvas(2, 1, width=5.4, height=5)
    for axes, limit in ((wide, 1_100), (near, 300)):
        truth = setting.say(Text("truth", "真实概率"))
        axes.plot(INCOMES / 1000, chance(INCOMES), color="#2f7fd1", linestyle="-", linewidth=6, alpha=0.35, label=truth)
        for name, (color, style) in STYLES.items():
            curve, label = measured[0].kept["curves"][name], setting.say(NAMES[name])
            axes.plot(INCOMES / 1000, curve, color=color, linestyle=style, linewidth=2, label=label)
        axes.set(xlim=(0, limit), ylabel=setting.say(Text("probability of repayment", "还款概率")))
    near.set_xlabel(setting.say(income_label))
    near.legend()
    drawings = [
        Drawing(
            "generated",
            figure,
            Text(
                "The probability of repayment that the loans were drawn with, and what each model made of them (seed "
                "0). Below: the same, nearer.",
                "生成贷款数据所用的还款概率，以及各模型学到的结果（种子 0）。下：局部放大。",
            ),
        )
    ]
    real = [each.kept["real"] for each in measured]
    if real[0] is not None:
        drawings.append(draw_real(real, setting, income_label))
    return drawings


def draw_real(real: list[Any], setting: Setting, income_label: Text) -> Drawing:
    figure, axes = canvas(width=5.4, height=3)
    for name, (color, style) in STYLES.items():
        curve, label = real[0]["curves"][name], setting.say(NAMES[name])
        axes.plot(real[0]["x"] / 1000, curve, color=color, linestyle=style, linewidth=2, label=label)
    x, share = np.array(real[0]["shares"]).T
    axes.plot(
        x / 1000, share, "o", color="#2f7fd1", markersize=4, label=setting.say(Text("observed share", "观测比例"))
    )
    axes.set(xlabel=setting.say(income_label), ylabel=setting.say(Text("share repaid", "还款比例")))
    axes.legend()
    mean = {name: np.mean([each["losses"][name] for each in real]) for name in real[0]["losses"]}
    losses = Text(
        ", ".join(f"{NAMES[name].en if name in NAMES else name} {value:.4f}" for name, value in mean.items()),
        "，".join(f"{NAMES[name].zh if name in NAMES else '常数'} {value:.4f}" for name, value in mean.items()),
    )
    caption = Text(
        "The same models on the 10,000 customers of default.csv, whatever they show, without a claim: log loss on 3,000"
        f" of them that were held out, mean of the seeds: {losses.en}.",
        "同样的模型用于 default.csv 的 10000 名客户，仅如实报告，不作论断。留出的 3000 名客户上的对数损失（各种子的均"
        f"值）：{losses.zh}。",
    )
    return Drawing("default-table", figure, caption)


EXPERIMENT = Experiment(
    name="linear-monotonic",
    title=Text("Linear implies monotonic", "线性意味着单调"),
    about=Text(
        "The text: linearity implies monotonicity, which is plausible for income and repayment, and yet the relation "
        "need not be linear: from 0 to 50,000 repayment gains more than from 1 million to 1.05 million. Preprocessing, "
        "such as the logarithm of the income, makes linearity more plausible.\n\n"
        "Here loans are drawn with a probability of repayment that rises everywhere and saturates at 0.95. A logistic "
        "regression, the same on the logarithm, and an MLP on the plain income are compared by how much their log loss "
        "exceeds that of the true probability, the least there is. The output map of a logistic regression saturates "
        "too, but at 1 and where it must: what is linear, and has equal steps, is its logit.",
        "教材指出：线性意味着单调性。就收入与还款而言，单调是合理的，但关系未必是线性的：收入从 0 增加到 50000，"
        "比从 100 万增加到 105 万更能提高还款可能性。对收入取对数之类的预处理可使线性更合理。\n\n"
        "这里生成一批贷款，其还款概率处处递增，并在 0.95 处饱和。对逻辑回归、取对数后的逻辑回归以及直接使用收入的"
        "多层感知机，比较其对数损失比真实概率的对数损失（即可能的最小值）高出多少。逻辑回归的输出映射也会饱和，"
        "但只能在 1 处饱和；线性的、步长相等的是它的 logit（未规范化的预测）。",
    ),
    source="4.1.1.1",
    claims=(
        Claim(
            "monotonic",
            Text(
                "The linear model's prediction only rises, or only falls, with income.",
                "线性模型的预测随收入只升或只降。",
            ),
            "linear_turns",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "equal-steps",
            Text(
                "To the linear model 50,000 more are the same everywhere: the logit gains as much from 1,000,000 on as "
                "from 5,000 on.",
                "对线性模型而言，增加 50000 处处相同：从 100 万起与从 5000 起，logit 的增量相等。",
            ),
            "linear_unequal",
            at_most=1e-9,
            kind="identity",
        ),
        Claim(
            "logarithm",
            Text(
                "Preprocessing makes linearity more plausible: with the logarithm of the income most of the linear "
                "model's excess is gone.",
                "预处理使线性更合理：对收入取对数后，线性模型的超额损失大部分消失。",
            ),
            "log_share",
            at_least=0.5,
        ),
        Claim(
            "mlp",
            Text(
                "The MLP follows the saturation without being told: at least 80 % of the excess is gone.",
                "多层感知机无需提示即可拟合饱和：超额损失至少消失 80%。",
            ),
            "mlp_share",
            at_least=0.8,
        ),
        Claim(
            "mlp-steps",
            Text(
                "To the MLP 50,000 more from 1,000,000 on are less than half as much as from 5,000 on.",
                "对多层感知机而言，从 100 万起增加 50000 的作用不到从 5000 起的一半。",
            ),
            "mlp_steps",
            at_least=-0.5,
            at_most=0.5,
        ),
    ),
    figures={
        "linear_excess": Text("excess log loss of the linear model", "线性模型的超额对数损失"),
        "log_excess": Text("excess log loss of the linear model of log income", "对数收入线性模型的超额对数损失"),
        "mlp_excess": Text("excess log loss of the MLP", "多层感知机的超额对数损失"),
        "linear_turns": Text("turns of the linear model's prediction", "线性模型的预测改变升降方向的次数"),
        "linear_unequal": Text(
            "rise at high income / rise at low income, linear model: distance from 1",
            "线性模型：高收入处增量与低收入处增量之比与 1 的差",
        ),
        "mlp_steps": Text(
            "rise at high income / rise at low income, MLP", "多层感知机：高收入处增量与低收入处增量之比"
        ),
        "log_share": Text("share of the excess that the logarithm removes", "取对数所消除的超额损失的比例"),
        "mlp_share": Text("share of the excess that the MLP removes", "多层感知机所消除的超额损失的比例"),
    },
    measure=measure,
    draw=draw,
    data=Text(
        "loans, generated; without a claim also default.csv, if it is there",
        "生成的贷款数据；若有 default.csv，也一并报告，但不作论断",
    ),
)
