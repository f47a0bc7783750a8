-- One row for each figure since the last time, and no more rows than `keep_seconds` have room for.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('sync_bookkeeping'), hashtext(current_schema())) as is_ours
), pruned as (
    delete from system_metrics as m
    using turn as t
    where t.is_ours and m.recorded_at < clock_timestamp() - make_interval(secs => %(keep_seconds)s)
), since as (
    update sync_bookkeeping as k
    set recorded_at = clock_timestamp()
    from turn as t, sync_bookkeeping as old
    where t.is_ours
    returning old.recorded_at, k.processed_xid, k.processed_id
), figures as (
    select s.recorded_at, w.waiting, w.oldest, g.gaps
    from since as s
    cross join lateral (
        select count(*) as waiting,
            coalesce(extract(epoch from clock_timestamp() - min(e.recorded_at)) * 1000, 0) as oldest
        from sync_events as e
        where (e.xid, e.id) > (s.processed_xid, s.processed_id)
    ) as w
    cross join lateral (
        select count(*) as gaps
        from sync_events as e
        where e.event_type = 'capture_gap' and e.recorded_at >= s.recorded_at
    ) as g
)
insert into system_metrics (metric_type, metric_name, metric_value, unit, status)
select 'sync_health', m.name, m.value, m.unit, m.status
from figures as f
cross join lateral (
    values
        (
            'events_per_second',
            %(processed)s / greatest(extract(epoch from clock_timestamp() - f.recorded_at), 0.001),
            'events/s', 'normal'
        ),
        ('waiting_events', f.waiting, 'events', 'normal'),
        (
            'sync_latency', f.oldest, 'ms',
            case when f.oldest >= %(critical_ms)s then 'critical' when f.oldest >= %(warning_ms)s then 'warning'
                else 'normal' end
        ),
        ('capture_gaps', f.gaps, 'events', case when f.gaps > 0 then 'warning' else 'normal' end)
) as m (name, value, unit, status)
returning metric_name
