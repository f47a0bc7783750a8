-- Appends a relay's events at their own positions, where the log ends right before them.
-- KEYS: state, stream. ARGV: epoch, the position that has to be the last, max_events, then position and
-- event by turns. Gives 1, or 0 where the log is another one or ends elsewhere.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'number', 'relayed')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] or not state[4] then return 0 end
local now_ms = server_ms()
local number = tonumber(state[3])
for index = 4, #ARGV, 2 do
  number = number + 1
  add(KEYS[2], ARGV[index], number, now_ms, ARGV[index + 1])
end
redis.call('HSET', KEYS[1], 'last', ARGV[#ARGV - 1], 'number', digits(number))
trim(KEYS[1], KEYS[2], tonumber(ARGV[3]), nil, #ARGV - 3)
return 1
