delete from shared where key = ?;
