delete from once
where at_ms < ? or rowid not in (select rowid from once order by at_ms desc limit ?);
