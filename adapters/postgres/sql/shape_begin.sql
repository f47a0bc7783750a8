-- Begins a transaction in which names are found as the triggers find them; it is rolled back.
begin;
set local statement_timeout = '5s';
select set_config('search_path', format('pg_catalog, %I, pg_temp', current_schema()), true)
