"""The page of a model: the right figures, nothing loaded, text escaped, and the same from the folder alone."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.comparison import bootstrap_interval, row_losses
from lamina.model_report import Report
from lamina.report import figures as draw
from lamina.report.page import DARK, LIGHT
from lamina.report.reproduction import command_of, python_of
from lamina.report.svg import Axis, ranking, short

VOID = {"meta", "br", "wbr"}
EVIL = "<script>alert('x')</script>"


def fitted(kind: str, **options) -> lamina.Model:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = {
        "classes": np.where(x[:, 0] + 0.5 * rng.normal(size=400) > 0, "yes", "no"),
        "labels": (x[:, :2] + 0.3 * rng.normal(size=(400, 2)) > 0).astype(int),
        "numbers": 3 * x[:, 0] + rng.normal(size=400),
    }[kind]
    options = {"epochs": 6, "members": 2, "hidden_units": (8,), "learning_rate": 0.03, **options}
    return lamina.fit((x, y), test=0.25, **options)


@pytest.fixture(scope="module")
def models() -> dict[str, lamina.Model]:
    return {kind: fitted(kind) for kind in ("classes", "labels", "numbers")}


class Outline(HTMLParser):
    """Tags that are closed, the texts of cells by row, and everything that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_the_page_loads_nothing_is_well_formed_and_small(models, kind):
    page = models[kind].page()
    parsed = outline(page)
    assert parsed.references == []
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe", page)
    assert {"svg", "table", "section", "h1"} <= parsed.tags
    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_the_folder_alone_gives_the_same_page(models, kind, tmp_path):
    folder = models[kind].save(tmp_path / "m")
    assert (folder / "report.html").read_text(encoding="utf-8") == models[kind].page()
    again = lamina.load(folder)
    assert again.page() == models[kind].page()
    assert again.report == models[kind].report


def test_the_page_of_classes_shows_its_scores_and_confusions(models):
    model = models["classes"]
    page, report = model.page(), model.report
    rows = {row[0]: row for row in outline(page).rows if row}
    accuracy, n = report.scores["test"]["accuracy"], report.rows["test"]
    assert f"<strong>Accuracy {accuracy:.4f}</strong>" in page
    assert rows["MLP, test (100 rows)"][1].startswith(f"{accuracy:.4f}")
    assert rows["linear, test"][2] == f"{report.baselines['linear']['log_loss']:.4f}"
    counts = np.array(report.curves["confusion"]["counts"])
    assert counts.sum() == n == 100
    assert np.trace(counts) == pytest.approx(accuracy * n)
    assert rows["no"][2:4] == [f"{count:.0f}" for count in counts[0]]
    assert rows["class"] == ["class", "right", "no", "yes"]
    assert '<tr><th colspan="2"></th><th colspan="2">predicted</th></tr>' in page
    # The whole cell is coloured, however high its row is.
    share = counts[0, 1] / counts[0].sum()
    assert f'<td class="number" style="--share: {share:.3f}">{counts[0, 1]:.0f}</td>' in page
    calibration = report.curves["calibration"]
    assert f"Calibration error {calibration['error_after']:.3f}, before {calibration['error_before']:.3f}" in page
    assert sum(calibration["after"]["rows"]) == sum(calibration["before"]["rows"]) == n
    assert f"the temperature {report.calibration['temperature']:.3f}" in page
    worth = "Worth it" if report.comparison["worth_it"] else "Not worth it"
    assert f"<strong>{worth}</strong>" in page


@pytest.mark.parametrize(("more", "said"), [(0.01, "right more often"), (0.0, "right as often"), (-0.01, "")])
def test_a_network_that_is_worth_it_but_not_more_often_right_says_so(more, said, models):
    model = models["classes"]
    comparison = {**model.report.comparison, "worth_it": True}
    comparison["improvement"] = {name: {"mean": 0.1, "low": 0.05, "high": 0.2} for name in ("linear", "constant")}
    accuracy = model.report.scores["test"]["accuracy"]
    baselines = {**model.report.baselines, "linear": {**model.report.baselines["linear"], "accuracy": accuracy + more}}
    page = replace(model, report=replace(model.report, comparison=comparison, baselines=baselines)).page()
    assert "<strong>Worth it</strong>: it is better than a linear model." in page
    sentence = f"Better are its probabilities: the linear model is {said}, with an accuracy of {accuracy + more:.4f}."
    assert (sentence in page) == bool(said)
    assert ("the linear model is right" in page) == bool(said)


