package natsworker

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// entry is one named handler and what it has done, for STATS.
type entry struct {
	name      string
	open      session.Open
	streams   bool // the body filter of its last session works piece by piece
	requests  uint64
	errors    uint64
	handling  time.Duration
	lastError string
}

// What a session waits for before its handler may run.
type waitFor int

const (
	waitNo waitFor = iota
	waitRest
	waitInit
)

// live is an open session. Guarded by the worker's mutex, unless said otherwise.
type live struct {
	w          *Worker
	id         wire.SessionID
	number     int32
	entry      *entry
	snapshot   *wire.Snapshot
	generation uint32
	reply      string
	gateway    string // the part of reply that names the gateway's thread
	nextIn     uint32
	nextOut    uint32
	phaseSeq   uint32
	firstSent  bool
	told       bool // firstSent before the handler was made
	silent     bool // nothing is answered: logging runs
	attended   bool // although it is silent, what it needs to start may be asked for
	busy       bool // counted as active
	hot        bool // looked at by every tick
	wait       waitFor
	open       *wire.Open // until its handler runs
	run        *run       // the phase that is not answered yet
	over       error      // why it is over

	// Of the goroutine that works on the session.
	handler session.Handler
	mask    atomic.Uint32
	streams atomic.Bool   // its body filter works piece by piece
	said    uint32        // the mask of the first frame: the gateway sends these phases
	mode    wire.BodyMode // of the first frame
	queue   []*run
	working bool

	credit  uint64 // what we may send, bytes
	granted uint64 // what the gateway may send: left of what it was granted
	window  uint32
	owed    uint32
	body    []byte // the request body, if it is here
	kept    int    // bytes of it that count as kept between phases
	calls   []*call
	nextID  uint32
	sending *sending
	stream  *stream // what its phase writes, until its end
	socket  *socket // its WebSocket, until its end
	// What its phase reads piece by piece.
	readings []*reading
	upload   *reading // the first of them that is the request; until its end the phase has no deadline (SPEC 14.13)

	received time.Time
	deadline time.Time
	span     time.Duration // what the gateway gave the phase
	heard    time.Time
	probed   time.Time     // heard, or last asked for itself, or another session of its gateway's thread was
	asked    time.Time     // heard, or last asked for itself
	patience time.Duration // how long that lasts for

	ctx    context.Context
	cancel context.CancelCauseFunc
}

// hear: from now on its silence counts, because something of the gateway's came, or it has its answer.
func (l *live) hear(now time.Time) {
	l.heard, l.probed, l.asked, l.patience = now, now, now, probeAfter
}

// Stages of a run; only forward.
const (
	queued int32 = iota
	taken
	retracted
)

// run is one run of a handler.
type run struct {
	session.Run
	live     *live
	stage    atomic.Int32
	takenAt  atomic.Int64 // nanoseconds since Received
	returned time.Time    // when the callback returned
	warned   bool
	left     bool // its session is over, its callback runs on
	again    bool // the same phase may follow in this session (SPEC 9.6)
	ops      []wire.Operation
	body     []byte // the response body, if it is here
	socket   *socket
}

func (r *run) claim() bool {
	r.takenAt.Store(int64(time.Since(r.Received)))
	return r.stage.CompareAndSwap(queued, taken)
}

// retract takes it back; false if user code has it already.
func (r *run) retract() bool { return r.stage.CompareAndSwap(queued, retracted) }

func (r *run) waited() time.Duration { return time.Duration(r.takenAt.Load()) }

// call is a FETCH that is not answered yet.
type call struct {
	id   uint32
	what wire.FetchKind
	max  int
	got  []byte
	into *reading                     // nil: the body is wanted as a whole
	done func(body []byte, err error) // called with the mutex held
}

// sending is a body on its way out, with the result that follows it.
type sending struct {
	id     uint32
	body   []byte
	sent   int
	result wire.Result
}

func gatewayOf(reply string) string { return reply[:max(strings.LastIndexByte(reply, '.'), 0)] }

func (l *live) newID() uint32 {
	l.nextID++
	return l.nextID
}

func cost(bytes int) uint64 { return max(uint64(bytes), wire.MessageMinCost) }
