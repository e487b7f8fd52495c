lapse()
return redis.call('HGETALL', session)
