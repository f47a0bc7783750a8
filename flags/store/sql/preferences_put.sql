insert into preference (key, delivery, change, day)
values (?, ?, (select coalesce(max(change), 0) + 1 from preference), ?)
on conflict (key) do update set delivery = excluded.delivery, change = excluded.change, day = excluded.day;
