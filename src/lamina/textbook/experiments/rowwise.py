"""Rowwise and elementwise: what an output depends on, and what goes wrong when it depends on the minibatch."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text


def change(function: Callable[[Tensor], Tensor], seed: int) -> Tensor:
    """Return by how much each output, (6, 5), changes when the input in row 2 and column 1 does."""
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    nudged = x.clone()
    nudged[2, 1] += 1
    return (function(nudged) - function(x)).abs()


def reach(changes: Tensor) -> tuple[float, float]:
    """Return the largest change of the other elements of row 2, and of the other rows."""
    return float(changes[2, [0, 2, 3, 4]].max()), float(changes[[0, 1, 3, 4, 5]].max())


def activations() -> list[Callable[[Tensor], Tensor]]:
    """Every activation that the library knows, each with the initial value of its learned parameter."""
    functions: list[Callable[[Tensor], Tensor]] = []
    for each in lamina.ACTIVATIONS:
        given = () if each.parameter is None else (torch.tensor([each.parameter.initial], dtype=torch.float64),)
        functions.append(lambda x, function=each.function, given=given: function(x, *given))  # type: ignore[misc]
    return functions


def batch_norm(x: Tensor) -> Tensor:
    """Ioffe and Szegedy 2015, algorithm 1, in training: mean and variance of each column over the minibatch."""
    return torch.nn.functional.batch_norm(x, None, None, training=True)


def alone(x: Tensor) -> Tensor:
    """Batch normalization of minibatches of one row each: a row's mean is the row itself, and its variance is 0."""
    mean, variance = x, torch.zeros_like(x)
    return (x - mean) / (variance + 1e-5).sqrt()


def softmax(x: Tensor) -> Tensor:
    return x.softmax(dim=1)


def trained(rows: Any, normalization: str, seed: int) -> lamina.Model:
    return lamina.fit(
        rows,
        hidden_units=(128,),
        normalization=normalization,
        dropout=0.0,
        epochs=20,
        early_stopping=False,
        baselines=False,
        seed=seed,
    )


def probabilities(model: lamina.Model, images: Any, *, training: bool) -> Any:
    """Return the probabilities (n, 10) of one minibatch, its layers working as in training or as in prediction."""
    # A copy: in training mode batch normalization changes its running statistics even where nothing is learned.
    network = copy.deepcopy(model.network).train(training)
    with torch.no_grad():
        return network({"pixels": torch.as_tensor(images.reshape(len(images), -1))}).softmax(dim=1).numpy()


def refuses_one_row(model: lamina.Model, images: Any) -> bool:
    try:
        probabilities(model, images[:1], training=True)
    except ValueError:  # torch: expected more than 1 value per channel when training
        return True
    return False


