"""What the metrics count."""

import pytest

from dcgan.serving.client import Client, RefusedError

pytestmark = pytest.mark.slow


def test_metrics_count_images_batches_and_calls(start_server, only, read_metrics):
    with start_server(only("tiny")) as server, Client(server.target) as client:
        client.generate(1, 40)
        with pytest.raises(RefusedError):
            client.generate(1, label=3)
        values = read_metrics(server)

    assert values['dcgan_images_total{model="tiny"}'] == 40
    assert values['dcgan_batch_images_sum{model="tiny"}'] == 40
    assert (
        values[
            (
                'grpc_server_handled_total{grpc_code="OK",grpc_method="Generate",'
                'grpc_service="dcgan.v1.GeneratorService",grpc_type="unary"}'
            )
        ]
        == 1
    )
    assert (
        values[
            (
                'grpc_server_handled_total{grpc_code="INVALID_ARGUMENT",grpc_method="Generate",'
                'grpc_service="dcgan.v1.GeneratorService",grpc_type="unary"}'
            )
        ]
        == 1
    )
    assert values['dcgan_rejected_total{reason="INVALID_FIELD"}'] == 1
    assert (
        values['dcgan_queue_images{model="tiny"}']
        == values['dcgan_queue_requests{model="tiny"}']
        == 0
    )
    assert any(
        name.startswith("dcgan_model_info{") and 'agreement="exact"' in name for name in values
    )
