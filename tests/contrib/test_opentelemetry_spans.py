"""OpenTelemetry's instrumentations export no secret through a wrapped exporter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import celery
import pytest
import requests
import urllib3
from django.test import Client
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext

from tests.integration.test_canary import MARK
from wechat_open.contrib import opentelemetry
from wechat_open.simulator import Simulator

TOKEN = f"97_{MARK}abcdefghijklmnopqrstuvwxyz0123456789"
INSTRUMENTORS = (RequestsInstrumentor, URLLib3Instrumentor, DjangoInstrumentor, CeleryInstrumentor)


class Tracing:
    """The same spans, as they are and through our exporter."""

    def __init__(self) -> None:
        self.plain, self.clean = InMemorySpanExporter(), InMemorySpanExporter()
        self.provider = TracerProvider()
        self.wrapped = opentelemetry.without_secrets(self.clean)
        for exporter in (self.plain, self.wrapped):
            self.provider.add_span_processor(SimpleSpanProcessor(exporter))


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    instrumentors = [instrumentor() for instrumentor in INSTRUMENTORS]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=tracing.provider, skip_dep_check=True)
    yield tracing
    for instrumentor in instrumentors:
        instrumentor.uninstrument()
    tracing.provider.shutdown()


def exported(exporter: InMemorySpanExporter) -> str:
    return "\n".join(span.to_json() for span in exporter.get_finished_spans())


@pytest.mark.django_db
def test_instrumented_calls_and_requests__are_exported_without_secrets(
    wechat: Simulator, client: Client, tracing: Tracing
) -> None:
    url = f"{wechat.url}/cgi-bin/user/get?access_token={TOKEN}"
    requests.get(url, timeout=5)
    urllib3.PoolManager().request("GET", url)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:1/x?access_token={TOKEN}", timeout=1)
    client.get(f"/wechat/authorized/{MARK}/?auth_code=queryauthcode@@@{MARK}")
    client.post(f"/wechat/events/?msg_signature={MARK}&timestamp=1&nonce={MARK}", b"<xml/>", content_type="text/xml")
    app = celery.Celery("tracing", broker="memory://", set_as_current=False)
    app.send_task("some.task", args=[f"ticket@@@{MARK}"], kwargs={"access_token": TOKEN})
    tracer = tracing.provider.get_tracer("site")
    linked = Link(SpanContext(1, 1, is_remote=False), {"access_token": TOKEN})
    with tracer.start_as_current_span(f"GET {url}", links=[linked]) as span:
        span.set_attribute("urls", [url, url])
        span.add_event("asked", {"url": url})
        span.record_exception(ValueError(f"no answer from {url}"))

    assert TOKEN in exported(tracing.plain)  # could this test see one at all?
    assert f"/wechat/authorized/{MARK}/" in exported(tracing.plain)
    assert MARK not in exported(tracing.clean)
    before, after = tracing.plain.get_finished_spans(), tracing.clean.get_finished_spans()
    assert len(before) == len(after) >= 6
    for one, other in zip(before, after, strict=True):
        assert (one.context, one.parent, one.kind, one.resource) == (
            other.context,
            other.parent,
            other.kind,
            other.resource,
        )
        assert (one.start_time, one.end_time) == (other.start_time, other.end_time)
        assert set(one.attributes or ()) == set(other.attributes or ())
        assert [event.timestamp for event in one.events] == [event.timestamp for event in other.events]
        assert one.status.status_code == other.status.status_code
    assert "no answer from" in exported(tracing.clean)
    assert "access_token=[Filtered]" in exported(tracing.clean)


def test_wrapped_exporter__is_flushed_and_shut_down(tracing: Tracing) -> None:
    wrapped: Any = tracing.wrapped
    assert wrapped.force_flush(10)
    wrapped.shutdown()
    assert tracing.clean._stopped
