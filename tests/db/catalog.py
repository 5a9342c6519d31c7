"""What a database is, as its catalog has it: everything but the order of columns, and the migrator's own table."""

from factories import run_sql

OF_TABLES = (
    "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'schema_migrations'"
)

QUESTIONS = {
    "tables": f"""
        SELECT c.relname, c.relkind::text, c.relpersistence::text, c.reloptions,
               c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class')
        FROM pg_class AS c WHERE {OF_TABLES}""",
    "columns": f"""
        SELECT c.relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text, attgenerated::text,
               attcollation, attstorage::text, pg_get_expr(adbin, adrelid), col_description(c.oid, attnum)
        FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE {OF_TABLES} AND attnum > 0 AND NOT attisdropped""",
    "constraints": f"""
        SELECT c.relname, conname, pg_get_constraintdef(o.oid), convalidated
        FROM pg_class AS c JOIN pg_constraint AS o ON conrelid = c.oid WHERE {OF_TABLES}""",
    "indexes": f"""
        SELECT pg_get_indexdef(indexrelid), indisvalid
        FROM pg_class AS c JOIN pg_index ON indrelid = c.oid WHERE {OF_TABLES}""",
    "triggers": f"""
        SELECT pg_get_triggerdef(t.oid), tgenabled::text
        FROM pg_class AS c JOIN pg_trigger AS t ON tgrelid = c.oid WHERE {OF_TABLES} AND NOT tgisinternal""",
    "functions": """
        SELECT pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text[], cmd, qual, with_check
        FROM pg_policies WHERE schemaname = 'public'""",
    "rights": f"""
        SELECT c.relname, NULL, g.grantee::regrole::text, g.privilege_type, g.is_grantable
        FROM pg_class AS c, aclexplode(relacl) AS g WHERE {OF_TABLES}
        UNION ALL
        SELECT c.relname, attname, g.grantee::regrole::text, g.privilege_type, g.is_grantable
        FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid, aclexplode(attacl) AS g WHERE {OF_TABLES}""",
    "sequences": """
        SELECT s.seqrelid::regclass::text, s.seqstart, s.seqincrement, s.seqmax, s.seqcycle,
               d.refobjid::regclass::text, d.deptype::text
        FROM pg_sequence AS s LEFT JOIN pg_depend AS d
        ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass""",
    "types of our own": """
        SELECT typname, typtype::text FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'r', 'm')""",
    "rows that are there from the beginning": """
        SELECT 'owners', string_agg(id, ' ') FROM owners UNION ALL SELECT 'installation', count(*)::text FROM installation""",
}


async def catalog(dsn: str) -> dict[str, list[str]]:
    """The answers, each as lines of text in alphabetical order."""
    return {
        what: sorted(repr(tuple(row)) for row in await run_sql(dsn, question)) for what, question in QUESTIONS.items()
    }
