package natsworker

import (
	"errors"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// endSocketOf ends the WebSocket of a session that is over; the mutex is held.
func (l *live) endSocketOf(cause error) {
	s := l.socket
	if s == nil {
		return
	}
	l.socket = nil
	if !s.open {
		s.refuse(cause)
		return
	}
	s.shut = true
	s.settleAll(cause)
	if !errors.Is(cause, session.ErrShuttingDown) {
		s.fail(cause.Error())
	}
	s.end(session.CloseNoFrame, "")
	wake(s.more)
	// What its callbacks still do is as old as the connection's end.
	s.run.takenAt.Store(int64(time.Since(s.run.Received)))
}

// closeSockets closes every WebSocket, spread over half of the time that is left, so that clients do not come back at once.
func (w *Worker) closeSockets(until time.Time) {
	w.mu.Lock()
	var open []*socket
	for _, l := range w.live {
		if l.socket != nil && l.socket.open {
			open = append(open, l.socket)
		}
	}
	w.mu.Unlock()
	pause := time.Until(until) / 2 / time.Duration(max(len(open), 1))
	for i, s := range open {
		if i > 0 {
			time.Sleep(pause)
		}
		w.mu.Lock()
		s.close(session.CloseAway, awayReason)
		w.mu.Unlock()
	}
}
