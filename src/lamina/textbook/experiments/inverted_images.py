"""A world in which inverted images keep their class: a linear model is lost there, and an MLP is not."""

from typing import Any

import numpy as np
import torch

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

PIXEL = (13, 17)  # the text's, of 28 x 28
DRAWN = {"Trouser": "裤子", "Sneaker": "运动鞋", "Bag": "包", "Ankle boot": "短靴"}
DRAWN_DIGITS = {0: "0", 1: "1", 7: "7", 9: "9"}


def pictures(seed: int, setting: Setting) -> tuple[Any, ...]:
    """Return training and test images (n, height, width) and classes (n,): digits in a quick run, else clothing."""
    rng = np.random.default_rng(seed)
    if setting.quick:
        table = lamina.read_table("digits")
        x, y = table["image"].values, table["digit"].values
        order = rng.permutation(len(x))
        return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]
    train, test = (
        lamina.read_table(name, data_dir=setting.data_dir) for name in ("fashion-mnist", "fashion-mnist:test")
    )
    y, y_test = (np.array(each["label"].levels)[each["label"].values] for each in (train, test))
    rows = rng.permutation(len(y))[:20_000]
    return train["image"].values[rows], y[rows], test["image"].values, y_test


def half_inverted(x: Any, top: int, rng: np.random.Generator) -> Any:
    """Return the images, black and white exchanged in half of them, chosen at random."""
    chosen = rng.permutation(len(x)) < len(x) // 2
    return np.where(chosen[:, None, None], top - x, x).astype(x.dtype)


def fitted(x: Any, y: Any, seed: int, setting: Setting, **options: Any) -> lamina.Model:
    epochs, batch_size = (25, 64) if setting.quick else (10, 256)
    if setting.quick and not options["hidden_units"]:
        options["learning_rate"] = 0.02  # with few steps, a linear model needs long ones
    return lamina.fit(
        (x, y), epochs=epochs, batch_size=batch_size, early_stopping=False, baselines=False, seed=seed, **options
    )


def gradients(model: lamina.Model, x: Any) -> Any:
    """Return the derivative of each class's logit by each pixel of each image: (classes, n, height, width)."""
    pixels = torch.tensor(x.reshape(len(x), -1), dtype=torch.float32, requires_grad=True)
    logits = model.network({"pixels": pixels})
    each = [torch.autograd.grad(logit.sum(), pixels, retain_graph=True)[0] for logit in logits.unbind(1)]
    return torch.stack(each).numpy().reshape(-1, *x.shape)


def rarer_sign(gradient: Any) -> float:
    """Share of images (second axis) in which the effect on a class has its rarer sign, mean over the classes."""
    positive = (gradient > 0).mean(axis=1)
    return float(np.minimum(positive, 1 - positive).mean())


def right_both_ways(model: lamina.Model, x: Any, y: Any, top: int) -> tuple[float, float]:
    """Share of images that a linear model has right and their inverses too, and how many of them are exceptions.

    Of an image and its inverse the logits add up to twice those of a grey image. If a class has the largest one both
    times, it has the largest one of grey: only that class can be right twice, and any other is an exception.
    """
    twice = (model.predict(x) == y) & (model.predict(top - x) == y)
    grey = np.full((1, *x.shape[1:]), top / 2)
    return float(twice.mean()), float((twice & (y != model.predict(grey)[0])).sum())


