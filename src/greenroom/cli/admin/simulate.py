"""`greenroom admin simulate`."""

import click

from greenroom.cli.admin.options import Admin, admin_command, pairs
from greenroom.policies.known_actions import unknown


@click.command()
@click.argument("user")
@click.argument("action")
@click.argument("resource", default="*")
@click.option("--role", "is_role", is_flag=True, help="USER is the name of a role.")
@click.option(
    "--context", multiple=True, callback=pairs, help="Condition key, as aws:SourceIp=192.0.2.1."
)
@admin_command
def simulate(
    admin: Admin,
    user: str,
    action: str,
    resource: str,
    context: dict[str, str],
    *,
    is_role: bool,
) -> None:
    """Say whether a user may do an ACTION (ivschat:CreateRoom) to a RESOURCE (an ARN).

    Nothing is done. What policies need to know about the request is given with --context.
    """
    mistake = unknown(action)
    if mistake is not None:
        raise click.UsageError(str(mistake))
    holder = (
        admin.call("iam:GetRole", RoleName=user)["Role"]
        if is_role
        else admin.call("iam:GetUser", UserName=user)["User"]
    )
    (found,) = admin.call(
        "iam:SimulatePrincipalPolicy",
        PolicySourceArn=holder["Arn"],
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
    )["EvaluationResults"]
    policies = ", ".join(each["SourcePolicyId"] for each in found["MatchedStatements"])
    why = f"by {policies}" if policies else "no policy allows it"
    admin.say(f"{found['EvalDecision']}: {why}", found)