def in_minibatches(model: lamina.Model, images: Any, order: Any) -> Any:
    """Return the probabilities of ``images`` in minibatches of about 32 in ``order``, the layers as in training."""
    result = np.empty((len(images), 10))
    for rows in np.array_split(order, len(images) // 32):
        result[rows] = probabilities(model, images[rows], training=True)
    return result


def measure(seed: int, setting: Setting) -> Measured:
    rng = np.random.default_rng(seed)
    digits = lamina.read_table("digits")
    order = rng.permutation(digits.n_rows)
    train, test = digits.rows(order[:1000]), digits.rows(order[1000:])
    x, y = test["image"].values, test["digit"].values
    batch, layer = trained(train, "batch", seed), trained(train, "layer", seed)
    reaches = [reach(change(function, seed)) for function in activations()]
    softmax_row, softmax_rows = reach(change(softmax, seed))
    _, batch_rows = reach(change(batch_norm, seed))
    among_any, among_its_class = (in_minibatches(batch, x, rows) for rows in (rng.permutation(len(y)), np.argsort(y)))
    predicted = probabilities(batch, x, training=False)
    accuracy = {
        "prediction": np.mean(predicted.argmax(axis=1) == y),
        "mixed": np.mean(among_any.argmax(axis=1) == y),
        "sorted": np.mean(among_its_class.argmax(axis=1) == y),
    }
    figures = {
        "activation_elsewhere": max(max(each) for each in reaches),
        "softmax_row": softmax_row,
        "softmax_rows": softmax_rows,
        "batch_rows": batch_rows,
        "batch_company": lamina.rowwise(batch).training.max_difference,
        "alone": float(alone(torch.as_tensor(x.reshape(len(x), -1), dtype=torch.float64)).abs().max()),
        "batch_alone": float(refuses_one_row(batch, x)),
        "train_test": float(np.abs(among_any - predicted).max()),
        **{f"accuracy_{name}": float(value) for name, value in accuracy.items()},
        "sorted_lost": float(accuracy["prediction"] - accuracy["sorted"]),
        "batch_predicts": lamina.rowwise(batch).evaluation.max_difference,
        "layer_company": lamina.rowwise(layer).training.max_difference,
    }
    return Measured(figures, {"answers": answers(batch, x, y, rng)})


def answers(model: lamina.Model, x: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the probability of the right class of eight images, (8,) in prediction, (8, 60) in 60 minibatches."""
    # Those of which the model is least sure: there it shows most.
    predicted = probabilities(model, x, training=False)[np.arange(len(y)), y]
    chosen = np.argsort(np.abs(predicted - 0.5))[:8]
    others = np.setdiff1d(np.arange(len(y)), chosen)
    minibatches = [np.array([i, *rng.choice(others, 31)]) for i in chosen for _ in range(60)]
    seen = [probabilities(model, x[rows], training=True)[0, y[rows[0]]] for rows in minibatches]
    return predicted[chosen], np.reshape(seen, (8, 60))


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    functions: dict[str, Callable[[Tensor], Tensor]] = {"ReLU": torch.relu, "softmax": softmax}
    functions[setting.say(Text("batch normalization", "批量规范化"))] = batch_norm
    maps, axes = canvas(1, 3, width=5.4, height=2.4, sharey=True)
    for each, (name, function) in zip(axes, functions.items(), strict=True):
        changed = change(lambda x, f=function: f(x.abs()), 0)  # type: ignore[misc]
        each.imshow((changed > 0).numpy(), cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
        each.plot(1, 2, "x", color="#d0662a", markersize=9, markeredgewidth=2.5)
        each.set(title=name, xlabel=setting.say(Text("unit", "单元")), xticks=range(5), yticks=range(6))
        each.grid(visible=False)
    axes[0].set_ylabel(setting.say(Text("row of the minibatch", "小批量中的行")))

    figure, one = canvas(width=5.4, height=2.8)
    predicted, seen = measured[0].kept["answers"]
    for i in range(8):
        one.plot([i] * 60, seen[i], "o", color="#2f7fd1", markersize=3, alpha=0.4)
    one.plot(range(8), predicted, "D", color="#d0662a", label=setting.say(Text("as in prediction", "按预测方式")))
    one.plot([], [], "o", color="#2f7fd1", label=setting.say(Text("in 60 minibatches", "在 60 个小批量中")))
    one.set(
        xticks=range(8),
        ylim=(-0.03, 1.03),
        xlabel=setting.say(Text("image", "图像")),
        ylabel=setting.say(Text("probability of its class", "其所属类别的概率")),
    )
    one.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return [
        Drawing(
            "reach",
            maps,
            Text(
                "A minibatch of 6 rows and 5 units: blue are the outputs that change when the input at the cross does. "
                "ReLU is elementwise, softmax rowwise, batch normalization neither.",
                "6 行、5 个单元的小批量：叉号处的输入改变时，蓝色的输出随之改变。ReLU 是逐元素的，softmax 是逐行的，批"
                "量规范化两者都不是。",
            ),
        ),
        Drawing(
            "answers",
            figure,
            Text(
                "Eight test images, each among 31 others in 60 minibatches, with batch normalization as in training: "
                "the same image and the same weights give another answer each time (seed 0; the eight of which the "
                "model is least sure).",
                "8 幅测试图像，各放入 60 个小批量，与另外 31 幅图像同处，批量规范化按训练方式工作："
                "同一图像、同一组权重，每次给出不同的答案（种子 0；取模型最没有把握的 8 幅）。",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="rowwise",
    title=Text("Rowwise and elementwise", "逐行与逐元素"),
    about=Text(
        "The text: a nonlinearity works row by row, one example at a time, as softmax does; an activation of a hidden "
        "layer even works element by element, without a look at the other units. And its last exercise: what problems "
        "are to be expected of a nonlinearity that applies to one minibatch at a time?\n\n"
        "Here one element of the input changes, and every output that changes with it is counted. Batch normalization "
        "in training is a nonlinearity that applies to a minibatch; an MLP that has it, trained on scikit-learn's "
        "digits, shows the problems. The way out: at prediction, means and variances that were learned in training, "
        "as every library has it; or layer normalization, which looks at one row only. `lamina.rowwise(model)` tells "
        "which models depend on the minibatch.",
        "教材指出：非线性函数以逐行方式作用于其输入，一次一个样本，softmax 即是如此；隐藏层的激活函数不仅逐行，"
        "而且逐元素，无需查看其他隐藏单元的值。最后一道习题问：如果一个非线性一次作用于一个小批量，会导致什么样的问题？"
        "\n\n"
        "这里改变输入的一个元素，看哪些输出随之改变。训练时的批量规范化正是作用于小批量的非线性；"
        "用 scikit-learn 的 digits 训练一个带有它的多层感知机，就能看到这些问题。解决办法是：预测时改用训练中得到的"
        "均值与方差，各种库都这样做；或者改用只看一个样本的层规范化。`lamina.rowwise(model)` 能指出模型是否依赖于小批"
        "量。",
    ),
    source="4.1.1.3, 4.1.4",
    claims=(
        Claim(
            "activations-elementwise",
            Text(
                "Activations are elementwise: a changed input changes no output but its own, for all that Lamina has.",
                "激活函数是逐元素的：改变一个输入，只有它自己的输出改变（对 Lamina 的全部激活函数）。",
            ),
            "activation_elsewhere",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "softmax-rowwise",
            Text("Softmax is rowwise: other rows do not change.", "softmax 是逐行的：其他行不变。"),
            "softmax_rows",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "softmax-not-elementwise",
            Text(
                "Softmax is not elementwise: the rest of the row changes.", "softmax 不是逐元素的：同行的其余元素改变。"
            ),
            "softmax_row",
            at_least=1e-3,
            kind="identity",
        ),
        Claim(
            "batch-norm-neither",
            Text(
                "Batch normalization in training is neither: other rows change.",
                "训练时的批量规范化两者都不是：其他行改变。",
            ),
            "batch_rows",
            at_least=1e-3,
            kind="identity",
        ),
        Claim(
            "same-row",
            Text(
                "First problem: the same example gets another answer in another minibatch.",
                "问题一：同一样本在不同的小批量中得到不同的答案。",
            ),
            "batch_company",
            at_least=1e-3,
        ),
        Claim(
            "one-row",
            Text(
                "Second problem: in a minibatch of one example every unit becomes 0, whatever the example: nothing is "
                "learned from it. (Lamina refuses such a minibatch.)",
                "问题二：小批量只有一个样本时，无论是什么样本，每个单元都变为 0，从中学不到任何东西。（Lamina 拒绝这样"
                "的小批量。）",
            ),
            "alone",
            at_most=0,
            kind="identity",
        ),
        Claim(
            "train-and-test",
            Text(
                "Third problem: training and prediction disagree about the same example with the same weights.",
                "问题三：对同一样本、同一组权重，训练时与预测时的结果不一致。",
            ),
            "train_test",
            at_least=1e-3,
        ),
        Claim(
            "order",
            Text(
                "Fourth problem: the order of the examples matters; predicted in minibatches as in training, but "
                "sorted by class, they are recognised less often by at least ten points.",
                "问题四：样本的次序有影响；如果按训练方式预测，且小批量按类别排序，精度至少下降十个百分点。",
            ),
            "sorted_lost",
            at_least=0.1,
        ),
        Claim(
            "statistics",
            Text(
                "What to do: with means and variances from training, prediction is rowwise.",
                "对策：使用训练中得到的均值与方差，预测就是逐行的。",
            ),
            "batch_predicts",
            at_most=1e-9,
            kind="identity",
        ),
        Claim(
            "layer-norm",
            Text(
                "What to do: with layer normalization, training is rowwise too.",
                "对策：改用层规范化，训练也是逐行的。",
            ),
            "layer_company",
            at_most=1e-9,
            kind="identity",
        ),
    ),
    figures={
        "activation_elsewhere": Text("largest change elsewhere, any activation", "激活函数：别处的最大改变"),
        "softmax_row": Text("largest change of the rest of the row, softmax", "softmax：同行其余元素的最大改变"),
        "softmax_rows": Text("largest change of other rows, softmax", "softmax：其他行的最大改变"),
        "batch_rows": Text("largest change of other rows, batch normalization", "批量规范化：其他行的最大改变"),
        "batch_company": Text(
            "difference of an example's logits between minibatches, batch normalization in training",
            "同一样本在不同小批量中 logit 的差，批量规范化，训练方式",
        ),
        "alone": Text(
            "largest unit after normalizing a minibatch of one", "对单个样本的小批量规范化后单元的最大绝对值"
        ),
        "batch_alone": Text(
            "Lamina refuses to train on a minibatch of one (1: yes)", "Lamina 拒绝用单个样本的小批量训练（1：是）"
        ),
        "train_test": Text(
            "largest difference of a probability between training and prediction", "训练方式与预测方式所得概率的最大差"
        ),
        "accuracy_prediction": Text("accuracy as in prediction", "精度，按预测方式"),
        "accuracy_mixed": Text("accuracy as in training, examples in random order", "精度，按训练方式，样本次序随机"),
        "accuracy_sorted": Text(
            "accuracy as in training, examples sorted by class", "精度，按训练方式，样本按类别排序"
        ),
        "sorted_lost": Text("accuracy lost if examples are sorted by class", "按类别排序所损失的精度"),
        "batch_predicts": Text(
            "difference of an example's logits between minibatches, batch normalization in prediction",
            "同一样本在不同小批量中 logit 的差，批量规范化，预测方式",
        ),
        "layer_company": Text(
            "difference of an example's logits between minibatches, layer normalization in training",
            "同一样本在不同小批量中 logit 的差，层规范化，训练方式",
        ),
    },
    measure=measure,
    draw=draw,
    data=Text("handwritten digits (scikit-learn, 8 × 8 pixels)", "手写数字（scikit-learn，8 × 8 像素）"),
)
