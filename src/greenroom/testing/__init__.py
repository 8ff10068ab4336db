"""What tests of applications use: fixtures of pytest, and a service that a test controls."""
