-- Appends all events, or none. Gives {'done', the first position, the number of the last event}, or
-- {why not}.
-- KEYS: state, stream, writer.
-- ARGV: epoch, the writer's number of this call, the newest position that the writer knows, max_events,
-- seconds for which the writer is remembered, then the events.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'number', 'relayed')
if state[1] ~= ARGV[1] then return {'epoch'} end
if state[4] then return {'relayed'} end

-- The answer to a call may be lost on its way: the same call gets the same answer, and nothing is doubled.
local call = tonumber(ARGV[2])
local before = redis.call('GET', KEYS[3])
if before then
  local then_call, first, number = string.match(before, '^(%d+) (%S+) (%d+)$')
  if tonumber(then_call) == call then return {'done', first, number} end
  if tonumber(then_call) > call then return {'late'} end
end

local major, minor = parts(state[2])
local known_major, known_minor = parts(ARGV[3])
if major < known_major or (major == known_major and minor < known_minor) then return {'lost'} end

local now_ms = server_ms()
if now_ms > major then major, minor = now_ms, -1 end
local first = digits(major) .. '-' .. digits(minor + 1)
local number = tonumber(state[3])
local last = state[2]
for index = 6, #ARGV do
  minor = minor + 1
  number = number + 1
  last = digits(major) .. '-' .. digits(minor)
  add(KEYS[2], last, number, now_ms, ARGV[index])
end
redis.call('HSET', KEYS[1], 'last', last, 'number', digits(number))
redis.call('SET', KEYS[3], ARGV[2] .. ' ' .. first .. ' ' .. digits(number), 'EX', ARGV[5])
trim(KEYS[1], KEYS[2], tonumber(ARGV[4]), nil, 2 * (#ARGV - 5))
return {'done', first, digits(number)}
