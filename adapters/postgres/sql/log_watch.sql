-- What holds delivery: the oldest open transaction that has written, in whatever database of the server, or is
-- prepared; and for how long the oldest event has waited. Of another user's transaction this role may see nothing (it
-- needs pg_read_all_stats).
select
    extract(epoch from clock_timestamp() - t.since)::float8,
    (
        select extract(epoch from clock_timestamp() - e.recorded_at)
        from sync_events e
        where e.xid >= pg_snapshot_xmin(pg_current_snapshot())
        order by e.xid, e.id
        limit 1
    )::float8,
    t.pid, t.gid, t.database, t.who, t.application, t.state
from (select) one
left join lateral (
    select *
    from (
        select a.pid, null as gid, a.datname as database, a.usename as who, a.application_name as application,
            a.state, a.xact_start as since, age(a.backend_xid) as age
        from pg_stat_activity a
        where a.backend_xid is not null and a.pid <> pg_backend_pid()
        union all
        select null, p.gid, p.database, p.owner, null, 'prepared', p.prepared, age(p.transaction)
        from pg_prepared_xacts p
    ) o
    order by o.age desc
    limit 1
) t on true
