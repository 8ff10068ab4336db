"""`/metrics` of the real process: what it counts of real connections, and who may read it."""

from pathlib import Path

import pytest

from tests.running.said import samples
from tests.running.service import Service, running
from tests.running.wire import Answer, Peer, WebSocket, api_of, http_bytes

TOKEN = "a-token-of-the-operator"


def scrape(service: Service, method: str = "GET", **headers: str) -> Answer:
    """Return what `/metrics` answers."""
    with Peer(service) as peer:
        peer.send(http_bytes(method, "/metrics", {"host": "localhost", **headers}))
        return peer.read_answer(method)


def test_what_the_audit_log_left_out_is_counted(tmp_path: Path) -> None:
    """Every refused request without proof is a line, or is counted; limits begin at zero."""
    with running(tmp_path / "data") as service:
        with Peer(service) as peer:
            for _ in range(300):
                peer.send(http_bytes("POST", "/CreateRoom", {"host": "h"}, b"{}"))
                assert peer.read_answer().status == 403
        found = samples(service)
        service.stop()
    *lines, last = (tmp_path / "data" / "audit.log").read_text().splitlines()
    assert len(lines) + found["greenroom_audit_lines_suppressed_total"] == 300
    assert '"event":"AuditGap"' in last
    assert found["greenroom_audit_lines_suppressed_total"] > 0
    assert found["greenroom_audit_lines_lost_total"] == 0
    assert found["greenroom_limits_met_total:unfinished_connections"] == 0
    assert found["greenroom_evictions_total:key_uses"] == 0


def test_what_is_counted(tmp_path: Path) -> None:
    """Requests, connections, deliveries and the store's work are there after they happened."""
    with running(tmp_path / "data") as service, api_of(service) as api:
        room = api.room()
        with (
            WebSocket.connect(service, api.token(room, "ann")) as ann,
            WebSocket.connect(service, api.token(room, "bob")) as bob,
        ):
            ann.say(Action="SEND_MESSAGE", Content="hi")
            assert ann.read_json()["Content"] == bob.read_json()["Content"] == "hi"
            api.call("SendEvent", roomIdentifier=room, eventName="flag")
            assert ann.read_json()["EventName"] == bob.read_json()["EventName"] == "flag"
            with Peer(service) as peer:
                peer.send(b"no request\r\n\r\n")
                assert peer.read_answer().status == 400
            found = samples(service)
        assert found["ivschat_concurrent_chat_connections"] == 2
        assert found["greenroom_connects_total"] == 2
        assert found["ivschat_requests_total:SendMessage"] == 1
        assert found["ivschat_deliveries_total:SendEvent"] == 2
        assert found["ivschat_messaging_deliveries_total"] == 4
        assert found["greenroom_fanout_seconds_count"] == 2
        assert found["greenroom_control_requests_total:CreateChatToken:200"] == 2
        assert found["greenroom_control_requests_total:unknown:400"] == 1
        assert found["greenroom_store_commits_total"] >= 3
        assert found["greenroom_store_failures_total"] == 0
        assert found["greenroom_draining"] == 0
        assert found["process_open_fds"] > 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_is_get_without_a_body(tmp_path: Path, method: str) -> None:
    """Probes that send HEAD get the head of the answer."""
    with running(tmp_path / "data", GREENROOM_STORAGE="memory") as service:
        answer = scrape(service, method)
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 1000
        assert bool(answer.body) is (method == "GET")


def test_beyond_this_machine_a_token_is_needed(tmp_path: Path) -> None:
    """A service that others can reach shows nothing without its token, and all with it."""
    variables = {"GREENROOM_STORAGE": "memory", "GREENROOM_HOST": "0.0.0.0"}
    with running(tmp_path / "open", **variables) as service:
        assert scrape(service).status == 401
    with running(tmp_path / "closed", **variables, GREENROOM_METRICS_TOKEN=TOKEN) as service:
        assert scrape(service).status == 401
        assert scrape(service, authorization=f"Bearer {TOKEN}").status == 200


def test_a_page_with_a_name_of_its_own_needs_the_token(tmp_path: Path) -> None:
    """A name that leads to this machine, as any page's may, is not this machine's."""
    with running(tmp_path / "data", GREENROOM_STORAGE="memory") as service:
        assert scrape(service, host="evil.com:8470").status == 401
        assert scrape(service, host="127.0.0.1:8470").status == 200


def test_a_proxy_on_this_machine_needs_the_token(tmp_path: Path) -> None:
    """What comes through a proxy is not from here, whether the proxy is trusted or not."""
    for variables in ({}, {"GREENROOM_TRUSTED_PROXIES": "127.0.0.1"}):
        with running(tmp_path / "data", **variables) as service:
            assert scrape(service).status == 200
            assert scrape(service, **{"X-Forwarded-For": "192.0.2.1"}).status == 401


def test_off(tmp_path: Path) -> None:
    """Metrics that are off are a path like any other: the API asks for a signature."""
    variables = {"GREENROOM_STORAGE": "memory", "GREENROOM_METRICS": "off"}
    with running(tmp_path / "data", **variables) as service:
        assert scrape(service).status == 403
