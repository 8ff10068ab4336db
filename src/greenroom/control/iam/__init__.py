"""IAM and STS: the query protocol, its operations, and who may perform them."""
