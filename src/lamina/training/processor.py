"""What the processor's flags say that it multiplies fast. Flags alone decide, never timings: results must repeat."""

import platform
from pathlib import Path


def multiplies_bfloat16() -> bool:
    """Return whether products of bfloat16 are faster than those of float32.

    Processors with AMX are made for it, and AMD's with AVX-512's bfloat16 have twice the products; neither was at hand
    to be measured. Intel's with the latter alone were slower than in float32 (benchmarks/LOG.md).
    """
    vendor, flags = _vendor_and_flags()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and vendor == "AuthenticAMD")


def multiplies_int8() -> bool:
    """Return whether products of 8-bit integers with 32-bit sums are faster than those of float32: AVX-512 VNNI."""
    return "avx512_vnni" in _vendor_and_flags()[1]


def _vendor_and_flags() -> tuple[str, set[str]]:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "", set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "", set()
    found = dict(
        reversed([(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)])
    )
    return found.get("vendor_id", ""), set(found.get("flags", "").split())
