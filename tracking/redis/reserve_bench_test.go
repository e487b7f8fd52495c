//go:build servers

package redis_test

import (
	"fmt"
	"testing"

	"partway/tracking"
	"partway/tracking/redis"
	"partway/tracking/trackingtest/servers"
)

// BenchmarkReserve shows that a reservation costs the same in a session of 10,000 parts as in an empty one.
func BenchmarkReserve(b *testing.B) {
	for _, parts := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			s, err := redis.Open(redis.Config{URL: servers.Redis(b).URI})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { s.Close() })
			for n := range parts {
				if err := reserve(b.Context(), s, granted(n+1)); err != nil {
					b.Fatal(err)
				}
			}
			for n := 0; b.Loop(); n++ {
				if err := reserve(b.Context(), s, granted(n%parts+1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func granted(number int) tracking.Part {
	return tracking.Part{Number: number, Bytes: 64 << 20, Checksum: "crc32:AAAAAA==", Road: "redirect", Until: inAnHour}
}
