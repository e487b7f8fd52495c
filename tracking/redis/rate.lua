-- KEYS[1] is a tenant's due: the time, in microseconds, when its requests so far would all have come, had they come at the
-- rate. It may run ahead by a second's worth. Redis's clock decides, for all gateways. Returns 1 if the request is within.
local interval = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if due - now > 1000000 - interval then return 0 end
-- Numbers here are doubles: written in full rather than as 1e+15.
redis.call('SET', KEYS[1], string.format('%.0f', due + interval), 'PX', 2000)
return 1
