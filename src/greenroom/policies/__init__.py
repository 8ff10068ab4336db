"""IAM's policy language: documents, conditions, decisions. Pure."""
