update preference set day = ?;
