"""The HTTP face: Starlette routes, SSE, problems, middleware."""
