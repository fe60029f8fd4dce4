"""The first layers are a representation, the last one is a linear model of it."""

from typing import Any

import numpy as np

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

ON = {
    "pixels": Text("pixels", "像素"),
    "first": Text("first hidden layer", "第一隐藏层"),
    "last": Text("last hidden layer", "最后一个隐藏层"),
}


def pictures(seed: int, setting: Setting) -> tuple[Any, ...]:
    """Return training and test images (n, height, width) and classes (n,): clothing, or, in a quick run, digits.

    Half of the digits are inverted: as they are, a linear model is almost as good as any.
    """
    rng = np.random.default_rng(seed)
    if setting.quick:
        table = lamina.read_table("digits")
        order = rng.permutation(table.n_rows)
        x, y = table["image"].values[order], table["digit"].values[order]
        x[::2] = 16 - x[::2]
        return x[:1000], y[:1000], x[1000:], y[1000:]
    train, test = (
        lamina.read_table(name, data_dir=setting.data_dir) for name in ("fashion-mnist", "fashion-mnist:test")
    )
    y, y_test = (np.array(each["label"].levels)[each["label"].values] for each in (train, test))
    rows = rng.permutation(len(y))[:20_000]
    return train["image"].values[rows], y[rows], test["image"].values, y_test


def fitted(x: Any, y: Any, seed: int, setting: Setting, **options: Any) -> lamina.Model:
    epochs, batch_size = (40, 64) if setting.quick else (10, 256)
    options = {"epochs": epochs, "batch_size": batch_size, "early_stopping": False, "baselines": False, **options}
    return lamina.fit((x, y), numeric="standard", seed=seed, **options)


def linear_model(x: Any, y: Any, seed: int, setting: Setting) -> lamina.Model:
    if not setting.quick:
        return fitted(x, y, seed, setting, hidden_units=())
    # What a network has learned of few images separates them, and only a penalty tells which linear model is meant.
    return fitted(x, y, seed, setting, hidden_units=(), optimizer="lbfgs", weight_decay=10.0, epochs=200)


def two_directions(h: Any) -> Any:
    """Return rows (n, d) by their two principal components, (n, 2)."""
    h = h.reshape(len(h), -1).astype(float)
    u, s, _ = np.linalg.svd(h - h.mean(axis=0), full_matrices=False)
    return u[:, :2] * s[:2]


