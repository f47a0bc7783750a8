delete from once where key = ?;
