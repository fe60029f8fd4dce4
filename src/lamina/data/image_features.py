"""Fixed features of small grey images that stand in front of the network in the place of their pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ORIENTATIONS = 8
CELL = 4
_ROWS = 2048
_SMALLEST = 0.05


def gradient_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape (rows of cells, columns of cells, orientations) of the features of an image of ``shape``."""
    height, width = shape[0], shape[1]
    return -(-height // CELL), -(-width // CELL), ORIENTATIONS


def oriented_gradients(images: NDArray[np.uint8]) -> Array:
    """Return histograms of oriented gradients (Dalal and Triggs 2005, section 6), without a learned number.

    Central differences give each pixel's gradient; its length is shared between the two nearest of eight directions
    (signed, so that light on dark differs from dark on light) and the four nearest cells of 4 x 4 pixels; the square
    root of an image's histograms, divided by their length, is the result.

    Args:
        images: (n, height, width), 0 to 255.

    Returns:
        (n, cells * 8) float32; the cells' rows first, the directions last.
    """
    n, height, width = images.shape
    down, across = _shares(height), _shares(width)
    result = np.empty((n, down.shape[0] * across.shape[0] * ORIENTATIONS), dtype=np.float32)
    for start in range(0, n, _ROWS):  # in blocks: a block's directions take 32 times the memory of its pixels
        block = images[start : start + _ROWS].astype(np.float32) / 255
        histograms = np.einsum("rh,nohw,cw->nrco", down, _directions(block), across, optimize=True)
        roots = np.sqrt(histograms.reshape(len(block), -1))
        length = np.sqrt((roots**2).mean(axis=1, keepdims=True))
        result[start : start + len(block)] = roots / np.maximum(length, _SMALLEST)
    return result


def _directions(images: Array) -> Array:
    """Return the length of each pixel's gradient, shared between directions, (n, orientations, height, width)."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    length = np.hypot(right, down)
    position = np.arctan2(down, right) * (ORIENTATIONS / (2 * np.pi)) % ORIENTATIONS
    shares = np.empty((len(images), ORIENTATIONS, *images.shape[1:]), dtype=np.float32)
    for direction in range(ORIENTATIONS):
        distance = np.abs(position - direction)
        distance = np.minimum(distance, ORIENTATIONS - distance)
        shares[:, direction] = length * np.maximum(1 - distance, 0)
    return shares


def _shares(length: int) -> Array:
    """Return how much each cell counts each of ``length`` pixels, (cells, length): linear between cells' centres."""
    n_cells = -(-length // CELL)
    centres = (np.arange(n_cells) + 0.5) * CELL - 0.5
    distance = np.abs(np.arange(length)[None, :] - centres[:, None]) / CELL
    return np.maximum(1 - distance, 0).astype(np.float32)
