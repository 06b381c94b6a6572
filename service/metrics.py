"""What Prometheus reads at `/metrics`. Labels never hold tokens, persons or object ids.

Counters and histograms are fed where things happen; gauges about the database (inbox, lag) are set
when somebody asks.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

REGISTRY = CollectorRegistry()

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

HTTP_SECONDS = Histogram(
    "dozor_http_request_seconds",
    "Time to answer a request, by route template",
    ["route", "method", "status"],
    buckets=_FAST,
    registry=REGISTRY,
)


class HookCounts:
    """Hooks by CRM and result, counted on the event loop without a lock: this is the hot path."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, crm: str, result: str) -> None:
        """One more hook of this result."""
        key = (crm, result)
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The series, when Prometheus asks."""
        text = "Hooks by CRM and by what became of them"
        found = CounterMetricFamily("dozor_hooks", text, labels=["crm", "result"])
        for key, count in sorted(self._counts.items()):
            found.add_metric(key, count)
        yield found


HOOKS = HookCounts()
REGISTRY.register(HOOKS)
HOOK_SECONDS = Histogram(
    "dozor_hook_seconds",
    "Time until a hook was durable: the longest of each group commit",
    buckets=_FAST,
    registry=REGISTRY,
)
INBOX_DEPTH = Gauge("dozor_inbox_depth", "Hooks not yet worked on", registry=REGISTRY)
INBOX_OLDEST = Gauge(
    "dozor_inbox_oldest_seconds", "Age of the oldest hook not yet worked on", registry=REGISTRY
)
INBOX_PARKED = Gauge("dozor_inbox_parked", "Hooks that nobody understood", registry=REGISTRY)
PIPELINE_LAG = Gauge(
    "dozor_pipeline_lag_seconds",
    "How far facts are behind the hooks received",
    ["account"],
    registry=REGISTRY,
)
HOOKS_LOST = Gauge(
    "dozor_hooks_lost",
    "Changes that no hook told, repaired by reconciliation, since the account was added",
    ["account"],
    registry=REGISTRY,
)
HOOK_ON = Gauge(
    "dozor_hook_on",
    "0: the CRM says that our hook is missing or switched off",
    ["account"],
    registry=REGISTRY,
)
PORTAL_DOWN = Gauge(
    "dozor_portal_down",
    "1: the CRM does not answer and is left alone between tries",
    ["account"],
    registry=REGISTRY,
)
ALERT_LATENCY = Histogram(
    "dozor_alert_latency_seconds",
    "From the breach or resolution to its message delivered; without digests and quiet hours",
    buckets=_SLOW,
    registry=REGISTRY,
)
ALERTS = Counter(
    "dozor_alerts", "Attempts to send, by channel and outcome", ["channel", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
DERIVE_DRIFT = Gauge(
    "dozor_derive_drift",
    "Differences between what is stored and what is derived anew; must be 0",
    registry=REGISTRY,
)

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = openmetrics.CONTENT_TYPE_LATEST


def expose(accept: str) -> tuple[bytes, str]:
    """All series as bytes, and their content type; OpenMetrics when `accept` names it."""
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.generate_latest(REGISTRY)  # type: ignore[no-untyped-call]
        return body, OPENMETRICS_TYPE
    return generate_latest(REGISTRY), TEXT_TYPE
