-- Makes the key this transaction's, where nobody has it or its time is over. Waits for another one that has it and has
-- not ended. What follows in the same query string (log_append, once_keep, once_known) sees who has it.
insert into sync_events_keys as k (key, digest, xid)
select %(key)s, %(digest)s, pg_current_xact_id()
where not coalesce(
    (
        select n.xid >= pg_snapshot_xmax(pg_current_snapshot())
        from sync_events n
        order by n.xid desc, n.id desc
        limit 1
    ),
    false
)
on conflict (key) do update
set digest = excluded.digest, xid = excluded.xid, ids = null, at = excluded.at
where k.at < clock_timestamp() - %(seconds)s * interval '1 second';
