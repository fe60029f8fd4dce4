"""Draw docs/report*.png, the page of two models, and docs/displays*.png, at two widths, light and dark.

Run by `make picture`. Needs Chromium (Debian: apt-get install chromium) and, for the concrete table, the folder that
LAMINA_DATA names.
"""

import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from matplotlib import pyplot as plt
from PIL import Image

import lamina
from lamina.analysis.importance import Importance

HERE = Path(__file__).parent
CONCRETE = Path(os.environ.get("LAMINA_DATA", HERE.parents[1] / "shared" / "data")) / "tables" / "concrete.csv"
DESK, PHONE = (1280, 1400), (390, 1400)
SPARE = 200  # of a window's height Chromium takes a part for itself, which stays undrawn
DISPLAYS_DESK, DISPLAYS_PHONE = (1280, 325), (390, 900)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)  # fmt: skip


def main() -> None:
    run = lamina.prepare(CONCRETE, "compressive_strength", test=0.2)
    for _ in run.train():
        pass
    model = run.finish()
    strength, digits = model.page(), lamina.fit("digits", test=0.2).page()
    unseen = lamina.read_table(CONCRETE).rows(run.parts["test"].positions)
    importance = lamina.permutation_importance(model, unseen, repeats=10)
    for scheme, ending, style in (("light", "", "default"), ("dark", "-dark", "dark_background")):
        with plt.style.context(style):
            displays = displays_page(model, importance)
        draw(displays, HERE / f"displays{ending}.png", DISPLAYS_DESK, scheme)
        draw(displays, HERE / f"displays-phone{ending}.png", DISPLAYS_PHONE, scheme)
        draw(strength, HERE / f"report{ending}.png", DESK, scheme)
        draw(digits, HERE / f"report-phone{ending}.png", PHONE, scheme)
        draw(digits, HERE / f"report-phone-predictions{ending}.png", PHONE, scheme, "Predictions")


def displays_page(model: lamina.Model, importance: Importance) -> str:
    """Return a page of the three displays, side by side where there is room, on the ground of the present style."""
    ground, images = plt.rcParams["figure.facecolor"], []
    for display in (
        lamina.TrainingCurveDisplay.from_estimator(model),
        lamina.PermutationImportanceDisplay(importance).plot(),
        lamina.ActivationDisplay.from_name("gelu"),
    ):
        display.figure_.set_size_inches(4.2, 3.2)
        file = io.StringIO()
        display.figure_.savefig(file, format="svg")
        images.append(file.getvalue()[file.getvalue().index("<svg") :])
    look = f"body {{ margin: 8px; background: {ground}; }} svg {{ width: 403px; max-width: 100%; height: auto; }}"
    return f"<!DOCTYPE html><style>{look}</style>{''.join(images)}"


def draw(page: str, path: Path, size: tuple[int, int], scheme: str, heading: str = "") -> None:
    """Draw the page from its beginning, or from the section whose heading begins with ``heading``, to ``path``."""
    width, height = size
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("there is no chromium to draw the pages with; apt-get install chromium.")
    with tempfile.TemporaryDirectory() as folder:
        if heading:  # everything before that section is left out
            before, after = page.split(f"<section><h2>{heading}", 1)
            page = f"{before.split('<h1>')[0]}<section><h2>{heading}{after}"
        (Path(folder) / "page.html").write_text(page, encoding="utf-8")
        # A window of Chromium is at least 500 px wide, a frame in it as narrow as it is told to be.
        frame = f'<iframe src="page.html" style="border:0;width:{width}px;height:{height}px"></iframe>'
        (Path(folder) / "frame.html").write_text(f'<body style="margin:0;overflow:hidden">{frame}', encoding="utf-8")
        subprocess.run(
            [
                browser, *FLAGS, f"--user-data-dir={folder}/browser", f"--window-size={width},{height + SPARE}",
                f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", f"--screenshot={path}",
                f"file://{folder}/frame.html",
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    with Image.open(path) as picture:
        picture.crop((0, 0, width, height)).save(path, optimize=True)


if __name__ == "__main__":
    main()
