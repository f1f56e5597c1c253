from dcgan.serving.http.pictures import encoding_cost


def test_larger_files_cost_more():
    assert encoding_cost(1, None, 64, "png") == 1
    assert encoding_cost(5, None, 64, "png") == 5
    assert encoding_cost(1, 128, 64, "png") == 4
    assert encoding_cost(1, 1, 64, "png") == 1
    assert encoding_cost(2, None, 64, "gif") > encoding_cost(2, None, 64, "webp") > 2
