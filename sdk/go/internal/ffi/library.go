package ffi

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Send hands a message to the host, which copies the payload before it returns, and may call Event before that. C gets the
// payload as it is: it must be a block of bytes of its own, not a part of what has pointers.
type Send func(sid, method uint32, payload []byte)

// Library is the plugin of this process: its entries and the sessions that the host has opened.
type Library struct {
	// OnInitialize takes the plugin's configuration.
	OnInitialize session.Initialize
	// OnShutdown runs when the host ends.
	OnShutdown func()
	// Logger is where the SDK reports.
	Logger *slog.Logger

	mu         sync.Mutex
	entries    map[string]*entry
	sessions   map[uint32]*live
	extensions atomic.Uint64 // a bit for each from firstExtension
}

// firstExtension is the first method beyond the ABI; there are fewer than 64.
const firstExtension = 400

// NewLibrary makes a plugin without entries.
func NewLibrary() *Library {
	return &Library{
		OnInitialize: func([]byte) error { return nil }, OnShutdown: func() {}, Logger: slog.Default(),
		entries: map[string]*entry{}, sessions: map[uint32]*live{},
	}
}

// entry is what the plugin registered, and what has been seen of it.
type entry struct {
	name string
	open session.Open
	pace [wire.Logging + 1]pace
}

// Add registers an entry; the same name again replaces it for later sessions.
func (l *Library) Add(name string, open session.Open) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[name] = &entry{name: name, open: open}
}

// Entries is how many there are.
func (l *Library) Entries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Extensions takes the methods beyond the ABI that the host offers.
func (l *Library) Extensions(methods []uint32) {
	for _, method := range methods {
		l.extensions.Or(bit(method))
	}
}

func (l *Library) offers(method uint32) bool { return l.extensions.Load()&bit(method) != 0 }

// bit is 0 for what is none of them.
func bit(method uint32) uint64 { return 1 << (method - firstExtension) }

// Initialize takes the configuration: JSON text, or nothing. The ABI has no way to refuse one, so that is logged.
func (l *Library) Initialize(config []byte) {
	defer l.recovered("initialize")
	if err := l.OnInitialize(config); err != nil {
		l.Logger.Error("nylon plugin: initializing", "error", err)
	}
}

// Shutdown runs what the plugin wants to do at the end. Sessions may still come.
func (l *Library) Shutdown() {
	defer l.recovered("shutdown")
	l.OnShutdown()
}

// Register opens a session; false if there is no such entry, or its registration function panicked. A number that is used
// again takes the place of its old session.
func (l *Library) Register(sid uint32, name string, send Send) (registered bool) {
	defer l.recovered("register_session_stream")
	l.mu.Lock()
	entry := l.entries[name]
	l.mu.Unlock()
	if entry == nil {
		l.Logger.Error("nylon plugin: the host wants an entry that there is not", "entry", name)
		return false
	}
	s := newLive(l, entry, sid, send)
	handler, failure := entry.open(s)
	if failure != nil {
		return false // it is in the log
	}
	s.handler = handler
	l.mu.Lock()
	old := l.sessions[sid]
	l.sessions[sid] = s
	l.mu.Unlock()
	if old != nil {
		old.close()
	}
	return true
}

// streamsBody is the bit beside those of the phases that says that the body filter works piece by piece.
const streamsBody = 16

// Phases is the mask of the phases that a session has registered; 0 for one that is not open.
func (l *Library) Phases(sid uint32) uint32 {
	s := l.session(sid)
	switch {
	case s == nil:
		return 0
	case s.handler.Streams() && l.offers(readResponsePiece):
		return s.handler.Mask() | streamsBody
	default:
		return s.handler.Mask()
	}
}

// Event takes a message of the host: the start of a phase, an answer, or news of a WebSocket. It never calls back by itself.
// The payload is the receiver's.
func (l *Library) Event(sid uint32, phase uint8, method uint32, payload []byte) {
	defer l.recovered("event_stream")
	s := l.session(sid)
	if s == nil {
		return // it is over; nobody waits
	}
	if phase >= uint8(wire.RequestFilter) && phase <= uint8(wire.Logging) {
		s.begin(wire.Phase(phase))
		return
	}
	if method >= socketOpened && method <= socketFailed || method == upgradeWith {
		s.socketEvent(method, payload)
		return
	}
	s.answer(method, payload)
}

// RunPhase begins a phase as Event does, and may run its callback before it returns: true if that has happened. The host waits
// for nothing else on this thread, the thread-th that it has called on, but there are few of those; so only what is quick, and waits for nothing, runs here.
func (l *Library) RunPhase(thread, sid uint32, phase uint8) (returned bool) {
	defer l.recovered("nylon_run_phase")
	if phase < uint8(wire.RequestFilter) || phase > uint8(wire.Logging) {
		return false
	}
	if s := l.session(sid); s != nil {
		return s.beginHere(thread, wire.Phase(phase))
	}
	return true // it is over
}

// Close ends a session: whoever waits in it is woken, and nothing is sent for it any more.
func (l *Library) Close(sid uint32) {
	defer l.recovered("close_session_stream")
	l.mu.Lock()
	s := l.sessions[sid]
	delete(l.sessions, sid)
	l.mu.Unlock()
	if s != nil {
		s.close()
	}
}

// Send is a raw message for a session.
func (l *Library) Send(sid, method uint32, payload []byte) error {
	s := l.session(sid)
	if s == nil {
		return fmt.Errorf("sending method %d in session %d: %w", method, sid, session.ErrClosed)
	}
	return s.send(method, bytes.Clone(payload))
}

func (l *Library) session(sid uint32) *live {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[sid]
}

// recovered keeps a panic out of the host, whose process it would end. User code is guarded by itself.
func (l *Library) recovered(where string) {
	if cause := recover(); cause != nil {
		l.Logger.Error("nylon plugin: "+where+" panicked", "cause", cause, "stack", string(debug.Stack()))
	}
}
