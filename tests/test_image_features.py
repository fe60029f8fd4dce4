"""Oriented gradients against pixels done one by one."""

import numpy as np
import pytest

import lamina
from lamina.data.image_features import gradient_shape, oriented_gradients


def by_hand(image):
    """The definition, pixel by pixel."""
    height, width = image.shape
    light = image.astype(float) / 255
    cells = np.zeros((-(-height // 4), -(-width // 4), 8))
    for r in range(height):
        for c in range(width):
            right = light[r, min(c + 1, width - 1)] - light[r, max(c - 1, 0)]
            down = light[min(r + 1, height - 1), c] - light[max(r - 1, 0), c]
            position = (np.arctan2(down, right) % (2 * np.pi)) / (2 * np.pi) * 8
            for direction in range(8):
                distance = min(abs(position - direction), 8 - abs(position - direction))
                for i in range(cells.shape[0]):
                    for j in range(cells.shape[1]):
                        near = max(1 - abs(r - (4 * i + 1.5)) / 4, 0) * max(1 - abs(c - (4 * j + 1.5)) / 4, 0)
                        cells[i, j, direction] += np.hypot(right, down) * max(1 - distance, 0) * near
    roots = np.sqrt(cells.ravel())
    return roots / max(np.sqrt((roots**2).mean()), 0.05)


@pytest.mark.parametrize("shape", [(8, 8), (9, 6), (4, 12)])
def test_they_are_what_the_definition_says(shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    features = oriented_gradients(images)
    assert features.shape == (3, np.prod(gradient_shape(shape)))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [by_hand(image) for image in images], atol=2e-5)


def test_an_image_of_one_grey_has_none_and_an_edge_has_one_direction():
    flat, edge = np.full((8, 8), 77, np.uint8), np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 255
    features = oriented_gradients(np.stack([flat, edge, 255 - edge])).reshape(3, 2, 2, 8)
    assert not features[0].any()
    assert set(np.flatnonzero(features[1].sum((0, 1)))) == {0}
    assert set(np.flatnonzero(features[2].sum((0, 1)))) == {4}


def test_blocks_make_no_difference():
    images = np.random.default_rng(0).integers(0, 256, (2050, 4, 4), dtype=np.uint8)
    np.testing.assert_allclose(oriented_gradients(images)[-1], oriented_gradients(images[-1:])[0], rtol=1e-6)


def test_a_model_sees_them_and_is_saved_with_them(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    images = rng.integers(0, 40, (200, 8, 8), dtype=np.uint8)
    images[y == 1, :, 4:] += 200
    images[y == 0, 4:, :] += 200
    model = lamina.fit((images, y), features="gradients", epochs=5, seed=0, baselines=True)
    assert model.network.n_inputs == 32
    assert model.encoder.images[0].features == "gradients"
    assert model.report.scores["validation"]["accuracy"] == 1.0
    assert "the network sees fixed oriented gradients of the images, not their pixels" in model.report.notes
    assert model.summary().splitlines()[1].split()[:2] == ["inputs", "gradients"]
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(lamina.load(tmp_path / "m").predict_proba(images), model.predict_proba(images))
