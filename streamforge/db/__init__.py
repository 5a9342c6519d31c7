"""PostgreSQL. The only package that imports asyncpg; SQL lives in queries.sql and in the migrations."""
