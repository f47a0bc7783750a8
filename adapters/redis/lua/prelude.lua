-- What the scripts share. The stream's entries have the fields n (their number), t (the server's time in
-- milliseconds) and e (the event), in this order. Every key that a script touches is one of its KEYS.

-- Lua's numbers are doubles and would be written as 1.7e+12.
local function digits(number)
  return string.format('%.0f', number)
end

local function server_ms()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

-- Exact up to 2^53: for positions that append gave, which are times, and not for those of a relay.
local function parts(position)
  local major, minor = string.match(position, '^(%d+)-(%d+)$')
  return tonumber(major), tonumber(minor)
end

-- Lets go of the oldest entries, at most `most`: while there are more than `max_events`, or they came
-- before `oldest_ms`. Gives how many. The floor becomes the last of them.
local function trim(state, stream, max_events, oldest_ms, most)
  local length = redis.call('XLEN', stream)
  local over = length - max_events
  if oldest_ms == nil then
    if over <= 0 then return 0 end
    most = math.min(most, over)
  end
  local gone, last = 0, nil
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', most)) do
    local is_old = oldest_ms ~= nil and (tonumber(entry[2][4]) or 0) < oldest_ms
    if gone >= over and not is_old then break end
    gone, last = gone + 1, entry
  end
  if last then
    redis.call('XTRIM', stream, 'MAXLEN', '=', length - gone)
    redis.call('HSET', state, 'floor', last[1], 'floor_number', last[2][2])
  end
  return gone
end
