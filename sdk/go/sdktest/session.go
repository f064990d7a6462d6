package sdktest

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// memory is a session's port in memory.
type memory struct {
	plugin   *Plugin
	number   int32
	snapshot *wire.Snapshot
	body     []byte
	ctx      context.Context
	cancel   context.CancelCauseFunc
	// leaveAfter is after how many bytes of a stream the client leaves; 0: never.
	leaveAfter int
	// dialled hears of a WebSocket; nil: nobody can use one.
	dialled chan<- *socket

	mu    sync.Mutex
	read  bool // the request body is in the handler's memory
	taken bool // the request body went to a BodyReader
}

var _ session.Port = (*memory)(nil)

// phase is one run of a phase: its changes, and how it ended.
type phase struct {
	mu       sync.Mutex
	ops      []wire.Operation
	response []byte // the body that a body filter reads
	done     chan struct{}
	stream   *stream // what it answers with, if it streams
	upgraded chan struct{}
	socket   *socket // likewise; there once `upgraded` is closed
	over     bool
	action   wire.Action
	failure  *session.Failure
}

func newSession(plugin *Plugin, request *Request) *memory {
	s := &memory{
		plugin: plugin, number: plugin.sessions.Add(1), snapshot: request.snapshot(), body: request.Body,
		leaveAfter: request.LeaveAfter,
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

func (s *memory) Number() int32            { return s.number }
func (s *memory) Context() context.Context { return s.ctx }
func (s *memory) Logger() *slog.Logger     { return s.plugin.Logger }

func (s *memory) UID() string {
	return hex.EncodeToString(fmt.Appendf(nil, "sdktest %08d", s.number))
}

func (s *memory) Fetch(_ context.Context, run *session.Run, what wire.FetchKind, _ int) ([]byte, error) {
	body := s.body
	if what == wire.FetchResponseBody {
		body = run.Own.(*phase).response
	} else if run.Phase == wire.Logging {
		return nil, session.ErrNoBody
	}
	if err := context.Cause(s.ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case what == wire.FetchRequestBody && s.taken:
		return nil, errTaken
	case len(body) > s.plugin.MaxBody:
		return nil, session.ErrBodyTooLarge
	}
	s.read = s.read || what == wire.FetchRequestBody
	return append([]byte{}, body...), nil
}

func (s *memory) Apply(run *session.Run, op wire.Operation) error {
	p := run.Own.(*phase)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ops = append(p.ops, op)
	return nil
}

func (s *memory) Finish(run *session.Run, action wire.Action) error {
	p := run.Own.(*phase)
	if stream := p.streaming(); stream != nil {
		stream.Cut()
		return nil
	}
	return p.end(action, nil)
}

func (s *memory) Fail(run *session.Run, failure session.Failure) error {
	return run.Own.(*phase).end(0, &failure)
}

func (p *phase) streaming() *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream
}

func (p *phase) end(action wire.Action, failure *session.Failure) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return session.ErrClosed
	}
	p.over, p.action, p.failure = true, action, failure
	close(p.done)
	return nil
}

func (s *memory) Load(*session.Run, session.Part) {}
