package natsworker

import (
	"fmt"
	"sync"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// socket is a session's WebSocket (SPEC 14.3 to 14.10). One goroutine runs its callbacks, in the order in which the news came.
// Its phase lasts until the last of them has returned.
type socket struct {
	run      *run
	events   session.SocketEvents
	protocol string        // the sub-protocol that was chosen
	most     int           // the longest message, bytes
	verdict  chan error    // the gateway's, once
	turn     sync.Mutex    // one sender at a time, so that pieces do not mix
	more     chan struct{} // there may be credit, or the end

	// Guarded by the worker's mutex.
	id      uint32
	open    bool
	shut    bool   // nothing goes out to the client any more
	closed  bool   // nothing comes from the client any more
	failed  bool   // its failure is told
	code    uint16 // how it was closed; 0 until it is
	reason  string
	done    bool // the last callback has returned
	queue   []socketEvent
	waiting int // whole messages in the queue
	partial []byte
	unpaid  uint64 // what the partial message has cost and was not given back
	working bool
	calls   map[uint32]socketCall
}

// socketCall waits for the gateway's answer.
type socketCall struct {
	answer chan error
	joins  bool // a socket that is closed cannot join; it can still speak to rooms
}

// socketEvent is a callback that is to run.
type socketEvent struct {
	run     func()
	message bool
	last    bool
	cost    uint64 // given back when a message is taken
}

// Upgrade asks the gateway and waits for its verdict; until that the deadline of the phase holds.
func (l *live) Upgrade(r *session.Run, options session.SocketOptions, events session.SocketEvents) error {
	s, err := l.w.upgrade(r.Own.(*run), options, events)
	if err == nil {
		err = <-s.verdict
	}
	if err != nil {
		return fmt.Errorf("upgrading to a WebSocket: %w", err)
	}
	return nil
}

// Upgradable leaves it to the gateway to look at the handshake.
func (l *live) Upgradable(*session.Run) bool { return true }

func (w *Worker) upgrade(r *run, options session.SocketOptions, events session.SocketEvents) (*socket, error) {
	l := r.live
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case l.run != r || l.sending != nil || l.stream != nil || l.socket != nil:
		return nil, closedBy(l)
	case l.silent || r.Phase != wire.RequestFilter:
		return nil, fmt.Errorf("the phase is number %d, and cannot", r.Phase)
	}
	s := &socket{
		run: r, events: events, most: options.Longest(), verdict: make(chan error, 1), more: make(chan struct{}, 1),
		calls: map[uint32]socketCall{},
	}
	frame := &wire.Upgrade{MaxMessageBytes: uint64(s.most)}
	frame.Ops, _, s.protocol = options.Split(r.ops, l.snapshot.Headers)
	size := 0
	for i := range frame.Ops {
		size += frame.Ops[i].Size()
	}
	if size > w.chunk() {
		return nil, fmt.Errorf("the headers have %d bytes, which is too much", size)
	}
	if s.protocol != "" {
		frame.Subprotocol = &s.protocol
	}
	l.socket, r.socket = s, s
	frame.First = l.first()
	frame.Head = l.head()
	w.emit(l.gateway, l.reply, frame)
	return s, nil
}

// lasts says whether the session's phase has no deadline.
func (l *live) lasts() bool {
	return l.stream != nil || l.socket != nil && l.socket.open && !l.socket.closed || l.upload != nil && l.upload.end == nil
}

// inSocket says whether callbacks of a WebSocket still run.
func (r *run) inSocket() bool { return r.socket != nil && r.socket.open && !r.socket.done }

// onSocket takes a frame that is about the session's WebSocket; false if it is none, or one that does not fit.
func (w *Worker) onSocket(l *live, frame wire.Frame, now time.Time) bool {
	s := l.socket
	if s == nil || s.closed {
		return false
	}
	switch f := frame.(type) {
	case *wire.WsOpen:
		if s.open {
			return false
		}
		s.id, s.open = f.ConnectionID, true
		s.verdict <- nil
		s.push(socketEvent{run: func() { s.events.Open(s) }})
		if w.life != serving {
			s.close(session.CloseAway, awayReason)
		}
	case *wire.WsError:
		if !s.open {
			return false
		}
		s.fail(f.Text)
	case *wire.WsClosed:
		if !s.open {
			return false
		}
		// What the plugin says last may take as long as the phase might have taken without a WebSocket.
		l.deadline = now.Add(l.span)
		l.owed += uint32(s.unpaid)
		for i := range s.queue {
			l.owed += uint32(s.queue[i].cost)
			s.queue[i].cost = 0
		}
		s.end(f.Code, f.Reason)
	default:
		return false
	}
	return true
}

