"""Vanishing gradients: the gradient of the first layer against the depth, and what becomes of training then."""

from typing import Any

import numpy as np
import torch

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

SHALLOWEST, DEEPEST = 2, 50  # layers as the text counts them: the hidden ones and the output
UNITS = 64
LARGE = 8  # times Glorot's weights
TRAINED = 8  # layers of the trained networks that claims are about
ACTIVATIONS = ("sigmoid", "tanh", "relu")
STARTS = {
    "matched": Text("matched weights", "与激活函数匹配的初始权重"),
    "small": Text("weights from N(0, 0.01²)", "初始权重取自 N(0, 0.01²)"),
    "large": Text(f"{LARGE} times Glorot's weights, sums centred at 0", f"Xavier 权重的 {LARGE} 倍，加权和居中"),
}
CASES = [*((activation, start) for start in ("matched", "small") for activation in ACTIVATIONS), ("sigmoid", "large")]
# Plain minibatch gradient descent: an optimizer that divides by the gradient's size would hide a part of it.
TRAINING: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "batch_size": 32,
    "epochs": 10,
    "dropout": 0.0,
    "weight_decay": 0.0,
    "early_stopping": False,
}


def prepared(rows: Any, depth: int, activation: str, start: str, seed: int, **options: Any) -> Any:
    """A run of a network of ``depth`` layers, before its first step."""
    hidden_units = (UNITS,) * (depth - 1)
    run = lamina.prepare(
        rows, hidden_units=hidden_units, activation=activation, normalization="none", seed=seed, **options
    )
    network: Any = run.state.network
    affines = [*(block.affine for block in network.hidden), network.output]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if start == "small":
            for affine in affines:
                affine.weight.normal_(0, 0.01, generator=generator)
        if start == "large":
            for affine in affines[1:-1]:  # those whose inputs are outputs of sigmoid, which are around 1/2
                affine.weight.mul_(LARGE)
                affine.bias.copy_(-0.5 * affine.weight.sum(dim=0))  # so that the sums are around 0
    return run


def untrained(rows: Any, depth: int, activation: str, start: str, seed: int) -> lamina.Model:
    """A network of ``depth`` layers before its first step."""
    model: lamina.Model = prepared(rows, depth, activation, start, seed).current()
    return model


def first_gradient(rows: Any, depth: int, activation: str, start: str, seed: int) -> float:
    """Norm of the gradient of the mean loss with respect to the weights of the first layer."""
    return lamina.gradient_flow(untrained(rows, depth, activation, start, seed), rows)[0].weight_gradient


def factor(gradients: list[float]) -> float:
    """What one more layer multiplies the gradient by, from the shallowest to the deepest network."""
    return float((gradients[-1] / gradients[0]) ** (1 / (DEEPEST - SHALLOWEST)))


def accuracy(train: Any, test: Any, depth: int, activation: str, start: str, seed: int) -> float:
    """Test accuracy of a network of ``depth`` layers after training."""
    run = prepared(train, depth, activation, start, seed, **TRAINING)
    for _ in run.train():
        pass
    return float(run.finish(baselines=False).evaluate(test)["accuracy"])


