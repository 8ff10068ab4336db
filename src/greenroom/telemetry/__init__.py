"""Figures and logs of the process."""
