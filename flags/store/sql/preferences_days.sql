create index if not exists preference_day on preference (day);
