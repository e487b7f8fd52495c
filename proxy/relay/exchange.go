package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// continueWait is how long storage may stay silent before the body is sent without its 100 Continue. botocore gives up
	// waiting for ours after as long.
	continueWait = time.Second
	// lastWordWait is how long an answer may take to be read after storage stopped taking the body.
	lastWordWait = time.Second
)

// errStopped: the brake was applied, because storage's answer or failure is known or the context ended.
var errStopped = errors.New("transfer was stopped")

// Exchange is a client connection that was taken from fasthttp with the body of its request unread.
type Exchange struct {
	Head *Head

	conn      *Conn
	body      *body
	http10    bool
	close     bool // the client asked for it
	continued bool // the client was sent 100 Continue
	done      bool // Respond or Abandon was called
}

// Hijack takes the connection over once the fasthttp handler returns; run is then called with it on its own goroutine and
// must end with Respond or Abandon. A panic in run is recovered, told to onPanic, and closes the connection.
func Hijack(ctx *fasthttp.RequestCtx, head *Head, run func(*Exchange), onPanic func(any)) {
	conn, ok := ctx.Conn().(*Conn)
	if !ok {
		panic(fmt.Sprintf("relay: connection of type %T is not from a Listener", ctx.Conn()))
	}
	x := &Exchange{Head: head, conn: conn, http10: !ctx.Request.Header.IsHTTP11(), close: ctx.Request.Header.ConnectionClose() || head.closes()}
	l := conn.socket.listener
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		l.exchangeBegins()
		defer l.exchangeEnds()
		defer func() {
			v := recover()
			if !x.done {
				x.Abandon()
			}
			if v != nil {
				onPanic(v)
			}
		}()
		conn.detach(c)
		ctx.Request.Header = fasthttp.RequestHeader{} // of which head is a copy; the two would be held for as long as the body takes
		x.body = newBody(conn, head)
		run(x)
	})
}

// Put sends r with the client's body to storage and returns storage's answer. The client gets its 100 Continue (if it asked) only
// when storage says so or has said nothing for a second. A pooled connection that turns out dead before any of the
// body was read is replaced once by a fresh one. As long as nothing of the body was taken, Put may be called again.
func (x *Exchange) Put(ctx context.Context, s *Storage, r *Request) (*Answer, error) {
	if err := r.check(x.Head); err != nil {
		return nil, err
	}
	if !x.body.whole() {
		return nil, fmt.Errorf("%w again: it was taken by an earlier request", ErrClient)
	}
	if k := s.pooled(); k != nil {
		a, again, err := x.attempt(ctx, k, r)
		if !again {
			return a, err
		}
	}
	k, err := s.dial(ctx)
	if ctx.Err() != nil {
		if err == nil {
			k.close()
		}
		return nil, canceled(ctx)
	}
	if err != nil {
		return nil, err
	}
	a, _, err := x.attempt(ctx, k, r)
	return a, err
}

func canceled(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrCanceled, context.Cause(ctx))
}

// attempt sends r on k, which it releases or closes. again means that k was dead and nothing of the client's body is lost.
func (x *Exchange) attempt(ctx context.Context, k *link, r *Request) (a *Answer, again bool, err error) {
	used := k.used
	b := &brake{client: x.conn.socket, storage: k}
	x.conn.brake = b
	unwatch := context.AfterFunc(ctx, b.apply)
	defer func() {
		unwatch()
		b.end()
		x.conn.brake = nil
	}()

	t := k.begin(r.Method, b.apply)
	err = x.send(ctx, k, t, b, r)
	whole := err == nil
	switch {
	case whole:
		err = t.await(ctx, k.storage.config.AnswerTimeout)
	case errors.Is(err, ErrStorage): // it may have said why
		_ = t.await(ctx, lastWordWait)
	}
	if t.over() && t.err == nil && !errors.Is(err, ErrClient) {
		t.answer.Sent, t.answer.Early = x.body.taken, !whole
		if whole && !t.last {
			b.end() // before its deadlines are lifted
			k.release()
		} else {
			k.close()
		}
		return t.answer, false, nil
	}

	known := t.over()
	k.close()
	<-t.done
	switch {
	case errors.Is(err, ErrClient):
		return nil, false, err
	case ctx.Err() != nil:
		return nil, false, canceled(ctx)
	case known:
		again = used && !t.heard && (x.body.whole() || r.Length == 0)
		return nil, again, fmt.Errorf("%w: %w", ErrStorage, t.err)
	default:
		return nil, false, err
	}
}

// await returns nil once the outcome is known.
func (t *turn) await(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return errStopped
	case <-timer.C:
		return fmt.Errorf("%w: no answer within %s", ErrStorage, limit)
	}
}

// send sends head and body. nil means that storage has them both.
func (x *Exchange) send(ctx context.Context, k *link, t *turn, b *brake, r *Request) error {
	p := &pump{exchange: x, link: k, brake: b}
	if r.Length == 0 && !x.body.ended { // storage will have the whole request with its head, so the body is read first
		if err := x.proceed(); err != nil {
			return err
		}
		if err := p.copy(r); err != nil {
			return err
		}
	}
	if err := p.write(r.head()); err != nil || r.Length == 0 {
		return err
	}
	timer := time.NewTimer(continueWait)
	defer timer.Stop()
	select {
	case <-t.proceed:
	case <-timer.C:
	case <-t.done:
	case <-ctx.Done():
		return errStopped
	}
	if t.over() { // a refusal may come right behind a 100 Continue: the client need not send anything then
		return errStopped
	}
	if err := x.proceed(); err != nil {
		return err
	}
	if r.Body == nil && x.canSplice(k) {
		return p.splice()
	}
	return p.copy(r)
}

// proceed tells the client to send its body, if it waits for that.
func (x *Exchange) proceed() error {
	if !x.Head.Expect || x.http10 || x.continued { // RFC 9110, section 10.1.1: HTTP/1.0 has no Expect
		return nil
	}
	x.continued = true
	if _, err := x.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
		return fmt.Errorf("%w: sending 100 Continue: %w", ErrClient, err)
	}
	return nil
}
