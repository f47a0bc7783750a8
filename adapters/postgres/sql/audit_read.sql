select a.id, a.kind, a.who, a.entry::text
from tidegate_audit a
where
    a.id >= %(since)s and a.id < %(before)s and a.kind = any (%(kinds)s::text[])
    and (%(who)s::text is null or a.who = %(who)s)
order by a.id desc
limit %(limit)s
