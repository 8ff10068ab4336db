"""IAM's rules about what may be kept, the same for every adapter: see `transaction`."""
