"""Greenroom's own API in memory: its rates, and what is the same as elsewhere."""

from greenroom.aws.signature.sigv4 import Request, sign
from greenroom.model.quotas import RateProfile, caller_rate_name
from tests.stand_ins.caller import ACCOUNT, KEYS, REGION, Answer, Caller


class Operator(Caller):
    """A service with Greenroom's own API, of which only the account is used."""

    def __init__(self, **quotas: int) -> None:
        super().__init__(RateProfile.RELAXED, **quotas)

    async def show(self, method: str = "POST") -> Answer:
        """Ask for the account."""
        request = Request(method, "/greenroom/account/show", "", (("host", "h"),), b"")
        key, now = KEYS[ACCOUNT], self.time.clock.now()
        added = sign(request, key.access_key_id, key.secret_access_key, REGION, "greenroom", now)
        headers = (*request.headers, *added.items())
        return await self.send(Request(method, request.raw_path, "", headers, b""))


async def test_answers_are_for_the_operator_alone() -> None:
    """Nothing on the way keeps an answer, and no page of others' can read it."""
    answer = await Operator().show()
    assert (answer.status, answer.body) == (200, {"account": ACCOUNT, "suspended": False})
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    assert "access-control-allow-origin" not in answer.headers


async def test_preflights_are_no_exception() -> None:
    """A browser that asks before is told what everybody is told: to sign."""
    api = Operator()
    unsigned = Request("OPTIONS", "/greenroom/account/show", "", (("host", "h"),), b"")
    answer = await api.send(unsigned)
    assert answer.error() == (403, "MissingAuthenticationTokenException")
    assert (await api.show("OPTIONS")).error() == (400, "ValidationException")


async def test_a_caller_has_a_rate() -> None:
    """Beyond it the answer is one that every SDK repeats; the other APIs have their own."""
    api = Operator(**{caller_rate_name("greenroom"): 2})
    assert [(await api.show()).status for _ in range(3)] == [200, 200, 400]
    assert (await api.show()).error() == (400, "Throttling")
    assert (await api.call("ListRooms")).status == 200
    api.time.advance(1)
    assert (await api.show()).status == 200
