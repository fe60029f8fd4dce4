"""Compiles the loops of the training step for the wheel, or beside the sources of an editable install.

Without a C compiler the package is installed all the same: `lamina` then leaves these loops to torch, and is slower.
"""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("src", "lamina", "native")
LIBRARY = "_kernels.so"
# By this the library is known again when it is loaded.
source_hash = runpy.run_path(str(Path(__file__).parent / NATIVE / "library.py"))["source_hash"]
FLAGS = [
    "-std=gnu11", "-O3", "-shared", "-fPIC", "-fopenmp", "-Wall", "-Wextra",
    # Sums in the order of vectors. No -ffast-math: with it, the library would change how every other one in the process
    # rounds the smallest numbers, and NaN would be unknown.
    "-fassociative-math", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast",
    "-fno-strict-aliasing",
]  # fmt: skip
# Not every compiler has these.
WIDE = ["-mprefer-vector-width=512"]


def compile_library(folder: Path) -> str:
    """Compile ``LIBRARY`` in ``folder``; return "" or, in a sentence, why there is none."""
    if not sys.platform.startswith("linux"):
        return f"the loops are compiled on Linux only, not on {sys.platform}"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "no C compiler was found (cc, gcc, or the one that CC names)"
    digest = source_hash(folder)
    made = folder / f"{LIBRARY}.{os.getpid()}"
    command = [*compiler.split(), *FLAGS, f'-DLAMINA_SOURCE="{digest}"', str(folder / "kernels.c"), "-o", str(made)]
    try:
        for extra in (WIDE, []):
            done = subprocess.run([*command, *extra, "-lm"], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                os.replace(made, folder / LIBRARY)
                return ""
    except OSError as error:
        return f"{compiler} could not be run: {error}"
    finally:
        made.unlink(missing_ok=True)
    return f"{compiler} failed: {done.stderr.strip()[-500:]}"


class KernelsHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        reason = compile_library(Path(self.root) / NATIVE)
        if reason:
            self.app.display_warning(f"lamina without its compiled loops: {reason}; training will be slower")
            return
        build_data["artifacts"].append(str(NATIVE / LIBRARY))
        build_data["pure_python"] = False
        # Python's ABI does not matter: the library is called through ctypes.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
