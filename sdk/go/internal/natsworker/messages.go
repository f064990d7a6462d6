package natsworker

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// onMessage takes a message of a session subscription. It hands over and never runs user code.
func (w *Worker) onMessage(m *nats.Msg) {
	now := time.Now()
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.onNoResponders(m.Header.Get("Nats-Subject"))
		return
	}
	if !wire.IsBatch(m.Data) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ages.look(now)
		w.onFrame(string(m.Data), m.Reply, now)
		return
	}
	batch, err := wire.Decode(string(m.Data))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ages.look(now)
	if err != nil {
		w.counts.Protocol++
		w.options.Logger.Warn("nylon worker: reading a gateway's batch", "error", err)
		return
	}
	for _, frame := range batch.(*wire.Batch).Frames {
		// A copy: a session that lives for long must not keep the whole message.
		w.onFrame(strings.Clone(frame), m.Reply, now)
	}
}

func (w *Worker) onFrame(data, reply string, now time.Time) {
	frame, err := wire.Decode(data)
	if err != nil {
		w.counts.Protocol++
		w.options.Logger.Warn("nylon worker: reading a gateway's frame", "error", err)
		if head, ok := wire.Peek(data); ok {
			w.refuse(&head, reply, wire.AbortProtocol)
		}
		return
	}
	head := frame.Header()
	if head == nil { // a BEAT, or a BATCH in a BATCH
		w.counts.Protocol++
		return
	}
	if open, ok := frame.(*wire.Open); ok {
		w.onOpen(open, now)
		return
	}
	l := w.live[head.Session]
	if l == nil { // a session is its id alone; the generation is the gateway's (SPEC 3.2)
		// What merely ends a session, or was on its way when it ended, needs no answer.
		if frame.Type() == wire.TypePhase || frame.Type() == wire.TypeProbe {
			w.counts.Stale++
			w.refuse(head, reply, wire.AbortStale)
		}
		return
	}
	l.hear(now)
	switch f := frame.(type) {
	case *wire.Probe:
		if (l.stream != nil || l.socket != nil) && head.Seq != l.nextIn { // nothing may follow that would show it (SPEC 14.6)
			w.missing(l, head.Seq)
		}
		return
	case *wire.Abort: // it has no place in the order (SPEC 6.3)
		w.counts.Aborted++
		w.cancel(l, abortCause(f.Reason))
		return
	}
	if head.Seq != l.nextIn {
		w.missing(l, head.Seq)
		return
	}
	l.nextIn++
	switch f := frame.(type) {
	case *wire.PhaseFrame:
		w.onPhase(l, f, now)
	case *wire.Data:
		w.onData(l, f)
	case *wire.Credit:
		l.credit += uint64(f.Bytes)
		if l.stream != nil {
			wake(l.stream.more)
		}
		if l.socket != nil {
			wake(l.socket.more)
		}
		w.pump(l)
	case *wire.Error:
		w.onCallError(l, f)
	case *wire.Close:
		w.cancel(l, session.ErrClosed)
	default:
		if !w.onSocket(l, frame, now) {
			w.counts.Protocol++
			w.breakOff(l, wire.AbortProtocol)
		}
	}
}

// missing: a frame of the gateway is lost, or came twice.
func (w *Worker) missing(l *live, found uint32) {
	w.counts.Gaps++
	w.options.Logger.Warn("nylon worker: a frame is missing or repeated", "session", l.id, "expected", l.nextIn, "found", found)
	w.breakOff(l, wire.AbortGap)
}

// refuse tells a gateway that a frame fits nothing here, and ends the session if there is one.
func (w *Worker) refuse(head *wire.Head, reply string, reason wire.AbortReason) {
	if l := w.live[head.Session]; l != nil {
		w.breakOff(l, reason)
		return
	}
	if w.isReply(reply) {
		abort := &wire.Abort{Head: *head, Reason: reason}
		abort.Seq = 0
		w.emit(gatewayOf(reply), reply, abort)
	}
}

