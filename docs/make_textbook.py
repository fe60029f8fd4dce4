"""Write docs/textbook from the experiments of `lamina textbook`. Run by `make docs`; a test compares the two.

A page for each experiment, and an index from each statement and exercise of the textbook's section to what Lamina has
for it. The index is the one thing written by hand: the table ``TEXTBOOK``.
"""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from lamina.textbook.experiment import Experiment
from lamina.textbook.notebooks import source_of
from lamina.textbook.runner import EXPERIMENTS, load
from lamina.textbook.words import CHINESE_EDITION, ENGLISH_EDITION

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Statement:
    """One statement of the text, and where Lamina has it; names are separated by commas.

    Attributes:
        says: what the text says.
        begins: how it begins in the text.
        tools: public names, ``x`` for ``lamina.x``, or commands.
        experiments: names of experiments.
        tests: ``x`` for ``tests/test_x.py``.
    """

    says: str
    begins: str
    tools: str
    experiments: str
    tests: str


@dataclass(frozen=True)
class Section:
    """A heading of the text with the statements under it, one row each; ``note`` stands where there are none."""

    number: str
    heading: str
    chinese: str
    statements: tuple[Statement, ...] = ()
    note: str = ""


# fmt: off
TEXTBOOK = (
    Section("4.1", "Multilayer perceptrons", "多层感知机", (
        Statement("softmax regression, from scratch and with a high-level API, recognises 10 kinds of clothing",
                  "在第 3 节中，我们介绍了 softmax 回归",
                  "fit, MLPClassifier, lamina train", "ten-kinds", "scratch, textbook_ten_kinds"),
        Statement("outputs are coerced into a valid probability distribution, a loss is minimised",
                  "将我们的输出强制转换为有效的概率分布",
                  "Model", "ten-kinds", "losses, textbook_ten_kinds"),
    )),
    Section("4.1.1", "Hidden layers", "隐藏层", (
        Statement("one affine map and softmax suffice where the labels are related to the inputs by an affine map",
                  "该模型通过单个仿射变换将我们的输入直接映射到我们的输出",
                  "fit", "linear-monotonic", "baselines, textbook_linear_monotonic"),
    )),
    Section("4.1.1.1", "Linear models may go wrong", "线性模型可能会出错", (
        Statement("linear implies monotonic; repayment grows with income, though not linearly; preprocessing helps",
                  "例如，线性意味着单调性的较弱假设",
                  "fit", "linear-monotonic", "textbook_linear_monotonic"),
        Statement("body temperature: not even monotonic; the distance from 37 °C as the feature mends it",
                  "请注意，我们可以很容易地提出违反单调性的示例",
                  "fit", "body-temperature", "textbook_body_temperature"),
        Statement("cats and dogs: one pixel cannot always count the same; inverted images keep their class",
                  "但是对猫和狗的图像进行分类呢",
                  "fit", "inverted-images", "textbook_inverted_images"),
        Statement("the hidden layers learn a representation, and a linear predictor acts on it",
                  "然而，尽管这里的线性显然很荒谬",
                  "Model", "representation", "textbook_representation"),
    )),
    Section("4.1.1.2", "Incorporating hidden layers", "合并隐藏层", (
        Statement("layers are stacked; the first L - 1 are the representation, the last is the linear predictor",
                  "我们可以通过合并一个或多个隐藏层来克服线性模型的这些限制",
                  "fit, Model", "representation", "network, textbook_representation"),
        Statement("the figure: 4 inputs, 5 hidden units, 3 outputs, 2 layers, each unit connected to each",
                  "这个 MLP 有 4 个输入，3 个输出",
                  "parameter_count", "network-figure", "parameters, textbook_network_figure"),
        Statement("full connection costs many parameters; parameter saving against effectiveness (Zhang et al. 2021)",
                  "具有完全连接层的 MLP 的参数化成本可能非常高",
                  "parameter_count, fit", "parameter-saving", "saving_layers, textbook_parameter_saving"),
    )),
    Section("4.1.1.3", "From linear to nonlinear", "从线性到非线性", (
        Statement("without a nonlinearity nothing is gained: an affine function of an affine function is affine",
                  "请注意，添加隐藏层后",
                  "collapse", "stacked-affine", "collapse, textbook_stacked_affine"),
        Statement("σ acts rowwise, one example at a time, as softmax does; mostly also elementwise",
                  "由于每一行 X 在对应于小批量中的一个例子",
                  "rowwise, ACTIVATIONS", "rowwise", "rowwise, textbook_rowwise"),
    )),
    Section("4.1.1.4", "Universal approximators", "通用逼近器", (
        Statement("hidden nodes can be designed for any computation, such as logic operations on two inputs",
                  "我们可以很容易地设计隐藏节点来执行任意计算",
                  "fit", "logic-gates", "textbook_logic_gates"),
        Statement("one hidden layer can model any function (if it is continuous); to learn it is the hard part",
                  "MLP 是通用逼近器",
                  "fit", "universal-approximation", "textbook_universal_approximation"),
        Statement("deeper networks approximate many functions more compactly than wider ones",
                  "此外，仅仅因为单隐藏层网络可以学习任何功能",
                  "linear_pieces, parameter_count", "deep-instead-of-wide", "pieces, textbook_deep_instead_of_wide"),
    )),
    Section("4.1.2", "Activation functions", "激活函数", (
        Statement("activations are differentiable operators, and most add a nonlinearity",
                  "激活函数通过计算加权和并进一步添加偏差",
                  "ACTIVATIONS, register_activation, lamina activations", "activation-gradients", "activations"),
    )),
    Section("4.1.2.1", "ReLU function", "ReLU 函数", (
        Statement("max(x, 0), drawn",
                  "由于实现的简单性和在各种预测任务上的良好性能",
                  "plot, plot_activation, ACTIVATIONS", "activation-gradients", "activations, plots"),
        Statement("the function is piecewise linear",
                  "如您所见，激活函数是分段线性的",
                  "linear_pieces, linear_regions, local_formula", "piecewise-linear",
                  "pieces, regions, formula, textbook_piecewise_linear"),
        Statement("the derivative is 0 or 1, and at 0 that from the left, 0; drawn",
                  "当输入为负时，ReLU 函数的导数为 0",
                  "ACTIVATIONS, plot_activation", "activation-gradients", "activations, textbook"),
        Statement("derivatives that vanish or let the argument through mitigate vanishing gradients",
                  "使用 ReLU 的原因是它的导数表现特别好",
                  "gradient_flow", "vanishing-gradients", "flow, textbook_vanishing_gradients"),
        Statement("pReLU adds a linear term, so that some information passes for negative arguments",
                  "请注意，ReLU 函数有许多变体",
                  "ACTIVATIONS", "learned-activations, piecewise-linear", "activations, textbook_learned_activations"),
    )),
    Section("4.1.2.2", "Sigmoid function", "Sigmoid 函数", (
        Statement("the threshold unit, 0 below its threshold and 1 above it",
                  "在最早的神经网络中",
                  "ACTIVATIONS", "activation-gradients, logic-gates", "activations"),
        Statement("the sigmoid is a smooth threshold unit and a special case of softmax",
                  "当注意力转移到基于梯度的学习上时",
                  "ACTIVATIONS", "activation-gradients", "activations, losses"),
        Statement("in hidden layers it has been replaced by ReLU, which is easier to train",
                  "大部分用于隐藏层的 Sigmoid 已被更简单且更易于训练的 ReLU 所取代",
                  "gradient_flow", "vanishing-gradients", "flow, textbook_vanishing_gradients"),
        Statement("near 0 the sigmoid is close to a linear transformation; drawn",
                  "下面，我们绘制 sigmoid 函数",
                  "plot_activation", "activation-gradients", "activations, textbook"),
        Statement("the derivative: its formula, at most 0.25, which it is at 0; towards 0 on both sides; drawn",
                  "sigmoid 函数的导数由以下等式给出",
                  "ACTIVATIONS, plot_activation", "activation-gradients", "activations, textbook"),
    )),
    Section("4.1.2.3", "Tanh function", "正切函数", (
        Statement("tanh squashes to (-1, 1), is close to linear near 0 and point-symmetric; drawn",
                  "与 sigmoid 函数一样，tanh（双曲正切）函数也会压缩其输入",
                  "plot_activation, to_sigmoid", "activation-gradients", "activations, conversion"),
        Statement("the derivative: its formula, at most 1, near 0; towards 0 on both sides; drawn",
                  "tanh 函数的导数是",
                  "ACTIVATIONS, plot_activation", "activation-gradients", "activations, textbook"),
        Statement("a few lines of code now do what took thousands in C and Fortran",
                  "总之，我们现在知道如何结合非线性",
                  "fit, MLPClassifier, MLPRegressor, lamina train", "ten-kinds", "fitting, scratch"),
    )),
    Section("4.1.3", "Summary", "概括", note="The text has a heading here and nothing under it."),
    Section("4.1.4", "Exercises", "练习", (
        Statement("**Exercise 1:** the derivative of pReLU",
                  "计算 pReLU 激活函数的导数",
                  "ACTIVATIONS", "activation-gradients, worked-answers", "activations, textbook"),
        Statement("**Exercise 1**, the text's answer: a derivative of tanh, which is wrong",
                  "the derivative of the tanh",
                  "ACTIVATIONS", "worked-answers", "activations, textbook"),
        Statement("**Exercise 1**, the text's answer: ReLU of ReLU, pReLU of pReLU, and sums of linear functions",
                  "y = ReLU(h) = max(h, 0) = max(x, 0) = ReLU(x)",
                  "linear_pieces, local_formula", "worked-answers, piecewise-linear", "pieces, formula, textbook"),
        Statement("**Exercise 2:** tanh(x) + 1 = 2 sigmoid(2x), shown and drawn",
                  "显示 tanh(x) + 1 = 2 sigmoid(2x)",
                  "to_sigmoid, to_tanh, plot", "worked-answers", "conversion, textbook"),
        Statement("**Exercise 3:** what goes wrong with a nonlinearity that applies to one minibatch at a time",
                  "假设我们有一个非线性，一次只适用于一个小批量",
                  "rowwise", "rowwise", "rowwise, textbook_rowwise"),
    )),
)
# fmt: on


