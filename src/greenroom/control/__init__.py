"""The APIs over HTTP: ivschat, IAM and STS, and the operator's own."""
