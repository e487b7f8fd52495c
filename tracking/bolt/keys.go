package bolt

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"partway/tracking"
)

// Index keys are fields one behind the other that sort as the fields do. A string is closed by 00 01, and a 00 inside it
// becomes 00 FF, so that no string is the beginning of another and "a" sorts before "a/".

const closing = "\x00\x01"

func open(s string) string   { return strings.ReplaceAll(s, "\x00", "\x00\xff") }
func closed(s string) string { return open(s) + closing }

// behind sorts after every key that begins with the closed string at the end of key, and before all that follow those.
func behind(key string) string { return strings.TrimSuffix(key, closing) + "\x00\x02" }

// instant sorts by time, in milliseconds, years before 1970 included.
func instant(t time.Time) string { return number(t.UnixMilli() ^ -1<<63) }

func number(n int64) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) }

// instantLen is the length of an instant.
const instantLen = 8

// cursorKind keeps the cursors of one list from being taken for those of another.
type cursorKind byte

const (
	uploadCursor cursorKind = 'u'
	eventCursor  cursorKind = 'e'
	chainCursor  cursorKind = 'c'
)

// cursor wraps the index key that a page ended at. Its checksum catches a cut or mistyped one; it is no protection and
// needs to be none: any position is one that the query's filters would let through.
func (k cursorKind) cursor(position string) string {
	raw := append([]byte{byte(k)}, position...)
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (k cursorKind) position(cursor string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", fmt.Errorf("%w: %w", tracking.ErrBadCursor, err)
	}
	body := len(raw) - crc32.Size
	if body < 1+instantLen || raw[0] != byte(k) || binary.BigEndian.Uint32(raw[body:]) != crc32.ChecksumIEEE(raw[:body]) {
		return "", tracking.ErrBadCursor
	}
	return string(raw[1:body]), nil
}