def test_a_constant_r2_of_nearly_nothing_is_nothing(models):
    model = models["numbers"]
    baselines = {**model.report.baselines, "constant": {**model.report.baselines["constant"], "r2": -4.2e-6}}
    page = replace(model, report=replace(model.report, baselines=baselines)).page()
    assert next(row for row in outline(page).rows if row[:1] == ["constant, test"])[3] == "0"


def test_names_of_columns_break_behind_an_underscore_and_no_option_is_a_pair_of_braces():
    rng = np.random.default_rng(0)
    data = pl.DataFrame({"fly_ash": rng.normal(size=60), "a_b" * 30: rng.normal(size=60), "y": rng.normal(size=60)})
    page = lamina.fit(data, "y", members=1, epochs=1, kind={"fly_ash": "number"}, baselines=False).page()
    assert "<td>fly_<wbr>ash</td>" in page
    assert f'title="{"a_b" * 30}"' in page
    rows = {row[0]: row for row in outline(page).rows if row}
    assert rows["fly_ash"][1:3] == ["number", "feature"]
    assert rows["kind"][1] == "fly_ash=number"
    assert "{}" not in page.split("</style>")[1]


def test_the_curve_before_the_temperature_is_that_of_a_model_that_is_not_calibrated():
    # One member: several would be watched at the best temperature, and keep another epoch.
    calibrated, plain = (fitted("classes", members=1, calibrate=calibrate) for calibrate in (True, False))
    before, after = calibrated.report.curves["calibration"]["before"], plain.report.curves["calibration"]["after"]
    np.testing.assert_allclose(before["confidence"], after["confidence"], atol=1e-5)
    assert before["rows"] == after["rows"]
    assert before != calibrated.report.curves["calibration"]["after"]
    assert "before" not in plain.report.curves["calibration"]


def test_the_page_of_numbers_shows_errors_and_intervals(models):
    model = models["numbers"]
    page, each = model.page(), model.report.curves["errors"]["targets"][0]
    rmse = np.sqrt(np.mean(np.square(each["errors"])))
    assert rmse == pytest.approx(model.report.scores["test"]["rmse"])
    interval = model.report.curves["intervals"]["test"]["rmse"]
    assert interval["low"] < interval["mean"] < interval["high"]
    assert interval["mean"] == pytest.approx(rmse)
    assert f"<strong>Root mean squared error {rmse:.4f}</strong>" in page
    assert f"{short(each['width'])} wide (median); {100 * each['covered']:.1f}\N{NO-BREAK SPACE}% of these 100" in page
    rows = {row[0]: row for row in outline(page).rows if row}
    assert abs(model.report.baselines["constant"]["r2"]) < 0.05
    assert float(rows["constant, test"][3]) == round(model.report.baselines["constant"]["r2"], 4)
    assert sum(each["histogram"]["counts"]) == 100
    # With no transform all intervals are of one width.
    assert model.config.target_transform == "none"
    assert each["width"] == pytest.approx(2 * model.scores.half_widths(0.9)[0] * model.scaler.columns[0].scale)


def test_the_page_of_labels_shows_each_label(models):
    model = models["labels"]
    record = model.report.curves["labels"]
    rows = {row[0]: row for row in outline(model.page()).rows if row}
    for i, name in enumerate(model.schema.target.names):
        there, given, right = (record[key][i] for key in ("there", "given", "right"))
        assert right <= min(there, given)
        assert rows[name][1:4] == [f"{value:.0f}" for value in (there, given, right)]


