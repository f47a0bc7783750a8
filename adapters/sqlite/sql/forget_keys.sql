delete from once
where rowid in (select rowid from once where at_ms < ? order by at_ms limit ?);
