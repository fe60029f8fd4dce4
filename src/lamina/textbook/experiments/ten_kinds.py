"""Ten kinds of clothing: softmax regression from scratch and by the library, and a multilayer perceptron."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook import scratch
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

LIGHT, DARK = "#f4f6f8", "#1b1f24"  # of the numbers in the cells, which have a ground of their own
CLOTHING = {
    "T-shirt/top": "T恤", "Trouser": "裤子", "Pullover": "套衫", "Dress": "连衣裙", "Coat": "外套",
    "Sandal": "凉鞋", "Shirt": "衬衫", "Sneaker": "运动鞋", "Bag": "包", "Ankle boot": "短靴",
}  # fmt: skip
MODELS = {
    "scratch": Text("softmax regression from scratch", "从零实现的 softmax 回归"),
    "library": Text("softmax regression by the library", "用库实现的 softmax 回归"),
    "mlp": Text("MLP", "多层感知机"),
}


def pictures(seed: int, setting: Setting) -> tuple[Any, ...]:
    """Return training and test images (n, height, width) and classes (n,), numbered as in ``names``, and ``names``."""
    rng = np.random.default_rng(seed)
    if setting.quick:
        table = lamina.read_table("digits")
        order = rng.permutation(table.n_rows)
        x, y = table["image"].values[order], table["digit"].values[order]
        return x[:1200], y[:1200], x[1200:], y[1200:], [Text(str(i), str(i)) for i in range(10)]
    train, test = (
        lamina.read_table(name, data_dir=setting.data_dir) for name in ("fashion-mnist", "fashion-mnist:test")
    )
    numbers = [np.array([list(CLOTHING).index(level) for level in each["label"].levels]) for each in (train, test)]
    y, y_test = (number[each["label"].values] for number, each in zip(numbers, (train, test), strict=True))
    rows = rng.permutation(len(y))[:30_000]
    names = [Text(en, zh) for en, zh in CLOTHING.items()]
    return train["image"].values[rows], y[rows], test["image"].values, y_test, names


def by_library(x: Any, y: Any, seed: int, epochs: int, **options: Any) -> lamina.Model:
    return lamina.fit((x, y), epochs=epochs, early_stopping=False, baselines=False, seed=seed, **options)


def weights(model: lamina.Model) -> scratch.Parameters:
    """Return [W, b] of a linear model for plain pixels: the library standardises them, (x - mean) / scale, first."""
    (image,) = model.encoder.images
    output = model.network.members()[0].output
    W, b = (each.detach().double().numpy() for each in (output.weight, output.bias))
    return [W / image.scale, b - image.mean / image.scale * W.sum(axis=0)]


def measure(seed: int, setting: Setting) -> Measured:
    x, y, x_test, y_test, names = pictures(seed, setting)
    epochs = 30 if setting.quick else 10
    rng = np.random.default_rng(seed)
    flat, flat_test = (each.reshape(len(each), -1) / x.max() for each in (x, x_test))
    parameters = scratch.softmax_regression(flat.shape[1], 10)
    start = scratch.cross_entropy(scratch.softmax_regression_forward(parameters, flat), y)
    size, rate = (32, 0.5) if setting.quick else (256, 0.1)
    # Plain gradient descent on plain pixels comes as far as the library's optimizer, but needs more passes.
    losses = {"scratch": scratch.train(parameters, flat, y, epochs=30, learning_rate=rate, batch_size=size, rng=rng)}
    linear = by_library(x, y, seed, epochs, hidden_units=(), learning_rate=0.02 if setting.quick else None)
    mlp = by_library(x, y, seed, epochs, hidden_units=(128,) if setting.quick else (256, 128))
    losses |= {
        "library": [each.train_loss for each in linear.history],
        "mlp": [each.train_loss for each in mlp.history],
    }
    probabilities = {
        "scratch": scratch.softmax(scratch.softmax_regression_forward(parameters, flat_test)),
        "library": linear.predict_proba(x_test),
        "mlp": mlp.predict_proba(x_test),
    }
    borrowed = scratch.softmax(scratch.softmax_regression_forward(weights(linear), x_test.reshape(len(x_test), -1)))
    every = np.stack(list(probabilities.values()))
    accuracy = {name: float(np.mean(p.argmax(axis=1) == y_test)) for name, p in probabilities.items()}
    figures = {
        "sum_error": float(np.abs(every.sum(axis=2) - 1).max()),
        "least_probability": float(every.min()),
        "start_error": abs(start - np.log(10)),
        "loss_left": losses["scratch"][-1] / start,
        **accuracy,
        "borrowed": float(np.abs(borrowed - probabilities["library"]).max()),
        "same": abs(accuracy["scratch"] - accuracy["library"]),
        "mlp_gain": accuracy["mlp"] - max(accuracy["scratch"], accuracy["library"]),
    }
    kept = {"losses": losses, "names": names}
    return Measured(figures, kept | mistakes(probabilities["mlp"], x_test, y_test))


def mistakes(probabilities: Any, x: Any, y: Any) -> dict[str, Any]:
    """Return the confusion matrix (10, 10), row = true class, and the twelve most confident errors."""
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (y, predicted), 1)
    surest = np.argsort(np.where(predicted == y, 0, -probabilities.max(axis=1)), kind="stable")[:12]
    wrong = [(x[i], y[i], predicted[i]) for i in surest if predicted[i] != y[i]]
    return {"confusion": confusion, "wrong": wrong}


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    kept = measured[0].kept
    names = [setting.say(name) for name in kept["names"]]
    curves, axes = canvas(width=5.4, height=3)
    for name, label in MODELS.items():
        losses = kept["losses"][name]
        axes.plot(range(1, len(losses) + 1), losses, label=setting.say(label))
    axes.set(xlabel=setting.say(Text("epoch", "迭代周期")), ylabel=setting.say(Text("training loss", "训练损失")))
    axes.set_ylim(bottom=0)
    axes.legend()

    matrix, cells = canvas(width=5.4, height=4.6)
    confusion = kept["confusion"]
    cells.imshow(np.sqrt(confusion), cmap="Blues")
    for i, j in np.argwhere(confusion > 0):
        dark = confusion[i, j] > confusion.max() / 3
        cells.text(j, i, str(confusion[i, j]), ha="center", va="center", fontsize=8, color=LIGHT if dark else DARK)
    cells.set_xticks(range(10), names)
    if not setting.quick:
        cells.tick_params(axis="x", labelrotation=90)
    cells.set_yticks(range(10), names)
    cells.set(xlabel=setting.say(Text("predicted", "预测")), ylabel=setting.say(Text("true", "真实")))
    cells.grid(visible=False)

    images, grid = canvas(3, 4, width=5.4, height=5.2)
    for place in grid.flat:
        place.set_axis_off()
    for place, (image, true, predicted) in zip(grid.flat, kept["wrong"], strict=False):
        place.imshow(image, cmap="gray")
        place.set_title(f"{names[true]}\n→ {names[predicted]}", fontsize=9)
    return [
        Drawing(
            "loss",
            curves,
            Text(
                "Cross-entropy in training (seed 0): from scratch over all rows after each epoch, by the library the "
                "mean over the epoch's minibatches, that of the MLP with dropout.",
                "训练过程中的交叉熵（随机种子为 0）：从零实现的曲线，是每个迭代周期结束时全部样本上的损失；用库实现的"
                "曲线，是该迭代周期内各小批量损失的均值，其中多层感知机使用了暂退法。",
            ),
        ),
        Drawing(
            "confusion",
            matrix,
            Text(
                "What the MLP makes of the test images of each class (seed 0): how many, by true and predicted class.",
                "多层感知机对各类测试图像的判断（种子 0）：按真实类别与预测类别计数。",
            ),
        ),
        Drawing(
            "wrong",
            images,
            Text(
                "The MLP's most confident errors among the test images: true class → predicted class (seed 0).",
                "多层感知机最有把握却判错的测试图像：真实类别 → 预测类别（种子 0）。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="ten-kinds",
    title=Text("Ten kinds of clothing", "十种服装"),
    about=Text(
        "The text looks back: softmax regression, from scratch and by a library, recognised ten kinds of clothing in "
        "images of low resolution. Outputs were forced into valid probabilities, a loss was applied to them, and it "
        "was minimised by the parameters.\n\n"
        "Here it is done again, from scratch in NumPy (`lamina/textbook/scratch.py`), by the library "
        "(`hidden_units=()`), and with the hidden layers that the text goes on to. Fashion-MNIST, 30,000 images for "
        "training and all 10,000 for the test; in a quick run, scikit-learn's digits.",
        "教材回顾：先从零开始、再用库实现的 softmax 回归，从低分辨率图像中识别了 10 种服装。在此过程中，把输出强制转换"
        "为有效的概率分布，应用损失函数，并根据模型参数将其最小化。\n\n"
        "这里重做一遍：用 NumPy 从零实现（`lamina/textbook/scratch.py`）、用库实现（`hidden_units=()`），再加上教材接下"
        "来引入的隐藏层。数据为 Fashion-MNIST，训练用 30000 幅，测试用全部 10000 幅；快速运行时用 scikit-learn 的 "
        "digits。",
    ),
    source="4.1",
    claims=(
        Claim(
            "probabilities-sum",
            Text(
                "Outputs are valid probabilities: those of an example sum to 1, for all three models.",
                "输出是有效的概率分布：三个模型对每个样本给出的概率之和都为 1。",
            ),
            "sum_error",
            at_most=1e-12,
            kind="identity",
        ),
        Claim(
            "probabilities-positive",
            Text("Outputs are valid probabilities: none is below 0.", "输出是有效的概率分布：没有一个小于 0。"),
            "least_probability",
            at_least=0,
            kind="identity",
        ),
        Claim(
            "minimised",
            Text(
                "The loss is minimised by the parameters: it starts at log 10, and less than half of that is left.",
                "损失随参数最小化：从 log 10 开始，最后不到其一半。",
            ),
            "loss_left",
            at_most=0.5,
        ),
        Claim(
            "recognised",
            Text(
                "Softmax regression from scratch recognises the ten classes: at least four in five, where chance is "
                "one in ten.",
                "从零实现的 softmax 回归能识别十个类别：精度至少五分之四，而随机猜测为十分之一。",
            ),
            "scratch",
            at_least=0.8,
        ),
        Claim(
            "same-model",
            Text(
                "From scratch and by the library it is the same model: with the library's weights, the one from "
                "scratch gives the library's probabilities.",
                "从零实现与用库实现的是同一个模型：代入库的权重后，从零实现的模型给出与库相同的概率。",
            ),
            "borrowed",
            at_most=1e-9,
            kind="identity",
        ),
        Claim(
            "same-accuracy",
            Text(
                "Trained each in its own way, their accuracies differ by at most two points.",
                "各自训练后，二者的精度相差不超过两个百分点。",
            ),
            "same",
            at_most=0.02,
        ),
        Claim(
            "mlp",
            Text(
                "The linearity is a strong assumption: the MLP, which is without it, is more accurate than both.",
                "线性是很强的假设：不作此假设的多层感知机比两者都更精确。",
            ),
            "mlp_gain",
            at_least=0,
        ),
    ),
    figures={
        "sum_error": Text("largest distance of an example's sum from 1", "各样本概率之和与 1 的最大差"),
        "least_probability": Text("smallest probability", "最小的概率"),
        "start_error": Text("distance of the first loss from log 10, weights 0", "权重为 0 时损失与 log 10 的差"),
        "loss_left": Text("share of the loss that training leaves, from scratch", "训练后剩余损失的比例，从零实现"),
        "scratch": Text("accuracy of softmax regression from scratch", "从零实现的 softmax 回归的精度"),
        "library": Text("accuracy of softmax regression by the library", "用库实现的 softmax 回归的精度"),
        "mlp": Text("accuracy of the MLP", "多层感知机的精度"),
        "borrowed": Text(
            "largest difference of a probability, scratch with the library's weights", "代入库的权重时概率的最大差"
        ),
        "same": Text("difference of scratch and library", "从零实现与用库实现的精度差"),
        "mlp_gain": Text("by how much the MLP is better than both", "多层感知机比两者高出的精度"),
    },
    measure=measure,
    draw=draw,
    data=Text("Fashion-MNIST (clothing, 28 × 28 pixels)", "Fashion-MNIST（服装，28 × 28 像素）"),
    quick_data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
