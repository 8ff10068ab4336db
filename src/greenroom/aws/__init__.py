"""The AWS side of the control plane, pure: service model, rest-json, constraints, signatures."""
