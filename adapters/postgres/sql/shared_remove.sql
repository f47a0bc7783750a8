delete from tidegate_shared s
where
    s.key = %(key)s
    and (%(expected)s::bigint is null or s.version = %(expected)s)
    and (s.expires_at is null or s.expires_at > clock_timestamp())
returning s.version