def test_intervals_are_the_bootstrap_of_the_losses():
    run = lamina.prepare("iris", epochs=3, members=1, hidden_units=(8,), test=0.2)
    for _ in run.train():
        pass
    model = run.finish()
    part = run.parts["test"]
    losses = row_losses("classification", part.y, model.outputs_of(part.arrays, len(part)))
    expected = bootstrap_interval(losses, rng=np.random.default_rng(0))
    found = model.report.curves["intervals"]["test"]["log_loss"]
    assert (found["low"], found["high"]) == (expected.low, expected.high)
    assert found["mean"] == pytest.approx(model.report.scores["test"]["log_loss"])


def test_the_column_that_decides_is_the_most_important_one(models):
    for kind in ("classes", "numbers"):
        record = models[kind].report.curves["importances"]
        assert record["columns"][0] == "x0"
        assert record["means"] == sorted(record["means"], reverse=True)
        assert record["means"][0] > 5 * max(abs(mean) for mean in record["means"][1:])
        assert len(record["deviations"]) == 3


def test_names_and_classes_are_escaped_everywhere(tmp_path):
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    frame = polars.DataFrame({
        f"a{EVIL}": x,
        f"{EVIL}": [EVIL + str(i % 2) for i in range(80)],
        f"y{EVIL}": [f"{EVIL}{value}" for value in (x > 0).astype(int)],
    })  # fmt: skip
    model = lamina.fit(frame, f"y{EVIL}", epochs=2, members=1, hidden_units=(4,), test=0.25)
    finding = {"name": EVIL, "evidence": {}, "cause": EVIL, "remedy": EVIL}
    model.report = replace(
        model.report, diagnosis=[finding], notes=[EVIL], stopped=EVIL, environment={EVIL: EVIL},
        origin={**model.report.origin, "data": EVIL, "options": {"watch": EVIL}},
    )  # fmt: skip
    page = model.page()
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    outline(page)


def test_the_page_of_numbers_escapes_the_target():
    polars = pytest.importorskip("polars")
    x = np.random.default_rng(0).normal(size=60)
    frame = polars.DataFrame({"x": x, f'"{EVIL}': 2 * x})
    page = lamina.fit(frame, f'"{EVIL}', epochs=2, members=1, hidden_units=(4,)).page()
    assert "<script" not in page
    outline(page)


def test_a_model_without_records_still_has_a_page(models):
    for model in models.values():
        bare = replace(model, report=Report(), history=[])
        page = bare.page()
        outline(page)
        assert "there is no score" in page
        assert "not compared" in page


def test_a_fit_without_baselines_draws_nothing_of_held_out_rows():
    model = lamina.fit("iris", epochs=2, members=1, hidden_units=(4,), baselines=False)
    assert model.report.curves == {}
    assert "Confusion" not in model.page()
    outline(model.page())


def test_without_held_out_rows_the_page_says_so():
    model = lamina.fit("iris", epochs=2, members=1, hidden_units=(4,), validation=0.0)
    assert list(model.report.curves) == ["target"]
    assert model.report.curves["target"]["counts"] == {"train": [50, 50, 50]}
    assert "there is no score" in model.page()


def test_records_are_bounded_however_many_rows_and_classes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    many = lamina.fit((x, rng.integers(0, 40, 3000).astype(str)), epochs=1, members=1, hidden_units=(4,), test=0.5)
    assert len(many.report.curves["confusion"]["mistakes"]) <= 25
    numbers = lamina.fit((x, x[:, 0]), epochs=1, members=1, hidden_units=(4,), test=0.5)
    assert len(numbers.report.curves["errors"]["targets"][0]["errors"]) == 500
    for model in (many, numbers):
        assert len(json.dumps(model.report.curves)) < 60_000
        assert len(model.page()) < 100_000


def test_images_and_wide_networks_give_a_reason_in_the_place_of_importances():
    model = lamina.fit("digits", epochs=1, members=1, hidden_units=(4,), test=0.2)
    assert "there are images" in model.report.curves["importances"]["reason"]
    assert model.report.curves["importances"]["reason"].split(":")[0] in model.page()
    x = np.random.default_rng(0).normal(size=(200, 201))
    wide = lamina.fit((x, x[:, 0]), epochs=1, members=1, hidden_units=(4,))
    assert wide.report.curves["importances"] == {
        "reason": "201 columns were not shuffled, which would take long: see lamina explain."
    }


