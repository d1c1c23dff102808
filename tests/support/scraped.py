"""What Prometheus would read of a text: each sample by its metric and labels, by prometheus_client's own parser.

found = scraped(text)
found("borgpull_overdue", target="web1", backup_job="default") == 0.0        found.labels["borgpull_overdue"]
"""

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """The samples of a text."""

    def __init__(self, text: str) -> None:
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.labels: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(text):
            assert family.type == "gauge" and family.documentation, family
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} is there twice: Prometheus would take none of them all"
                self.samples[key] = sample.value
                self.labels.setdefault(sample.name, set(sample.labels))

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return a sample's value, None where there is none."""
        return self.samples.get((name, frozenset(labels.items())))

    def where(self, name: str, label: str, value: float = 1.0) -> set[str]:
        """Return the values of a label for which a metric has this value."""
        return {dict(labels)[label] for (metric, labels), one in self.samples.items() if (metric, one) == (name, value)}


def scraped(text: str) -> Scraped:
    """Read a text in Prometheus' format."""
    return Scraped(text)
