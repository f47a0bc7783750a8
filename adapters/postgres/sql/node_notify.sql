-- One transaction: the parts come together and in order. It writes nothing but its end, so that Postgres lets it
-- commit without waiting for a disk or a standby; all that notify wait for it meanwhile, and so does delivery.
with channel as materialized (
    select 'tidegate_nodes_' || md5(n.nspname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = 'sync_events'::regclass
)
select count(pg_notify(channel.name, p.part))
from channel cross join unnest(%(parts)s::text[]) as p (part)
