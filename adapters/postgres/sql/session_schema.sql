-- Puts the schema before what the session's search_path has; no row where there is no such schema.
select set_config(
    'search_path', concat_ws(', ', quote_ident(n.nspname), nullif(current_setting('search_path'), '')), false
)
from pg_namespace as n
where n.nspname = %(schema)s