// onNoResponders: a probe found nobody, so every session of that gateway thread is over.
func (w *Worker) onNoResponders(subject string) {
	gateway := gatewayOf(subject)
	if gateway == "" {
		w.options.Logger.Debug("nylon worker: a probe found nobody, but the server does not say where (it is older than 2.10)")
		return
	}
	lost := 0
	for _, l := range w.live {
		if l.gateway == gateway {
			lost++
			w.counts.GatewayLost++
			w.cancel(l, session.ErrClosed)
		}
	}
	if lost > 0 {
		w.options.Logger.Warn("nylon worker: a gateway is gone", "gateway", gateway, "sessions", lost)
	}
}

func abortCause(reason wire.AbortReason) error {
	switch reason {
	case wire.AbortClientGone:
		return session.ErrClientGone
	case wire.AbortTimeout:
		return session.ErrPhaseTimeout
	default:
		return session.ErrClosed
	}
}

// breakOff tells the gateway that a session is over, and ends it.
func (w *Worker) breakOff(l *live, reason wire.AbortReason) {
	if !l.silent {
		w.emit(l.gateway, l.reply, &wire.Abort{Head: l.head(), Reason: reason})
	}
	w.cancel(l, abortCause(reason))
}

// cancel ends a session: its handler is told, its calls fail.
func (w *Worker) cancel(l *live, cause error) {
	if w.live[l.id] != l {
		return
	}
	delete(w.live, l.id)
	l.over = cause
	w.setBusy(l, false)
	l.endStreamOf(cause)
	l.endSocketOf(cause)
	if r := l.run; r != nil && !r.retract() && (r.returned.IsZero() || r.inSocket()) {
		if l.upload != nil { // its callback is as old as its end
			r.takenAt.Store(int64(time.Since(r.Received)))
		}
		r.left = true
		w.left[r] = struct{}{}
	}
	l.run, l.open, l.sending = nil, nil, nil
	w.given -= uint64(l.window - w.options.Credit)
	w.keptBytes -= l.kept
	l.kept = 0
	calls := l.calls
	l.calls = nil
	for _, c := range calls {
		c.done(nil, cause)
	}
	if l.cancel != nil {
		l.cancel(cause)
	}
	if w.init.lost(l) {
		w.judgeWaiting()
	}
	wake(w.changed)
}

func (w *Worker) setBusy(l *live, busy bool) {
	if busy && !l.hot {
		l.hot = true
		w.hot = append(w.hot, l)
		if len(w.hot) == 1 {
			wake(w.ticks)
		}
	}
	if l.busy != busy {
		l.busy = busy
		if busy {
			w.active++
		} else {
			w.active--
		}
	}
}

// load is active sessions and callbacks that outlive theirs: what the limit is about.
func (w *Worker) load() int { return w.active + len(w.left) }

// head is the start of the session's next frame.
func (l *live) head() wire.Head {
	head := wire.Head{Session: l.id, Generation: l.generation, Seq: l.nextOut, PhaseSeq: l.phaseSeq}
	l.nextOut++
	return head
}

// first is what the session's first frame says besides; nil in later ones.
func (l *live) first() *wire.First {
	if l.firstSent {
		return nil
	}
	l.firstSent = true
	l.said = l.announced()
	l.mode = bodyMode(l.streams.Load())
	if l.mask.Load() != unregistered {
		l.entry.streams = l.mode == wire.Streaming
	}
	return &wire.First{Worker: l.w.id, Mask: l.said, BodyMode: l.mode, Credit: l.w.options.Credit}
}

// announced is the session's mask; before its handler is registered nothing is known, so that nothing is left out.
func (l *live) announced() uint32 {
	if mask := l.mask.Load(); mask != unregistered {
		return mask
	}
	return wire.AllPhases
}

func bodyMode(streams bool) wire.BodyMode {
	if streams {
		return wire.Streaming
	}
	return wire.Buffered
}

// unregistered is the mask of a session whose registration function has not returned.
const unregistered = 1 << 31
