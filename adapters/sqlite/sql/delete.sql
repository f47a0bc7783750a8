delete from event where number <= ?;
