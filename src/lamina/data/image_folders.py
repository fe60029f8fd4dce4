"""A folder of images, one sub-folder for each class: small grey images, kept as uint8.

Pillow decodes the files; it comes with the extra ``images``.
"""

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lamina.data.images import image_table, unpacked
from lamina.data.table import Table
from lamina.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".tif", ".tiff", ".webp")
# Without this list Pillow tries every format that it knows on any file, and runs Ghostscript on PostScript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")


def read_image_folder(folder: Path) -> Table:
    """Return the images in the sub-folders of ``folder``, labelled by the sub-folders' names, or those right in it.

    Classes are in sorted order, and so are the files of a class. Hidden entries, files whose suffix is none of
    ``SUFFIXES``, sub-folders without images and all that lies deeper are ignored. What becomes of the pixels:

    - colours become grey as in Pillow's mode ``L``: (299 R + 587 G + 114 B) / 1000;
    - transparent pixels are laid over white;
    - of 16 bits the upper 8 are kept; of 1 bit, 0 and 1 become 0 and 255;
    - of several frames or pages the first is read, as it is stored: a rotation noted in EXIF is not applied.

    Returns:
        A table of the column ``image``, uint8 (n, height, width), and, where there are sub-folders, of the text column
        ``label``, which is the target.

    Raises:
        DataError: a model folder, no images, images beside class folders, images of different sizes, a file that is
            damaged or too large, a class folder whose name is not UTF-8.
        MissingExtraError: Pillow is not installed.
    """
    if (folder / "model.json").is_file():
        raise DataError(f"{str(folder)!r} is a model folder, not data; give a file or a folder of images as the data.")
    loose = _image_files(folder)
    classes = {entry.name: files for entry in _entries(folder) if entry.is_dir() and (files := _image_files(entry))}
    if not loose and not classes:
        raise DataError(
            f"the folder {str(folder)!r} holds no images; "
            f"put images ({', '.join(SUFFIXES)}) into it, or into one sub-folder for each class."
        )
    if loose and classes:
        raise DataError(
            f"the folder {str(folder)!r} holds the image {loose[0].name!r} beside the class folder "
            f"{next(iter(classes))!r}; move every image into the folder of its class."
        )
    for name in classes:
        if name != name.encode("utf-8", "replace").decode():  # it could neither be printed nor saved with the model
            raise DataError(f"{str(folder)!r}: the name of the class folder {name!r} is not UTF-8; rename it.")
    if loose:
        return image_table(_read_images(loose), None, str(folder))
    codes = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
    images = _read_images([file for files in classes.values() for file in files])
    return image_table(images, codes, str(folder), tuple(classes))


def _entries(folder: Path) -> list[Path]:
    try:
        visible = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror}.") from None
    # By name: paths themselves are ordered without regard to case on Windows, and the result must not depend on that.
    return sorted(visible, key=lambda entry: entry.name)


def _image_files(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]


def _read_images(files: list[Path]) -> NDArray[np.uint8]:
    """Return the images (n, height, width) in ``files``, which must agree in size."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("reading images needs Pillow: pip install 'lamina[images]'.") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata, which does not reach the pixels
        # Pillow only warns of up to twice its limit; as an error, one limit holds for all.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        first = _read_image(files[0])
        images = np.empty((len(files), *first.shape), np.uint8)
        images[0] = first
        for i, file in enumerate(files[1:], 1):
            pixels = _read_image(file)
            if pixels.shape != first.shape:
                raise DataError(
                    f"{str(files[0])!r} is {_size(first)} pixels (width x height), but {str(file)!r} is "
                    f"{_size(pixels)}; resize the images to one size."
                )
            images[i] = pixels
    return images


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def _read_image(file: Path) -> NDArray[np.uint8]:
    """Return the image (height, width) in ``file``."""
    from PIL import Image

    content = unpacked(file)  # Pillow gets bytes, never the file, which it would keep open or mapped into memory
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            return _grey(image, file)
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{str(file)!r} says that it has more than {Image.MAX_IMAGE_PIXELS} pixels; resize or remove it."
        ) from None
    except Exception:  # OSError, SyntaxError, struct.error and others: every decoder has its own
        raise DataError(
            f"{str(file)!r} is no image that can be read: damaged, cut short or of an unknown format; "
            "replace or remove it."
        ) from None


def _grey(image: "Image.Image", file: Path) -> NDArray[np.uint8]:
    from PIL import Image

    # Not convert("L") for 16 bits: it sets whatever exceeds 255 to 255. Pillow has 16-bit PGM in its mode I of 32 bits.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in ("I", "F"):
        raise DataError(
            f"{str(file)!r} has pixels of 32 bits, whose range is not known; save it with 8 or 16 bits a pixel."
        )
    # Not convert("L") alone for transparency either: it shows the colour that invisible pixels happen to have.
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("L"))
