"""The compiled loops of the training step, where the package was installed with them."""

import ctypes
import hashlib
import os
from ctypes import c_double, c_int64, c_void_p
from functools import cache
from pathlib import Path

SWITCH = "LAMINA_NATIVE"

_LIBRARY = Path(__file__).with_name("_kernels.so")
_OPENMP = "libgomp.so.1"
# Of each function its arguments in order: p a pointer, i an int64, d a float64; behind > what it returns, if anything.
_ARGUMENTS = {
    "lamina_forward": "p pi pi iii did",
    "lamina_backward": "p p pi iii dd",
    "lamina_normalize": "pppp pppp pi iii dd did",
    "lamina_normalize_back": "ppp ppp pp iii dd",
    "lamina_narrow_forward": "pp pi p iiii",
    "lamina_narrow_backward": "ppp pp pi iiii",
    "lamina_loss": "i pp pii pp iii d",
    "lamina_one_hot": "ppp pii iiii",
    "lamina_find_pieces": "pppp pp iii",
    "lamina_pieces": "pp pi pi pii iiiii",
    "lamina_pieces_back": "pp pii pii pi pi iiiii",
    "lamina_bound": "pp pii iii",
    "lamina_periodic": "p pi pi pi pi pii iiiii",
    "lamina_periodic_back": "p ppp pii pi pi pi pi iiiii",
    "lamina_pick": "pi pi pii iii",
    "lamina_pick_back": "pii pi pi iiii",
    "lamina_adam": "pppp i p d",
    "lamina_members_forward": "p p",
    "lamina_members_step": "p > d",
}
_OF_ONE_KIND = {
    "lamina_round_weight": "pp ppp ii dd",
    "lamina_round_gradient": "pp pppp iii dd",
    "lamina_scale_product": "pp pp iii",
    "lamina_drop_pixels": "ppp iii",
    "lamina_xorshift": "p i",
}
_TYPES = {"p": c_void_p, "i": c_int64, "d": c_double}


@cache
def load() -> ctypes.CDLL | None:
    """Return the library, or ``None``: what needs it then takes torch's operations, which are slower.

    There is none where the package was installed without a C compiler, where its sources have changed since, where the
    environment variable LAMINA_NATIVE is 0, and where torch brings an OpenMP of its own: with two sets of threads on
    the same cores, each would wait for the other.
    """
    if os.environ.get(SWITCH) == "0" or not _LIBRARY.exists() or not _shares_openmp():
        return None
    try:
        library = ctypes.CDLL(str(_LIBRARY))
    except OSError:
        return None
    library.lamina_source.restype = ctypes.c_char_p
    if library.lamina_source().decode() != source_hash(_LIBRARY.parent):
        return None
    of_reals = {f"{name}_{real}": letters for name, letters in _ARGUMENTS.items() for real in ("float", "double")}
    for name, letters in (of_reals | _OF_ONE_KIND).items():
        function = getattr(library, name)
        given, _, returned = letters.replace(" ", "").partition(">")
        function.argtypes, function.restype = [_TYPES[each] for each in given], _TYPES.get(returned)
    return library


@cache
def matrix_products() -> dict[str, int] | None:
    """Return where the products of matrices are that torch calls (BLAS's gemm), and what keeps them on one thread.

    ``None`` where they are not MKL's: another library might start threads of its own beside those that call it.

    Returns:
        The addresses of ``sgemm_``, ``dgemm_`` and ``MKL_Set_Num_Threads_Local``.
    """
    import torch

    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        found = {name: getattr(library, name) for name in ("sgemm_", "dgemm_", "MKL_Set_Num_Threads_Local")}
    except (OSError, AttributeError):
        return None
    return {name: ctypes.cast(each, c_void_p).value or 0 for name, each in found.items()}


def source_hash(folder: Path) -> str:
    """Return a SHA-256 of the C sources, which hatch_build.py writes into the library."""
    return hashlib.sha256(b"".join(each.read_bytes() for each in sorted(folder.glob("*.[ch]")))).hexdigest()


def _shares_openmp() -> bool:
    """Return whether the library will find the OpenMP that torch has loaded, by the name that it asks for."""
    import torch  # loads it

    beside = Path(torch.__file__).parent
    folders, kinds = (beside / "lib", beside.parent / "torch.libs"), ("libgomp*", "libomp*", "libiomp*")
    bundled = {each.name for folder in folders for kind in kinds for each in folder.glob(kind)}
    try:
        ctypes.CDLL(_OPENMP, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except (OSError, AttributeError):  # Windows has no such modes
        return False
    return bundled <= {_OPENMP}
