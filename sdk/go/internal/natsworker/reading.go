package natsworker

import (
	"io"
	"sync"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// streamLimit is the most that a FETCH can ask for: of any length.
const streamLimit = 1<<53 - 2

// reading is a body on its way from the gateway. It is asked for by the first Read, and credit goes back when a piece has been
// read: what waits here is never more than the session's window.
type reading struct {
	run  *run
	what wire.FetchKind
	turn sync.Mutex    // one reader at a time
	more chan struct{} // there may be a piece, or the end

	// Guarded by the worker's mutex.
	id     uint32
	asked  bool
	pieces [][]byte
	at     int // bytes of the first piece that have been read
	unpaid uint64
	end    error // io.EOF behind a whole body
	closed bool
	past   bool // its phase is over
}

// Read gives what is here, and waits where that is nothing.
func (b *reading) Read(p []byte) (int, error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	for {
		n, err := b.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		<-b.more
	}
}

func (b *reading) take(p []byte) (int, error) {
	l := b.run.live
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case b.past:
		return 0, closedBy(l)
	case b.closed:
		return 0, io.ErrClosedPipe
	}
	if !b.asked {
		b.asked = true
		b.ask()
	}
	if len(b.pieces) == 0 {
		return 0, b.end
	}
	piece := b.pieces[0]
	n := copy(p, piece[b.at:])
	if b.at += n; b.at == len(piece) {
		b.pieces, b.at = b.pieces[1:], 0
		if b.id != 0 && l.over == nil && l.run == b.run {
			l.owed += uint32(cost(len(piece)))
			w.grant(l, b.id)
		}
	}
	return n, nil
}

// ask takes the body from memory, or asks the gateway for it; the mutex is held.
func (b *reading) ask() {
	l, known := b.run.live, b.what
	if known == wire.FetchRequestStream {
		known = wire.FetchRequestBody
	} else {
		known = wire.FetchResponseBody
	}
	if body, err, here := l.atHand(b.run, known); here {
		if len(body) > 0 {
			b.pieces = [][]byte{body}
		}
		if b.end = err; err == nil {
			b.end = io.EOF
		}
		return
	}
	c := l.w.call(l, b.what, streamLimit, func(_ []byte, err error) {
		if b.end = err; err == nil {
			b.end = io.EOF
		} else {
			b.pieces = nil // nobody takes a cut body for a whole one
		}
		if l.upload == b && l.over == nil && l.run == b.run {
			l.deadline = time.Now().Add(l.span)
			l.w.setBusy(l, true) // every tick looks at it again
		}
		wake(b.more)
	})
	c.into, b.id = b, c.id
	l.readings = append(l.readings, b)
	if l.upload == nil && b.what == wire.FetchRequestStream {
		l.upload = b
	}
}

// push takes a piece that has come; the mutex is held.
func (b *reading) push(piece []byte) {
	switch {
	case b.closed && !b.past:
		b.unpaid += cost(len(piece))
	case b.past, len(piece) == 0:
		b.run.live.owed += uint32(cost(len(piece)))
		b.run.live.w.grant(b.run.live, b.id)
	default:
		b.pieces = append(b.pieces, piece)
		wake(b.more)
	}
}

// Close ends reading. What still comes is dropped, and not paid for before the phase is over, so that the gateway stops.
func (b *reading) Close() error {
	w := b.run.live.w
	w.mu.Lock()
	defer w.mu.Unlock()
	b.close()
	return nil
}

func (b *reading) close() {
	b.closed = true
	if b.id != 0 {
		for _, piece := range b.pieces {
			b.unpaid += cost(len(piece))
		}
	}
	b.pieces = nil
	wake(b.more)
}

// closeReadings: the phase is over, nobody reads its bodies any more, and what of them is here counts as read; the mutex is
// held.
func (l *live) closeReadings() {
	for _, b := range l.readings {
		b.close()
		b.past = true
		l.owed += uint32(b.unpaid)
	}
	l.readings, l.upload = nil, nil
}

var _ session.BodyPort = (*reading)(nil)
