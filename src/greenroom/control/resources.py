"""The resource that a parameter names, if it may be served to whom asks."""

from greenroom.model.arn import Arn
from greenroom.model.errors import FieldError, ValidationException


def resource_of(name: str, text: str, account: str, region: str) -> Arn:
    """Return the ARN in a parameter, for a caller of an account in a region.

    Raises:
        ValidationException: it names no kind of resource that the service has.
        ResourceNotFoundException: it names another account or region, whose resources are
            never served, nor their existence told.
    """
    try:
        arn = Arn.parse(text)
    except ValueError:
        rule = "must name a room or a logging configuration"
        raise ValidationException.of_fields(FieldError(name, rule)) from None
    if (arn.account, arn.region) != (account, region):
        raise arn.not_found()
    return arn
