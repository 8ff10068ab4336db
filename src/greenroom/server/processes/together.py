"""What one process answers for all that serve behind the port: their health, and their figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from greenroom.entrance.health import Health, Report
from greenroom.entrance.metrics_endpoint import Monitoring
from greenroom.server.processes.gathering import SERVING
from greenroom.server.processes.link import Link
from greenroom.server.processes.messages import Answers, Subject
from greenroom.telemetry.metrics import Metrics

PROCESS = "process"
"""The label of each figure: the number of its process."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number of a figure."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A figure, with its numbers."""

    name: str
    meaning: str
    kind: str
    samples: Sequence[Sample]


_encoder = msgspec.msgpack.Encoder()
_families = msgspec.msgpack.Decoder(list[Family])
_report = msgspec.msgpack.Decoder(Report)


class Together:
    """Answers for all, and answers the others for this process."""

    def __init__(
        self, link: Link, health: Health, monitoring: Monitoring | None, metrics: Metrics
    ) -> None:
        self._link = link
        self._health = health
        self._monitoring = monitoring
        self._up: Mapping[str, float] = {}
        self._restarts: Mapping[str, float] = {}
        metrics.process_up.read = lambda: self._up
        metrics.process_restarts.read = lambda: self._restarts
        health.others = (str(link.number), self.reports)
        link.answers = {Subject.HEALTH: self._own_report}
        if monitoring is not None:
            monitoring.of_all = self.figures
            link.answers[Subject.FIGURES] = self._own_figures

    async def reports(self) -> Mapping[str, Report | str]:
        """Return how the other processes are."""
        answers = await self._link.ask(Subject.HEALTH)
        words: dict[str, Report | str] = {str(each): how for each, how in answers.others.items()}
        given = {str(each): _report.decode(body) for each, body in answers.bodies.items()}
        return words | given

    async def figures(self) -> CollectorRegistry:
        """Return the figures of all, each labelled with its process."""
        answers = await self._link.ask(Subject.FIGURES)
        of_each = {each: _families.decode(body) for each, body in answers.bodies.items()}
        of_each[self._link.number] = self._own(answers)
        registry = CollectorRegistry()
        registry.register(Merged(of_each))
        return registry

    async def _own_report(self) -> bytes:
        return _encoder.encode(await self._health.report())

    async def _own_figures(self) -> bytes:
        return _encoder.encode(self._own(Answers(0, {}, {}, {})))

    def _own(self, answers: Answers) -> list[Family]:
        """Return the figures of this process, with what is known of all."""
        if self._monitoring is None:
            return []
        if answers.others:
            self._up = {str(each): float(how == SERVING) for each, how in answers.others.items()}
            self._up = {**self._up, str(self._link.number): 1.0}
            self._restarts = {str(each): times for each, times in answers.restarts.items()}
        try:
            return list(_taken(self._monitoring.registry.collect()))
        finally:
            self._up, self._restarts = {}, {}


class Merged(Collector):
    """The figures of several processes as one set of them."""

    def __init__(self, of_each: Mapping[int, Sequence[Family]]) -> None:
        self._of_each = of_each

    def collect(self) -> Iterator[Metric]:
        """Yield each figure once, with the numbers of all."""
        merged: dict[str, Metric] = {}
        for process, families in sorted(self._of_each.items()):
            for family in families:
                metric = merged.get(family.name)
                if metric is None:
                    metric = merged[family.name] = Metric(family.name, family.meaning, family.kind)
                for each in family.samples:
                    labels = {PROCESS: str(process), **each.labels}
                    metric.add_sample(each.name, labels, each.value)
        yield from merged.values()


def _taken(metrics: Iterable[Metric]) -> Iterator[Family]:
    for metric in metrics:
        samples = [
            Sample(each.name, dict(each.labels), float(each.value)) for each in metric.samples
        ]
        yield Family(metric.name, metric.documentation, metric.type, samples)
