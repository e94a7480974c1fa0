"""Requests to a provider stay within its budget, over all processes and restarts."""
