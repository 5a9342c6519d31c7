"""What crosses a process border: ids, names, and the pydantic models of the wire, the log and the workflow."""
