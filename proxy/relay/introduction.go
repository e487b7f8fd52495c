package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// Reasons of Config.OnRefused.
const (
	RefusedAddress = "address"      // more connections from one address than MaxPerIP
	RefusedSender  = "sender"       // with ProxyProtocol: not from one of Proxies
	RefusedHeader  = "proxy-header" // with ProxyProtocol: no PROXY header within HeadTimeout, or one that is none
)

// introduce reads whom a proxy speaks for, and then lets the connection in. It ends with the header, with HeadTimeout, or when the socket is
// closed, as Shutdown does with those that are idle.
func (l *Listener) introduce(s *socket) {
	if !among(l.config.Proxies, s.addr) {
		// Whoever could send a header could be anybody, so nothing from here is read.
		l.refuse(s, RefusedSender)
		return
	}
	_ = s.SetReadDeadline(time.Now().Add(l.config.HeadTimeout)) // fails only on a closed connection, as the read then will
	client, err := readIntroduction(s.Conn)
	if err != nil {
		l.refuse(s, RefusedHeader)
		return
	}
	if client != nil {
		s.client, s.addr = client, addressOf(client)
	}
	l.welcome(s)
}

// readIntroduction reads a PROXY header, version 1 or 2. nil is a proxy that speaks for itself, as in its health checks.
func readIntroduction(r io.Reader) (*net.TCPAddr, error) {
	b, err := frameIntroduction(r)
	if err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("PROXY header: %w", err)
	case h.Command.IsLocal():
		return nil, nil
	}
	client, _, ok := h.TCPAddrs()
	if !ok {
		return nil, errors.New("PROXY header: the client is not on TCP")
	}
	return client, nil
}

const (
	shortestIntroduction = len("PROXY UNKNOWN\r\n")
	longestLine          = 107       // of version 1, CRLF included
	longestHeader        = 16 + 4096 // of version 2; a client's certificate takes up to 2 KiB of it
)

// frameIntroduction reads a PROXY header and nothing after it: what follows may be spliced, or belong to TLS.
func frameIntroduction(r io.Reader) ([]byte, error) {
	b := make([]byte, shortestIntroduction, longestLine)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	more := func(n int) error {
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[len(b)-n:])
		return err
	}
	switch {
	case bytes.HasPrefix(b, proxyproto.SIGV2):
		if err := more(1); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(b[14:]))
		if len(b)+n > longestHeader {
			return nil, proxyproto.ErrInvalidLength
		}
		err := more(n)
		return b, err
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		for b[len(b)-1] != '\n' {
			if len(b) == longestLine {
				return nil, proxyproto.ErrVersion1HeaderTooLong
			}
			if err := more(1); err != nil {
				return nil, err
			}
		}
		return b, nil
	default:
		return nil, proxyproto.ErrNoProxyProtocol
	}
}
