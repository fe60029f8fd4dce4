"""The bytes of a safetensors file to arrays, with NumPy alone.

The format (huggingface/safetensors, "Format"): the header's length as 8 little-endian bytes, the header as JSON (each
name's dtype, shape and where its bytes are), then the bytes of all arrays, little-endian, side by side.
"""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.errors import ModelFileError, in_one_line

_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read_weights(content: bytes, source: str) -> dict[str, NDArray[Any]]:
    """Return the arrays, by name, in the bytes of a safetensors file; they are views of ``content``.

    Args:
        content: the whole file.
        source: for messages.

    Raises:
        ModelFileError: a length that does not fit, a header that is no such JSON, a dtype that no model has.
    """
    try:
        return _arrays(content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(
            f"the weights in {source!r} are not safetensors: {in_one_line(error)}. Train or copy the model again."
        ) from None


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    if len(content) < 8:
        raise ValueError(f"{len(content)} bytes are no header")
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError(f"the header should have {length} bytes, and {len(content) - 8} are there")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")
    header.pop("__metadata__", None)
    data = memoryview(content)[8 + length :]
    arrays, spans = {}, []
    for name, entry in header.items():
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"]
        start, end = entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
            raise ValueError(f"{name!r} has a shape or a place that is no whole number")
        if end > len(data) or end - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r} of shape {shape} does not fill the bytes {start} to {end} of {len(data)}")
        arrays[name] = np.frombuffer(data[start:end], dtype).reshape(shape)
        spans.append((start, end))
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise ValueError(f"byte {min(start, position)} belongs to no array, or to two")
        position = end
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes behind the last array")
    return arrays
