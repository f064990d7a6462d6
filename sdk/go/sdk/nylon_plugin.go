//go:build cgo

package sdk

import (
	"context"
	"log/slog"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/cabi"
)

// NylonPlugin is a plugin inside the gateway's process: a shared library, built with -buildmode=c-shared. A library has one. Its
// methods may be called from any goroutine.
type NylonPlugin struct{ transport *ffiTransport }

var _ Plugin = (*NylonPlugin)(nil)

var theNylonPlugin struct {
	sync.Mutex
	plugin *NylonPlugin
}

// NewNylonPlugin gives the plugin of this library; a second call gives the same one. Call it and register the entries in a
// func init, or in func main, which then runs in the gateway's process when the library is loaded and may wait in `select {}`.
// Main has 10 s to come to that point; what it registers later is served all the same. It needs cgo: with CGO_ENABLED=0 there is no
// such function.
func NewNylonPlugin() *NylonPlugin {
	theNylonPlugin.Lock()
	defer theNylonPlugin.Unlock()
	if theNylonPlugin.plugin != nil {
		slog.Info("nylon plugin: this library has its plugin already, giving that one")
		return theNylonPlugin.plugin
	}
	theNylonPlugin.plugin = &NylonPlugin{transport: newFFITransport(library)}
	return theNylonPlugin.plugin
}

// AddPhaseHandler registers an entry; the same name again replaces the function for later requests. The function runs once per
// request, those of different requests in parallel. One that is nil is logged and not registered.
func (p *NylonPlugin) AddPhaseHandler(phaseName string, phaseHandler func(phase *PhaseHandler)) {
	if err := p.transport.AddHandler(phaseName, phaseHandler); err != nil {
		slog.Error("nylon plugin", "error", err)
	}
}

// Initialize registers what takes the plugin's `config:`; the last one counts. It runs when the gateway loads the library, and
// again at each reload, while requests run: it has to guard what it changes. Nil is no configuration, numbers are float64. A panic
// in it is logged, and the plugin serves all the same: an entry that cannot do without has to refuse its requests.
func (plugin *NylonPlugin) Initialize(fn func(map[string]interface{})) {
	plugin.transport.Initialize(fn)
}

// Shutdown registers what runs when the gateway ends; the last one counts. The library waits for no request; a gateway of this
// project calls it once its last session is over. A panic is logged.
func (plugin *NylonPlugin) Shutdown(fn func()) { plugin.transport.Shutdown(fn) }

// Start says that every entry is registered, so that the gateway goes on at once. Nobody has to call it. It returns nil.
func (p *NylonPlugin) Start() error { return p.transport.Start() }

// Run waits until the gateway ends or ctx is done, and returns nil. The gateway serves the entries without it, and after it.
func (p *NylonPlugin) Run(ctx context.Context) error {
	if err := p.Start(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-p.Done():
	}
	return nil
}

// Close does nothing and returns nil, because the gateway ends a library. It is there so that a main fits every transport.
func (p *NylonPlugin) Close() error { return p.transport.Close() }

// Done is closed when the gateway has ended the plugin: Shutdown has returned.
func (p *NylonPlugin) Done() <-chan struct{} { return p.transport.done }

func init() {
	cabi.Serve(library, loadMain)
}
