-- ARGV: a number. Returns its fields as HGETALL would.
lapse()
local fields = {}
for _, name in ipairs({ARGV[1], 'landed:' .. ARGV[1]}) do
  local value = redis.call('HGET', session, name)
  if value then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
return fields
