"""Pushes one of each instrument with the OpenTelemetry SDK: push.py grpc|http ENDPOINT SERVICE."""
import sys

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

protocol, endpoint, service = sys.argv[1:4]
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    exporter = OTLPMetricExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    exporter = OTLPMetricExporter(endpoint=endpoint + "/v1/metrics")

reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
resource = Resource.create({"service.name": service, "service.instance.id": "i-1"})
provider = MeterProvider(resource=resource, metric_readers=[reader])
meter = provider.get_meter("stranger")

counter = meter.create_counter("stranger.jobs", unit="1", description="Jobs.")
counter.add(3, {"queue": "fast"})
counter.add(4, {"queue": "slow"})
meter.create_observable_gauge("stranger.temperature", [lambda _: [Observation(21.5, {"room": "a.b"})]], unit="Cel")
histogram = meter.create_histogram("stranger.latency", unit="ms")
for value in (1, 7, 30, 600):
    histogram.record(value, {"http.route": "/x"})
updown = meter.create_up_down_counter("stranger.open", unit="{connection}")
updown.add(5)
updown.add(-2)

assert provider.force_flush(10_000)
provider.shutdown()
