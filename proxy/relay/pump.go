package relay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// spliceStep is moved between two looks at the clock.
	spliceStep = 8 << 20
	// A client that has so much waiting in the kernel, or all the rest, within backlogWait is not the slow side.
	backlogBytes = 64 << 10
	backlogWait  = 100 * time.Millisecond
	// blameWait shows whether the client's side of a broken splice is still there.
	blameWait = 10 * time.Millisecond
)

// pump moves the body of one exchange to one link. Its errors are ErrClient, ErrStorage, or errStopped.
type pump struct {
	exchange *Exchange
	link     *link
	brake    *brake
}

func (p *pump) write(b []byte) error {
	p.brake.writeUntil(time.Now().Add(p.link.storage.config.AnswerTimeout))
	_, err := p.link.Write(b)
	return p.fault(ErrStorage, err)
}

// fault names the side that err came from.
func (p *pump) fault(side, err error) error {
	switch {
	case err == nil:
		return nil
	case p.brake.isApplied():
		return errStopped
	default:
		return fmt.Errorf("%w: %w", side, err)
	}
}

// copy sends what Request.Body makes of the client's body, through memory. The last byte, or the last chunk, leaves only when the
// client's body has ended as it should.
func (p *pump) copy(r *Request) error {
	src := &source{Reader: p.exchange.body, body: p.exchange.body}
	if r.Body != nil {
		src.Reader = r.Body(p.exchange.body)
	}
	p.exchange.conn.startBody()
	through := newLease(p.exchange.conn.plainTCP() == nil)
	defer through.close()
	if r.Length < 0 {
		return p.copyChunked(src, through)
	}
	return p.copyPlain(src, r.Length, through)
}

func (p *pump) copyPlain(src io.Reader, length int64, through *lease) error {
	var produced int64
	held := 0 // 1 when the last byte waits in the buffer for the end to be known
	for {
		n, err := through.read(src, held, 0)
		buf := through.buffer.bytes
		if produced += int64(n); produced > length {
			return p.fault(ErrClient, fmt.Errorf("body is longer than the %d bytes declared", length))
		}
		ready := held + n
		ended := errors.Is(err, io.EOF)
		switch {
		case ended && produced < length:
			return p.fault(ErrClient, fmt.Errorf("body ended after %d of %d bytes", produced, length))
		case err != nil && !ended:
			return p.fault(ErrClient, err)
		}
		held = 0
		if produced == length && !ended && ready > 0 {
			held = 1
		}
		if send := ready - held; send > 0 {
			if err := p.write(buf[:send]); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if held == 1 {
			buf[0] = buf[ready-1]
		} else {
			through.emptied()
		}
	}
}

// chunkFrame is the room in the buffer of copyChunked for the size line before the data, and for what follows.
const (
	sizeLine, crlf, lastChunk = 10, "\r\n", "0\r\n\r\n"
	chunkFrame                = sizeLine + len(crlf) + len(lastChunk)
)

func (p *pump) copyChunked(src io.Reader, through *lease) error {
	for {
		n, err := through.read(src, sizeLine, len(crlf)+len(lastChunk))
		buf := through.buffer.bytes
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return p.fault(ErrClient, err)
		}
		frame := buf[sizeLine:sizeLine]
		if n > 0 {
			line := fmt.Appendf(nil, "%x\r\n", n)
			frame = buf[sizeLine-len(line) : sizeLine+n]
			copy(frame, line)
			frame = append(frame, crlf...)
		}
		if ended {
			frame = append(frame, lastChunk...)
		}
		if len(frame) > 0 {
			if err := p.write(frame); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		through.emptied()
	}
}

// canSplice reports whether both ends are plain TCP and the body has no coding.
func (x *Exchange) canSplice(k *link) bool {
	return k.tcp != nil && x.conn.plainTCP() != nil && !x.Head.Chunked
}

// splice moves a body with Content-Length from socket to socket, in the kernel where the system can do that.
func (p *pump) splice() error {
	conn, body := p.exchange.conn, p.exchange.body
	conn.startBody()
	if n := min(int64(len(conn.pre)), body.left); n > 0 {
		first := conn.pre[:n]
		conn.pre = conn.pre[n:]
		body.took(n)
		if err := p.write(first); err != nil {
			return err
		}
	}
	for !body.ended {
		if err := p.spliceOnce(); err != nil {
			return err
		}
		if !body.ended && conn.pace.slow() {
			if err := p.tryBacklog(); err != nil {
				return err
			}
		}
	}
	return nil
}

// spliceOnce moves up to spliceStep bytes. A step waits for the client no longer than its pace allows, so when a step is late
// by more than that it was storage that took nothing.
func (p *pump) spliceOnce() error {
	conn, body := p.exchange.conn, p.exchange.body
	limit, stall := conn.pace.limit(), p.link.storage.config.AnswerTimeout
	step := min(body.left, spliceStep)
	began := time.Now()
	p.brake.readUntil(began.Add(limit))
	p.brake.writeUntil(began.Add(limit + stall))
	n, err := p.link.tcp.ReadFrom(&io.LimitedReader{R: conn.plainTCP(), N: step})
	waited := time.Since(began)
	conn.socket.received(n)
	body.took(n)
	conn.pace.add(n, waited)
	body.lost = body.lost || err != nil
	switch {
	case n == step:
		return nil
	case err == nil:
		return p.fault(ErrClient, io.ErrUnexpectedEOF)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return p.fault(p.blame(), err)
	case p.brake.isApplied():
		return errStopped
	case waited >= limit+stall:
		return p.fault(ErrStorage, fmt.Errorf("took no bytes for %s", stall))
	case n == 0: // a step starts with nothing in between the two sockets, so all of the time went by waiting for the client
		return p.fault(ErrClient, fmt.Errorf("nothing came for %s", limit.Round(time.Millisecond)))
	}
	return nil
}

// tryBacklog decides whether the client is slow or was only held up by storage, which a splice cannot tell apart: in the second case
// the kernel holds bytes of the client that nobody has fetched.
func (p *pump) tryBacklog() error {
	conn, body := p.exchange.conn, p.exchange.body
	buf := make([]byte, min(body.left, backlogBytes))
	p.brake.readUntil(time.Now().Add(backlogWait))
	n, err := io.ReadFull(conn.socket, buf)
	body.took(int64(n))
	if n < backlogBytes && !body.ended {
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			err = errors.New("below the minimum rate")
		}
		return p.fault(ErrClient, err)
	}
	conn.pace.restart()
	return p.write(buf[:n])
}

// blame tells which side of a splice broke: ErrClient if nothing more can come from the client.
func (p *pump) blame() error {
	var one [1]byte
	p.brake.readUntil(time.Now().Add(blameWait))
	if n, err := p.exchange.conn.socket.Read(one[:]); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrStorage
	}
	return ErrClient
}
