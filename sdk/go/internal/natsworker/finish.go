package natsworker

import (
	"fmt"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// sendResult sends the result of the session's phase; a body that does not fit into a frame goes before it.
func (w *Worker) sendResult(l *live, result wire.Result) {
	total := 0
	for i := range result.Ops {
		total += result.Ops[i].Size()
	}
	if total <= w.chunk() {
		w.emitResult(l, result)
		return
	}
	body, ops := takeBody(result.Ops)
	rest := 0
	for i := range ops {
		rest += ops[i].Size()
	}
	if rest > w.payload-wire.FrameOverhead || len(body) > w.options.MaxBody {
		text, id := fmt.Sprintf("the result is too large: %d bytes", total), l.snapshot.RequestID
		w.counts.Errors++
		w.options.Logger.Error("nylon worker: sending a result: it is too large", "session", l.id, "id", id, "bytes", total)
		w.sendError(l, session.Failure{Code: wire.FailBodyTooLarge, Text: text, LogID: id})
		l.run = nil
		w.cancel(l, session.ErrClosed)
		return
	}
	id := l.newID()
	for i := range ops {
		if ops[i].Number == wire.OpSetResponseFullBody {
			ops[i].ID, ops[i].Total = id, uint64(len(body))
		}
	}
	result.Ops = ops
	l.sending = &sending{id: id, body: body, result: result}
	w.pump(l)
}

// takeBody takes the body that counts, the last one, out of the operations; earlier ones are dropped.
func takeBody(all []wire.Operation) (body []byte, ops []wire.Operation) {
	last := -1
	for i := range all {
		if all[i].Number == wire.OpSetResponseFullBody {
			last = i
		}
	}
	for i, op := range all {
		if op.Number == wire.OpSetResponseFullBody {
			if i != last {
				continue
			}
			body, op.Bytes = op.Bytes, nil
		}
		ops = append(ops, op)
	}
	return body, ops
}

// emitResult sends the last frame of a phase.
func (w *Worker) emitResult(l *live, result wire.Result) {
	result.First = l.first()
	result.Head = l.head()
	w.emit(l.gateway, l.reply, &result)
	w.counts.Results++
	w.afterPhase(l, l.run.Phase, l.run.again)
}

// afterPhase: the session waits for the next one, if its handler has any, or for the same once more.
func (w *Worker) afterPhase(l *live, phase wire.Phase, again bool) {
	w.setBusy(l, false)
	l.closeReadings()
	l.run = nil
	now := time.Now()
	l.hear(now)
	if phase != wire.Logging && (again || l.said>>phase != 0) {
		w.keepBody(l)
		wake(w.changed)
		return
	}
	w.cancel(l, session.ErrClosed)
}

// keepBody keeps a request body between phases while all of them fit.
func (w *Worker) keepBody(l *live) {
	w.keptBytes -= l.kept
	l.kept = len(l.body)
	if w.keptBytes+l.kept > keptLimit {
		l.body, l.kept = nil, 0 // the gateway has it still
	}
	w.keptBytes += l.kept
}

// sendError answers that the phase failed.
func (w *Worker) sendError(l *live, failure session.Failure) {
	if l.silent {
		return
	}
	frame := &wire.Error{Code: failure.Code, Text: strings.ToValidUTF8(shortened(failure.Text), "?"), First: l.first()}
	if failure.LogID != "" {
		frame.LogID = &failure.LogID
	}
	frame.Head = l.head()
	w.emit(l.gateway, l.reply, frame)
}

// accept tells the gateway that user code has the open.
func (w *Worker) accept(l *live) {
	w.counts.Accepts++
	first := l.first()
	w.emit(l.gateway, l.reply, &wire.Accept{Head: l.head(), First: first})
}

// chunk is the longest piece of a body.
func (w *Worker) chunk() int { return max(min(w.payload-wire.FrameOverhead, wire.MaxChunk), 1) }
