"""The words of the page, the notebooks and the table, in both languages."""

from lamina.textbook.experiment import Text
from lamina.textbook.runner import Judged, Outcome

_VERDICTS = {
    "held": Text("held", "成立"),
    "refuted": Text("refuted", "不成立"),
    "inconclusive": Text("inconclusive", "无定论"),
}


def verdict(judged: Judged) -> Text:
    """Return the verdict, with what was expected where that is not simply ``held``."""
    word = _VERDICTS[judged.verdict]
    if judged.unexpected:
        return Text(f"{word.en}, against expectation", f"{word.zh}（与预期相反）")
    if judged.verdict == "refuted":
        return Text(f"{word.en}, as expected", f"{word.zh}（如预期）")
    return word


def measured(judged: Judged) -> Text:
    """Return what was measured and the bound, to be put behind the verdict."""
    return Text(
        f"(measured {judged.measured}, bound {judged.claim.bound})",
        f"（实测 {judged.measured}，界限 {judged.claim.bound}）",
    )


def tally(outcome: Outcome) -> Text:
    """Return the verdicts of an experiment in one line."""
    if outcome.failure is not None:
        return Text(f"Not measured: {outcome.failure}", f"未能测量：{outcome.failure}")
    counts = {name: sum(each.verdict == name for each in outcome.judged) for name in _VERDICTS}
    n_unexpected = sum(each.unexpected for each in outcome.judged)
    en = ", ".join(f"{n} {_VERDICTS[name].en}" for name, n in counts.items() if n)
    zh = "、".join(f"{n} 条{_VERDICTS[name].zh}" for name, n in counts.items() if n)
    against = Text(
        f"{n_unexpected} against expectation" if n_unexpected else "none against expectation",
        f"{n_unexpected} 条与预期相反" if n_unexpected else "无一与预期相反",
    )
    n = len(outcome.judged)
    return Text(f"Of {n} claims: {en}; {against.en}.", f"{n} 条论断：{zh}；{against.zh}。")


TITLE = Text("The textbook's claims, measured", "教材论断的实测")
INTRODUCTION = Text(
    "Every claim of the textbook's section on multilayer perceptrons as an experiment. Each claim has a bound that was "
    "set before the measurement and is measured with three seeds: it is held when every seed is within the bound, "
    "refuted when none is, and inconclusive otherwise. A few are expected to be refuted: the text is wrong there.",
    "把教材“多层感知机”一节的每条论断做成一个实验。每条论断在测量之前就定好界限，并用三个随机种子测量："
    "全部种子都在界限内则成立，没有一个在界限内则不成立，其余为无定论。有几条论断预期不成立：教材在那里有误。",
)
QUICK = Text(
    "This was a quick run: less data and fewer epochs than in a full one.",
    "这是一次快速运行：数据和轮数都少于完整运行。",
)
MADE_BY = Text("Made by ", "生成工具：")
ALL_CLAIMS = Text("All claims", "全部论断")
CLAIM = Text("claim", "论断")
CLAIMS = Text("What the text claims", "教材的论断")
BOUND = Text("bound", "界限")
MEASURED = Text("measured", "实测")
FIGURES = Text("What was measured", "实测结果")
FIGURE = Text("figure", "量")
MEAN = Text("mean", "均值")
LEAST = Text("least", "最小")
LARGEST = Text("largest", "最大")
VERDICT = Text("verdict", "结论")
CODE = Text("The experiment's code", "实验代码")
NOTEBOOK = Text("The same as a notebook", "同样内容的笔记本")
