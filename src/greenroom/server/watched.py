"""Has the metrics read the figures of what runs in a node."""

from greenroom.chat.kept_history import KeptHistory
from greenroom.control.app import ControlPlane
from greenroom.control.ivschat.context import Services
from greenroom.entrance.metrics_endpoint import (
    watch,
    watch_audit,
    watch_bus,
    watch_history,
    watch_process,
    watch_restrictions,
    watch_store,
)
from greenroom.server.adapters import Adapters
from greenroom.server.messaging_plane import MessagingPlane


def watch_node(
    opened: Adapters,
    services: Services,
    plane: MessagingPlane,
    control: ControlPlane,
    history: KeptHistory | None,
) -> None:
    """Have all of them read when somebody asks; what is not there has none."""
    metrics, bus, resumes = opened.metrics, opened.bus, plane.replays.resumes
    watch(metrics, plane.hub, services.chat, services.rooms, control, bus.rings, resumes)
    watch_history(metrics, plane.replays, history)
    watch_restrictions(metrics, services.restrictions)
    watch_process(metrics, plane.memory, plane.descriptors)
    if bus.figures is not None:
        watch_bus(metrics, bus.figures)
    if opened.identity.audit_log is not None:
        watch_audit(metrics, opened.identity.audit_log)
    if opened.statistics is not None:
        watch_store(metrics, opened.statistics)