def test_numbers_too_large_to_square_are_left_out():
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = lamina.fit((x, x[:, 0] * 1e300), epochs=2, members=1, hidden_units=(4,))
    stored = json.dumps(model.report.curves, allow_nan=False)  # which refuses what is not finite
    assert json.loads(stored).keys() == model.report.curves.keys()
    outline(model.page())
    assert model.page().rstrip().endswith("</html>")


def test_the_origin_names_data_and_options_and_counts_what_is_missing(tmp_path):
    path = tmp_path / "d.csv"
    lines = [f"{i % 7 if i % 5 else ''},{i % 3},{'yes' if i % 2 else 'no'}" for i in range(60)]
    path.write_text("a,b,y\n" + "\n".join(lines) + "\n")
    model = lamina.fit(path, "y", epochs=2, members=1, hidden_units=(4,), seed=3)
    origin = model.report.origin
    assert (origin["data"], origin["target"]) == (str(path), ["y"])
    assert (origin["rows"], origin["columns"], origin["missing"]) == (60, 3, {"a": 12})
    assert origin["options"] == {"epochs": 2, "members": 1, "hidden_units": [4], "seed": 3}
    changed = tmp_path / "e.csv"
    changed.write_text(path.read_text().replace("0,0,yes", "1,0,yes").replace("1,1,yes", "2,1,yes"))
    other = lamina.prepare(changed, "y", epochs=2).origin["sha256"]
    assert len(other) == 64
    assert other != origin["sha256"] == lamina.prepare(path, "y").origin["sha256"]


def test_the_python_of_the_page_makes_the_same_model(models):
    model = lamina.fit("iris", epochs=2, members=2, hidden_units=(8,), test=0.2, seed=5, class_weight={"setosa": 2.0})
    call = python_of(model.report.origin)
    assert call in model.page().replace("&#x27;", "'")
    again = eval(call, {"lamina": lamina})
    assert again.report.scores == model.report.scores
    assert again.report.origin == model.report.origin


def test_the_command_of_the_page_makes_the_same_model(tmp_path):
    import shlex

    from lamina.cli.main import run

    model = lamina.fit(
        "iris", epochs=2, members=2, hidden_units=(), test=0.2, nesterov=False, drop=["sepal_width_(cm)"],
        kind={"petal_width_(cm)": "number"}, class_weight={"setosa": 2.0}, activation="tanh",
    )  # fmt: skip
    command = shlex.split(command_of(model.report.origin).replace("\\\n", ""))
    assert command[:3] == ["lamina", "train", "iris"]
    assert run([*command[1:], "-o", str(tmp_path / "m"), "-q"]) == 0
    again = lamina.load(tmp_path / "m")
    assert again.report.scores == model.report.scores
    assert again.report.origin["options"] == model.report.origin["options"]


