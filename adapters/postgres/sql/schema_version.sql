select coalesce(max(s.version), 0) from tidegate_schema s
