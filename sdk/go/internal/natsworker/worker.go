package natsworker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/batch"
	"github.com/AssetsArt/nylon/sdk/go/internal/collector"
	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Where a worker is in its life.
type life int

const (
	serving  life = iota
	leaving       // says that it drains, but opens that were on their way still count
	draining      // takes no opens
)

// Worker serves one group over one connection.
type Worker struct {
	options Options
	conn    *nats.Conn
	ownConn bool
	id      string
	subject string // the direct subject
	beats   string
	replies string // prefix of every subject that gateways listen on
	service service

	flushes chan struct{}
	ticks   chan struct{}
	changed chan struct{}
	done    chan struct{}
	drain   sync.Once
	begin   sync.Once
	idle    sync.WaitGroup // the worker's own goroutines

	mu        sync.Mutex
	life      life
	entries   map[string]*entry
	order     []*entry
	opens     []*nats.Subscription
	direct    []*nats.Subscription
	deferred  []error // of subscriptions
	fresh     bool    // subscriptions that are not flushed yet
	init      initState
	live      map[wire.SessionID]*live
	asked     map[string]time.Time // when a gateway's thread was last asked whether it is there
	left      map[*run]struct{}    // callbacks whose session is over
	active    int
	hot       []*live
	out       outgoing
	ages      ages
	numbers   int32
	beatSeq   uint32
	given     uint64 // bytes that gateways may have on their way to us beyond the initial credits
	keptBytes int
	payload   int // the server's max_payload
	counts    counts
	actors    []*actor // that wait
	over      bool     // no actor waits any more
	dropped   int      // messages that the client dropped, as far as it has told
}

// counts is what happened to sessions since the start.
type counts struct {
	Opens, Phases, Results, Errors, Accepts, BusyFull, BusyDraining, BusyInitializing, Expired, Timeouts, Aborted,
	GatewayLost, Gaps, Stale, Protocol, Idle, Unsent, Cuts uint64
}

// New makes a worker on a connection; closing ends the connection with it if it is the worker's own.
func New(conn *nats.Conn, own bool, options Options) (*Worker, error) {
	random := make([]byte, 12)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making the worker's id: %w", err)
	}
	w := &Worker{
		options: options, conn: conn, ownConn: own, id: hex.EncodeToString(random),
		flushes: make(chan struct{}, 1), ticks: make(chan struct{}, 1), changed: make(chan struct{}, 1), done: make(chan struct{}),
		entries: map[string]*entry{}, live: map[wire.SessionID]*live{}, asked: map[string]time.Time{}, left: map[*run]struct{}{}, payload: 1 << 20,
	}
	var err error
	if w.subject, err = wire.Subject(options.Prefix, "w", options.Group, w.id); err != nil {
		return nil, fmt.Errorf("naming the worker of group %q: %w", options.Group, err)
	}
	if w.beats, err = wire.Subject(options.Prefix, "beat", options.Group, w.id); err != nil {
		return nil, fmt.Errorf("naming the worker of group %q: %w", options.Group, err)
	}
	w.replies = options.Prefix + ".v1.h."
	w.service = newService(options)
	return w, nil
}

// ID is the worker's id: random, new at each start.
func (w *Worker) ID() string { return w.id }

// Add registers an entry and subscribes for its opens at once. The same name again replaces its function.
func (w *Worker) Add(name string, open session.Open) error {
	subject, err := wire.Subject(w.options.Prefix, "open", w.options.Group, name)
	if err != nil {
		return w.Fail(fmt.Errorf("adding handler %q: %w", name, err))
	}
	group, err := wire.Escape(w.options.Group)
	if err != nil {
		return w.Fail(fmt.Errorf("adding handler %q: %w", name, err))
	}
	w.mu.Lock()
	if known := w.entries[name]; known != nil {
		known.open = open
		w.mu.Unlock()
		return nil
	}
	if w.life != serving {
		w.mu.Unlock()
		return w.Fail(fmt.Errorf("adding handler %q: %w", name, session.ErrShuttingDown))
	}
	known := &entry{name: name, open: open}
	w.entries[name] = known
	w.order = append(w.order, known)
	w.mu.Unlock()
	if err := w.serve(); err != nil {
		return w.Fail(err)
	}
	sub, err := w.subscribe(subject, group, w.onMessage)
	if err != nil {
		return w.Fail(fmt.Errorf("adding handler %q: %w", name, err))
	}
	w.mu.Lock()
	w.opens = append(w.opens, sub)
	w.fresh = true
	w.mu.Unlock()
	return nil
}

// Fail keeps an error for Start and tells the error handler.
func (w *Worker) Fail(err error) error {
	w.mu.Lock()
	w.deferred = append(w.deferred, err)
	w.mu.Unlock()
	w.report(err)
	return err
}

