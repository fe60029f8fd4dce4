"""What ``lamina diagnose`` says of the default model of every real table, and of Fashion-MNIST.

    python benchmarks/diagnoses.py                       # all, in the folder named by LAMINA_DATA; some 10 minutes
    python benchmarks/diagnoses.py concrete -o FOLDER    # some of them, and keep the models

Prints one row a data set: seconds of the fit, seconds of the whole command, what was found when the model was trained,
what is found on its rows afterwards, and by how much the MLP's loss is below that of a linear model, with the 95 %
interval. These are sound runs: what is found should be nothing, or true.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from tables import DATA, TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*TARGETS, "fashion-mnist"]))
    parser.add_argument("-o", "--output", metavar="FOLDER", help="keep the models here, one folder each")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")
    print("| data | fit s | total s | found in training | found on the rows | better than linear |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in given.names or [*TARGETS, "fashion-mnist"]:
        with tempfile.TemporaryDirectory() as folder:
            print(row(name, f"{given.output or folder}/{name}"), flush=True)


def row(name: str, out: str) -> str:
    """Train on a data set by its name, look at the model in the folder ``out``, and return a line of the table."""
    about = [str(DATA / f"{'adult-train' if name == 'adult' else name}.csv")]
    target = ["--target", TARGETS[name]] if name in TARGETS else []
    if not target:
        about = [name, "--data-dir", str(DATA.parent / name)]
    result = command("train", *about, *target, "-o", out)
    later = command("diagnose", out, *about)["findings"]
    better = result["comparison"]["improvement"]["linear"]
    return (
        f"| {name} | {result['seconds']['fit']:.1f} | {result['seconds']['total']:.1f} "
        f"| {shown(result['diagnosis'])} | {shown(later)} "
        f"| {better['mean']:.4g} ({better['low']:.4g} to {better['high']:.4g}) |"
    )


def command(*arguments: str) -> Any:
    """Run ``lamina`` with these arguments and return the JSON object that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "lamina", *arguments, "--json", "-q"], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def shown(findings: list[dict[str, Any]]) -> str:
    return "; ".join(f"{each['name']} {each['evidence']}" for each in findings) or "nothing"


if __name__ == "__main__":
    main()
