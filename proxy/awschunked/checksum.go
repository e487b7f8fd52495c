package awschunked

import (
	"crypto/sha1" //nolint:gosec // one of S3's checksum algorithms; nothing relies on its strength
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// algorithms are S3's trailing checksums by header.
// Source: "Checking object integrity for data uploads in Amazon S3", Amazon S3 User Guide.
var algorithms = map[string]func() hash.Hash{
	"x-amz-checksum-crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"x-amz-checksum-crc32c":    func() hash.Hash { return crc32.New(castagnoli) },
	"x-amz-checksum-crc64nvme": func() hash.Hash { return crc64.New(nvme) },
	"x-amz-checksum-sha1":      sha1.New,
	"x-amz-checksum-sha256":    sha256.New,
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5) // CRC-64/NVME, reflected as hash/crc64 wants it
)

// NewChecksum computes what stands under the name of one of S3's checksum headers; nil for one that is not known.
func NewChecksum(header string) hash.Hash {
	if algorithm, ok := algorithms[header]; ok {
		return algorithm()
	}
	return nil
}

// matches compares with a header's value, the base64 of the sum. Only its canonical form will do: storage compares text.
func matches(sum hash.Hash, value string) bool {
	return sum != nil && base64.StdEncoding.EncodeToString(sum.Sum(nil)) == value
}

// checkValue refuses a value that no body could have under that header. Of an unknown algorithm every value may be right.
func checkValue(header, value string) error {
	algorithm, known := algorithms[header]
	if !known {
		return nil
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(value)
	// The decoder skips line ends, which the length does not.
	if err != nil || len(sum) != algorithm().Size() || len(value) != checksumLength(header) {
		return &TrailerValueError{header}
	}
	return nil
}

// checksumLength is the length of a header's value; -1 if the algorithm is unknown.
func checksumLength(header string) int {
	algorithm, ok := algorithms[header]
	if !ok {
		return -1
	}
	return base64.StdEncoding.EncodedLen(algorithm().Size())
}