def measure(seed: int, setting: Setting) -> Measured:
    x, y, x_test, y_test = pictures(seed, setting)
    mlp = fitted(x, y, seed, setting, hidden_units=(128, 64))
    trained_on = {"pixels": x, "first": mlp.hidden_outputs(x, 0), "last": mlp.hidden_outputs(x)}
    tested_on = {"pixels": x_test, "first": mlp.hidden_outputs(x_test, 0), "last": mlp.hidden_outputs(x_test)}
    accuracy = {}
    for name in ON:
        linear = linear_model(trained_on[name], y, seed, setting)
        accuracy[name] = float(np.mean(linear.predict(tested_on[name]) == y_test))
    mlp_accuracy = float(np.mean(mlp.predict(x_test) == y_test))
    output = mlp.network.members()[0].output
    weight, bias = (each.detach().double().numpy() for each in (output.weight, output.bias))
    by_hand = tested_on["last"] @ weight + bias
    figures = {
        "mlp": mlp_accuracy,
        **accuracy,
        "last_gap": abs(mlp_accuracy - accuracy["last"]),
        "pixels_gap": mlp_accuracy - accuracy["pixels"],
        "output_layer": float(np.abs(by_hand - mlp.predict_logits(x_test)).max()),
    }
    points = {name: two_directions(tested_on[name][:300]) for name in ("pixels", "last")}
    return Measured(figures, {"points": points, "y": y_test[:300]})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    scores, axes = canvas(width=5.4, height=2.8)
    for place, name in enumerate((*ON, "mlp")):
        axes.plot([place] * len(measured), [each.figures[name] for each in measured], "o")
    labels = [setting.say(Text(f"linear model of\n{on.en}", f"线性模型，\n{on.zh}")) for on in ON.values()]
    axes.set_xticks(range(4), [*labels, setting.say(Text("MLP", "多层感知机"))], fontsize=8)
    axes.set(xlim=(-0.5, 3.5), ylabel=setting.say(Text("test accuracy", "测试精度")))

    figure, panels = canvas(1, 2, width=5.4, height=2.9)
    kept = measured[0].kept
    classes = np.unique(kept["y"])
    for panel, name in zip(panels, ("pixels", "last"), strict=True):
        points = kept["points"][name]
        for i, each in enumerate(classes):
            of_class = points[kept["y"] == each]
            panel.plot(*of_class.T, "os^Dv"[i % 5], markersize=3, alpha=0.7)
        panel.set(xticks=[], yticks=[], title=setting.say(ON[name]))
    return [
        Drawing(
            "accuracy",
            scores,
            Text(
                "Test accuracy of each seed: linear models of the pixels and of what each hidden layer makes of them, "
                "and the MLP itself.",
                "各种子的测试精度：以像素、以各隐藏层的输出为特征的线性模型，以及多层感知机本身。",
            ),
        ),
        Drawing(
            "classes",
            figure,
            Text(
                "300 test images, each class with a colour and a mark of its own, along the two directions in which "
                "they differ most (principal components; seed 0): as pixels, and as the last hidden layer has them.",
                "300 幅测试图像沿差异最大的两个方向（主成分；种子 0）的分布，每个类别各有其颜色与记号："
                "左为像素，右为最后一个隐藏层的输出。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="representation",
    title=Text("Representation and linear predictor", "表示与线性预测器"),
    about=Text(
        "The text: think of the first L - 1 layers as a representation and of the last one as a linear predictor; the "
        "data may have a representation on which a linear model is suitable, but no one knows how to compute it by "
        "hand, so the network learns it together with the predictor.\n\n"
        "Here an MLP with the hidden layers 128 and 64 is trained, its output layer is thrown away, and a softmax "
        "regression is fitted anew to what the last hidden layer makes of the training images "
        "(`model.hidden_outputs`); another one is fitted to the pixels. Fashion-MNIST, 20,000 images for training; in "
        "a quick run, scikit-learn's digits, half of them inverted: as they are, they are almost linear.",
        "教材指出：可以把前 L - 1 层看作表示，把最后一层看作线性预测器；数据也许有一种适合线性模型的表示，"
        "但没有人知道如何手工计算它，于是由网络把表示与预测器一起学出来。\n\n"
        "这里训练一个隐藏层为 128 和 64 个单元的多层感知机，丢弃其输出层，再对最后一个隐藏层在训练图像上的输出"
        "（`model.hidden_outputs`）重新拟合 softmax 回归，并与直接对像素拟合的 softmax 回归比较。数据为 Fashion-MNIST，"
        "训练用 20000 幅；快速运行时用 scikit-learn 的 digits，其中一半反转：不反转时线性模型已几乎够用。",
    ),
    source="4.1.1.2",
    claims=(
        Claim(
            "last-layer-linear",
            Text(
                "The MLP's output, before softmax, is an affine function of the last hidden layer.",
                "多层感知机在 softmax 之前的输出是最后一个隐藏层的仿射函数。",
            ),
            "output_layer",
            at_most=1e-9,
            kind="identity",
        ),
        Claim(
            "representation",
            Text(
                "On the last hidden layer a linear model is suitable: fitted anew, it is as accurate as the MLP within "
                "one point.",
                "在最后一个隐藏层上线性模型是合适的：重新拟合后，其精度与多层感知机相差不超过一个百分点。",
            ),
            "last_gap",
            at_most=0.01,
        ),
        Claim(
            "pixels",
            Text(
                "On the pixels it is not: there it is more than one point below the MLP.",
                "在像素上不合适：其精度比多层感知机低一个百分点以上。",
            ),
            "pixels_gap",
            at_least=0.01,
        ),
    ),
    figures={
        "mlp": Text("accuracy of the MLP", "多层感知机的精度"),
        "pixels": Text("accuracy of a linear model of the pixels", "以像素为特征的线性模型的精度"),
        "first": Text("accuracy of a linear model of the first hidden layer", "以第一隐藏层为特征的线性模型的精度"),
        "last": Text("accuracy of a linear model of the last hidden layer", "以最后一个隐藏层为特征的线性模型的精度"),
        "last_gap": Text("difference of the last hidden layer's and the MLP's", "最后一个隐藏层与多层感知机的精度差"),
        "pixels_gap": Text("by how much the MLP is better than the pixels", "多层感知机比像素高出的精度"),
        "output_layer": Text(
            "largest difference of the MLP's logits and H W + b", "多层感知机的输出与 H W + b 的最大差"
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("Fashion-MNIST (clothing, 28 × 28 pixels)", "Fashion-MNIST（服装，28 × 28 像素）"),
    quick_data=Text(
        "handwritten digits, half of them inverted (scikit-learn, 8 × 8 pixels)",
        "手写数字，其中一半反转（scikit-learn，8 × 8 像素）",
    ),
)
