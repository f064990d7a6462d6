package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// phaseRun is one run of a phase: what its contexts share. Safe for concurrent use.
type phaseRun struct {
	port sessionPort
	run  *session.Run

	mu   sync.Mutex
	over bool
	sent bool // the head of a stream is out
	// A body filter that gets the body piece by piece; returning ends it.
	piecewise bool
	reported  bool
	failure   *session.Failure // what makes the phase fail when it ends
	status    int              // 0: none was set
	changes   []wire.Operation // of response headers, in order
	body      []byte           // nil: none was set
	values    map[string]any
	decoded   bool
}

// late reports, once, what came after the phase was over; the mutex is held.
func (r *phaseRun) late(what string) { r.ignored(what + " after the end of the phase") }

func (r *phaseRun) ignored(what string) {
	if !r.reported {
		r.reported = true
		r.port.Logger().Warn("nylon plugin: ignored "+what, "session", r.port.UID(), "phase", r.run.Phase)
	}
}

func (r *phaseRun) next() { r.finish(wire.Next, "Next") }
func (r *phaseRun) end()  { r.finish(wire.End, "End") }

func (r *phaseRun) finish(action wire.Action, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		r.late(what)
		return
	}
	if r.piecewise {
		r.ignored(what + " in a body filter that works piece by piece: returning ends it")
		return
	}
	r.over = true
	var err error
	if r.failure != nil {
		err = r.port.Fail(r.run, *r.failure)
	} else {
		err = r.port.Finish(r.run, action)
	}
	r.ended(err)
}

// fail ends the phase as failed; after its end there is nothing left to fail.
func (r *phaseRun) fail(failure session.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.over = true
		r.ended(r.port.Fail(r.run, failure))
	}
}

func (r *phaseRun) ended(err error) {
	if err != nil {
		r.port.Logger().Debug("nylon plugin: a phase ended too late", "session", r.port.UID(), "error", err)
	}
}

// doom makes the phase fail when it ends; the first reason counts.
func (r *phaseRun) doom(code, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault(code, text)
}

// fault is doom; the mutex is held.
func (r *phaseRun) fault(code, text string) {
	if r.failure == nil && !r.over {
		r.failure = &session.Failure{Code: code, Text: text, LogID: logID()}
		r.port.Logger().Error("nylon plugin: "+text, "session", r.port.UID(), "log_id", r.failure.LogID)
	}
}

// apply hands over a change and notes it for readers. One that the gateway cannot make fails the phase: going on without it
// may be what the plugin is there to prevent.
func (r *phaseRun) apply(op wire.Operation, note func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		r.late("a change")
		return
	case r.sent, r.piecewise:
		r.ignored("a change of a response whose head is out")
		return
	case r.run.Phase == wire.Logging:
		r.ignored("a change in logging: everything has been sent")
		return
	case r.run.Phase == wire.ResponseBodyFilter && op.Number != wire.OpSetResponseFullBody:
		r.ignored("a change of status or headers in a body filter: the head is out") // SPEC 13.6
		return
	}
	err := r.port.Apply(r.run, op)
	if errors.Is(err, ErrNotSupported) {
		r.fault(wire.FailHandler, err.Error())
	}
	if err != nil {
		r.ended(err)
		return
	}
	if note != nil {
		note()
	}
}

// effective is headers with what the phase has changed of them; the mutex is held.
func (r *phaseRun) effective(headers []wire.Header) []wire.Header {
	changed := append([]wire.Header(nil), headers...)
	for _, op := range r.changes {
		name := lower(op.Name)
		if op.Number != wire.OpAddResponseHeader {
			changed = slices.DeleteFunc(changed, func(header wire.Header) bool { return header.Name == name })
		}
		if op.Number != wire.OpRemoveResponseHeader {
			changed = append(changed, wire.Header{Name: name, Value: op.Value})
		}
	}
	return changed
}

func (r *phaseRun) payload() map[string]any {
	r.port.Load(r.run, session.PartPayload)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.decoded {
		r.decoded = true
		if len(r.run.Payload) > 0 && json.Unmarshal(r.run.Payload, &r.values) != nil {
			r.values = nil // no object
		}
	}
	return r.values
}

// fetch reads a body.
func (r *phaseRun) fetch(what wire.FetchKind) ([]byte, error) {
	return r.port.Fetch(r.port.Context(), r.run, what, 0)
}

// doomBy is what a body that a plain reader could not give means for the phase: it must not go on as if there were none.
func (r *phaseRun) doomBy(what wire.FetchKind, err error) {
	switch {
	case what == wire.FetchRequestBody:
		r.doom(wire.FailHandler, "reading the request body: "+err.Error())
	case errors.Is(err, ErrBodyTooLarge):
		r.doom(wire.FailBodyTooLarge, "reading the response body: "+err.Error())
	default:
		r.doom(wire.FailHandler, "reading the response body: "+err.Error())
	}
}

// upgrade makes the request a WebSocket; then the phase ends with it, and nothing else ends it.
func (r *phaseRun) upgrade(options WebSocketOptions, callbacks WebSocketCallbacks) error {
	upgradable := r.port.Upgradable(r.run)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		return fmt.Errorf("upgrading to a WebSocket: the phase has ended: %w", ErrSessionClosed)
	case r.failure != nil:
		return fmt.Errorf("upgrading to a WebSocket: the phase has failed: %s", r.failure.Text)
	case !upgradable:
		return ErrNotWebSocket
	}
	wanted := session.SocketOptions{Subprotocols: options.Subprotocols, MaxMessageBytes: options.MaxMessageBytes}
	if err := r.port.Upgrade(r.run, wanted, callbacks.events(r.port.Logger())); err != nil {
		return err
	}
	r.over = true
	return nil
}

// joined is the values of one header as one text.
func joined(headers []wire.Header) map[string]string {
	all := make(map[string]string, len(headers))
	for _, header := range headers {
		before, repeated := all[header.Name]
		if !repeated {
			all[header.Name] = header.Value
		} else {
			all[header.Name] = before + separator(header.Name) + header.Value
		}
	}
	return all
}

func separator(name string) string {
	if name == "cookie" {
		return "; "
	}
	return ", "
}

func lower(name string) string { return strings.ToLower(name) }
