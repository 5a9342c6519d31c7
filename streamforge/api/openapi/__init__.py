"""The description of this API, made of what its routes are made of."""
