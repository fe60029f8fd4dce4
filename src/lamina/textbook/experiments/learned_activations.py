"""pReLU and Swish: what their learned numbers become, layer by layer, and what they bring over ReLU."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

ACTIVATIONS = ("relu", "prelu", "swish")
NAMES = {"relu": "ReLU", "prelu": "pReLU", "swish": "Swish"}
LAYERS = (1, 2, 3)
INITIAL = {"prelu": 0.25, "swish": 1.0}  # what training starts from


def parts(seed: int, setting: Setting) -> tuple[Any, Any]:
    """Rows to train on and rows to score on: the digits, or half of Fashion-MNIST and its test images."""
    if setting.quick:
        table = lamina.read_table("digits")
    else:
        table = lamina.read_table("fashion-mnist", data_dir=setting.data_dir)
    drawn = np.random.default_rng(seed).permutation(table.n_rows)
    if setting.quick:
        return table.rows(drawn[600:]), table.rows(drawn[:600])
    return table.rows(drawn[:30_000]), lamina.read_table("fashion-mnist:test", data_dir=setting.data_dir)


def trained(activation: str, train: Any, seed: int, setting: Setting) -> lamina.Model:
    return lamina.fit(
        train,
        hidden_units=(64, 64, 64) if setting.quick else (256, 128, 64),
        activation=activation,
        epochs=20 if setting.quick else 6,
        batch_size=64 if setting.quick else 256,
        early_stopping=False,
        baselines=False,
        seed=seed,
    )


def learned(model: lamina.Model) -> list[float]:
    """The learned number of each hidden layer's activation."""
    blocks: list[Any] = list(model.network.hidden)
    return [block.activation.parameter.item() for block in blocks]


def measure(seed: int, setting: Setting) -> Measured:
    train, test = parts(seed, setting)
    models = {name: trained(name, train, seed, setting) for name in ACTIVATIONS}
    scores = {name: model.evaluate(test) for name, model in models.items()}
    alphas, betas = learned(models["prelu"]), learned(models["swish"])
    figures = {f"alpha_{layer}": alpha for layer, alpha in zip(LAYERS, alphas, strict=True)}
    figures |= {f"beta_{layer}": beta for layer, beta in zip(LAYERS, betas, strict=True)}
    figures["alpha_size"] = min(abs(alpha) for alpha in alphas)
    figures["alpha_moved"] = min(abs(alpha - INITIAL["prelu"]) for alpha in alphas)
    figures["beta_moved"] = min(abs(beta - INITIAL["swish"]) for beta in betas)
    for name in ACTIVATIONS:
        figures |= {f"{name}_accuracy": scores[name]["accuracy"], f"{name}_loss": scores[name]["log_loss"]}
    figures["prelu_gain"] = figures["relu_loss"] - figures["prelu_loss"]
    figures["swish_gain"] = figures["relu_loss"] - figures["swish_loss"]
    return Measured(figures)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, (left, middle, right) = canvas(1, 3, width=8.6, height=3.1)
    layer = setting.say(Text("hidden layer", "隐藏层"))
    for axis, key, initial, title in (
        (left, "alpha", INITIAL["prelu"], Text("α of pReLU", "pReLU 的 α")),
        (middle, "beta", INITIAL["swish"], Text("β of Swish", "Swish 的 β")),
    ):
        for each in measured:
            axis.plot(LAYERS, [each.figures[f"{key}_{n}"] for n in LAYERS], color="#2f7fd1", linestyle="-", marker="o")
        start = setting.say(Text("before training", "训练之前"))
        axis.axhline(initial, color="#d0662a", linestyle="--", linewidth=1, label=start)
        axis.set(title=setting.say(title), xlabel=layer, xticks=LAYERS)
        axis.legend(fontsize=9)
    for place, name in enumerate(ACTIVATIONS):
        losses = [each.figures[f"{name}_loss"] for each in measured]
        right.scatter([place] * len(losses), losses, color="#2c9461", s=28)
    right.set_xticks(range(len(ACTIVATIONS)), [NAMES[name] for name in ACTIVATIONS])
    right.set(xlim=(-0.6, 2.6), title=setting.say(Text("log loss, held-out rows", "留出数据上的对数损失")))
    caption = Text(
        "The learned α and β of each hidden layer, one line for each seed, and the log loss on held-out rows, one "
        "point for each seed.",
        "各隐藏层学得的 α 与 β（每个种子一条线），以及留出数据上的对数损失（每个种子一个点）。",
    )
    return [Drawing("learned", figure, caption)]