def experiment_page(experiment: Experiment) -> str:
    """Return the page of one experiment: what the text says, the claims with their bounds, the figures, the code."""
    claims = [
        (
            f"`{claim.name}`",
            _cell(claim.statement.en),
            _cell(experiment.figures[claim.figure].en),
            "by definition or proof" if claim.kind == "identity" else "measurement",
            _cell(claim.bound),
            claim.expected,
        )
        for claim in experiment.claims
    ]
    figures = "\n".join(f"- {_escaped(label.en)}" for label in experiment.figures.values())
    path = inspect.getsourcefile(experiment.measure)
    assert path is not None
    file = f"src/lamina/textbook/experiments/{Path(path).name}"
    return f"""# {experiment.title.en} ({experiment.title.zh})

`lamina textbook {experiment.name}` · section {experiment.source} · [index](README.md) · generated by `make docs`

{_escaped(experiment.about.en)}

## Claims

Each is measured with the seeds {_numbers(experiment.seeds)}. It is held when every seed is within the bound,
refuted when none is, inconclusive otherwise. What is so by definition or proof is measured only to check the program.

Data: {_data(experiment)}.

{_table(("claim", "statement", "measured", "kind", "bound", "expected"), claims)}

## What is measured

{figures}

## Code

[{file}](../../{file})

```python
{source_of(experiment).rstrip()}
```
"""


