package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"

	"partway/proxy/awschunked"
)

// keep reads a body to its end before it is sent, and shows it to the hashes. What is too large for memory goes into a file; where there is no room
// for it beside others, in either, it waits until ctx ends. release lets go of all, whatever came of it. A checksum that came behind the body is declared
// before it from then on.
func (s *Server) keep(ctx context.Context, c *content, hashes ...io.Writer) (release func(), err error) {
	if c.length <= maxHeld {
		release, err := s.memory.take(ctx, c.length)
		if err != nil {
			return release, err
		}
		return release, c.keep(bytes.NewBuffer(make([]byte, 0, c.length)), hashes)
	}
	leave, err := s.disk.take(ctx, c.length)
	if err != nil {
		return leave, err
	}
	f, err := os.CreateTemp("", "partway-part-") // mode 0600
	if err != nil {
		return leave, fmt.Errorf("a part that is looked at before it is sent: %w", err)
	}
	_ = os.Remove(f.Name()) // where an open file can go, so that none is left behind; on Windows it cannot
	release = func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
		leave()
	}
	if err := c.keep(f, hashes); err != nil {
		return release, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return release, err
}

func (c *content) keep(to io.ReadWriter, hashes []io.Writer) error {
	trailer := awschunked.NewChecksum(c.trailer)
	if trailer != nil {
		hashes = append(hashes, trailer)
	}
	if _, err := io.CopyN(io.MultiWriter(append(hashes, to)...), c.Reader, c.length); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if _, err := io.ReadFull(c.Reader, make([]byte, 1)); !errors.Is(err, io.EOF) { // its end verifies what is behind it, and an empty body
		return errors.Join(awschunked.ErrLength, err)
	}
	switch {
	case trailer != nil:
		c.declare[c.trailer] = base64.StdEncoding.EncodeToString(trailer.Sum(nil))
	case c.trailer != "":
		return errTrailer(c.trailer)
	}
	c.Reader, c.trailer = to, ""
	return nil
}
