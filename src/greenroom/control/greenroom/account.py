"""The account: shown, suspended, resumed. Each is answered with how it is then."""

from greenroom.control.greenroom.answers import AccountAnswer
from greenroom.control.greenroom.call import GreenroomCall


async def show_account(call: GreenroomCall) -> AccountAnswer:
    """ShowAccount: whether it is suspended."""
    return AccountAnswer(call.account, call.services.accounts.is_suspended(call.account))


async def suspend_account(call: GreenroomCall) -> AccountAnswer:
    """SuspendAccount: refuse what changes or publishes, on open connections too."""
    await call.services.accounts.suspend(call.account)
    return await show_account(call)


async def resume_account(call: GreenroomCall) -> AccountAnswer:
    """ResumeAccount: end the suspension."""
    await call.services.accounts.resume(call.account)
    return await show_account(call)
