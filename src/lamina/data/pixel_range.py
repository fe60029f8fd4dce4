"""Whether images have pixels as a model was trained on: 0 to 255 and 0 to 1 are the same pictures, 255 times apart.

A model keeps mean and standard deviation of its training pixels, which say within which range they lay. Each image is
judged by itself, by its type and its own pixels, so that a row's result does not depend on the rows beside it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Numbers between 0 and 1 have a standard deviation of at most 0.5. Standardised ones, or those between -1 and 1, have
# one of 1, or a little more; the darkest pictures between 0 and 255 have more than this mean or deviation.
_UNIT, _WIDE = 0.5, 2.0
# Brightened pictures between 0 and 1 may go a little beyond; whole numbers do not.
_BRIGHTEST = 2.0
_FARTHEST = 100.0  # standard deviations; of standardised pixels none is that far, and most of 0 to 255 are
_BLOCK_ROWS = 128


@dataclass(frozen=True)
class PixelRange:
    """The range of a model's training pixels, which have this ``mean`` and deviation, ``scale``.

    With ``gradients`` the network sees no pixels, and they lie between 0 and 255; see ``lamina.data.image_features``. A
    mean of exactly 0 and a scale of exactly 1 are those of a model that was made to take pixels as they are, see
    ``lamina.analysis.collapse``, and say nothing.
    """

    mean: float
    scale: float
    gradients: bool = False

    @property
    def is_unit(self) -> bool:
        """Whether training pixels lay between 0 and 1."""
        return not self.gradients and 0 <= self.mean <= 1 and self.scale <= _UNIT

    @property
    def is_wide(self) -> bool:
        """Whether training pixels went far beyond -1 to 1."""
        return self.gradients or abs(self.mean) > _WIDE or self.scale > _WIDE

    def largest(self, *, whole: bool) -> float:
        """Return the largest pixel that there may be; ``whole``: in an image of an integer type."""
        if self.is_unit:
            return 1.0 if whole else _BRIGHTEST
        says_nothing = self.is_wide or (self.mean, self.scale) == (0.0, 1.0)
        return self.mean + _FARTHEST * self.scale if whole and not says_nothing else math.inf

    def misfit(self, images: Array) -> Array:
        """Return a mask (n,) of the images (n, ...) that are of another range.

        That is one with a pixel above the largest; and of floats, where training pixels went far beyond -1 to 1, one
        whose pixels all lie between -1 and 1, without being all 0.
        """
        whole, flat = images.dtype.kind in "iu", images.reshape(len(images), -1)
        largest = self.largest(whole=whole)
        mask = np.zeros(len(flat), dtype=bool)
        if math.isinf(largest) and (whole or not self.is_wide):
            return mask
        for start in range(0, len(flat), _BLOCK_ROWS):  # in blocks, which stay in the cache
            block = flat[start : start + _BLOCK_ROWS]
            high, low = block.max(axis=1), block.min(axis=1)
            bad = high > largest
            if self.is_wide and not whole:
                bad |= (high <= 1) & (low >= -1) & ((high != 0) | (low != 0))
            mask[start : start + _BLOCK_ROWS] = bad
        return mask

    def complaint(self, image: Array) -> str:
        """Return what is wrong with an image that is of another range, and what to do."""
        low, high = float(image.min()), float(image.max())
        if high > self.largest(whole=image.dtype.kind in "iu"):
            trained = "lay between 0 and 1" if self.is_unit else self._trained
            advice = "divide them by 255" if self.is_unit else "bring them to the range of training"
            return f"the pixels reach {high:g}, but those of training {trained}; {advice}."
        trained = (
            "gradients are made of pixels from 0 to 255" if self.gradients else f"those of training {self._trained}"
        )
        return f"the pixels lie between {low:g} and {high:g}, but {trained}; multiply them by 255, or as in training."

    @property
    def _trained(self) -> str:
        return f"have the mean {self.mean:.4g} and the standard deviation {self.scale:.4g}"


def telling_scale(mean: float, deviation: float, low: float, high: float, *, whole: bool) -> float:
    """Return what to divide training pixels by: their deviation, or as much more as keeps them within their range.

    A few bright pixels among very many that are 0 have the mean and the deviation of pixels between 0 and 1.

    Args:
        mean, deviation: of the pixels.
        low, high: the least and the largest of them.
        whole: whether they are of an integer type.
    """
    scale = deviation or 1.0
    if PixelRange(mean, scale).is_unit and (low < 0 or high > 1):
        scale = math.nextafter(_UNIT, 1.0)
    if whole and high > PixelRange(mean, scale).largest(whole=True):
        scale = (high - mean) / _FARTHEST
    return scale
