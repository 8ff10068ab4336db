"""`greenroom api`: every operation of every service model, as the AWS CLI would have it."""
