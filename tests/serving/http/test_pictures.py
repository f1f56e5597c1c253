from dcgan.serving.http.pictures import encoding_cost


def test_larger_files_cost_more():
    assert encoding_cost(1, None, 64, "png") == 1
    assert encoding_cost(5, None, 64, "png") == 5
    assert encoding_cost(1, 128, 64, "png") == 4
    assert encoding_cost(1, 1, 64, "png") == 1
    assert encoding_cost(2, None, 64, "gif") > encoding_cost(2, None, 64, "webp") > 2


def test_the_cost_of_a_small_image_is_mostly_that_of_a_file():
    # Encoded, a PNG of 256x256 takes 80 times as long as one of 32x32, and 160 times one of 8x8.
    assert 20 < encoding_cost(1, 256, 32, "png") < 80
    assert 20 < encoding_cost(1, 256, 8, "png") < 160
