"""Requests to addresses that strangers name: only to where they could go by themselves."""
