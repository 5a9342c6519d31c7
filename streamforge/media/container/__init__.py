"""Files from outside: opened safely, and what their containers say about themselves."""
