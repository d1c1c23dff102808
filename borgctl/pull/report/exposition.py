"""Exposition: metrics in Prometheus' text format, by prometheus_client. It knows no metric.

exposition(METRICS, fleet)            b"# HELP borgpull_targets How many targets there are.…"
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.metrics import Metric


class _Gauges(Collector):
    """Hand metrics to a registry; each sample once, since Prometheus takes nothing of a file that has one twice."""

    def __init__(self, metrics: Iterable[Metric], fleet: FleetStatus) -> None:
        self._metrics, self._fleet = metrics, fleet

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each metric with its samples."""
        for metric in self._metrics:
            family = GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)
            for labels, value in dict(metric.samples(self._fleet)).items():
                family.add_metric(labels, float(value))
            yield family


def exposition(metrics: Iterable[Metric], fleet: FleetStatus) -> bytes:
    """Return the text; nothing is in it that prometheus_client would add of this process."""
    registry = CollectorRegistry()
    registry.register(_Gauges(metrics, fleet))
    return generate_latest(registry)
