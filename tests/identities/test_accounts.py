"""Suspension: known from the store and the bus, and in force in both planes."""

import pytest
from structlog.testing import capture_logs

from greenroom.aws.service import OPERATIONS
from greenroom.identities.accounts import Accounts
from greenroom.model.errors import PendingVerification
from tests.stand_ins.caller import ACCOUNT, STRANGER, Caller

PENDING = {
    "CreateChatToken",
    "CreateLoggingConfiguration",
    "CreateRoom",
    "DeleteLoggingConfiguration",
    "DeleteMessage",
    "DeleteRoom",
    "DisconnectUser",
    "SendEvent",
    "UpdateLoggingConfiguration",
    "UpdateRoom",
}


def test_operations_that_a_suspension_stops() -> None:
    """The model declares PendingVerification for all that changes, issues or publishes."""
    declared = {name for name, each in OPERATIONS.items() if "PendingVerification" in each.errors}
    assert declared == PENDING


async def test_a_suspended_account_changes_nothing() -> None:
    """Changes are refused and reads are not, until the account is resumed; others go on."""
    api = await Caller().listening()
    room = await api.created()
    await api.accounts.suspend(ACCOUNT)
    answer = await api.call("UpdateRoom", identifier=room, name="n")
    assert answer.error() == (403, "PendingVerification")
    answer = await api.call("CreateChatToken", roomIdentifier=room, userId="u")
    assert answer.error() == (403, "PendingVerification")
    answer = await api.call("SendEvent", roomIdentifier=room, eventName="e")
    assert answer.error() == (403, "PendingVerification")
    assert (await api.call("GetRoom", identifier=room)).status == 200
    await api.created(account=STRANGER)
    await api.accounts.resume(ACCOUNT)
    assert (await api.call("UpdateRoom", identifier=room, name="n")).status == 200


async def test_the_log_says_so_once() -> None:
    """A suspension and its end are lines of the log, however often they are asked for."""
    api = await Caller().listening()
    with capture_logs() as logs:
        for lines, change in ((1, api.accounts.suspend), (2, api.accounts.resume)):
            await change(ACCOUNT)
            assert len(logs) == lines
            await change(ACCOUNT)
    assert [(line["event"], line["account"]) for line in logs] == [
        ("account suspended", ACCOUNT),
        ("account resumed", ACCOUNT),
    ]


async def test_publishing_stops() -> None:
    """The rules that both planes share refuse what a suspended account publishes."""
    api = await Caller().listening()
    room = await api.created()
    await api.accounts.suspend(ACCOUNT)
    chat = api.services.chat
    for publishing in (
        chat.delete_message(room, "id", None),
        chat.disconnect_user(room, "u", None),
        chat.send_event(room, "e", None),
    ):
        with pytest.raises(PendingVerification) as refused:
            await publishing
        assert refused.value.status == 403


async def test_other_nodes_learn_from_the_store() -> None:
    """A node that missed the envelope knows after the next refresh; one that heard keeps that."""
    api = await Caller().listening()
    await api.accounts.suspend(ACCOUNT)
    late = Accounts(api.store.identities, api.bus, api.time.clock)
    late.check(ACCOUNT)
    await late.refresh()
    with pytest.raises(PendingVerification):
        late.check(ACCOUNT)
    await api.accounts.resume(ACCOUNT)
    late.check(ACCOUNT)
    await late.refresh()
    late.check(ACCOUNT)


async def test_what_is_heard_while_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is newer than the answer, which is left alone then."""
    api = await Caller().listening()
    read = api.store.identities.suspended_accounts

    async def while_it_is_suspended() -> frozenset[str]:
        answer = await read()
        await api.accounts.suspend(ACCOUNT)
        return answer

    monkeypatch.setattr(api.store.identities, "suspended_accounts", while_it_is_suspended)
    await api.accounts.refresh()
    assert api.accounts.is_suspended(ACCOUNT)
