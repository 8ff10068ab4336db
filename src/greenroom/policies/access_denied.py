"""The sentence of AccessDeniedException: who, which action, which resource, and why.

Wording: IAM User Guide, "Troubleshoot access denied error messages".
"""

from greenroom.model.principal import Decision, Outcome, PolicyKind


def access_denied_message(arn: str, action: str, resource: str, decision: Decision) -> str:
    """Return the sentence for a principal's ARN and a decision that denies."""
    if decision.outcome is Outcome.EXPLICIT_DENY:
        article = "an" if decision.kind is PolicyKind.IDENTITY else "a"
        why = f"with an explicit deny in {article} {decision.kind} policy"
    else:
        why = f"because no {decision.kind} policy allows the {action} action"
    return f"User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
