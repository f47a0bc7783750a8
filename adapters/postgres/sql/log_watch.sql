-- What holds delivery: the oldest open transaction that has written, in whatever database of the server, or is
-- prepared. Its age is null where this role may not see it (it needs pg_read_all_stats).
select
    (
        select extract(epoch from clock_timestamp() - min(t.since))
        from (
            select a.xact_start as since
            from pg_stat_activity a
            where a.backend_xid is not null and a.pid <> pg_backend_pid()
            union all
            select p.prepared
            from pg_prepared_xacts p
        ) t
    )::float8,
    (
        select extract(epoch from clock_timestamp() - e.recorded_at)
        from sync_events e
        where e.xid >= pg_snapshot_xmin(pg_current_snapshot())
        order by e.xid, e.id
        limit 1
    )::float8
