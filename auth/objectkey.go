package auth

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKeyBytes is the longest object key of S3, in bytes of UTF-8.
const MaxKeyBytes = 1024

// ValidKey refuses keys that storage might read as another key, or that break the lines and documents they are written
// into. key is decoded. ErrKeyTooLong over MaxKeyBytes; else ErrBadKey for "." and ".." segments (storage on a file
// system resolves them, out of the tenant's prefix), NUL, CR, LF, bad UTF-8 and the empty key.
func ValidKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrBadKey)
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: %d bytes, %d are allowed", ErrKeyTooLong, len(key), MaxKeyBytes)
	case strings.ContainsAny(key, "\x00\r\n"):
		return fmt.Errorf("%w: NUL, CR and LF are not allowed", ErrBadKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not UTF-8", ErrBadKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q segments are not allowed", ErrBadKey, segment)
		}
	}
	return nil
}
