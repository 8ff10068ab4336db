"""What all structures of the services' models have."""

import msgspec


class Structure(msgspec.Struct, frozen=True, rename="camel"):
    """A structure of the service's model; on the wire its members have the model's names."""
