-- Its commit waits for no disk and no standby: while a transaction that has written is open, nothing that was
-- published after it began is delivered. A server that crashes loses the last moment of the trail.
with quick as materialized (select set_config('synchronous_commit', 'off', true))
insert into tidegate_audit (id, kind, who, entry)
select i.id, i.kind, i.who, i.entry::json
from quick
cross join unnest(%(id)s::text[], %(kind)s::text[], %(who)s::text[], %(entry)s::text[]) as i (id, kind, who, entry)
on conflict (id) do nothing
