-- A channel is of all of a database: that of one log has its schema in its name, as a hash, for a name is short.
do $$
begin
    execute format(
        'listen %I',
        'tidegate_nodes_' || (
            select md5(n.nspname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.oid = 'sync_events'::regclass
        )
    );
end
$$
