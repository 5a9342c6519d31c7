"""Measurements: numbers with their bars beside them. Never tests: a busy machine may miss a bar, and nothing fails.

    python -m bench              all of them, one after the other
    python -m bench small_job    one of them

Each module here but `report`, `system`, `cpu`, `clips` and `bare` is a bench with a `main()`.
"""
