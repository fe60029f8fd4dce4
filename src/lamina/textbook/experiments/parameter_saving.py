"""Width costs parameters: dense layers against two kinds that have fewer of them, on images."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

KINDS: dict[str, dict[str, Any]] = {
    "dense": {"layer": "dense"},
    "phm_2": {"layer": "phm", "phm_n": 2},
    "phm_4": {"layer": "phm", "phm_n": 4},
    "phm_8": {"layer": "phm", "phm_n": 8},
    "low_rank": {"layer": "low_rank", "rank": 16},
}
NAMES = {
    "dense": Text("dense", "全连接层"),
    "phm_2": Text("PHM, n = 2", "PHM，n = 2"),
    "phm_4": Text("PHM, n = 4", "PHM，n = 4"),
    "phm_8": Text("PHM, n = 8", "PHM，n = 8"),
    "low_rank": Text("rank 16", "秩 16"),
}
WIDTHS = (64, 128, 256, 512, 1024)


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


def trained(kind: str, train: Any, seed: int, setting: Setting) -> lamina.Model:
    return lamina.fit(
        train,
        hidden_units=(128, 128) if setting.quick else (256, 128),
        epochs=10 if setting.quick else 5,
        batch_size=64 if setting.quick else 256,
        learning_rate=0.005 if setting.quick else None,
        early_stopping=False,
        baselines=False,
        seed=seed,
        **KINDS[kind],
    )


def losses_of(model: lamina.Model, test: Any) -> Any:
    """The loss of each row, -log of the probability of its class."""
    p = model.predict_proba(test)[np.arange(test.n_rows), model.schema.target.encode(test)]
    return -np.log(np.maximum(p, 1e-12))


def parameters(rows: Any, width: int) -> int:
    """Parameters of two dense hidden layers of a width, between the inputs and outputs of ``rows``."""
    return lamina.parameter_count(lamina.prepare(rows, hidden_units=(width, width)).current()).total


def measure(seed: int, setting: Setting) -> Measured:
    train, test = parts(seed, setting)
    by_width = [parameters(train.rows(np.arange(100)), width) for width in WIDTHS]
    figures = {"doubling": by_width[-1] / by_width[-2]}
    losses, hidden = {}, {}
    for kind in KINDS:
        model = trained(kind, train, seed, setting)
        scores = model.evaluate(test)
        losses[kind] = losses_of(model, test)
        count = lamina.parameter_count(model)
        hidden[kind] = count.total - count.by_layer["output"]
        figures |= {
            f"{kind}_parameters": count.total,
            f"{kind}_accuracy": scores["accuracy"],
            f"{kind}_loss": scores["log_loss"],
            f"{kind}_seconds": model.report.seconds["fit"],
        }
    figures["phm_4_share"] = hidden["phm_4"] / hidden["dense"]
    figures["phm_4_cost"] = figures["dense_accuracy"] - figures["phm_4_accuracy"]
    figures["phm_8_cost"] = figures["phm_8_loss"] - figures["dense_loss"]
    difference = losses["phm_8"] - losses["dense"]  # image by image
    figures["phm_8_errors"] = float(difference.mean() / (difference.std(ddof=1) / len(difference) ** 0.5))
    in_order = [figures[f"{kind}_accuracy"] for kind in ("dense", "phm_2", "phm_4", "phm_8")]
    figures["least_step"] = float(min(np.subtract(in_order[:-1], in_order[1:])))
    figures["one_image"] = 1 / test.n_rows
    return Measured(figures, {"by_width": by_width})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, (left, right) = canvas(1, 2, width=8.4, height=3.3)
    left.loglog(WIDTHS, measured[0].kept["by_width"], marker="o", markersize=4)
    left.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    left.minorticks_off()
    left.set(
        xlabel=setting.say(Text("units in each of two hidden layers", "两个隐藏层各自的单元数")),
        ylabel=setting.say(Text("parameters", "参数个数")),
    )
    for kind, marker in zip(KINDS, "os^vD", strict=True):
        counts = [each.figures[f"{kind}_parameters"] for each in measured]
        scores = [each.figures[f"{kind}_accuracy"] for each in measured]
        right.semilogx(counts, scores, marker=marker, linestyle="none", label=setting.say(NAMES[kind]))
    ticks = [measured[0].figures[f"{kind}_parameters"] for kind in KINDS]
    right.set_xticks(ticks, [f"{tick / 1000:.0f}" for tick in ticks])
    right.minorticks_off()
    right.set(
        xlabel=setting.say(Text("thousand parameters", "参数个数（千）")),
        ylabel=setting.say(Text("test accuracy", "测试精度")),
    )
    right.legend(fontsize=9)
    return [
        Drawing(
            "parameters",
            figure,
            Text(
                "Left: parameters of dense layers against their width, with inputs and outputs unchanged. Right: test "
                "accuracy against parameters, by kind of hidden layer; one mark for each seed.",
                "左：输入和输出大小不变时，全连接层的参数个数与宽度的关系。右：各种隐藏层的测试精度与参数个数（每个种子一个标记）。",
            ),
        )
    ]


def labels() -> dict[str, Text]:
    found = {}
    for kind, name in NAMES.items():
        found[f"{kind}_parameters"] = Text(f"parameters, {name.en}", f"参数个数，{name.zh}")
        found[f"{kind}_accuracy"] = Text(f"test accuracy, {name.en}", f"测试精度，{name.zh}")
        found[f"{kind}_loss"] = Text(f"test log loss, {name.en}", f"测试对数损失，{name.zh}")
        found[f"{kind}_seconds"] = Text(f"seconds of the fit, {name.en}", f"训练秒数，{name.zh}")
    return found


EXPERIMENT = Experiment(
    name="parameter-saving",
    title=Text("Width costs parameters", "宽度的参数代价"),
    about=Text(
        "The text says that fully connected layers can cost very many parameters, even where the sizes of input and "
        "output stay as they are, and that this may motivate a trade-off between saving parameters and the model's "
        "effectiveness [Zhang et al., 2021]. Zhang et al. make W a sum of n Kronecker products (parameterized "
        "hypercomplex multiplication, PHM), which learns about 1/n of the weights; another way is a product of two "
        "narrow matrices, of low rank.\n\n"
        "Here parameters are counted for dense layers of several widths, and networks with two hidden layers of each "
        "kind are trained with the same data and steps on the handwritten digits (quick) or on half of Fashion-MNIST. "
        "The differences are small: in a quick run one of the 600 test images is 0.0017 of the accuracy, and the 0.02 "
        "that a claim allows is twelve images. n = 8 may therefore come out more accurate than n = 4 although it has "
        "fewer parameters. The trade-off is judged by the log loss, image by image: its mean difference must be at "
        "least two standard errors. That accuracy falls with every saving shows on the 10,000 test images of "
        "Fashion-MNIST; 600 digits are too few.",
        "教材说，即使不改变输入或输出大小，全连接层的参数化成本也可能非常高，这可能会促使在参数节省和模型有效性之间"
        "进行权衡 [Zhang et al., 2021]。Zhang 等人把 W 写成 n 个 Kronecker 积之和（参数化超复数乘法，PHM），只需学习"
        "约 1/n 的权重；另一种办法是两个窄矩阵的乘积，即低秩。\n\n"
        "这里统计不同宽度的全连接层的参数个数，并用相同的数据和步数，在手写数字（快速运行）或半个 Fashion-MNIST 上训练"
        "由各种层构成的、有两个隐藏层的网络。各种层的差别很小：快速运行时，600 幅测试图像中的一幅就是 0.0017 的精度，"
        "论断所允许的 0.02 相当于 12 幅。因此 n = 8 的参数虽少，精度却可能高于 n = 4。权衡与否以对数损失逐幅比较："
        "平均差至少为两个标准误才算。每次节省都损失精度，这在 Fashion-MNIST 的 10000 幅测试图像上看得出来；600 幅手写数"
        "字太少，看不出来。",
    ),
    source="4.1.1.2",
    claims=(
        Claim(
            "width",
            Text(
                "Fully connected layers are costly although input and output stay the same size: doubling the width "
                "from 512 to 1,024 more than doubles the parameters.",
                "即使输入和输出大小不变，全连接层的成本也很高：宽度从 512 加倍到 1024，参数个数增加到两倍以上。",
            ),
            "doubling",
            at_least=2,
            kind="identity",
        ),
        Claim(
            "saving",
            Text(
                "PHM with n = 4 learns about a quarter of the hidden layers' parameters: 30 % at most.",
                "n = 4 的 PHM 只学习隐藏层参数的约四分之一：至多 30%。",
            ),
            "phm_4_share",
            at_most=0.3,
            kind="identity",
        ),
        Claim(
            "effective",
            Text(
                "With n = 4 the model stays effective: it loses 0.02 of test accuracy at most.",
                "n = 4 时模型仍然有效：测试精度至多降低 0.02。",
            ),
            "phm_4_cost",
            at_most=0.02,
        ),
        Claim(
            "trade-off",
            Text(
                "Saving is a trade-off: with n = 8 the test log loss is above that of dense layers by at least two "
                "standard errors.",
                "节省参数是一种权衡：n = 8 时测试对数损失比全连接层至少高两个标准误。",
            ),
            "phm_8_errors",
            at_least=2,
        ),
        Claim(
            "step-by-step",
            Text(
                "Each saving costs accuracy: from dense layers to n = 2, 4 and 8 it falls step by step.",
                "每次节省都损失精度：从全连接层到 n = 2、4、8，精度逐步下降。",
            ),
            "least_step",
            at_least=0,
        ),
    ),
    figures={
        **labels(),
        "doubling": Text("parameters at width 1,024 / at width 512", "宽度 1024 与 512 的参数个数之比"),
        "phm_4_share": Text("hidden parameters of PHM, n = 4 / dense", "n = 4 的 PHM 与全连接层的隐藏层参数之比"),
        "phm_4_cost": Text("accuracy of dense minus that of PHM, n = 4", "全连接层与 n = 4 的 PHM 的精度之差"),
        "phm_8_errors": Text(
            "the log loss of n = 8 minus dense, in standard errors", "n = 8 与全连接层的对数损失之差，以标准误计"
        ),
        "least_step": Text("smallest fall of the accuracy from one kind to the next", "相邻两种层之间精度下降的最小值"),
        "one_image": Text("one test image, as a share of the accuracy", "一幅测试图像占精度的比例"),
        "phm_8_cost": Text("log loss of PHM, n = 8 minus that of dense", "n = 8 的 PHM 与全连接层的对数损失之差"),
    },
    measure=measure,
    draw=draw,
    data=Text("Fashion-MNIST (clothing, 28 × 28 pixels)", "Fashion-MNIST（服装，28 × 28 像素）"),
    quick_data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
