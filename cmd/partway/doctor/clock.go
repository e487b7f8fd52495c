package doctor

import (
	"fmt"
	"time"
)

// storeClock compares the time of a store with ours, when it was asked. What gateways write down is dated by
// their own clocks; a store that disagrees with one of them most likely has gateways that disagree with each other.
func storeClock(about string, theirs, ours time.Time) Check {
	apart := theirs.Sub(ours).Abs()
	c := Check{OK, about, "clock", fmt.Sprintf("%s apart", apart.Truncate(time.Second)), ""}
	if apart > clockWarn {
		c.Status, c.Do = Warn, "keep both on NTP: records, revocations and limits per second go by the clocks of gateways and of this server"
	}
	return c
}
