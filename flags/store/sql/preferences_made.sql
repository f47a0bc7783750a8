select count(*) from preference where day = ?;
