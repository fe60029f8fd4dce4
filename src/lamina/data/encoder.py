"""Columns to the arrays that a network takes, fitted on training rows only.

Numbers leave standardised (mean 0, standard deviation 1) with missing ones at the median and a flag beside them;
a column of dates leaves as several such numbers, its parts; categories leave as codes; images leave as they are, uint8
included. What is wide, such as the pieces of the piecewise-linear encoding or one-hot columns, is made by the network
from these, a minibatch at a time.

A row of weight 2 counts as the row twice in every statistic here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.date_parts import PARTS
from lamina.data.image_features import gradient_shape, oriented_gradients
from lamina.data.pixel_range import PixelRange, telling_scale
from lamina.data.schema import Schema
from lamina.data.spelling import Spelling
from lamina.data.table import Array, Column, Table
from lamina.errors import SchemaError

# Between the quartiles of a normal distribution lie 1.349 standard deviations; a column with less than 0.4 is bent.
_NORMAL_SPREAD, _NARROW, _SPREAD_BINS = 1.349, 0.4, 48
_BLOCK_ROWS = 128  # of images at a time, which stay in the cache
# Whole numbers of few values, each in many rows, may be codes without an order: each value gets an edge of its own, up
# to so many for a column and for all columns together, where a value has so many rows on average.
_CODE_VALUES, _ALL_CODE_VALUES, _ROWS_A_VALUE = 64, 1024, 32
RARE = 0  # the code of levels that are rare in training or were not there

Arrays = dict[str, Any]  # NumPy arrays, and one of scipy.sparse
_KINDS = ("numbers", "categories", "images", "blocks")


@dataclass(frozen=True)
class NumberCode:
    """Standardisation of one number column: (x - mean) / scale, ``median`` where missing.

    Where ``bent``, the column has a tail so heavy that its standard deviation says nothing of most values: ``mean`` and
    ``scale`` are the middle and the spread of its quantiles, and what leaves is asinh((x - mean) / scale).
    ``edges`` are the bounds of the piecewise-linear encoding's bins, in standardised units and ascending; empty for
    standard scaling. ``flag``: whether missing values get a column of their own. ``part``: what x is of a column of
    dates, a key of ``lamina.data.date_parts.PARTS``; empty for a column of numbers.
    """

    name: str
    mean: float
    scale: float
    median: float
    flag: bool
    edges: tuple[float, ...] = ()
    part: str = ""
    bent: bool = False

    def scaled(self, values: Array) -> Array:
        """Return what leaves of ``values`` (n,) without missing ones, float64."""
        # In float64 first: float32 has no digits left for 1.7e9 seconds a few minutes apart.
        with np.errstate(over="ignore"):  # clipped a moment later
            standardised = _clipped((values - self.mean) / self.scale)
        return np.arcsinh(standardised) if self.bent else standardised

    def values(self, column: Column) -> Array:
        """Return the x of each row of ``column`` as float64 (n,), NaN where missing."""
        values = np.asarray(column.values, dtype=np.float64)
        return PARTS[self.part](values) if self.part else values


@dataclass(frozen=True)
class CategoryCode:
    """Codes of one category column: level i has code i + 1; ``None`` stands for a missing value; 0 is ``RARE``."""

    name: str
    levels: tuple[str | None, ...]
    one_hot: bool
    has_rare: bool

    @property
    def n_codes(self) -> int:
        return len(self.levels) + 1

    @cached_property
    def spelling(self) -> Spelling:
        """What finds a level by a text."""
        return Spelling(self.levels)

    @property
    def missing(self) -> int:
        """The code of a missing value."""
        return self.levels.index(None) + 1 if None in self.levels else RARE

    def code_of(self, cell: str) -> int:
        """Return the code of a text: of the level that it means, of a missing value, or ``RARE``."""
        found = self.spelling.find(cell)
        if found is not None:
            return found + 1
        return self.missing if self.spelling.is_missing(cell) else RARE


@dataclass(frozen=True)
class ImageCode:
    """One image column: its shape, and mean and standard deviation of its numbers in training.

    ``features``: what those numbers are: ``pixels``, or ``gradients`` (``lamina.data.image_features``).
    """

    name: str
    shape: tuple[int, ...]
    mean: float
    scale: float
    features: str = "pixels"

    @property
    def pixel_range(self) -> PixelRange:
        """The range that pixels must have."""
        return PixelRange(self.mean, self.scale, self.features == "gradients")

    @property
    def width(self) -> int:
        """How many numbers an image becomes."""
        return int(np.prod(gradient_shape(self.shape) if self.features == "gradients" else self.shape))


@dataclass(frozen=True)
class SparseCode:
    """A sparse block: the largest absolute value of each of its columns, by which they are divided; never centred."""

    name: str
    scales: tuple[float, ...]


@dataclass(frozen=True)
class Encoder:
    """Everything learned from the training rows' features."""

    numbers: tuple[NumberCode, ...]
    categories: tuple[CategoryCode, ...]
    images: tuple[ImageCode, ...]
    blocks: tuple[SparseCode, ...] = ()

    @classmethod
    def fit(
        cls,
        schema: Schema,
        table: Table,
        weights: Array | None = None,
        *,
        numeric: str = "piecewise_linear",
        bins: int = 48,
        one_hot_levels: int = 8,
        min_level_rows: int = 4,
        features: str = "pixels",
        codes: bool = False,
    ) -> "Encoder":
        """Return the encoder of training rows.

        Args:
            schema: of the training data.
            table: the training rows, as ``schema.check`` returns them.
            weights: (n,), all above 0, or ``None``.
            numeric: ``piecewise_linear`` (Gorishniy et al. 2022, arXiv 2203.05556, section 3.2, eq. 1),
                ``piecewise_embedding`` or ``mixed``, which have bins; or ``periodic`` or ``standard``, which have none.
            bins: pieces at most, between quantiles.
            one_hot_levels: categories of up to so many levels are one-hot.
            min_level_rows: levels of less weight are ``RARE``.
            features: of images: ``pixels`` or ``gradients``.
            codes: whole numbers of few values, each in many rows, may have more bins than that: one between each two.
        """
        numbers: list[NumberCode] = []
        categories, images, blocks = [], [], []
        number_bins = bins if numeric in ("piecewise_linear", "piecewise_embedding", "mixed") else 0
        # Not where exact tools need every number to enter by straight lines.
        bends = numeric in ("piecewise_embedding", "periodic", "mixed")
        n_numbers = sum(column.kind == "number" for column in schema.features)
        code_values = min(_CODE_VALUES, _ALL_CODE_VALUES // max(n_numbers, 1)) if codes else 0
        for column in schema.features:
            values = table[column.name]
            if column.kind == "number":
                numbers.append(_fit_number(column.name, values.values, weights, number_bins, code_values, bends))
            elif column.kind == "datetime":
                numbers.extend(_fit_dates(column.name, values, weights, number_bins))
            elif column.kind == "category":
                categories.append(_fit_category(column.name, values, weights, one_hot_levels, min_level_rows))
            elif column.kind == "sparse":
                scales = abs(values.values.astype(np.float64)).max(axis=0).toarray()
                blocks.append(SparseCode(column.name, tuple(np.where(scales > 0, scales, 1.0).tolist())))
            else:
                images.append(_fit_image(column.name, values, weights, features))
        return cls(tuple(numbers), tuple(categories), tuple(images), tuple(blocks))

    @property
    def levels(self) -> dict[str, tuple[str | None, ...]]:
        """The levels of each category column, by its name; ``None`` stands for a missing value."""
        return {code.name: code.levels for code in self.categories}

    @property
    def sees_gradients(self) -> bool:
        """Whether images enter as fixed gradients and not as pixels, which every report on the network must say."""
        return any(code.features == "gradients" for code in self.images)

    def transform(self, table: Table, dtype: str = "float32") -> Arrays:
        """Return the arrays of the rows of ``table``.

        Args:
            table: rows, as ``schema.check`` returns them.
            dtype: of the numbers.

        Returns:
            ``numbers`` (n, d) and ``flags`` (n, m), of ``dtype``; ``codes`` (n, c) int32; ``pixels`` (n, p), of the
            images' own dtype, or float32 where they are features; ``sparse``, a ``scipy.sparse.csr_array`` (n, s) of
            ``dtype``. Those that would be empty are left out.
        """
        arrays: Arrays = {}
        if self.numbers:
            numbers = np.empty((table.n_rows, len(self.numbers)), dtype=dtype)
            flags = np.empty((table.n_rows, sum(code.flag for code in self.numbers)), dtype=dtype)
            n_flags = 0
            for i, code in enumerate(self.numbers):
                values = code.values(table[code.name])
                missing = np.isnan(values)
                numbers[:, i] = code.scaled(np.where(missing, code.median, values))
                if code.flag:
                    flags[:, n_flags] = missing
                    n_flags += 1
            arrays["numbers"] = numbers
            if n_flags:
                arrays["flags"] = flags
        if self.categories:
            codes = [_codes(code, table[code.name]) for code in self.categories]
            arrays["codes"] = np.stack(codes, axis=1)
        if self.images:
            flat = [_image_numbers(table[code.name].values, code.features) for code in self.images]
            arrays["pixels"] = flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)
        for block in self.blocks:
            scaled: Any = table[block.name].values.astype(np.float64)
            scaled.data /= np.array(block.scales)[scaled.indices]
            arrays["sparse"] = scaled.astype(dtype)
        return arrays

    def check_images(self, table: Table) -> None:
        """Refuse images of another range than those of training; see ``lamina.data.pixel_range``.

        Raises:
            SchemaError: there is one; the message names its row.
        """
        for code in self.images:
            images = table[code.name].values
            misfit = code.pixel_range.misfit(images)
            if misfit.any():
                row = int(misfit.argmax())
                raise SchemaError(
                    f"{table.source}, column {code.name!r}, row {table.row_number(row)}: "
                    f"{code.pixel_range.complaint(images[row])}"
                )

    def unseen(self, table: Table) -> list[str]:
        """Return one sentence for each category column of ``table`` with levels that training never saw."""
        notes = []
        for code in self.categories:
            column = table[code.name]
            if code.has_rare:
                continue  # what is rare here and what is new cannot be told apart
            tokens = [code.spelling.is_missing(level) for level in column.levels]
            missing = np.array([*tokens, True])[column.values]
            new = (_codes(code, column) == RARE) & ~missing
            if new.any():
                example = column.cell(int(new.argmax()))
                notes.append(
                    f"column {code.name!r}: {int(new.sum())} rows hold a category that was not there in training, "
                    f"such as {example!r}; it counts as `rare`"
                )
        return notes

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {key: [asdict(code) for code in getattr(self, key)] for key in _KINDS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Encoder":
        """Return the encoder that ``as_json`` described."""
        return cls(
            tuple(NumberCode(**{**code, "edges": tuple(code["edges"])}) for code in data["numbers"]),
            tuple(CategoryCode(**{**code, "levels": tuple(code["levels"])}) for code in data["categories"]),
            tuple(ImageCode(**{**code, "shape": tuple(code["shape"])}) for code in data["images"]),
            tuple(SparseCode(code["name"], tuple(code["scales"])) for code in data.get("blocks", ())),
        )


def weighted_mean_and_deviation(values: Array, weights: Array | None) -> tuple[float, float]:
    """Return mean and standard deviation (divisor n) of ``values`` (n,); a deviation of 0 becomes 1.

    Safe for values up to 1e300: they are divided by the largest first, so that no square overflows.
    """
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    scaled = values / largest
    mean = float(np.average(scaled, weights=weights))
    deviation = float(np.sqrt(np.average((scaled - mean) ** 2, weights=weights)))
    # A column that is constant up to rounding would be blown up to noise of size 1.
    if deviation <= 1e-12 * max(abs(mean), 1e-300) or deviation * largest == 0:
        return mean * largest, 1.0
    return mean * largest, deviation * largest


def weighted_quantiles(values: Array, probabilities: Array, weights: Array | None) -> Array:
    """Return quantiles of ``values`` (n,); each is one of them, and a weight of 2 is the value twice."""
    if weights is None:
        return np.asarray(np.quantile(values, probabilities, method="inverted_cdf"))
    return np.asarray(np.quantile(values, probabilities, weights=weights, method="inverted_cdf"))


def _fit_number(
    name: str, values: Array, weights: Array | None, bins: int, code_values: int = 0, bends: bool = False
) -> NumberCode:
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    present = values[~missing]
    if not len(present):  # every value among the training rows is missing, though others were not
        return NumberCode(name, 0.0, 1.0, 0.0, True, (0.0, 1.0) if bins else ())
    present_weights = None if weights is None else weights[~missing]
    mean, scale = weighted_mean_and_deviation(present, present_weights)
    median = float(weighted_quantiles(present, np.array([0.5]), present_weights)[0])
    code = NumberCode(name, mean, scale, median, bool(missing.any()))
    if bends:
        code = _bent(code, _bin_edges(present, _SPREAD_BINS, present_weights))
    if bins:
        quantiles = _bin_edges(present, bins, present_weights, code_values)
        # Rounded to float32, the network's own precision, before they are made distinct: a bin of width 0 divides by 0.
        distinct = np.unique(code.scaled(quantiles).astype(np.float32)).tolist()
        edges = tuple(distinct) if len(distinct) > 1 else (distinct[0], distinct[0] + 1.0)
        code = replace(code, edges=edges)
    return code


def _bent(code: NumberCode, quantiles: Array) -> NumberCode:
    """Return ``code`` bent where the middle half of its values lies within a small part of a standard deviation."""
    low, middle, high = np.quantile(quantiles, [0.25, 0.5, 0.75])
    spread = float(high - low)
    if not 0 < spread < _NARROW * code.scale:
        return code
    return replace(code, mean=float(middle), scale=spread / _NORMAL_SPREAD, bent=True)


def _fit_dates(name: str, column: Column, weights: Array | None, bins: int) -> list[NumberCode]:
    """Return one code for each part that differs between training rows; ``elapsed`` always, and it has the flag."""
    codes = []
    for part, of in PARTS.items():
        values = of(column.values)
        if part == "elapsed" or len(np.unique(values[~np.isnan(values)])) > 1:
            code = _fit_number(name, values, weights, bins)
            codes.append(replace(code, part=part, flag=code.flag and part == "elapsed"))
    return codes


def _bin_edges(values: Array, bins: int, weights: Array | None, code_values: int = 0) -> Array:
    """Return at most ``bins`` + 1 edges between which the values are spread evenly, or each of few whole numbers.

    A value that fills more than one bin by itself (the zeros of a gain that few people have) would take its edges away
    from all others, so no value counts more than a bin's share.
    """
    distinct, position = np.unique(values, return_inverse=True)
    mass = np.bincount(position, weights, len(distinct)).astype(np.float64)
    whole = len(distinct) <= code_values and (distinct == np.floor(distinct)).all()
    if whole and mass.sum() >= _ROWS_A_VALUE * len(distinct):
        return distinct
    mass = np.minimum(mass, mass.sum() / bins)
    return weighted_quantiles(distinct, np.linspace(0, 1, bins + 1), mass)


def _clipped(standardised: Array) -> Array:
    # Far beyond any training value, and still a float32 whose square is finite.
    return np.clip(standardised, -1e9, 1e9)


def _fit_category(
    name: str, column: Column, weights: Array | None, one_hot_levels: int, min_level_rows: int
) -> CategoryCode:
    # Code -1, missing, is counted in the last place.
    counts = np.bincount(
        np.where(column.values < 0, len(column.levels), column.values), weights, len(column.levels) + 1
    )
    frequent = [(level, count) for level, count in zip((*column.levels, None), counts, strict=True) if count > 0]
    kept = [level for level, count in frequent if count >= min_level_rows]
    if len(kept) < 2:  # a handful of rows: everything would be rare
        kept = [level for level, _ in frequent]
    levels = tuple(sorted(kept, key=lambda level: (level is None, level or "")))
    return CategoryCode(name, levels, one_hot=len(levels) <= one_hot_levels, has_rare=len(kept) < len(frequent))


def _codes(code: CategoryCode, column: Column) -> NDArray[np.int32]:
    by_level = [code.code_of(level) for level in column.levels]
    return np.array([*by_level, code.missing], dtype=np.int32)[column.values]


def _image_numbers(images: Array, features: str) -> Array:
    """Return the pixels (n, height * width) of images, or their features."""
    return oriented_gradients(images) if features == "gradients" else images.reshape(len(images), -1)


def _fit_image(name: str, column: Column, weights: Array | None, features: str) -> ImageCode:
    shape = column.values.shape[1:]
    width = ImageCode(name, shape, 0.0, 1.0, features).width
    # In blocks: a float copy of all images at once would take eight times their memory.
    total = np.zeros(3)
    for start in range(0, len(column), _BLOCK_ROWS):
        block = _image_numbers(column.values[start : start + _BLOCK_ROWS], features).reshape(-1, width)
        block = block.astype(np.float64)
        w = np.ones(len(block)) if weights is None else weights[start : start + _BLOCK_ROWS]
        total += [w.sum() * block.shape[1], w @ block.sum(axis=1), w @ np.einsum("ij,ij->i", block, block)]
    mean = total[1] / total[0]
    deviation = float(np.sqrt(max(total[2] / total[0] - mean**2, 0.0)))
    scale = deviation or 1.0
    if features == "pixels":
        images = column.values
        scale = telling_scale(
            float(mean), deviation, float(images.min()), float(images.max()), whole=images.dtype.kind in "iu"
        )
    return ImageCode(name, shape, float(mean), scale, features)
