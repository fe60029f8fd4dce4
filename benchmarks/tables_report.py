"""What the lines of ``tables.py`` say: errors, ranks, ratios to CatBoost's, wins, losses, seconds, a picture.

    python benchmarks/tables_report.py FILE [FILE ...] [-o tables.png]

A win is a mean error over the seeds that is lower than CatBoost's by more than one standard deviation of the seeds (the
larger of the two models'); a loss likewise; the rest are ties. Ratios are geometric means over tables of the ratio of
the mean errors. Tables on which the defaults were chosen, and the others, are told apart.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from tables import TARGETS, TUNED

BAR = "cat"
# Seconds of fits that began on a busier machine, or ran beside another one on a thread each, do not count.
_QUIET = 2.0
Errors = dict[str, dict[str, dict[int, tuple[float, float]]]]  # model, table, seed -> error, seconds


def main() -> None:
    arguments = sys.argv[1:]
    picture = arguments.pop(arguments.index("-o") + 1) if "-o" in arguments else None
    lines = [line for name in arguments if name != "-o" for line in Path(name).read_text().splitlines()]
    errors: Errors = defaultdict(lambda: defaultdict(dict))
    for line in map(json.loads, lines):
        if "error" in line and isinstance(line["error"], float):
            quiet = line.get("load", 0.0) <= _QUIET and not line.get("beside_another")
            seconds = line["fit_s"] if quiet else np.nan
            errors[line["model"]][line["table"]][line["seed"]] = line["error"], seconds
    tables = [table for table in TARGETS if any(table in of for of in errors.values())]
    models = sorted(errors, key=lambda model: _ratio(errors, model, tables))
    print("| model | " + " | ".join(tables) + " |\n| --- |" + " --- |" * len(tables))
    for model in models:
        print(f"| {model} | " + " | ".join(_cell(errors[model].get(table)) for table in tables) + " |")
    ranks = _ranks(errors, [model for model in models if set(tables) <= set(errors[model])], tables)
    print(
        "\n| model | mean rank | ratio, all | chosen on | others | wins / ties / losses | seconds, summed | largest |"
    )
    print("| --- |" + " --- |" * 7)
    for model in models:
        there = [table for table in tables if table in errors[model]]
        groups = [there, [t for t in there if t in TUNED], [t for t in there if t not in TUNED]]
        ratios = " | ".join(f"{_ratio(errors, model, group):.3f}" if group else "" for group in groups)
        seconds = [_seconds(errors[model][table]) for table in there]
        rank = f"{ranks[model]:.2f}" if model in ranks else f"(only {len(there)} tables)"
        outcome = " / ".join(map(str, _outcomes(errors, model, there)))
        print(f"| {model} | {rank} | {ratios} | {outcome} | {sum(seconds):.1f} | {max(seconds):.1f} |")
    if picture:
        _draw(errors, models, tables, picture)


def _mean(seeds: dict[int, tuple[float, float]]) -> float:
    return float(np.mean([error for error, _ in seeds.values()]))


def _seconds(seeds: dict[int, tuple[float, float]]) -> float:
    counted = [seconds for _, seconds in seeds.values() if not np.isnan(seconds)]
    return float(np.median(counted)) if counted else np.nan


def _deviation(seeds: dict[int, tuple[float, float]]) -> float:
    return float(np.std([error for error, _ in seeds.values()], ddof=1)) if len(seeds) > 1 else 0.0


def _cell(seeds: dict[int, tuple[float, float]] | None) -> str:
    if not seeds:
        return ""
    return f"{_mean(seeds):.4f} ± {_deviation(seeds):.4f}" if len(seeds) > 1 else f"{_mean(seeds):.4f} (one seed)"


def _paired(errors: Errors, model: str, table: str) -> tuple[float, float] | None:
    """Return the mean errors of the model and of CatBoost on the seeds that both have."""
    mine, theirs = errors[model].get(table, {}), errors[BAR].get(table, {})
    seeds = sorted(set(mine) & set(theirs))
    if not seeds:
        return None
    return float(np.mean([mine[seed][0] for seed in seeds])), float(np.mean([theirs[seed][0] for seed in seeds]))


def _ratio(errors: Errors, model: str, tables: list[str]) -> float:
    pairs = [pair for table in tables if (pair := _paired(errors, model, table))]
    return float(np.exp(np.mean([np.log(mine / theirs) for mine, theirs in pairs]))) if pairs else np.inf


def _outcomes(errors: Errors, model: str, tables: list[str]) -> tuple[int, int, int]:
    counts = [0, 0, 0]
    for table in tables:
        pair = _paired(errors, model, table)
        if pair is None:
            continue
        spread = max(_deviation(errors[model][table]), _deviation(errors[BAR][table]))
        difference = pair[0] - pair[1]
        counts[0 if difference < -spread else 2 if difference > spread else 1] += 1
    return counts[0], counts[1], counts[2]


def _ranks(errors: Errors, models: list[str], tables: list[str]) -> dict[str, float]:
    """Return the mean rank over tables of each of the models, 1 being the lowest error.

    Other presets of ours do not compete: each is ranked among the rivals alone, and these beside the default.
    """

    def rank(model: str, table: str) -> int:
        ours = model if model.startswith("lamina") else "lamina"
        field = [each for each in models if each == ours or not each.startswith("lamina")]
        return sum(_mean(errors[each][table]) < _mean(errors[model][table]) for each in field) + 1

    return {model: float(np.mean([rank(model, table) for table in tables])) for model in models}


def _draw(errors: Errors, models: list[str], tables: list[str], name: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for model in models:
        there = [table for table in tables if table in errors[model]]
        seconds = np.exp(np.mean([np.log(_seconds(errors[model][t]) + 0.02) for t in there]))
        if np.isnan(seconds):
            continue
        ratio = _ratio(errors, model, there)
        ours = model.startswith("lamina")
        axes.scatter(seconds, ratio, s=40, color="#c2410c" if ours else "#475569")
        beside, side = ((-5, -12), "right") if ours else ((5, 4), "left")
        axes.annotate(model, (seconds, ratio), xytext=beside, textcoords="offset points", fontsize=9, ha=side)
    axes.axhline(1, color="#94a3b8", linewidth=0.8)
    axes.set(xscale="log", xlabel="seconds of a fit, geometric mean over tables", ylabel="error / CatBoost's error")
    axes.margins(0.1)  # for the names
    axes.set_title("Error against seconds, nine tables, defaults", fontsize=11)
    figure.savefig(name, dpi=150)


if __name__ == "__main__":
    main()
