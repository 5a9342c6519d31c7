"""What PostgreSQL refuses for the time being, in one table: everything that says "try again later" in whatever words.

A refusal of this table is the state of the server, never the fault of the statement: whoever asked waits and asks again,
and no job ends because of it. What is not in it (a violated constraint, a value out of range) is a defect of ours.
"""

AWAY = "The database does not answer."

_REFUSALS = {
    "08": AWAY,
    "25006": "The database only lets us read right now; it is read-only.",
    "25P": "The database ended a transaction that took too long.",
    # While containers start in any order, passwords, names, rights and schemas are often wrong for a moment only.
    "28": "The database does not let us in; check user and password in database.dsn.",
    "3D": "The database server has no such database; check its name in database.dsn.",
    "40": "The database undid a transaction that was in the way of another one.",
    # PostgreSQL says so, too, when its disk has become read-only.
    "42501": "The database denies us a right; grant it, and check that its disk can be written.",
    # New workers meet the old schema until an API has applied its migrations.
    "42703": "The database has the schema of another version; `streamforge migrate` brings it up to date.",
    "42883": "The database has the schema of another version; `streamforge migrate` brings it up to date.",
    "42P01": "The database has the schema of another version; `streamforge migrate` brings it up to date.",
    "53": "The database is short of resources.",
    "53100": "The disk of the database is full; free some space.",
    "53200": "The database is out of memory.",
    "53300": "The database has no connection left for us; raise its max_connections.",
    "55006": "What we need in the database is in use by somebody else.",
    "55P03": "What we need in the database is locked by somebody else.",
    "57": "The database is starting or stopping.",
    "57014": "The database cancelled a query.",
    "58": "The database cannot read or write its files.",
    "XX": "The database reports an error of its own; its log knows which.",
}
"""By SQLSTATE, or the beginning of one: https://www.postgresql.org/docs/current/errcodes-appendix.html."""


def refusal(sqlstate: str | None) -> str | None:
    """The sentence for a refusal that passes; None for everything else."""
    code = sqlstate or ""
    known = (_REFUSALS.get(code[:length]) for length in range(len(code), 1, -1))
    return next((sentence for sentence in known if sentence is not None), None)
