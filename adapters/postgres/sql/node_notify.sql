-- One transaction: the parts come together and in order. Its commit waits for no disk and no standby, for all
-- that notify wait for it meanwhile, and nothing that was published after it began is delivered.
with quick as materialized (select set_config('synchronous_commit', 'off', true)),
channel as materialized (
    select 'tidegate_nodes_' || md5(n.nspname) as name
    from quick, pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = 'sync_events'::regclass
)
select count(pg_notify(channel.name, p.part))
from channel cross join unnest(%(parts)s::text[]) as p (part)
