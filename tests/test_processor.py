"""What the processor's flags say."""

from pathlib import Path

import pytest

from lamina.training import processor

INTEL_AMX = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile\n"
INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_vnni avx512_bf16\n"
OLD_INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f\n"
AMD = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_vnni avx512_bf16\n"
OLD_AMD = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n"


@pytest.mark.parametrize(
    ("text", "bfloat16", "int8"),
    [
        (INTEL_AMX, True, True),
        (INTEL, False, True),
        (OLD_INTEL, False, False),
        (AMD, True, True),
        (AMD + OLD_AMD, True, True),  # of several processors the first one counts
        (OLD_AMD, False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_flags_decide(monkeypatch, text, bfloat16, int8):
    def read(path: Path) -> str:
        if text is None:
            raise OSError("no such file")
        return text

    monkeypatch.setattr(processor.Path, "read_text", read)
    monkeypatch.setattr(processor.platform, "system", lambda: "Linux")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    assert (processor.multiplies_bfloat16(), processor.multiplies_int8()) == (bfloat16, int8)
    monkeypatch.setattr(processor.platform, "machine", lambda: "aarch64")
    assert (processor.multiplies_bfloat16(), processor.multiplies_int8()) == (False, False)
