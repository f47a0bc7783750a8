delete from tidegate_shared s
where s.expires_at <= clock_timestamp()
