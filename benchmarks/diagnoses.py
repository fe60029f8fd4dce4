"""What ``lamina diagnose`` says of the default model of every real table, and of Fashion-MNIST.

    python benchmarks/diagnoses.py            # all, in the folder named by LAMINA_DATA; an hour or so on two cores
    python benchmarks/diagnoses.py concrete   # some of them

Prints one row a data set: seconds of the fit, seconds of the whole command, what was found when the model was trained,
what is found on its rows afterwards, and by how much the MLP's loss is below that of a linear model, with the 95 %
interval. These are sound runs: what is found should be nothing, or true.
"""

import json
import os
import subprocess
import sys
import tempfile

from defaults import DATA, TARGETS, command


def diagnosed(*arguments: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "lamina", "diagnose", *arguments, "--json", "-q"], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)["findings"]


def shown(findings: list[dict]) -> str:
    return "; ".join(f"{each['name']} {each['evidence']}" for each in findings) or "nothing"


def main() -> None:
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    print("| data | fit s | total s | found in training | found on the rows | better than linear |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or [*TARGETS, "fashion-mnist"]:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/model"
            about = ["--data-dir", str(DATA.parent / "fashion-mnist")] if name == "fashion-mnist" else []
            data = name if about else str(DATA / f"{name}.csv")
            result = command("train", data, *about, *([] if about else ["--target", TARGETS[name]]), "-o", out)
            better = result["comparison"]["improvement"]["linear"]
            print(
                f"| {name} | {result['seconds']['fit']:.1f} | {result['seconds']['total']:.1f} "
                f"| {shown(result['diagnosis'])} | {shown(diagnosed(out, data, *about))} "
                f"| {better['mean']:.4g} ({better['low']:.4g} to {better['high']:.4g}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
