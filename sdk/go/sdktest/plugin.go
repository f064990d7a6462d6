package sdktest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/bridge"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// Plugin is a plugin in memory: an sdk.Plugin whose requests come from Do and Dial. New makes one; its fields may be changed before
// the first request. Safe for concurrent use.
type Plugin struct {
	// Timeout is the deadline of each phase, and how long Receive and Wait wait. Default 5 s.
	Timeout time.Duration
	// MaxBody is the longest body that a handler gets as a whole, in bytes; a longer one is ErrBodyTooLarge. Default 10 MiB.
	MaxBody int
	// Logger is where the SDK reports. Default slog.Default().
	Logger *slog.Logger

	mu         sync.Mutex
	handlers   map[string]func(*sdk.PhaseHandler)
	initialize func(map[string]interface{})
	shutdown   func()
	rooms      map[string][]*socket
	speaking   sync.Mutex // held while a room is spoken to
	sessions   atomic.Int32
}

var _ sdk.Plugin = (*Plugin)(nil)

// New makes a plugin without handlers.
func New() *Plugin {
	return &Plugin{
		Timeout: 5 * time.Second, MaxBody: 10 << 20, Logger: slog.Default(), handlers: map[string]func(*sdk.PhaseHandler){},
		rooms: map[string][]*socket{},
	}
}

// AddPhaseHandler registers an entry; the same name again replaces it for later requests.
func (p *Plugin) AddPhaseHandler(name string, handler func(*sdk.PhaseHandler)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[name] = handler
}

// Initialize registers what Configure calls; the last one counts.
func (p *Plugin) Initialize(fn func(map[string]interface{})) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.initialize = fn
}

// Shutdown registers what Close calls; the last one counts.
func (p *Plugin) Shutdown(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shutdown = fn
}

// Configure runs the plugin's Initialize, as a gateway's `config:` does, and returns when that has; a panic is the error, as is a
// config without a JSON form. Numbers reach it as float64. Without an Initialize it does nothing. Nobody else calls it: Do does not.
func (p *Plugin) Configure(config map[string]interface{}) error {
	p.mu.Lock()
	fn := p.initialize
	p.mu.Unlock()
	if fn == nil {
		return nil
	}
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("encoding the config: %w", err)
	}
	return bridge.Initialize(fn, text)
}

// Close runs the plugin's Shutdown, each time it is called, and lets its panics through. Requests go on.
func (p *Plugin) Close() {
	p.mu.Lock()
	fn := p.shutdown
	p.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// Do sends a request through the middleware entry and gives what came of it, when its last phase has ended. An entry that there is
// not, or whose registration function panics, is Err. A handler that tries to become a WebSocket gets ErrNotSupported: Dial has a
// client for one.
func (p *Plugin) Do(entry string, request *Request) *Result { return p.do(entry, request, nil) }

// do tells `dialled` of a WebSocket; nil: there is nobody who could use one.
func (p *Plugin) do(entry string, request *Request, dialled chan<- *socket) *Result {
	p.mu.Lock()
	handler := p.handlers[entry]
	p.mu.Unlock()
	if handler == nil {
		return &Result{Err: fmt.Errorf("running entry %q: the plugin has none of that name", entry)}
	}
	s := newSession(p, request)
	s.dialled = dialled
	defer s.cancel(sdk.ErrSessionClosed)
	user, failure := bridge.Open(handler, s)
	if failure != nil {
		return &Result{Err: fmt.Errorf("opening entry %q: %s", entry, failure.Text), Status: 500}
	}
	e := &exchange{session: s, request: request, handler: user, result: &Result{}}
	e.run()
	return e.result
}

func has(mask uint32, phase wire.Phase) bool { return mask&phase.Bit() != 0 }

func encodePayload(payload map[string]any) ([]byte, error) {
	if payload == nil {
		return nil, nil
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding the payload: %w", err)
	}
	return text, nil
}
