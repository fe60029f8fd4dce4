"""Draw docs/demo.png: the result of `make demo`, from the model that it trains. Run by `make picture`."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lamina

HERE = Path(__file__).parent
BLUE, RED, GREY = "#1f5fa8", "#d1495b", "#8a8f98"


def main() -> None:
    run = lamina.prepare("digits", test=0.2)
    for _ in run.train():
        pass
    model = run.finish()
    test = run.parts["test"]
    probabilities = model.outputs_of(test.arrays, len(test))
    predicted = probabilities.argmax(axis=1)
    images = test.arrays["pixels"].reshape(-1, 8, 8)

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=[1.25, 1, 1.35])
    draw_curves(figure.add_subplot(grid[0]), model)
    draw_scores(figure.add_subplot(grid[1]), model)
    draw_digits(figure, grid[2], images, test.y, predicted, probabilities)
    figure.savefig(HERE / "demo.png", dpi=130)


def draw_curves(axes, model: lamina.Model) -> None:
    epochs = [record.epoch for record in model.history]
    axes.semilogy(epochs, [record.train_loss for record in model.history], color=GREY, label="training")
    axes.semilogy(epochs, [record.validation_loss for record in model.history], color=BLUE, label="validation")
    best = model.history[model.report.best_epoch - 1]
    axes.plot(best.epoch, best.validation_loss, "o", color=RED, label=f"best epoch, {best.epoch}")
    axes.set(title="cross-entropy", xlabel="epoch")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def draw_scores(axes, model: lamina.Model) -> None:
    accuracies = {"MLP": model.report.scores["test"]["accuracy"]}
    accuracies |= {name: scores["accuracy"] for name, scores in model.report.baselines.items()}
    bars = axes.barh(list(accuracies), list(accuracies.values()), color=[BLUE, GREY, GREY])
    axes.bar_label(bars, [f"{value:.1%}" for value in accuracies.values()], padding=4)
    axes.invert_yaxis()
    axes.set(title=f"accuracy on {model.report.rows['test']} test images", xlim=(0, 1.25), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def draw_digits(figure: Figure, place, images, y, predicted, probabilities) -> None:
    wrong = np.flatnonzero(predicted != y)
    right = np.flatnonzero(predicted == y)
    shown = [*wrong[:5], *right[: 10 - len(wrong[:5])]]
    inner = place.subgridspec(2, 5, wspace=0.1, hspace=0.1)
    for cell, i in zip(inner, shown, strict=True):
        axes = figure.add_subplot(cell)
        axes.imshow(images[i], cmap="gray_r")
        colour = RED if predicted[i] != y[i] else "black"
        note = f"{predicted[i]}, not {y[i]}" if predicted[i] != y[i] else f"{predicted[i]}"
        axes.set_title(f"{note}\n{probabilities[i].max():.0%}", fontsize=9, color=colour)
        axes.set(xticks=[], yticks=[])


if __name__ == "__main__":
    main()