func (w *Worker) report(err error) {
	w.options.Logger.Error("nylon worker", "error", err)
	if w.options.OnError != nil {
		w.options.OnError(err)
	}
}

func (w *Worker) subscribe(subject, group string, handle nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := w.conn.QueueSubscribe(subject, group, handle)
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	// Credit bounds what is under way; the limits are far above it, and reaching them is reported.
	if err := sub.SetPendingLimits(1<<20, 256<<20); err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	return sub, nil
}

// serve subscribes to the direct subject and starts the worker's goroutines, once.
func (w *Worker) serve() error {
	var err error
	w.begin.Do(func() {
		batch.Join()
		collector.Rest()
		subjects := map[string]nats.MsgHandler{w.subject: w.onMessage}
		for subject, answer := range w.service.subjects(w) {
			subjects[subject] = answer
		}
		for subject, handle := range subjects {
			sub, failed := w.subscribe(subject, "", handle)
			if failed != nil {
				err = errors.Join(err, failed)
				continue
			}
			w.mu.Lock()
			w.direct = append(w.direct, sub)
			w.mu.Unlock()
		}
		w.mu.Lock()
		w.fresh = true
		w.init.own = w.options.Config != nil
		w.mu.Unlock()
		w.startOwnConfig()
		w.idle.Add(3)
		go w.publish()
		go w.tick()
		go w.beat()
		w.options.Logger.Info("nylon worker started", "group", w.options.Group, "worker", w.id)
	})
	return err
}

// Start flushes and reports what went wrong with subscriptions so far.
func (w *Worker) Start() error {
	w.mu.Lock()
	none, failed, leaves := len(w.entries) == 0, errors.Join(w.deferred...), w.life != serving
	w.mu.Unlock()
	switch {
	case failed != nil:
		return fmt.Errorf("starting the worker: %w", failed)
	case leaves:
		return fmt.Errorf("starting the worker: %w", session.ErrShuttingDown)
	case none:
		return errors.New("starting the worker: it has no handler; call AddPhaseHandler before")
	case !w.conn.IsConnected():
		w.options.Logger.Warn("nylon worker: nats cannot be reached yet, trying on", "group", w.options.Group)
	default:
		if err := w.conn.FlushTimeout(5 * time.Second); err != nil {
			return fmt.Errorf("starting the worker: flushing its subscriptions: %w", err)
		}
	}
	return w.awaitOwnConfig()
}

// Ready says whether it takes sessions: for a health endpoint.
func (w *Worker) Ready() bool {
	connected := w.conn.IsConnected()
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.init.state()
	configured := state == wire.Ready || state == wire.FailedKeepingOld
	return connected && configured && w.life == serving && len(w.opens) > 0
}

// Done is closed when the worker has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

// wake sends a signal that is not lost and not repeated.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish is the one goroutine that sends. It gathers nothing by waiting: what has become ready while it sent, and what the goroutines
// that can go on have to say, shares messages.
func (w *Worker) publish() {
	defer w.idle.Done()
	for {
		select {
		case <-w.flushes:
			runtime.Gosched() // else it would run behind the first of them
			w.flush()
		case <-w.done:
			return
		}
	}
}

func (w *Worker) flush() {
	limit := int(w.conn.MaxPayload())
	w.mu.Lock()
	if limit > 0 {
		w.payload = limit
	}
	messages := w.out.takeAll()
	w.mu.Unlock()
	for i := range messages {
		m := &messages[i]
		if err := w.send(m); err != nil {
			w.mu.Lock()
			w.counts.Unsent++
			w.mu.Unlock()
			w.options.Logger.Warn("nylon worker: sending a frame", "error", err, "bytes", len(m.payload))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range messages {
		w.out.give(messages[i].payload) // the client has copied it
	}
}

func (w *Worker) send(m *message) error {
	if m.reply == "" {
		return w.conn.Publish(m.subject, m.payload)
	}
	return w.conn.PublishRequest(m.subject, m.reply, m.payload)
}

// emit queues a frame of a session; the mutex is held.
func (w *Worker) emit(gateway, reply string, frame wire.Frame) {
	w.out.frame(gateway, reply, frame, min(wire.MaxBatch, w.payload))
	wake(w.flushes)
}

// isReply says whether a subject is one that gateways listen on. Nothing else is ever published to: a frame must not make
// this worker speak elsewhere, nor break the protocol of the connection.
func (w *Worker) isReply(subject string) bool {
	if len(subject) > wire.MaxSubject || !strings.HasPrefix(subject, w.replies) {
		return false
	}
	for _, b := range []byte(subject) {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-' || b == '=' || b == '.') {
			return false
		}
	}
	return true
}
