import os
from pathlib import Path

import pytest

from lamina.native import kernels


@pytest.fixture(scope="session")
def lamina_data() -> Path:
    """The folder of real data sets, which are too large to be kept beside the tests."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LAMINA_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}; set LAMINA_DATA to the folder of the real data sets")
    return folder


@pytest.fixture(params=["compiled", "torch"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the compiled loops, and with torch's operations in their place."""
    if request.param == "torch":
        monkeypatch.setattr(kernels, "load", lambda: None)
    elif kernels.load() is None:
        pytest.skip("this package was installed without its compiled loops")
    return request.param
