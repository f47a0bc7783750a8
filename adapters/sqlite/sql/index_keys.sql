create index if not exists once_at on once (at_ms);
