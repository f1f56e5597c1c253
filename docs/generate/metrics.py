"""Reference of the metrics, from the registry that the server exports."""

from __future__ import annotations

from prometheus_client import ProcessCollector

from dcgan.serving.encoding.response_cache import ResponseCache
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.observability.metrics import Metrics
from docs.generate.markdown import cell, code, table


def metrics_table() -> str:
    """Returns a table of every series that a server exports: name, type, labels, meaning."""
    registry = Metrics().registry
    HttpMetrics(registry)
    ResponseCache(registry=registry)
    rows = []
    for collector in registry._collector_to_names:
        if isinstance(collector, ProcessCollector):
            continue
        for family in collector.collect():
            names = getattr(collector, "_labelnames", getattr(family, "_labelnames", ()))
            labels = ", ".join(map(code, names))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append([code(name), family.type, labels, cell(family.documentation)])
    return table(["metric", "type", "labels", "meaning"], sorted(rows))
