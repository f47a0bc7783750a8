-- The oldest transaction that has written and is still open, in any database of the server: nothing that was
-- committed after it began to write is delivered before it ends. Without pg_read_all_stats the age and the
-- state of another user's are hidden.
select t.pid, t.gid, t.database, t.who, t.application, t.state, extract(epoch from clock_timestamp() - t.since)::float8
from (
    select a.pid, null as gid, a.datname as database, a.usename as who, a.application_name as application, a.state,
        a.xact_start as since, age(a.backend_xid) as age
    from pg_stat_activity as a
    where a.backend_xid is not null and a.pid <> pg_backend_pid()
    union all
    select null, p.gid, p.database, p.owner, null, 'prepared', p.prepared, age(p.transaction)
    from pg_prepared_xacts as p
) as t
order by t.age desc
limit 1
