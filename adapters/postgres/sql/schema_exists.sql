select to_regclass('tidegate_schema') is not null
