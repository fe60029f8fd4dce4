"""A small experiment that needs no training, for the tests of ``lamina textbook``."""

from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

QUICK = Setting(quick=True)


def value_by_seed(seed, setting):
    return Measured({"value": (1.0, 2.0, 3.0)[seed], "other": 7.0}, {"curve": [seed, seed + 1]})


def draw_curves(measured, setting):
    figure, ax = canvas(width=3, height=2)
    for each in measured:
        ax.plot(each.kept["curve"], label=setting.say(Text("curve <1>", "曲线")))
    ax.legend()
    return [Drawing("curves", figure, Text("A caption with <b> & a quote.", "图注 <b>。"))]


def fake(name="fake", measure=value_by_seed, draw=draw_curves, claims=None, **bounds) -> Experiment:
    given = {"expected": bounds.pop("expected", "held"), "kind": bounds.pop("kind", "measurement")}
    if claims is None:
        statement = Text("The value is <low> & small.", "值 <很> 小。")
        claims = (Claim("low", statement, "value", **given, **bounds),)
    return Experiment(
        name=name,
        title=Text("A fake & its <title>", "假实验"),
        about=Text("First `code<T>`.\n\nSecond.", "第一段。\n\n第二段。"),
        source="4.1",
        claims=claims,
        figures={"value": Text("the value", "值"), "other": Text("another", "另一个")},
        measure=measure,
        draw=draw,
        data=Text("clothing", "服装"),
        quick_data=Text("digits", "数字"),
    )
