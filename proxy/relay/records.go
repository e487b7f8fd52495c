package relay

import (
	"encoding/binary"
	"net"
)

// recordHeader is the length of the header of a TLS record: type, version, and the length of what follows.
const recordHeader = 5

// records is a connection below crypto/tls that gives it one record at a time. Of more, tls keeps the beginning of the next record, and to complete
// that one its buffer grows to 40 KiB for as long as the connection lives; with whole records it stays at 18.
type records struct {
	net.Conn
	header []byte // of the record that begins, as far as it came
	left   int    // of the record that is being read
	last   int    // length of the one before with its header: the next is likely to have the same
	space  [recordHeader]byte
}

func newRecords(c net.Conn) *records {
	r := &records{Conn: c}
	r.header = r.space[:0]
	return r
}

func (r *records) Read(p []byte) (int, error) {
	want := r.left
	if want == 0 {
		want = max(r.last, recordHeader) - len(r.header)
	}
	n, err := r.Conn.Read(p[:min(len(p), want)])
	r.follow(p[:n])
	return n, err
}

// follow watches where records end.
func (r *records) follow(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left, p = r.left-n, p[n:]
			continue
		}
		n := min(recordHeader-len(r.header), len(p))
		r.header, p = append(r.header, p[:n]...), p[n:]
		if len(r.header) == recordHeader {
			r.left = int(binary.BigEndian.Uint16(r.header[3:]))
			r.last = recordHeader + r.left
			r.header = r.space[:0]
		}
	}
}