def contrast(first: str, second: str) -> float:
    """WCAG 2.2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_series_can_be_told_from_their_ground(palette):
    for name in ("ink", "soft", "link", "good", "doubtful"):
        assert contrast(palette[name], palette["ground"]) >= 4.5
        assert contrast(palette[name], palette["panel"]) >= 4.5
    for name in ("s0", "s1"):
        assert contrast(palette[name], palette["ground"]) >= 3


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 1, ""), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(-13, 27, ""), [-10, 0, 10, 20]),
        (Axis(0.9, 2.1, "", whole=True), [1, 2]),
        (Axis(0.03, 2, "", log=True), [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (Axis(1e-5, 10, "", log=True), [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10]),
    ],
)
def test_ticks_are_round_numbers(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (1234.5, "1,234"), (25_000, "25k"), (1.2e6, "1.2M"), (1e-5, "1e-05"), (-3e12, "-3e+12")],
)
def test_short_numbers(value, text):
    assert short(value) == text


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_rows_count_by_their_weights_in_what_is_drawn(kind):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2))
    y = {
        "classes": np.where(x[:, 0] + rng.normal(size=300) > 0, "yes", "no"),
        "labels": (x + rng.normal(size=(300, 2)) > 0).astype(int),
        "numbers": x[:, 0] + rng.normal(size=300),
    }[kind]
    columns = {"a": x[:, 0], "b": x[:, 1]}
    target = ["y0", "y1"] if kind == "labels" else ["y"]
    columns |= dict(zip(target, y.T if kind == "labels" else [y], strict=True))
    frame = pl.DataFrame(columns)
    w = rng.choice([0.5123, 1.0, 2.4877], 300)  # without a common factor: else they would be copies
    w /= w[:200].mean()
    counts = rng.integers(0, 4, 100)
    train, held = frame[:200].with_columns(w=w[:200]), frame[200:]
    options = {"members": 1, "epochs": 3, "hidden_units": (4,), "weight": "w", "seed": 1}
    copied = held[np.repeat(np.arange(100), counts).tolist()].with_columns(w=1.0)
    weighted, repeated, plain = (
        lamina.fit(train, target, test=test, validation=train[:50], **options).report.curves
        for test in (held.with_columns(w=counts.astype(float)), copied, held.with_columns(w=1.0))
    )
    if kind == "classes":
        for name in ("rows", "confidence", "accuracy"):
            expected = repeated["calibration"]["after"][name]
            assert weighted["calibration"]["after"][name] == pytest.approx(expected, rel=1e-9)
        assert weighted["calibration"]["error_after"] == pytest.approx(repeated["calibration"]["error_after"])
        assert weighted["calibration"]["error_after"] != pytest.approx(plain["calibration"]["error_after"], rel=1e-3)
        classes = np.array(y[:200])
        by_hand = [w[:200][classes == name].sum() for name in ("no", "yes")]
        assert weighted["target"]["counts"]["train"] == pytest.approx(by_hand)
        assert weighted["target"]["counts"]["test"] == repeated["target"]["counts"]["test"]
    elif kind == "labels":
        assert weighted["target"]["counts"]["train"] == pytest.approx((w[:200] @ y[:200]).tolist())
        assert weighted["target"]["counts"]["test"] == repeated["target"]["counts"]["test"]
    else:
        one, other = (record["errors"]["targets"][0] for record in (weighted, repeated))
        for name in ("quantiles", "covered", "width"):
            assert one[name] == pytest.approx(other[name], rel=1e-9), name
        assert one["histogram"]["counts"] == other["histogram"]["counts"]
        assert one["quantiles"] != plain["errors"]["targets"][0]["quantiles"]
        assert len(one["errors"]) == (counts > 0).sum()  # a row of weight 0 is not drawn
        assert sum(weighted["target"]["histograms"][0]["counts"]) == pytest.approx(w[:200].sum())


def test_bins_of_few_rows_are_not_drawn_and_a_weighted_page_says_so(models):
    record = {"rows": [3.0, 40.0, 57.0], "confidence": [0.1, 0.5, 0.9], "accuracy": [0.0, 0.5, 0.9]}
    drawn = draw.calibration({"after": record, "rows": 100, "error_after": 0.01, "error_of_perfect": 0.01})
    assert drawn.count("<circle") == 2
    assert "Bins of fewer than 10 rows are not drawn." in drawn
    about = models["classes"]
    weighted = replace(about, config=about.config.replace(weight="importance"))
    said = "rows count by their weights, column &#x27;importance&#x27;."
    assert said in weighted.page()
    assert said not in about.page()


def test_no_line_runs_through_the_names_of_a_ranking():
    drawn = ranking(["first", "second"], [2.0, 1.0], "name", "label")
    texts = [float(y) for y in re.findall(r'<text x="4" y="([0-9.]+)">(?:first|second)', drawn)]
    lines = [tuple(map(float, each)) for each in re.findall(r'class="axis" d="M[0-9.]+ ([0-9.]+)v([0-9.]+)', drawn)]
    assert len(texts) == len(lines) == 2
    for text in texts:
        assert all(start > text or start + length < text - 9 for start, length in lines)
