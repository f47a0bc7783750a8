-- What the scripts share. An entry of the stream has one field, e: its number, the server's time in
-- milliseconds and the event, with a space between them. Several fields would cost every reader more than the
-- event itself. Every key that a script touches is one of its KEYS.

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

-- The server's replication id, which it changes whenever its history may go another way than that of the others
-- who had it: at each start, and when it is promoted. And whether it has that history from another server, or from
-- a copy of its file: a server that merely starts again with its append-only file has forgotten the id before.
local function replication()
  local info = redis.call('INFO', 'replication')
  local former = string.match(info, 'master_replid2:(%x+)') or ''
  return string.match(info, 'master_replid:(%x+)') or '', string.find(former, '[^0]') ~= nil
end

-- Whether the log has the event of that position and number, or has dropped it since.
local function holds(stream, floor, floor_number, position, number)
  local found = redis.call('XRANGE', stream, position, position)[1]
  if found then return string.match(found[2][2], '^(%d+) ') == number end
  local major, minor = parts(position)
  local floor_major, floor_minor = parts(floor)
  return (major < floor_major or (major == floor_major and minor <= floor_minor))
    and tonumber(number) <= tonumber(floor_number)
end

local function add(stream, position, number, now_ms, event)
  redis.call('XADD', stream, position, 'e', digits(number) .. ' ' .. digits(now_ms) .. ' ' .. event)
end

-- Drops the oldest entries, at most `most`: while there are more than `max_events`, or they came
-- before `oldest_ms`. Gives how many. The floor becomes the last of them.
local function trim(state, stream, max_events, oldest_ms, most)
  local length = redis.call('XLEN', stream)
  local over = length - max_events
  if oldest_ms == nil then
    if over <= 0 then return 0 end
    most = math.min(most, over)
  end
  local gone, last, last_number = 0, nil, nil
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', most)) do
    local number, came_ms = string.match(entry[2][2], '^(%d+) (%d+) ')
    local is_old = oldest_ms ~= nil and (tonumber(came_ms) or 0) < oldest_ms
    if gone >= over and not is_old then break end
    gone = gone + 1
    -- An entry of somebody else has no number; it goes without a trace.
    if number then last, last_number = entry[1], number end
  end
  if gone > 0 then redis.call('XTRIM', stream, 'MAXLEN', '=', length - gone) end
  if last then
    redis.call('HSET', state, 'floor', last, 'floor_number', last_number)
  end
  return gone
end
