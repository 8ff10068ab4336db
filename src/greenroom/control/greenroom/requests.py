"""How the service sees a request: to find out what proxies made of it, and who is believed."""

from greenroom.control.greenroom.answers import RequestAnswer
from greenroom.control.greenroom.call import GreenroomCall


async def show_request(call: GreenroomCall) -> RequestAnswer:
    """ShowRequest: the caller's address, and whether the request came over TLS."""
    facts = call.facts
    return RequestAnswer(facts.source_ip or "", facts.secure, facts.region)
