"""Draw what the READMEs show: the textbook's page beside a report, light and dark, and one experiment in two languages.

Run by `make picture`. Needs Chromium (Debian: apt-get install chromium, for the Chinese page fonts-noto-cjk) and, for
the concrete table, the folder that LAMINA_DATA names.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make_report_pictures import CONCRETE, FLAGS, SPARE
from PIL import Image

import lamina

HERE = Path(__file__).parent
EXPERIMENT = "piecewise-linear"
FIGURE = f"{EXPERIMENT}-regions-figure_1"
# Of the two pages side by side each frame's width in its own pixels; both are drawn at this scale.
FRAME, SCALE = (760, 1000), 0.8
ONE = (900, 900)
GAP = 16


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for language in ("en", "zh"):
            lamina_command("textbook", EXPERIMENT, "--quick", "--lang", language, "--out", str(folder / language))
        (folder / "report.html").write_text(
            lamina.fit(CONCRETE, "compressive_strength", test=0.2).page(), encoding="utf-8"
        )
        sides = [f"en/index.html#{FIGURE}", "report.html"]
        for scheme, ending in (("light", ""), ("dark", "-dark")):
            draw(folder, sides, FRAME, SCALE, scheme, HERE / f"readme{ending}.png")
        for language in ("en", "zh"):
            draw(folder, [f"{language}/index.html#{FIGURE}"], ONE, 1.0, "light", HERE / f"textbook-{language}.png")


def lamina_command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "lamina", *words], check=True, capture_output=True)


def draw(folder: Path, pages: list[str], size: tuple[int, int], scale: float, scheme: str, path: Path) -> None:
    """Draw pages side by side, each in a frame of ``size`` of its own pixels, ``scale`` times as large, to ``path``."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("there is no chromium to draw the pages with; apt-get install chromium.")
    width, height = (round(each * scale) for each in size)
    frames = "".join(
        f'<div style="position:absolute;left:{i * (width + GAP)}px;width:{width}px;height:{height}px;overflow:hidden">'
        f'<iframe src="{page}" style="border:0;width:{size[0]}px;height:{size[1]}px;'
        f'transform:scale({scale});transform-origin:0 0"></iframe></div>'
        for i, page in enumerate(pages)
    )
    ground = "#30363d" if scheme == "dark" else "#d0d7de"
    (folder / "frames.html").write_text(f'<body style="margin:0;background:{ground}">{frames}', encoding="utf-8")
    total = len(pages) * (width + GAP) - GAP
    subprocess.run(
        [
            browser, *FLAGS, f"--user-data-dir={folder}/browser", f"--window-size={total},{height + SPARE}",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", "--force-device-scale-factor=1.5",
            "--virtual-time-budget=4000", f"--screenshot={path}", f"file://{folder}/frames.html",
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with Image.open(path) as picture:
        cropped = picture.crop((0, 0, round(1.5 * total), round(1.5 * height))).convert("RGB")
        cropped.save(path, optimize=True)


if __name__ == "__main__":
    main()
