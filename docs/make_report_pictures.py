"""Draw docs/report*.png: the page of two models at two widths, light and dark. Run by `make picture`.

Needs Chromium (Debian: apt-get install chromium) and, for the concrete table, the folder named by LAMINA_DATA.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import lamina

HERE = Path(__file__).parent
CONCRETE = Path(os.environ.get("LAMINA_DATA", HERE.parents[1] / "shared" / "data")) / "tables" / "concrete.csv"
DESK, PHONE = (1280, 1400), (390, 1400)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)  # fmt: skip


def main() -> None:
    strength = lamina.fit(CONCRETE, "compressive_strength", test=0.2).page()
    digits = lamina.fit("digits", test=0.2).page()
    for scheme, ending in (("light", ""), ("dark", "-dark")):
        draw(strength, HERE / f"report{ending}.png", DESK, scheme)
        draw(digits, HERE / f"report-phone{ending}.png", PHONE, scheme)
        draw(digits, HERE / f"report-phone-predictions{ending}.png", PHONE, scheme, "Predictions")


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
                browser, *FLAGS, f"--user-data-dir={folder}/browser", f"--window-size={width},{height}",
                f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", f"--screenshot={path}",
                f"file://{folder}/frame.html",
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip


if __name__ == "__main__":
    main()
