"""The words of the page, the notebooks and the terminal, in both languages."""

from collections.abc import Sequence
from pathlib import Path

from lamina.textbook.experiment import Claim, Experiment, Text
from lamina.textbook.runner import Judged, Outcome

_VERDICTS = {
    "held": Text("held", "成立"),
    "refuted": Text("refuted", "不成立"),
    "inconclusive": Text("inconclusive", "无定论"),
}
_KINDS = {
    "measurement": Text("measured", "实测"),
    "identity": Text("by definition or proof", "定义或证明"),
}


def verdict(judged: Judged) -> Text:
    """Return the verdict, with what was expected where that is not simply ``held``."""
    word = _VERDICTS[judged.verdict]
    if judged.unexpected:
        return Text(f"{word.en}, against expectation", f"{word.zh}（与预期相反）")
    if judged.verdict == "refuted":
        return Text(f"{word.en}, as expected", f"{word.zh}（如预期）")
    return word


def kind(claim: Claim) -> Text:
    """Return whether a claim could have come out otherwise."""
    return _KINDS[claim.kind]


def measured(judged: Judged, experiment: Experiment) -> Text:
    """Return what was measured and the bound, to be put behind the verdict."""
    label = experiment.figures[judged.claim.figure]
    return Text(
        f"({label.en}: {judged.measured}; bound {judged.claim.bound})",
        f"（{label.zh}：{judged.measured}；界限 {judged.claim.bound}）",
    )


def tally(outcome: Outcome) -> Text:
    """Return the verdicts of an experiment in one line."""
    if outcome.failure is not None:
        return Text(f"Not measured: {outcome.failure}", f"未能测量：{outcome.failure}")
    return summary([outcome])


def summary(outcomes: Sequence[Outcome]) -> Text:
    """Return the verdicts of several experiments in one line."""
    every = [each for outcome in outcomes for each in outcome.judged]
    counts = {name: sum(each.verdict == name for each in every) for name in _VERDICTS}
    n_unexpected = sum(each.unexpected for each in every)
    n_identities = sum(each.claim.kind == "identity" for each in every)
    en = ", ".join(f"{n} {_VERDICTS[name].en}" for name, n in counts.items() if n) or "none judged"
    zh = "、".join(f"{n} 条{_VERDICTS[name].zh}" for name, n in counts.items() if n) or "均未评判"
    against = Text(
        f"{n_unexpected or 'none'} had the opposite of the expected result",
        f"{f'{n_unexpected} 条' if n_unexpected else '没有一条'}的结果与预期相反",
    )
    so = Text(
        f" {n_identities} of them by definition or proof." if n_identities else "",
        f"其中 {n_identities} 条由定义或证明就能判定。" if n_identities else "",
    )
    n = len(every)
    return Text(
        f"Of {n} claim{'' if n == 1 else 's'}: {en}; {against.en}.{so.en}", f"{n} 条论断：{zh}；{against.zh}。{so.zh}"
    )


def failed(outcome: Outcome) -> Text:
    """Return the line on stderr for an experiment that was not measured."""
    name = outcome.experiment.name
    return Text(f"error: {name}: {outcome.failure}", f"错误：{name}：{outcome.failure}")


def against(outcome: Outcome, judged: Judged) -> Text:
    """Return the line on stderr for a verdict that is the opposite of the expected one."""
    name, bound = f"{outcome.experiment.name}/{judged.claim.name}", judged.claim.bound
    return Text(
        f"error: the claim {name} is {judged.verdict} against expectation: measured {judged.measured}, bound {bound}.",
        f"错误：论断 {name} {_VERDICTS[judged.verdict].zh}，与预期相反：实测 {judged.measured}，界限 {bound}。",
    )


def quick_data(experiment: Experiment) -> Text:
    """Return what a quick run was measured on, and what a full one would be."""
    quick = experiment.quick_data or experiment.data
    return Text(
        f"data of {experiment.name}, quick: {quick.en}; in a full run: {experiment.data.en}",
        f"{experiment.name} 的数据，快速运行：{quick.zh}；完整运行：{experiment.data.zh}",
    )


def page_at(path: Path) -> Text:
    """Return the last line of a run."""
    return Text(f"page: {path}", f"页面：{path}")


TITLE = Text("The textbook's claims, measured", "逐条实测教材的论断")
INTRODUCTION = Text(
    "Experiments test the claims of the textbook's section on multilayer perceptrons. Each claim has a bound that was "
    "set before the measurement, and it is measured with three or more seeds. Its verdict is “held” if every seed is "
    "within the bound, “refuted” if none is, and “inconclusive” otherwise. A few claims are expected to be refuted; "
    "some of these are mistakes of the text. Some expectations, however, were revised after a run; where this was "
    "done, the experiment says so.",
    "用实验逐条检验教材“多层感知机”一节的论断。每条论断的界限在测量之前就已定好，并用三个或更多随机种子测量：各个种子"
    "的结果都在界限内，论断就成立；没有一个在界限内，就不成立；其余情况为无定论。有几条论断预期不成立，其中包括教材有"
    "误的地方。不过，有些预期在某次运行之后作过修改；凡是改过的，该实验都有说明。",
)
KINDS = Text(
    "Claims are of two kinds. A claim that is marked “by definition or proof” is true or false by definition, by "
    "construction or by a theorem, and its measurement checks only that the program does what the formula says. All "
    "other claims could have come out otherwise.",
    "论断分两类。标有“定义或证明”的，其真假由定义、构造或定理就能判定，测量只检验程序是否与公式一致；其余论断则要靠测"
    "量，结果事先并不确定。",
)
EDITION = (
    Text("The text is section 4.1 of the Chinese edition of ", "这里的“教材”指《动手学深度学习》中文版第 4.1 节（"),
    Text("Dive into Deep Learning", "多层感知机"),
    Text(" (in the current English edition, ", "；在现行英文版中是"),
    Text("section 5.1", "第 5.1 节"),
    Text(
        "). This page quotes a Chinese translation of the English page; its words are not always those of the printed "
        "edition, so look places up by the number of the section.",
        "）。页面引用的文字是从英文网页翻译的，措辞与印刷版不尽相同，请按节号查找。",
    ),
)
CHINESE_EDITION = "https://zh.d2l.ai/chapter_multilayer-perceptrons/mlp.html"
ENGLISH_EDITION = "https://d2l.ai/chapter_multilayer-perceptrons/mlp.html"
QUICK = Text(
    "This was a quick run, with less data and fewer epochs than a full one. The heading of each experiment names its "
    "data.",
    "这是一次快速运行：所用的数据和迭代周期数都少于完整运行。各实验所用的数据写在该实验的标题下方。",
)
MADE_BY = Text("Made by ", "生成工具：")
CONTENTS = Text("Contents", "目录")
ALL_CLAIMS = Text("All claims", "全部论断")
CLAIM = Text("claim", "论断")
CLAIMS = Text("What is claimed", "论断")
BOUND = Text("bound", "界限")
MEASURED = Text("measured", "实测")
KIND = Text("kind", "类别")
FIGURES = Text("What was measured", "实测结果")
FIGURE = Text("quantity", "量")
MEAN = Text("mean", "均值")
LEAST = Text("least", "最小值")
LARGEST = Text("largest", "最大值")
VERDICT = Text("verdict", "结论")
CODE = Text("The experiment's code", "实验代码")
NOTEBOOK = Text("The same as a notebook", "同一实验的笔记本")
LIST = (Text("name", "名称"), Text("section", "节"), Text("claims", "论断"), Text("title", "标题"))
