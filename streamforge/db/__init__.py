"""The only place that imports asyncpg: pool, named queries, migrations, LISTEN."""
