"""The tables of codes are whole, and agree with the documents."""

import json
from pathlib import Path

import pytest

from greenroom.protocol.errors import (
    CLOSE_REASONS,
    DESCRIPTIONS,
    MESSAGE_TOO_LONG,
    RATE_LIMIT_EXCEEDED,
    SESSION_EXPIRED,
    ActionError,
    CloseCode,
    DisconnectReason,
    ErrorCode,
    fault_reason,
)
from greenroom.protocol.events import encode_error
from greenroom.protocol.frames import close_frame


def test_codes_of_the_reference() -> None:
    """The codes are those of the Messaging API Reference, each described."""
    assert [int(code) for code in ErrorCode] == [400, 401, 403, 404, 406, 413, 429, 500]
    assert set(DESCRIPTIONS) == set(ErrorCode)


def test_texts_that_clients_compare() -> None:
    """Texts that clients of the real service look for are exact."""
    assert RATE_LIMIT_EXCEEDED == "rate limit exceeded"
    assert MESSAGE_TOO_LONG == "Message exceeds maximum length"
    assert "expired" in SESSION_EXPIRED


def test_every_ending_is_described() -> None:
    """Each way in which a connection ends has a close code or none, and a meaning."""
    assert set(CLOSE_REASONS) == set(DisconnectReason)
    assert all(ending.meaning for ending in CLOSE_REASONS.values())


@pytest.mark.parametrize(
    "reason",
    [
        DisconnectReason.DRAIN,
        DisconnectReason.SLOW_READER,
        DisconnectReason.SILENT_PEER,
        DisconnectReason.PEER_LOST,
    ],
)
def test_drops_send_no_close_frame(reason: DisconnectReason) -> None:
    """After a drop the SDKs connect again, which they do not after a clean close."""
    assert CLOSE_REASONS[reason].code is None


@pytest.mark.parametrize("reason", [DisconnectReason.KICKED, DisconnectReason.EXPIRED])
def test_kick_and_expiry_close_cleanly(reason: DisconnectReason) -> None:
    """A kick and an expiry close with 1000, the one code that every browser reports as clean."""
    assert CLOSE_REASONS[reason].code == 1000


def test_faults_have_names() -> None:
    """Each close code for a peer's fault leads to the ending that has this code."""
    faults = (
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_TEXT,
        CloseCode.MESSAGE_TOO_BIG,
    )
    for code in faults:
        assert CLOSE_REASONS[fault_reason(code)].code == code


def test_expiry_fits_into_a_close_frame() -> None:
    """The ERROR of an expired session is short enough to be a close reason, whole."""
    error = encode_error("IG5mcmlvdGlv", "", ErrorCode.UNAUTHORIZED, SESSION_EXPIRED)
    frame = close_frame(1000, error.decode())
    assert json.loads(frame[4:])["ErrorMessage"] == SESSION_EXPIRED


def test_action_error() -> None:
    """An action error carries what its ERROR frame says."""
    error = ActionError(406, "no", "request", "IG5mcmlvdGlv")
    assert (error.code, error.message, error.request_id, error.id) == (
        406,
        "no",
        "request",
        "IG5mcmlvdGlv",
    )
    assert ActionError(400, "no").request_id == ""
    assert str(ActionError(400, "no")) == "no"
    assert ActionError(400, "no").id is None


def test_documented_sample() -> None:
    """The sample of the Messaging API Reference has exactly the members that we send."""
    fixtures = json.loads((Path(__file__).parents[1] / "parity/messaging_frames.json").read_text())
    for sample in [json.loads(each["frame"]) for each in fixtures if each["kind"] == "error"]:
        ours = encode_error(
            sample["Id"], sample["RequestId"], sample["ErrorCode"], sample["ErrorMessage"]
        )
        assert json.loads(ours) == sample
