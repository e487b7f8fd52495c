package storage

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// What the gateway asks on its own account and may ask twice (ListParts, HeadObject, AbortMultipartUpload) it asks up to three times, if the answers
// come fast: a storage that hangs is asked once. What a client asked is sent once: the client repeats it by its own rules, and tries of both
// would multiply. CreateMultipartUpload and CompleteMultipartUpload are never repeated blindly.
const (
	defaultTries = 3
	triesWithin  = 2 * time.Second // no try begins later
	pauseFirst   = 50 * time.Millisecond
)

// again tries until it is answered, as ErrUnavailable is not. The pauses double, and vary so that gateways do not keep step.
func (c *Config) again(ctx context.Context, try func() error) error {
	begun, pause := time.Now(), pauseFirst
	for n := 1; ; n++ {
		err := try()
		if err == nil || n >= cmp.Or(c.Tries, defaultTries) || !errors.Is(err, ErrUnavailable) {
			return err
		}
		wait := time.NewTimer(pause + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
		if time.Since(begun) > triesWithin {
			return err
		}
		pause *= 2
	}
}
