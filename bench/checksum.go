package main

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sync"

	"partway/auth/sigv4"
)

var (
	zeroSums   = map[int64]string{}
	zeroSumsMu sync.Mutex
)

// checksumOfZeros is the header by which SDKs declare a body. Storage verifies it, and so do gateways that look at the bytes; versitygw's takes no part
// without one.
func checksumOfZeros(size int64) sigv4.Header {
	zeroSumsMu.Lock()
	defer zeroSumsMu.Unlock()
	value, ok := zeroSums[size]
	if !ok {
		sum, block := crc32.NewIEEE(), make([]byte, 64<<10)
		for left := size; left > 0; {
			n := min(left, int64(len(block)))
			_, _ = sum.Write(block[:n]) // a hash never fails
			left -= n
		}
		value = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
		zeroSums[size] = value
	}
	return sigv4.Header{Name: "x-amz-checksum-crc32", Value: value}
}
