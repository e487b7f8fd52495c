-- Shared by the steps. KEYS[1] is the session: a hash of "state", "sum" and, under each part's number, its line
-- "bytes until road checksum" (until in milliseconds, 0: for good) and, under "landed:" and the number, what storage holds of it,
-- as JSON. KEYS[2] are the grants among the parts: a sorted set of
-- part numbers by until, so that dropping what lapsed costs nothing for the rest. One of them, '', is no part's and never lapses, so
-- that there are both keys or none: a server of a cluster that is handing their slot to another refuses a step that finds one of two,
-- and breaks one off in its middle if a key that it emptied, and which so is gone, is touched again. Redis's clock decides, for all
-- gateways.

local session, grants = KEYS[1], KEYS[2]

-- Numbers here are doubles: exact up to 2^53, and written in full rather than as 1e+14.
local function text(n) return string.format('%.0f', n) end

local function counted(bytes) return math.max(bytes, 0) end -- an undeclared length is -1

local function read(number)
  local line = redis.call('HGET', session, number)
  if not line then return nil end
  local bytes, til = string.match(line, '^(%S+) (%S+)')
  return tonumber(bytes), tonumber(til)
end

-- drop takes a line away and returns what it counted.
local function drop(number)
  local bytes = counted(read(number) or 0)
  redis.call('HDEL', session, number, 'landed:' .. number)
  redis.call('ZREM', grants, number)
  return bytes
end

-- lapse drops the lines whose time has passed and returns the sum of the others. Grants whose session is gone (Redis evicts keys
-- one by one) are dropped: writing their sum would bring the session back without a state and without an end.
local function lapse()
  if redis.call('EXISTS', session) == 0 then
    redis.call('DEL', grants)
    return 0
  end
  local sum = tonumber(redis.call('HGET', session, 'sum') or '0')
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local lapsed = redis.call('ZRANGEBYSCORE', grants, '-inf', text(now))
  for _, number in ipairs(lapsed) do
    sum = sum - drop(number)
  end
  if #lapsed > 0 then redis.call('HSET', session, 'sum', text(sum)) end
  return sum
end

local function write(number, bytes, til, rest)
  redis.call('HSET', session, number, text(bytes) .. ' ' .. text(til) .. ' ' .. rest)
  if til == 0 then
    redis.call('ZREM', grants, number)
  else
    redis.call('ZADD', grants, text(til), number)
  end
end

local function expire(at)
  redis.call('ZADD', grants, '+inf', '')
  redis.call('PEXPIREAT', session, at)
  redis.call('PEXPIREAT', grants, at)
end
