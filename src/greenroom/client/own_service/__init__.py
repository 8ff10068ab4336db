"""The operations of the service `greenroom`, by what they are about."""
