-- Drops the oldest entries of one kind of the audit trail: those that are too old, and those past the newest ones.
-- KEYS: the kind's sorted set.
-- ARGV: how many are kept, what the ids of the oldest time that is kept begin with, how many may go at a time.
-- Gives how many went.
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[1])
local aged = redis.call('ZLEXCOUNT', KEYS[1], '-', '(' .. ARGV[2])
local gone = math.min(math.max(over, aged), tonumber(ARGV[3]))
if gone > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, gone - 1) end
return math.max(gone, 0)