def index_page() -> str:
    """Return the index: all experiments, then each statement of the text with its tools, experiments and tests."""
    experiments = [load(name) for name in EXPERIMENTS]
    overview = [
        (f"[{each.name}]({each.name}.md)", each.source, _cell(each.title.en), each.title.zh, str(len(each.claims)))
        for each in experiments
    ]
    sections = "\n\n".join(_section(section) for section in TEXTBOOK)
    return f"""# The textbook and Lamina

Generated by `make docs`. The text is section 4.1, multilayer perceptrons (多层感知机), of the Chinese edition of
[*Dive into Deep Learning*]({CHINESE_EDITION}); in the current English edition it is
[section 5.1]({ENGLISH_EDITION}). The phrases under "where" are those of the text at hand, another Chinese
translation of the English page that it names as its source. The printed edition often has other words
(在网络中加入隐藏层 for 合并隐藏层, 通用近似定理 for 通用逼近器, 小结 for 概括, tanh 函数 for 正切函数), and no worked
answers: look a place up by the number of its section.

`lamina textbook` measures the claims of the text: the [guide](../guide.md) says how, and each experiment has a page
here. Each is a [notebook](../notebooks.md) for students as well.

## The experiments

{_table(("experiment", "section", "title", "标题", "claims"), overview)}

{sections}
"""


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    experiments = [load(name) for name in EXPERIMENTS]
    return {"README.md": index_page(), **{f"{each.name}.md": experiment_page(each) for each in experiments}}


def names(listed: str) -> list[str]:
    """Return the names of a list such as those in ``Statement``."""
    return listed.split(", ")


def _section(section: Section) -> str:
    heading = f"## {section.number} {section.heading} ({section.chinese})"
    if not section.statements:
        return f"{heading}\n\n{section.note}"
    rows = [
        (
            _cell(statement.says),
            _cell(statement.begins),
            ", ".join(f"`{name}`" if " " in name else f"`lamina.{name}`" for name in names(statement.tools)),
            ", ".join(f"[`lamina textbook {name}`]({name}.md)" for name in names(statement.experiments)),
            ", ".join(f"[test_{name}.py](../../tests/test_{name}.py)" for name in names(statement.tests)),
        )
        for statement in section.statements
    ]
    return f"{heading}\n\n{_table(('the text says', 'where', 'tool', 'experiment', 'checked by'), rows)}"


def _data(experiment: Experiment) -> str:
    if experiment.quick_data is None:
        return _escaped(experiment.data.en)
    return f"{_escaped(experiment.data.en)}; with `--quick`, {_escaped(experiment.quick_data.en)}"


def _numbers(seeds: tuple[int, ...]) -> str:
    return f"{', '.join(str(seed) for seed in seeds[:-1])} and {seeds[-1]}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return ``text`` with < and single * as themselves; what is in `backquotes` stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"(?<!\*)\*(?!\*)", r"\\*", part.replace("<", "&lt;"))
        for part in parts
    )


if __name__ == "__main__":
    folder = HERE / "textbook"
    folder.mkdir(exist_ok=True)
    written = pages()
    for old in folder.glob("*.md"):
        if old.name not in written:
            old.unlink()
    for name, page in written.items():
        (folder / name).write_text(page, encoding="utf-8")
