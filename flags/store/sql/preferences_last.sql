select coalesce(max(change), 0) from preference;