def measure(seed: int, setting: Setting) -> Measured:
    x, y, x_test, y_test = pictures(seed, setting)
    top = int(x.max())
    rng = np.random.default_rng(seed)
    worlds = {
        "upright": (x, x_test),
        "mixed": (half_inverted(x, top, rng), half_inverted(x_test, top, rng)),
    }
    models, accuracy = {}, {}
    for world, (train, test) in worlds.items():
        for name, units in (("linear", ()), ("mlp", (128,) if setting.quick else (256, 128))):
            model = fitted(train, y, seed, setting, hidden_units=units)
            models[name, world] = model
            accuracy[name, world] = float(np.mean(model.predict(test) == y_test))
    twice, exceptions = right_both_ways(models["linear", "mixed"], x_test, y_test, top)
    row, column = (each * x.shape[1] // 28 for each in PIXEL)
    shown = x_test[:300]
    linear, mlp = gradients(models["linear", "upright"], shown), gradients(models["mlp", "mixed"], shown)
    inverted = gradients(models["mlp", "mixed"], top - shown)
    figures = {
        **{f"{name}_{world}": value for (name, world), value in accuracy.items()},
        **{f"{name}_kept": accuracy[name, "mixed"] / accuracy[name, "upright"] for name in ("linear", "mlp")},
        "linear_mixed_loss": models["linear", "mixed"].evaluate((worlds["mixed"][1], y_test))["log_loss"],
        "linear_twice": twice,
        "linear_exceptions": exceptions,
        "linear_sign": rarer_sign(linear[:, :, row, column]),
        "mlp_sign": rarer_sign(gradients(models["mlp", "upright"], shown)[:, :, row, column]),
        "turned": float(np.mean(np.sign(mlp) != np.sign(inverted))),
    }
    lost = gradients(models["linear", "mixed"], shown[:1])
    maps = [linear[:, 0], lost[:, 0], mlp.mean(axis=1), inverted.mean(axis=1)]
    drawn = DRAWN_DIGITS if setting.quick else DRAWN
    places = {Text(str(name), zh): int(np.flatnonzero(np.unique(y) == name)[0]) for name, zh in drawn.items()}
    return Measured(figures, {"maps": maps, "places": places, "pixel": (row, column), "example": (x_test[0], top)})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    bars, axes = canvas(width=5.4, height=2.8)
    labels = {
        "linear_upright": Text("linear,\nas they are", "线性，\n原图"),
        "linear_mixed": Text("linear,\nhalf inverted", "线性，\n半数反转"),
        "mlp_upright": Text("MLP,\nas they are", "多层感知机，\n原图"),
        "mlp_mixed": Text("MLP,\nhalf inverted", "多层感知机，\n半数反转"),
    }
    for place, key in enumerate(labels):
        axes.plot([place] * len(measured), [each.figures[key] for each in measured], "o")
    axes.axhline(0.1, linestyle=":", color="#8a7a1f")
    axes.set_xticks(range(4), [setting.say(label) for label in labels.values()])
    axes.set(xlim=(-0.5, 3.5), ylim=(0, 1.04), ylabel=setting.say(Text("test accuracy", "测试精度")))

    kept = measured[0].kept
    rows = (
        Text("linear,\nas they are", "线性，\n原图"),
        Text("linear,\nhalf inverted", "线性，\n半数反转"),
        Text("MLP, at\nimages", "多层感知机，\n在原图处"),
        Text("MLP, at their\ninverses", "多层感知机，\n在反转图处"),
    )
    maps, grid = canvas(4, 5, width=5.4, height=4)
    for i, (gradient, label) in enumerate(zip(kept["maps"], rows, strict=True)):
        largest = np.abs(gradient[list(kept["places"].values())]).max()
        for j, (name, k) in enumerate(kept["places"].items()):
            grid[i, j].imshow(gradient[k], cmap="coolwarm", vmin=-largest, vmax=largest)
            grid[i, j].plot(kept["pixel"][1], kept["pixel"][0], "s", color="#1b1f24", markersize=5, fillstyle="none")
            grid[0, j].set_title(setting.say(name))
        grid[i, 0].set_ylabel(setting.say(label), rotation=0, ha="right", va="center")
    image, top = kept["example"]
    for place, example in enumerate((image, top - image, image, top - image)):
        grid[place, 4].imshow(example, cmap="gray", vmin=0, vmax=top)
    for each in grid.flat:
        each.set(xticks=[], yticks=[])
        each.grid(visible=False)
        each.spines[:].set_visible(False)
    grid[0, 4].set_title(setting.say(Text("example", "示例")))
    return [
        Drawing(
            "accuracy",
            bars,
            Text(
                "Test accuracy of each seed; the dotted line is guessing.",
                "各种子的测试精度；点线为随机猜测。",
            ),
        ),
        Drawing(
            "effect",
            maps,
            Text(
                "How each pixel moves the logit of a class (red: up, blue: down; seed 0). A linear model has one such "
                "map, its weights, for all images. The lower rows are means over images: of the MLP that was trained "
                "with half of its images inverted, at images and at their inverses. On the right, an example of the "
                f"images: as it is, or inverted. The square marks the text's pixel {PIXEL}, or the one at its place in "
                f"a smaller image.",
                "各像素如何改变某一类别的 logit（红：增大；蓝：减小；种子 0）。线性模型对所有图像只有一幅这样的图，"
                "即其权重。下两行是对图像取的均值：用半数反转的图像训练的多层感知机，分别在原图处和反转图处。右侧为图像示例：原图或其反转图。"
                f"方框标出教材中的像素 {PIXEL}，图像较小时则为相应位置的像素。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="inverted-images",
    title=Text("Inverted images", "反转的图像"),
    about=Text(
        "The text: whether a brighter pixel at (13, 17) speaks for or against a class depends on the pixels around it; "
        "a linear model must say one or the other for all images, and in a world in which inverting an image keeps its "
        "class it is doomed to fail.\n\n"
        "Here half of all images, in training and in test, are inverted. Of an image and its inverse, the logits of a "
        "softmax regression add up to those of grey, twice. So it can be right about both only for the one class that "
        "it takes grey for: about half of its accuracy is lost by construction, before anything is learned. And what "
        "it gains on an image it loses on the inverse: the expected loss is convex and the same for the weights W and "
        "-W, so it is least where no pixel counts at all, at log 10 = 2.303, the loss of guessing.\n\n"
        "Guessing is right on one image in ten. That about one in four is right here is no contradiction: the training "
        "images are a finite sample, so that W is not quite 0, and accuracy asks only which logit is the largest, by "
        "however little. A W that is right on the upright images would have half of all images right, were it ever so "
        "small. The loss is what shows that nothing is gained.\n\n"
        "Fashion-MNIST, 20,000 images for training; in a quick run, scikit-learn's digits.",
        "教材指出：位置 (13, 17) 的像素变亮，究竟增大还是减小图像属于某一类别的可能性，取决于它周围的像素；"
        "线性模型却必须对所有图像给出同一回答，因此在反转图像保留类别的世界里注定会失败。\n\n"
        "这里把训练和测试图像各反转一半。对一幅图像及其反转图，softmax 回归的 logit 之和恒等于灰色图像的 logit 的两倍。"
        "因此只有它判给灰色图像的那一个类别，才可能两次都判对：还没有学习，由构造就已失去约一半的精度。"
        "而且它在一幅图像上得到的，恰在反转图上失去：期望损失是凸的，且权重取 W 与 -W 时相同，"
        "因此在所有像素都不起作用处取到最小值 log 10 = 2.303，即随机猜测的损失。\n\n"
        "随机猜测的精度为十分之一，这里却约有四分之一判对，两者并不矛盾：训练图像是有限的样本，W 不会恰好为 0；"
        "而精度只看哪个 logit 最大，不管大多少。若某个 W 能判对未反转的图像，那么它无论多小，都能判对全部图像的一半。"
        "真正说明没有收益的是损失。\n\n"
        "数据为 Fashion-MNIST，训练用 20000 幅；快速运行时用 scikit-learn 的 digits。",
    ),
    source="4.1.1.1",
    claims=(
        Claim(
            "linear-collapses",
            Text(
                "With half of the images inverted a softmax regression keeps at most half of its accuracy.",
                "半数图像反转后，softmax 回归至多保住其精度的一半。",
            ),
            "linear_kept",
            at_most=0.5,
        ),
        Claim(
            "right-once",
            Text(
                "A softmax regression that is right about an image is wrong about its inverse, except for the one "
                "class that it takes a grey image for.",
                "softmax 回归如果判对一幅图像，就会判错其反转图，它判给灰色图像的那一个类别除外。",
            ),
            "linear_exceptions",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "nothing-gained",
            Text(
                "It gains nothing over guessing: its test log loss is not below log 10 by more than 0.05.",
                "与随机猜测相比没有收益：其测试对数损失低于 log 10 不超过 0.05。",
            ),
            "linear_mixed_loss",
            at_least=2.302585 - 0.05,
        ),
        Claim(
            "mlp-does-not",
            Text("The MLP keeps at least nine tenths of its accuracy.", "多层感知机至少保住其精度的九成。"),
            "mlp_kept",
            at_least=0.9,
        ),
        Claim(
            "linear-one-sign",
            Text(
                "To a linear model the pixel speaks for a class in all images, or against it in all.",
                "对线性模型而言，该像素变亮对某一类别的作用在所有图像中方向相同。",
            ),
            "linear_sign",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "mlp-context",
            Text(
                "To the MLP it depends on the other pixels: trained on images as they are, in at least a tenth of them "
                "the pixel's effect has the other sign.",
                "对多层感知机而言，这取决于其他像素：即便用未反转的图像训练，至少一成图像中该像素的作用方向相反。",
            ),
            "mlp_sign",
            at_least=0.1,
        ),
    ),
    figures={
        "linear_upright": Text("accuracy of softmax regression, images as they are", "softmax 回归的精度，原图"),
        "linear_mixed": Text("accuracy of softmax regression, half inverted", "softmax 回归的精度，半数反转"),
        "linear_kept": Text("share of its accuracy that softmax regression keeps", "softmax 回归保住的精度的比例"),
        "mlp_upright": Text("accuracy of the MLP, images as they are", "多层感知机的精度，原图"),
        "mlp_mixed": Text("accuracy of the MLP, half inverted", "多层感知机的精度，半数反转"),
        "mlp_kept": Text("share of its accuracy that the MLP keeps", "多层感知机保住的精度的比例"),
        "linear_mixed_loss": Text("log loss of softmax regression, half inverted", "softmax 回归的对数损失，半数反转"),
        "linear_twice": Text(
            "share of images that softmax regression has right as they are and inverted, half inverted",
            "softmax 回归对原图和反转图都判对的比例，半数反转",
        ),
        "linear_exceptions": Text(
            "images that it has right as they are and inverted, of another class than grey is taken for",
            "原图和反转图都判对、而又不属于灰色图像所判类别的图像数",
        ),
        "linear_sign": Text(
            "share of images with the minority sign of the pixel's effect, softmax regression",
            "该像素的作用取少数符号的图像的比例，softmax 回归",
        ),
        "mlp_sign": Text("the same, MLP", "同上，多层感知机"),
        "turned": Text(
            "share of effects of a pixel that turn over with the image, MLP, half inverted",
            "像素的作用随图像反转而变号的比例，多层感知机，半数反转",
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("Fashion-MNIST (clothing, 28 × 28 pixels)", "Fashion-MNIST（服装，28 × 28 像素）"),
    quick_data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
