package relay

import "time"

// pace holds the sender of a body to a rhythm: never silent for longer than idle, and at least need bytes in each window.
// Only the time spent waiting for the sender counts, so nobody is cut because the other side is slow to take the bytes.
type pace struct {
	idle   time.Duration // longest silence, and the length of a window
	need   int64         // bytes per window; 0: any
	waited time.Duration // in this window
	got    int64         // in this window
}

func newPace(c *Config) pace {
	return pace{idle: c.IdleTimeout, need: int64(float64(c.MinRate) * c.IdleTimeout.Seconds())}
}

// limit is how long the next read may wait: no time at all once the pace is slow.
func (p *pace) limit() time.Duration {
	if p.got < p.need {
		return p.idle - p.waited
	}
	return p.idle
}

// add accounts for a read of n bytes that took d.
func (p *pace) add(n int64, d time.Duration) {
	p.got += n
	p.waited += d
	if p.waited >= p.idle && p.got >= p.need {
		p.restart()
	}
}

// slow reports that a window ended with too few bytes in it.
func (p *pace) slow() bool { return p.waited >= p.idle && p.got < p.need }

func (p *pace) restart() { p.waited, p.got = 0, 0 }
