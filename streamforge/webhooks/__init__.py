"""Webhooks: what is said to whom, and how it is signed (https://www.standardwebhooks.com)."""
