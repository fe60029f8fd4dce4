"""The same pictures from 0 to 255 and from 0 to 1: taken where they are what training had, refused where not."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import lamina
from lamina.cli.main import EXIT_DATA, run
from lamina.data.pixel_range import PixelRange, telling_scale
from lamina.errors import DataError, SchemaError
from lamina.export.runtime import load as load_runtime

DIGITS = load_digits()
BYTES, Y = (DIGITS.images * 15).astype(np.uint8)[:400], DIGITS.target[:400]
UNIT = BYTES / 255.0
FEW = {"hidden_units": (16,), "epochs": 3, "seed": 0, "baselines": False}


@pytest.fixture(scope="module")
def of_bytes():
    return lamina.fit((BYTES, Y), **FEW)


@pytest.fixture(scope="module")
def of_unit():
    return lamina.fit((UNIT, Y), **FEW)


def doors(model, folder):
    """Yield what predicts with ``model`` from an array of images."""
    model.save(folder)
    yield model.predict_proba
    yield lambda images: lamina.load(folder).predict_proba(images)
    runtime = load_runtime(folder)
    yield runtime.predict_proba
    yield lambda images: runtime.predict_proba({"image": images})
    yield lambda images: runtime.logits(images.reshape(len(images), -1))
    yield lambda images: np.stack([runtime.logits(image.reshape(-1)) for image in images])
    yield lambda images: model.evaluate((images, Y[: len(images)]))


@pytest.mark.parametrize(
    ("trained", "images", "message"),
    [
        ("bytes", UNIT, "row 1: the pixels lie between 0 and 0.882353, but those of training have the mean 7"),
        ("bytes", UNIT.astype(np.float32), "row 1: the pixels lie between 0 and 0.88"),
        ("bytes", UNIT * 2 - 1, "row 1: the pixels lie between -1 and 0.76"),
        ("bytes", BYTES > 100, "row 1: the pixels lie between 0 and 1, "),
        ("unit", BYTES, "row 1: the pixels reach 225, but those of training lay between 0 and 1; divide them by 255."),
        ("unit", BYTES.astype(np.int64), "row 1: the pixels reach 225, "),
        ("unit", BYTES.astype(np.float32), "row 1: the pixels reach 225, "),
    ],
)
def test_images_of_another_range_are_refused_at_every_door(trained, images, message, of_bytes, of_unit, tmp_path):
    model = {"bytes": of_bytes, "unit": of_unit}[trained]
    for door in doors(model, tmp_path / "m"):
        with pytest.raises(SchemaError) as error:
            door(images[:3])
        assert message in str(error.value)
    # Image by image: the one is refused whatever stands beside it, and its row is named.
    mixed = np.concatenate([(BYTES if trained == "bytes" else UNIT)[:2].astype(np.float64), images[2:3]])
    if images.dtype.kind == "f":
        with pytest.raises(SchemaError, match=r"column 'image', row 3: the pixels"):
            model.predict(mixed)


def test_images_of_the_range_of_training_are_taken(of_bytes, of_unit, tmp_path):
    for model, others in (
        (of_bytes, [BYTES, BYTES.astype(np.int64), BYTES.astype(np.float32), BYTES * 1.0]),
        (of_unit, [UNIT, np.float32(UNIT), UNIT * 1.2]),
    ):
        expected = model.predict_proba(others[0])
        for images in others[:-1]:
            np.testing.assert_allclose(model.predict_proba(images), expected, atol=1e-5)
        assert model.predict_proba(others[-1]).shape == expected.shape
        for black in (np.zeros((2, 8, 8)), np.zeros((2, 8, 8), np.uint8)):
            np.testing.assert_allclose(model.predict_proba(black), model.predict_proba(black[:1])[[0, 0]], atol=1e-12)
            for door in doors(model, tmp_path / "m"):
                door(black)


def test_images_as_they_are_in_scikit_learn_may_be_floats_from_0_to_16():
    model = lamina.fit((DIGITS.images, DIGITS.target), **{**FEW, "epochs": 10})
    assert (model.predict(DIGITS.images) == DIGITS.target).mean() > 0.9
    assert (model.predict(DIGITS.images.astype(np.uint8)) == DIGITS.target).mean() > 0.9
    with pytest.raises(SchemaError, match=r"multiply them by 255, or as in training"):
        model.predict(DIGITS.images / 16)


@pytest.mark.parametrize(
    "images",
    [
        UNIT * 2 - 1,  # between -1 and 1
        (UNIT - UNIT.mean()) / UNIT.std(),  # standardised
        (BYTES > 100).astype(np.uint8),  # masks
        BYTES > 100,
        (BYTES // 100).astype(np.uint8),  # 0, 1, 2
        BYTES * (np.arange(400) % 100 == 0)[:, None, None] * (np.arange(64).reshape(8, 8) == 27),  # a few bright pixels
        np.where(np.arange(64).reshape(8, 8) == 27, UNIT * 3, 0),
    ],
)
def test_a_model_takes_its_own_images(images):
    model = lamina.fit((images, Y), **FEW)
    model.encoder.check_images(model.read(images))
    assert model.predict(images).shape == (400,)


def test_an_estimator_refuses_them_too():
    classifier = lamina.MLPClassifier((16,), max_iter=3, random_state=0).fit(BYTES, Y)
    with pytest.raises(ValueError, match=r"column 'image', row 1: the pixels lie between 0 and 0.88"):
        classifier.predict(UNIT)


def test_gradients_are_made_of_pixels_from_0_to_255():
    with pytest.raises(
        DataError, match=r"row \d+: the pixels lie between 0 and 0.\d+, but gradients are made of pixels"
    ):
        lamina.fit((UNIT, Y), features="gradients", **FEW)
    model = lamina.fit((BYTES, Y), features="gradients", **FEW)
    np.testing.assert_allclose(model.predict_proba(BYTES * 1.0), model.predict_proba(BYTES), atol=1e-9)
    with pytest.raises(SchemaError, match=r"gradients are made of pixels from 0 to 255; multiply them by 255"):
        model.predict(UNIT)


def test_training_images_of_two_ranges_are_refused():
    mixed = BYTES * 1.0
    mixed[7] /= 255
    with pytest.raises(SchemaError, match=r"column 'image', row 8: the pixels lie between 0 and 0.[0-9]+, but"):
        lamina.fit((mixed, Y), **FEW)


def test_the_command_says_so_and_exits_with_3(of_unit, tmp_path, capsys):
    of_unit.save(tmp_path / "m")
    (tmp_path / "images").mkdir()
    Image.fromarray(BYTES[0]).save(tmp_path / "images" / "a.png")
    assert run(["predict", str(tmp_path / "m"), str(tmp_path / "images")]) == EXIT_DATA
    error = capsys.readouterr().err
    assert "row 1: the pixels reach 225, but those of training lay between 0 and 1; divide them by 255." in error


@pytest.mark.parametrize("trained", ["bytes", "unit", "floats"])
def test_a_graph_refuses_them_too(trained, of_bytes, of_unit, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from lamina.export.onnx import to_onnx

    own, other = {"bytes": (BYTES, UNIT), "unit": (UNIT, BYTES * 1.0), "floats": (BYTES * 1.0, UNIT)}[trained]
    model = of_unit if trained == "unit" else of_bytes
    to_onnx(model, tmp_path / "m.onnx", sample=own)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    found = session.run(["probabilities"], {"image": own[:5]})[0]
    np.testing.assert_allclose(found, model.predict_proba(own[:5]), atol=1e-9)
    black = np.zeros_like(own[:1])
    np.testing.assert_allclose(
        session.run(["probabilities"], {"image": black})[0], model.predict_proba(black), atol=1e-9
    )
    with pytest.raises(Exception, match=r"Unexpected input data type|image: pixels (above 2|between -1 and 1)"):
        session.run(["probabilities"], {"image": np.concatenate([own[:1] * 1.0, other[:1]])})


def test_what_the_mean_and_the_deviation_say_of_the_range():
    units = [(0.3, 0.3), (1.0, 0.5)]
    wides = [(33.0, 78.0), (0.3, 9.0), (0.3, 0.3, True)]
    others = [(0.0, 1.0), (-0.7, 0.6), (1.1, 0.7), (-0.1, 0.2)]
    assert [each for each in (*units, *wides, *others) if PixelRange(*each).is_unit] == units
    assert [each for each in (*units, *wides, *others) if PixelRange(*each).is_wide] == wides
    assert PixelRange(0.0, 1.0).largest(whole=True) == np.inf, "a collapsed model takes any pixels"
    assert PixelRange(1e-9, 1.0).largest(whole=True) == pytest.approx(100.0)
    assert telling_scale(0.3, 0.3, 0.0, 1.0, whole=False) == 0.3
    assert telling_scale(0.3, 0.0, 0.3, 0.3, whole=False) == 1.0
    assert 0.5 < telling_scale(0.01, 0.3, 0.0, 30.0, whole=False) < 0.5000001
    assert telling_scale(0.5, 1.0, 0.0, 255.0, whole=True) == 2.545