def measure(seed: int, setting: Setting) -> Measured:
    depths = (SHALLOWEST, 5, 10, 20, 35, DEEPEST)
    digits = lamina.read_table("digits")
    drawn = np.random.default_rng(seed).permutation(digits.n_rows)
    rows = digits.rows(drawn[: 128 if setting.quick else 1024])
    gradients = {case: [first_gradient(rows, depth, *case, seed) for depth in depths] for case in CASES}
    figures = {}
    for (activation, start), each in gradients.items():
        figures[f"{activation}_{start}"] = each[-1] / each[0]
        figures[f"{activation}_{start}_factor"] = factor(each)
    trained_depths = (SHALLOWEST, 3, 5, TRAINED) if setting.quick else (SHALLOWEST, 3, 5, TRAINED, 12, 20)
    train, test = digits.rows(drawn[:1000]), digits.rows(drawn[1000:])
    accuracies = {
        case: [accuracy(train, test, depth, *case, seed) for depth in trained_depths]
        for case in (("sigmoid", "matched"), ("sigmoid", "large"), ("relu", "matched"))
    }
    figures["sigmoid_shallow_accuracy"] = accuracies["sigmoid", "matched"][0]
    for (activation, start), each in accuracies.items():
        figures[f"{activation}_{start}_accuracy"] = each[trained_depths.index(TRAINED)]
    kept = {"gradients": gradients, "depths": depths, "accuracies": accuracies, "trained_depths": trained_depths}
    return Measured(figures, kept)


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    layers = setting.say(Text("layers", "层数"))
    figure, axes = canvas(1, 2, width=7.8, height=3.5)
    depths = measured[0].kept["depths"]
    for axis, starts in zip(axes, (("matched", "large"), ("small",)), strict=True):
        for activation, start in CASES:
            if start in starts:
                means = np.mean([np.log10(each.kept["gradients"][activation, start]) for each in measured], axis=0)
                label = f"{activation}, × {LARGE}" if start == "large" else activation
                axis.semilogy(depths, 10.0**means, marker="o", markersize=4, label=label)
        axis.set(title=setting.say(STARTS[starts[0]]), xlabel=layers, xticks=depths)
        axis.legend(fontsize=9)
    axes[0].set_ylabel(setting.say(Text("gradient norm, first layer", "第一层的梯度范数")))

    trained, axis = canvas(width=5.4, height=3)
    depths = measured[0].kept["trained_depths"]
    names = {
        ("sigmoid", "matched"): Text("sigmoid", "sigmoid"),
        ("sigmoid", "large"): Text(f"sigmoid, weights × {LARGE}", f"sigmoid，权重 × {LARGE}"),
        ("relu", "matched"): Text("ReLU", "ReLU"),
    }
    for (case, name), marker in zip(names.items(), "osD", strict=True):
        means = np.mean([each.kept["accuracies"][case] for each in measured], axis=0)
        axis.plot(depths, means, marker=marker, markersize=5, label=setting.say(name))
    axis.axhline(0.1, color="#8a7a1f", linestyle=":", linewidth=1, label=setting.say(Text("chance", "随机猜测")))
    axis.set(xlabel=layers, xticks=depths, ylim=(0, 1.04), ylabel=setting.say(Text("test accuracy", "测试精度")))
    axis.legend(loc="center right", bbox_to_anchor=(1, 0.38), fontsize=9)
    return [
        Drawing(
            "depth",
            figure,
            Text(
                "Norm of the gradient of the loss with respect to the weights of the first layer, before training, in "
                f"networks of {UNITS} units a layer (geometric mean of the seeds). The line “sigmoid, × {LARGE}” has "
                f"{LARGE} times Glorot's weights and sums centred at 0; its gradient does not vanish.",
                f"训练开始前，损失对第一层权重的梯度的范数；每个隐藏层有 {UNITS} 个单元（取各随机种子的几何平均）。标"
                f"为“sigmoid, × {LARGE}”的线：权重取 Xavier 权重的 {LARGE} 倍，加权和以 0 为中心，梯度并不消失。",
            ),
        ),
        Drawing(
            "trained",
            trained,
            Text(
                f"Test accuracy after {TRAINING['epochs']} epochs of minibatch gradient descent with momentum (mean of "
                "the seeds).",
                f"用带动量的小批量随机梯度下降训练 {TRAINING['epochs']} 个迭代周期后的测试精度（各随机种子的均值）。",
            ),
        ),
    ]


def labels() -> dict[str, Text]:
    found = {}
    for activation, start in CASES:
        name = STARTS[start]
        found[f"{activation}_{start}"] = Text(
            f"gradient norm at {DEEPEST} layers / at {SHALLOWEST} layers, {activation}, {name.en}",
            f"{DEEPEST} 层与 {SHALLOWEST} 层的梯度之比，{activation}，{name.zh}",
        )
        found[f"{activation}_{start}_factor"] = Text(
            f"factor of the gradient norm for each further layer, {activation}, {name.en}",
            f"平均每层的倍数，{activation}，{name.zh}",
        )
    found["sigmoid_shallow_accuracy"] = Text(
        f"test accuracy, {SHALLOWEST} layers, sigmoid", f"测试精度，{SHALLOWEST} 层，sigmoid"
    )
    for activation, start in (("sigmoid", "matched"), ("sigmoid", "large"), ("relu", "matched")):
        name = STARTS[start]
        found[f"{activation}_{start}_accuracy"] = Text(
            f"test accuracy, {TRAINED} layers, {activation}, {name.en}",
            f"测试精度，{TRAINED} 层，{activation}，{name.zh}",
        )
    return found


