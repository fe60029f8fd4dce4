"""Affine maps of affine maps are affine maps: a deep linear network is collapsed into the linear model that it is."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

D, CLASSES, NARROW = 10, 6, 2
# All rows in every step, down to the minimum, without a penalty: what is left is what a network can represent.
COMMON: dict[str, Any] = {
    "optimizer": "lbfgs",
    "tol": 1e-8,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "early_stopping": False,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {"hidden_units": (), "epochs": 500},
    "deep": {"hidden_units": (32, 32, 32), "activation": "identity", "epochs": 500},
    "narrow": {"hidden_units": (32, NARROW, 32), "activation": "identity", "epochs": 500},
    "relu": {"hidden_units": (32, 32, 32), "activation": "relu", "epochs": 60},
}


def drawn_rows(n: int, seed: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return x (n, 10) and classes (n,): the largest of six scores, each in part linear in x and in part "
    "quadratic."""
    linear, quadratic = np.random.default_rng(seed).normal(size=(2, D, CLASSES))
    x = rng.normal(size=(n, D))
    return x, (x @ linear + (x**2 - 1) @ quadratic).argmax(axis=1)


def fitted(rows: tuple[Any, Any], seed: int, **options: Any) -> lamina.Model:
    return lamina.fit(rows, numeric="standard", dtype="float64", baselines=False, seed=seed, **COMMON, **options)