def labels() -> dict[str, Text]:
    found = {}
    for n in LAYERS:
        found[f"alpha_{n}"] = Text(f"α of hidden layer {n}", f"第 {n} 个隐藏层的 α")
        found[f"beta_{n}"] = Text(f"β of hidden layer {n}", f"第 {n} 个隐藏层的 β")
    for name in ACTIVATIONS:
        found[f"{name}_accuracy"] = Text(f"accuracy with {NAMES[name]}", f"{NAMES[name]} 的精度")
        found[f"{name}_loss"] = Text(f"log loss with {NAMES[name]}", f"{NAMES[name]} 的对数损失")
    return found


EXPERIMENT = Experiment(
    name="learned-activations",
    title=Text("What pReLU and Swish learn", "pReLU 与 Swish 学到了什么"),
    about=Text(
        "The text says that pReLU, max(0, x) + α min(0, x), adds a linear term to ReLU, so that some information still "
        "gets through when the argument is negative. He et al., whom it cites, learn α and report a gain over ReLU; "
        "Ramachandran et al. report one for Swish, x sigmoid(βx), with a learned β.\n\n"
        "Here networks with three hidden layers, one learned number for each, are trained on the handwritten digits "
        "(quick) or on half of Fashion-MNIST, with the same seed, data and steps for each activation. α begins at 0.25 "
        "and β at 1. What they bring is the log loss on held-out rows by which they beat ReLU; "
        "the text claims nothing of it, so it is measured and not judged.",
        "教材说，pReLU，即 max(0, x) + α min(0, x)，为 ReLU 添加了一个线性项，因此即使自变量为负，一些信息仍然可以通"
        "过。"
        "教材引用的 He 等人学习 α，并报告了相对 ReLU 的提升；Ramachandran 等人对 β 可学习的 Swish，即 x sigmoid(βx)，"
        "也报告了提升。\n\n"
        "这里在手写数字（快速运行）或半个 Fashion-MNIST 上训练有三个隐藏层的网络，每层有一个可学习的数；各激活函数使用"
        "相同的种子、数据和步数。α 的初始值为 0.25，β 为 1。"
        "它们带来的好处以留出数据上的对数损失比 ReLU 低多少来衡量；教材对此没有断言，因此只测量，不评判。",
    ),
    source="4.1.2.1",
    claims=(
        Claim(
            "alpha-passes",
            Text(
                "Information still gets through for negative arguments: every layer keeps an α whose size is at least "
                "0.01.",
                "自变量为负时仍有信息通过：每一层学得的 α 的绝对值都不小于 0.01。",
            ),
            "alpha_size",
            at_least=0.01,
        ),
        Claim(
            "alpha-learned",
            Text("α is learned: it moves by at least 0.01 in every layer.", "α 确实在学习：每一层都至少改变 0.01。"),
            "alpha_moved",
            at_least=0.01,
        ),
        Claim(
            "beta-learned",
            Text("β is learned: it moves by at least 0.01 in every layer.", "β 确实在学习：每一层都至少改变 0.01。"),
            "beta_moved",
            at_least=0.01,
        ),
    ),
    figures={
        **labels(),
        "alpha_size": Text("smallest |α|", "最小的 |α|"),
        "alpha_moved": Text("smallest change of α", "α 的最小改变量"),
        "beta_moved": Text("smallest change of β", "β 的最小改变量"),
        "prelu_gain": Text("log loss of ReLU minus that of pReLU", "ReLU 与 pReLU 的对数损失之差"),
        "swish_gain": Text("log loss of ReLU minus that of Swish", "ReLU 与 Swish 的对数损失之差"),
    },
    measure=measure,
    draw=draw,
    data=Text("Fashion-MNIST (clothing, 28 × 28 pixels)", "Fashion-MNIST（服装，28 × 28 像素）"),
    quick_data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
