"""Draw docs/explanation.png: what the page on explanation speaks of, from a model of the diabetes data."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lamina

HERE = Path(__file__).parent
BLUE, RED = "#1f5fa8", "#d1495b"


def main() -> None:
    figure = draw()
    figure.savefig(HERE / "explanation.png", dpi=110)


def draw() -> Figure:
    run = lamina.prepare("diabetes", test=0.25, seed=0)
    for _ in run.train():
        pass
    model = run.finish()
    rows = lamina.read_table("diabetes")
    unseen = rows.rows(run.parts["test"].positions)

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    (needed, changing), (added, training) = figure.subplots(2, 2)
    lamina.PermutationImportanceDisplay(lamina.permutation_importance(model, unseen, 20)).plot(ax=needed)
    needed.set_title("permutation importance, 20 repeats", fontsize=10)
    draw_dependence(changing, model, unseen)
    draw_attributions(added, lamina.attributions(model, unseen.rows(np.array([0])), rows))
    lamina.TrainingCurveDisplay.from_estimator(model, ax=training)
    training.set_title("training", fontsize=10)
    for axes in (needed, changing, added, training):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_dependence(axes, model: lamina.Model, rows) -> None:
    curve = lamina.partial_dependence(model, rows, "bmi")
    axes.fill_between(
        curve.values, curve.quantiles[0.1][:, 0], curve.quantiles[0.9][:, 0], color=BLUE, alpha=0.15, linewidth=0,
        label="10 % to 90 % of the rows",
    )  # fmt: skip
    axes.plot(curve.values, curve.mean[:, 0], color=BLUE, linewidth=2, marker=".", label="mean")
    axes.set_title("partial dependence on bmi", fontsize=10)
    axes.set(xlabel="bmi (standardised by the data's authors)", ylabel="predicted progression")
    axes.legend(frameon=False, loc="upper left")


def draw_attributions(axes, why) -> None:
    parts = why.ordered()
    places = range(len(parts))
    bars = axes.barh(places, [part for _, part in parts], color=[BLUE if part > 0 else RED for _, part in parts])
    axes.bar_label(bars, [f"{part:+.1f}" for _, part in parts], padding=3, fontsize=8)
    axes.set_yticks(places, [name for name, _ in parts])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.axvline(0, color="0.5", linewidth=0.8)
    axes.set_title(f"one row: {why.value:.0f} instead of {why.baseline_value:.0f} for the typical row", fontsize=10)
    axes.set_xlabel(f"adds to {why.output}")


if __name__ == "__main__":
    main()