// onMessage takes a piece of a message, which is within credit; false if the message is none that was to come.
func (s *socket) onMessage(data *wire.Data, price uint64) bool {
	if !s.open || s.closed || data.ID != s.id || len(s.partial)+len(data.Bytes) > s.most {
		return false
	}
	if data.Kind != wire.DataText && data.Kind != wire.DataBinary {
		return false
	}
	s.partial = append(s.partial, data.Bytes...)
	if data.More {
		// The only message may be longer than the window; it is in memory as a whole anyway. Behind others it waits.
		if s.waiting > 0 {
			s.unpaid += price
		} else {
			s.pay(price)
		}
		return true
	}
	whole, binary := s.partial, data.Kind == wire.DataBinary
	price += s.unpaid
	s.partial, s.unpaid = nil, 0
	s.waiting++
	s.push(socketEvent{run: func() { s.events.Message(s, binary, whole) }, message: true, cost: price})
	return true
}

// pay gives credit back for what was taken.
func (s *socket) pay(price uint64) {
	if l := s.run.live; !s.closed && l.over == nil {
		l.owed += uint32(price)
		l.w.grant(l, s.id)
	}
}

func (s *socket) push(event socketEvent) {
	s.queue = append(s.queue, event)
	if !s.working {
		s.working = true
		go s.work()
	}
}

// fail lets OnError follow what has come, once; the mutex is held.
func (s *socket) fail(text string) {
	if !s.failed && !s.closed {
		s.failed = true
		s.push(socketEvent{run: func() { s.events.Failed(s, text) }})
	}
}

// end lets the last callback follow what has come; the mutex is held.
func (s *socket) end(code uint16, reason string) {
	if s.closed {
		return
	}
	s.closed = true
	s.code, s.reason = code, reason
	s.partial, s.unpaid = nil, 0
	wake(s.more)
	s.push(socketEvent{run: func() { s.events.Closed(s) }, last: true})
}

// work runs callbacks until there are none.
func (s *socket) work() {
	w, last := s.run.live.w, false
	clean := false
	defer func() {
		switch {
		case clean:
		case last:
			s.over()
		default: // runtime.Goexit in a callback ends this goroutine, not the connection
			go s.work()
		}
	}()
	for {
		w.mu.Lock()
		if len(s.queue) == 0 {
			s.working = false
			w.mu.Unlock()
			clean = true
			return
		}
		event := s.queue[0]
		s.queue = s.queue[1:]
		last = event.last
		unheard := event.message && s.shut // nobody can answer what came after Close
		s.shut = s.shut || last
		if event.message {
			s.waiting--
			if s.waiting == 0 {
				event.cost += s.unpaid
				s.unpaid = 0
			}
			s.pay(event.cost)
		}
		w.mu.Unlock()
		if !unheard {
			event.run()
		}
		if last {
			clean = true
			s.over()
			return
		}
	}
}

// over ends the phase behind the last callback.
func (s *socket) over() {
	r := s.run
	l := r.live
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	s.done = true
	if r.left {
		delete(w.left, r)
		wake(w.changed)
	}
	l.entry.requests++
	s.result()
}

// result ends the phase when nothing of the WebSocket is under way any more; the mutex is held.
func (s *socket) result() {
	if l := s.run.live; s.done && len(s.calls) == 0 && l.over == nil {
		l.socket = nil
		l.w.sendResult(l, wire.Result{Action: wire.End})
	}
}

// refuse: the gateway does not upgrade the request, which is the handler's again.
func (s *socket) refuse(err error) {
	s.run.live.socket, s.run.socket = nil, nil
	s.verdict <- err
}

// settle answers a call; false if there is none.
func (s *socket) settle(id uint32, err error) bool {
	call, known := s.calls[id]
	if known {
		delete(s.calls, id)
		if err != nil && call.joins && s.closed { // the close was faster than the join
			err = closedBy(s.run.live)
		}
		call.answer <- err
		s.result()
	}
	return known
}

func (s *socket) settleAll(err error) {
	for id := range s.calls {
		s.settle(id, err)
	}
}
