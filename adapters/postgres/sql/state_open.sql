select tidegate_state(%(table)s::oid, %(ids)s::text[])
