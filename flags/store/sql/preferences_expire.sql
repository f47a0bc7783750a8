delete from preference where day <= ?;
