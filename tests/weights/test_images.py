"""Images of a comparison: the same for the same seed, fine and coarse."""

import numpy as np

from defectbench.weights.images import noise_images


def test_images_are_the_same_bytes_for_the_same_seed():
    images = noise_images(3, 32, 0)
    assert (images.shape, images.dtype) == ((3, 3, 32, 32), np.uint8)
    assert np.array_equal(images, noise_images(3, 32, 0))
    assert not np.array_equal(images, noise_images(3, 32, 1))
    assert np.array_equal(images[:2], noise_images(2, 32, 0))


def test_squares_grow_from_image_to_image():
    for image, cell in zip(noise_images(4, 32, 0), (1, 4, 16, 1), strict=True):
        squares = image.reshape(3, 32 // cell, cell, 32 // cell, cell)
        assert (squares == squares[:, :, :1, :, :1]).all()
        assert len(np.unique(squares[:, :, 0, :, 0].reshape(3, -1), axis=1).T) > 1
