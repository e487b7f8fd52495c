-- Returns the new sum, -1 if the upload is not open, -2 if the sum would pass the limit.
local number, bytes, til, road, checksum = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local limit, at = tonumber(ARGV[6]), ARGV[7]
if limit == 0 then limit = 2^53 end -- past it a sum is not exact any more

local state = redis.call('HGET', session, 'state')
if state and state ~= 'open' then return -1 end

local sum = lapse()
local before, before_til = read(number)
if before then
  sum = sum - counted(before)
  bytes = math.max(bytes, before)
  if before_til == 0 or til == 0 then til = 0 else til = math.max(til, before_til) end
end
sum = sum + counted(bytes)
if sum > limit then return -2 end

redis.call('HSET', session, 'state', 'open', 'sum', text(sum),
  number, text(bytes) .. ' ' .. text(til) .. ' ' .. road .. ' ' .. checksum)
if til == 0 then
  redis.call('ZREM', grants, number)
else
  redis.call('ZADD', grants, text(til), number)
end
expire(at)
return sum
