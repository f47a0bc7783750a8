select count(*) from once;
