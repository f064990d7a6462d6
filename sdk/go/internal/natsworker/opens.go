package natsworker

import (
	"fmt"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func (w *Worker) onOpen(open *wire.Open, now time.Time) {
	w.counts.Opens++
	if !w.isReply(open.Reply) {
		w.counts.Protocol++
		w.options.Logger.Warn("nylon worker: an open names a reply subject that is none", "session", open.Session)
		return
	}
	if known := w.live[open.Session]; known != nil {
		w.counts.Gaps++
		w.options.Logger.Warn("nylon worker: an open came twice", "session", open.Session)
		w.breakOff(known, wire.AbortGap)
		return
	}
	gateway := gatewayOf(open.Reply)
	age := w.ages.age(gateway, open.MonoMs, now)
	remaining := time.Duration(min(open.RemainingMs, 1<<40)) * time.Millisecond
	if age >= remaining {
		w.counts.Expired++
		w.options.Logger.Warn("nylon worker: dropping an open that is older than its deadline", "session", open.Session, "age", age, "remaining", remaining)
		return
	}
	entry := w.entries[open.Entry]
	switch {
	case entry == nil:
		w.turnAway(open, func(head wire.Head) wire.Frame {
			text := fmt.Sprintf("the worker has no entry %q", open.Entry)
			first := &wire.First{Worker: w.id, Mask: wire.AllPhases, Credit: w.options.Credit}
			return &wire.Error{Head: head, Code: wire.FailUnknownEntry, Text: text, First: first}
		})
		return
	case w.life == draining:
		w.counts.BusyDraining++
		w.turnAway(open, w.busy(wire.BusyDraining, 0))
		return
	case w.load() >= w.options.MaxSessions || len(w.live) >= idleFactor*w.options.MaxSessions:
		// The next moment one may be done: it does not say when to come back.
		w.counts.BusyFull++
		w.turnAway(open, w.busy(wire.BusyFull, 0))
		return
	}
	w.numbers++
	if w.numbers < 0 {
		w.numbers = 1
	}
	l := &live{
		w: w, id: open.Session, number: w.numbers, entry: entry, snapshot: &open.Snapshot, generation: open.Generation,
		reply: open.Reply, gateway: gateway, nextIn: open.Seq + 1, phaseSeq: open.PhaseSeq, open: open,
		silent: open.Phase == wire.Logging, attended: open.Phase == wire.Logging && open.Credit > 0,
		credit: uint64(open.Credit), granted: uint64(w.options.Credit), window: w.options.Credit, body: open.Body,
		received: now, deadline: now.Add(remaining - age), span: remaining - age, heard: now, probed: now, asked: now, patience: probeAfter,
	}
	l.mask.Store(unregistered)
	w.live[l.id] = l
	w.setBusy(l, true)
	if open.More {
		l.wait = waitRest
		l.register(func() {
			w.call(l, wire.FetchOpenRest, w.options.MaxBody, func(body []byte, err error) {
				if err == nil {
					w.onRest(l, body)
				} else if l.over == nil {
					w.breakOff(l, wire.AbortProtocol)
				}
			})
		})
		return
	}
	l.wait = waitInit
	w.judge(l)
}

// onRest takes the whole of an open that did not fit.
func (w *Worker) onRest(l *live, body []byte) {
	frame, err := wire.Decode(string(body))
	whole, ok := frame.(*wire.Open)
	if err != nil || !ok || whole.Session != l.id || whole.Entry != l.entry.name || whole.Reply != l.reply {
		w.counts.Protocol++
		w.breakOff(l, wire.AbortProtocol)
		return
	}
	l.open, l.snapshot, l.body, l.wait = whole, &whole.Snapshot, whole.Body, waitInit
	w.judge(l)
}

// judge lets a waiting open run, or says what it waits for.
func (w *Worker) judge(l *live) {
	if l.wait != waitInit || l.open == nil {
		return
	}
	switch w.init.judge(l.open.Revision) {
	case serve:
		open := l.open
		l.wait, l.open = waitNo, nil
		w.enqueue(l, &run{Run: session.Run{Phase: open.Phase, Request: l.snapshot, Payload: open.Payload, Response: open.Response}, again: open.Ext.IsAgain()})
	case take:
		w.takeConfig(l)
	case failed:
		w.sendError(l, session.Failure{Code: wire.FailInit, Text: w.init.lastError})
		w.cancel(l, session.ErrClosed)
	case wait:
	}
}

func (w *Worker) judgeWaiting() {
	for _, l := range w.live {
		w.judge(l)
	}
}

func (w *Worker) onPhase(l *live, frame *wire.PhaseFrame, now time.Time) {
	w.counts.Phases++
	// Phases of a session are sequential: a gateway that sends the next one has the answer to the last.
	if l.busy || l.open != nil {
		w.counts.Protocol++
		w.breakOff(l, wire.AbortProtocol)
		return
	}
	l.phaseSeq, l.received = frame.PhaseSeq, now
	remaining := time.Duration(min(frame.RemainingMs, 1<<40))*time.Millisecond - w.ages.age(l.gateway, frame.MonoMs, now)
	if remaining <= 0 {
		w.counts.Expired++
		w.cancel(l, session.ErrPhaseTimeout)
		return
	}
	l.deadline, l.span = now.Add(remaining), remaining
	l.silent = l.silent || frame.Phase == wire.Logging
	w.setBusy(l, true)
	w.enqueue(l, &run{Run: session.Run{Phase: frame.Phase, Request: l.snapshot, Payload: frame.Payload, Response: frame.Response}, body: frame.Body, again: frame.Ext.IsAgain()})
}

// enqueue gives a run to the session's goroutine.
func (w *Worker) enqueue(l *live, r *run) {
	r.live, r.Received, r.Own = l, l.received, r
	l.run = r
	l.told = l.firstSent
	l.queue = append(l.queue, r)
	if !l.working {
		l.working = true
		w.start(l)
	}
}

func (w *Worker) busy(reason wire.BusyReason, retryAfterMs uint32) func(wire.Head) wire.Frame {
	return func(head wire.Head) wire.Frame {
		return &wire.Busy{Head: head, Worker: w.id, Reason: reason, RetryAfterMs: retryAfterMs}
	}
}

// turnAway answers an open for which no session is made.
func (w *Worker) turnAway(open *wire.Open, answer func(wire.Head) wire.Frame) {
	// Logging is never answered, and so never tried again.
	if open.Phase == wire.Logging {
		return
	}
	head := open.Head
	head.Seq = 0
	w.emit(gatewayOf(open.Reply), open.Reply, answer(head))
}

// giveBack returns an open that has not reached user code.
func (w *Worker) giveBack(l *live, reason wire.BusyReason) {
	switch reason {
	case wire.BusyDraining:
		w.counts.BusyDraining++
	case wire.BusyInitializing:
		w.counts.BusyInitializing++
	default:
		w.counts.BusyFull++
	}
	if !l.silent {
		w.emit(l.gateway, l.reply, w.busy(reason, 100)(l.head()))
	}
	w.cancel(l, session.ErrClosed)
}