def matrix(model: lamina.Model) -> Any:
    """Return the one matrix, (10, 6), that the affine layers of ``model`` are together."""
    return lamina.collapse(model).model.network.members()[0].output.weight.detach().numpy()


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng([seed, 1])
    train, test = (drawn_rows(n, seed, rng) for n in (2_000 if setting.quick else 10_000, 10_000))
    models = {name: fitted(train, seed, **options) for name, options in NETWORKS.items()}
    loss = {name: model.evaluate(train)["log_loss"] for name, model in models.items()}
    accuracy = {name: model.evaluate(test)["accuracy"] for name, model in models.items()}
    collapsed = lamina.collapse(models["deep"], test)
    matrices = {name: matrix(models[name]) for name in ("linear", "deep", "narrow")}
    figures = {
        **{f"{name}_accuracy": value for name, value in accuracy.items()},
        "difference": collapsed.max_difference or 0.0,
        "layers": collapsed.model.network.n_layers,
        "extra": collapsed.parameters_saved,
        "loss_gain": loss["linear"] - loss["deep"],
        "accuracy_gain": accuracy["deep"] - accuracy["linear"],
        "relu_gain": accuracy["relu"] - accuracy["linear"],
        "narrow_rank": int(np.linalg.matrix_rank(matrices["narrow"])),
        "narrow_cost": loss["narrow"] - loss["linear"],
    }
    spectra = {name: np.linalg.svd(each, compute_uv=False) for name, each in matrices.items()}
    return Measured(figures, {"spectra": spectra})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    labels = {
        "linear": Text("linear", "线性模型"),
        "deep": Text("deep, no σ", "深层，无 σ"),
        "narrow": Text("no σ, narrow", "无 σ，有窄层"),
        "relu": Text("deep, ReLU", "深层，ReLU"),
    }
    scores, axes = canvas(height=2.6)
    for place, name in enumerate(labels):
        axes.plot([place] * len(measured), [each.figures[f"{name}_accuracy"] for each in measured], "o")
    axes.set_xticks(range(len(labels)), [setting.say(label) for label in labels.values()])
    axes.set(xlim=(-0.5, 3.5), ylim=(0, 1), ylabel=setting.say(Text("test accuracy", "测试精度")))

    values, axes = canvas()
    for marker, (name, spectrum) in zip("osD", measured[0].kept["spectra"].items(), strict=True):
        axes.semilogy(range(1, CLASSES + 1), spectrum, marker=marker, label=setting.say(labels[name]))
    axes.set_xlabel(setting.say(Text("singular value of the collapsed matrix", "合并后矩阵的奇异值序号")))
    axes.set_ylabel(setting.say(Text("its size", "大小")))
    axes.legend()
    return [
        Drawing(
            "accuracy",
            scores,
            Text(
                "Test accuracy with each of the seeds: hidden layers without a nonlinearity change nothing.",
                "各随机种子下的测试精度：没有非线性的隐藏层毫无帮助。",
            ),
        ),
        Drawing(
            "singular-values",
            values,
            Text(
                f"The one matrix that each network without σ is (seed 0): a layer of {NARROW} units leaves {NARROW} "
                "singular values, and rounding errors.",
                f"每个没有 σ 的网络所等价的那一个矩阵（种子 0）：宽度为 {NARROW} 的层只留下 {NARROW} 个奇异值，"
                "其余是舍入误差。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="stacked-affine",
    title=Text("Stacked affine layers are one", "堆叠的仿射层等于一层"),
    about=Text(
        "The text: adding hidden layers brings additional sets of parameters and, without a nonlinearity between "
        "them, nothing else. An affine function of an affine function is an affine function, and the linear model "
        "could represent any affine function already.\n\n"
        "Here a problem that is only in part linear (10 features, 6 classes) is learned by a linear model, by a "
        "network with three hidden layers and the activation `identity`, and by the same network with ReLU. "
        "`lamina.collapse` multiplies the layers of the second one together. All are trained with L-BFGS to the "
        f"minimum, so that what they cannot represent is what is left. A further one has a layer of {NARROW} units: "
        "its matrix is a product through two dimensions, and that is less than a linear model has.",
        "教材说：添加隐藏层带来了额外的参数集；如果层间没有非线性，除此之外没有任何好处。仿射函数的仿射函数本身就是仿"
        "射函数，而线性模型已经能够表示任何仿射函数。\n\n"
        "这里的问题只有一部分是线性的（10 个特征，6 个类别），分别由线性模型、有三个隐藏层而激活函数为 `identity` 的网"
        "络，以及换成 ReLU 的同一网络来学习。`lamina.collapse` 把第二个网络的各层乘到一起。所有网络都用 L-BFGS 训练到"
        f"极小值，剩下的误差就是它们表示不了的部分。还有一个网络含宽度为 {NARROW} 的层：它的矩阵是经过二维空间的乘积，"
        "表达能力反而低于线性模型。",
    ),
    source="4.1.1.3",
    claims=(
        Claim(
            "extra-parameters",
            Text(
                "With hidden layers there are additional sets of parameters to keep track of and to update.",
                "添加隐藏层后，模型需要跟踪和更新额外的参数集。",
            ),
            "extra",
            at_least=1,
            kind="identity",
        ),
        Claim(
            "one-layer",
            Text("Without a nonlinearity, its layers are one affine layer.", "没有非线性时，各层合为一个仿射层。"),
            "layers",
            at_least=1,
            at_most=1,
            kind="identity",
        ),
        Claim(
            "same-function",
            Text(
                "The one layer is the same function as the deep network: the probabilities agree to rounding.",
                "这一层与深层网络是同一个函数：概率只差舍入误差。",
            ),
            "difference",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "no-lower-loss",
            Text(
                "The linear model can represent all of it already: the deep network's training loss is no lower.",
                "线性模型已经能够表示它：深层网络的训练损失并不更低。",
            ),
            "loss_gain",
            at_most=1e-6,
        ),
        Claim(
            "no-better-score",
            Text(
                "The problem is not solved: on new examples the deep network is not one point of accuracy better.",
                "问题没有得到解决：在新样本上，深层网络的精度提高不到一个百分点。",
            ),
            "accuracy_gain",
            at_most=0.01,
        ),
        Claim(
            "nonlinearity",
            Text(
                "A nonlinearity between the same layers helps: with ReLU the accuracy rises by ten points or more.",
                "在同样的层之间加入非线性就有用：使用 ReLU 后，精度提高十个百分点以上。",
            ),
            "relu_gain",
            at_least=0.1,
        ),
        Claim(
            "narrow-rank",
            Text(
                f"A layer of {NARROW} units without a nonlinearity leaves a matrix of rank {NARROW}.",
                f"没有非线性且宽度为 {NARROW} 的层，使矩阵的秩降为 {NARROW}。",
            ),
            "narrow_rank",
            at_least=NARROW,
            at_most=NARROW,
            kind="identity",
        ),
        Claim(
            "narrow-worse",
            Text(
                "Such a network represents less than the linear model does: its training loss is higher.",
                "这样的网络比线性模型表示得更少：训练损失更高。",
            ),
            "narrow_cost",
            at_least=0.01,
        ),
    ),
    figures={
        "linear_accuracy": Text("test accuracy, linear model", "测试精度，线性模型"),
        "deep_accuracy": Text("test accuracy, deep, no nonlinearity", "测试精度，深层，无非线性"),
        "narrow_accuracy": Text("test accuracy, deep, no nonlinearity, narrow", "测试精度，深层，无非线性，有窄层"),
        "relu_accuracy": Text("test accuracy, deep, ReLU", "测试精度，深层，ReLU"),
        "difference": Text("largest difference of a probability after collapsing", "合并前后概率的最大差"),
        "layers": Text("layers after collapsing", "合并后的层数"),
        "extra": Text("parameters more than the one layer has", "比单层多出的参数个数"),
        "loss_gain": Text("training loss, linear minus deep", "训练损失之差，线性减深层"),
        "accuracy_gain": Text("test accuracy, deep minus linear", "测试精度之差，深层减线性"),
        "relu_gain": Text("test accuracy, ReLU minus linear", "测试精度之差，ReLU 减线性"),
        "narrow_rank": Text("rank of the narrow network's matrix", "含窄层网络的矩阵的秩"),
        "narrow_cost": Text("training loss, narrow minus linear", "训练损失之差，含窄层减线性"),
    },
    measure=measure,
    draw=draw,
    data=Text("10 features and 6 classes, generated", "生成的数据：10 个特征，6 个类别"),
)
