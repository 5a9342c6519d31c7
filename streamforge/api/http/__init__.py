"""HTTP itself: the wire, forms, ranges, problems, and what surrounds every request."""