EXPERIMENT = Experiment(
    name="vanishing-gradients",
    title=Text("Vanishing gradients against depth", "梯度消失与深度"),
    about=Text(
        "The text says that the derivative of ReLU is particularly well behaved, and that this mitigates the "
        "well-documented problem of vanishing gradients, which troubled earlier networks. For each layer, "
        "backpropagation multiplies the gradient by the weights of the layer and by the derivatives of its "
        "activation. The derivatives of sigmoid are at most 0.25, and those of ReLU are 0 or 1. Whether the product "
        "shrinks depends on the weights as well.\n\n"
        f"Here networks of 2 to 50 layers, with {UNITS} units in each hidden layer, are built for the handwritten "
        "digits. (A network of 2 layers has one hidden layer and the output layer.) The experiment measures the norm "
        "of the gradient of the loss with respect to the weights of the first layer, in float64 and before training. "
        "There are three kinds of initial weights. Matched weights suit the activation: those of He et al. for ReLU, "
        "and those of Glorot and Bengio for sigmoid and tanh. Small weights are drawn from N(0, 0.01²), which is good "
        "enough for one hidden layer. The third kind is used with sigmoid only: in every layer except the first and "
        f"the last, the weights are {LARGE} times Glorot's, and the biases are chosen so that the inputs of sigmoid "
        "(the weighted sums) have a mean near 0, because the derivative of sigmoid is largest at 0. With these "
        "weights, each further layer multiplies the gradient by more than 1 on average.\n\n"
        "Three of these kinds are then trained: ReLU with matched weights, sigmoid with Glorot's weights, and sigmoid "
        f"with {LARGE} times Glorot's weights. The networks have 2 to {TRAINED} layers (2 to 20 in a full run), and "
        "training is minibatch gradient descent with momentum. To see whether a vanishing gradient hurts, two sigmoid "
        "networks of the same depth are compared. They differ only in their initial weights and biases: one has "
        f"Glorot's weights, and the other has {LARGE} times Glorot's weights, with sums centred at 0. The larger "
        "weights change the gradient, and they also change the outputs of the layers in the forward pass. The "
        "comparison cannot tell which of these two changes makes the difference.",
        "教材说，ReLU 的导数表现特别好，因此缓解了早先的神经网络中广为人知的梯度消失问题。在反向传播中，梯度每经过一"
        "层，就要乘以该层的权重和该层激活函数的导数。sigmoid 的导数至多为 0.25，ReLU 的导数为 0 或 1；但乘积是否越来越"
        "小，还取决于权重。\n\n"
        f"这里为手写数字构建 2 到 50 层的网络（按教材的数法，隐藏层和输出层计入层数），每个隐藏层有 {UNITS} 个单元。训"
        "练之前，以 float64 计算损失对第一层权重的梯度，测量其范数。初始权重有三种：第一种与激活函数匹配（ReLU 用 He "
        "等人的方法，sigmoid 和 tanh 用 Glorot 与 Bengio 的方法，即 Xavier 初始化）；第二种取自 N(0, 0.01²)，它在只有"
        f"一个隐藏层时够用；第三种只用于 sigmoid：从第二个隐藏层起，各隐藏层的 Xavier 权重都乘以 {LARGE}；再用偏置使加"
        "权和以 0 为中心，因为 sigmoid 的导数在 0 处最大。这样，梯度每经过一层所乘的倍数平均大于 1。\n\n"
        f"随后训练其中 2 到 {TRAINED} 层（完整运行时为 2 到 20 层）的 sigmoid 与 ReLU 网络，采用带动量的小批量随机梯度"
        "下降。为了考察梯度消失是否有害，比较两个深度相同的 sigmoid 网络：只有初始权重和偏置不同，一个用 Xavier 权重，"
        f"另一个用 {LARGE} 倍的 Xavier 权重，且加权和以 0 为中心。不过，这样改变的不只是梯度，还有前向传播的信号，这一"
        "对照不能把两者分开。",
    ),
    source="4.1.2.1",
    claims=(
        Claim(
            "sigmoid",
            Text(
                "With sigmoid and Glorot's weights the gradient vanishes: at 50 layers it is less than a millionth "
                "of the gradient at 2 layers.",
                "使用 sigmoid 时梯度消失：50 层网络的梯度不到 2 层网络的百万分之一。",
            ),
            "sigmoid_matched",
            at_most=1e-6,
        ),
        Claim(
            "sigmoid-quarter",
            Text(
                "With Glorot's weights, each further layer of sigmoid multiplies the gradient by 0.25 or less on "
                "average.",
                "使用 Xavier 初始化（Glorot 与 Bengio）时，每增加一层 sigmoid，梯度平均至多变为原来的 0.25 倍。",
            ),
            "sigmoid_matched_factor",
            at_most=0.25,
        ),
        Claim(
            "sigmoid-any-weights",
            Text(
                "For any weights, a layer of sigmoid multiplies the gradient by at most 0.25, which is the largest "
                f"value of the derivative of sigmoid. (This is tested with {LARGE} times Glorot's weights.)",
                "无论权重取什么值，每增加一层 sigmoid，梯度至多变为原来的 0.25 倍（0.25 是其导数的最大值）。（用 "
                f"{LARGE} 倍的 Xavier 权重检验。）",
            ),
            "sigmoid_large_factor",
            at_most=0.25,
            expected="refuted",
        ),
        Claim(
            "sigmoid-large",
            Text(
                f"With {LARGE} times Glorot's weights, and biases that centre the sums at 0, each further layer of "
                "sigmoid multiplies the gradient by more than 1 on average: the gradient does not vanish.",
                f"使用 {LARGE} 倍的 Xavier 权重，并用偏置使加权和居中时，每增加一层 sigmoid，梯度平均变大（倍数大于 "
                "1），并不消失。",
            ),
            "sigmoid_large_factor",
            at_least=1,
        ),
        Claim(
            "relu",
            Text(
                "With ReLU and matched weights (He et al.) the gradient does not vanish: at 50 layers it is at least "
                "a hundredth of the gradient at 2 layers.",
                "使用 ReLU 及与之匹配的初始权重时，梯度不会消失：50 层网络的梯度不小于 2 层网络的百分之一。",
            ),
            "relu_matched",
            at_least=0.01,
        ),
        Claim(
            "relu-explosion",
            Text(
                "With ReLU and matched weights the gradient does not explode either: at 50 layers it is at most a "
                "hundred times the gradient at 2 layers.",
                "梯度也不会爆炸：50 层网络的梯度不大于 2 层网络的一百倍。",
            ),
            "relu_matched",
            at_most=100,
        ),
        Claim(
            "relu-small",
            Text(
                "ReLU alone is not enough: with ReLU and weights from N(0, 0.01²) the gradient vanishes too.",
                "只靠 ReLU 还不够：初始权重取自 N(0, 0.01²) 时，梯度同样消失。",
            ),
            "relu_small",
            at_most=1e-6,
        ),
        Claim(
            "tanh-small",
            Text(
                "With tanh and weights from N(0, 0.01²) the gradient vanishes as well, although the derivative of "
                "tanh is close to 1 if the sums are near 0.",
                "初始权重取自 N(0, 0.01²) 时，虽然 tanh 的导数接近 1，梯度也同样消失。",
            ),
            "tanh_small",
            at_most=1e-6,
        ),
        Claim(
            "shallow-learns",
            Text(
                "A sigmoid network of 2 layers learns the digits: its test accuracy is at least 0.9.",
                "2 层的 sigmoid 网络能学会识别手写数字：测试精度至少为 0.9。",
            ),
            "sigmoid_shallow_accuracy",
            at_least=0.9,
        ),
        Claim(
            "hurts",
            Text(
                f"A sigmoid network of {TRAINED} layers with Glorot's weights learns nothing: its test accuracy is at "
                "most 0.2, and random guessing has 0.1.",
                f"使用 Xavier 初始化的 {TRAINED} 层 sigmoid 网络什么也学不到：测试精度至多为 0.2，而随机猜测的精度"
                "为 0.1。",
            ),
            "sigmoid_matched_accuracy",
            at_most=0.2,
        ),
        Claim(
            "vanishing-is-why",
            Text(
                f"With {LARGE} times Glorot's weights and centred sums, which keep the gradient from vanishing, the "
                f"same sigmoid network of {TRAINED} layers learns: its test accuracy is at least 0.9.",
                f"权重取 Xavier 权重的 {LARGE} 倍并使加权和居中，梯度便不会消失，这时同样是 {TRAINED} 层的 sigmoid 网"
                "络就能学会：测试精度至少为 0.9。",
            ),
            "sigmoid_large_accuracy",
            at_least=0.9,
        ),
        Claim(
            "relu-learns",
            Text(
                f"A ReLU network of {TRAINED} layers with matched weights learns: its test accuracy is at least 0.7.",
                f"使用与 ReLU 匹配的初始权重，{TRAINED} 层的 ReLU 网络能够学习：测试精度至少为 0.7。",
            ),
            "relu_matched_accuracy",
            at_least=0.7,
        ),
    ),
    figures=labels(),
    measure=measure,
    draw=draw,
    data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
