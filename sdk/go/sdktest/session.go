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
}

var _ session.Port = (*memory)(nil)

// phase is one run of a phase: its changes, and how it ended.
type phase struct {
	mu       sync.Mutex
	ops      []wire.Operation
	response []byte // the body that a body filter reads
	done     chan struct{}
	over     bool
	action   wire.Action
	failure  *session.Failure
}

func newSession(plugin *Plugin, request *Request) *memory {
	s := &memory{plugin: plugin, number: plugin.sessions.Add(1), snapshot: request.snapshot(), body: request.Body}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

func (s *memory) Number() int32            { return s.number }
func (s *memory) Context() context.Context { return s.ctx }
func (s *memory) Logger() *slog.Logger     { return s.plugin.Logger }
func (s *memory) Snapshot() *wire.Snapshot { return s.snapshot }

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
	if len(body) > s.plugin.MaxBody {
		return nil, session.ErrBodyTooLarge
	}
	if err := context.Cause(s.ctx); err != nil {
		return nil, err
	}
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
	return run.Own.(*phase).end(action, nil)
}

func (s *memory) Fail(run *session.Run, failure session.Failure) error {
	return run.Own.(*phase).end(0, &failure)
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

func (s *memory) OpenStream(context.Context, *session.Run) (session.StreamPort, error) {
	return nil, session.ErrUnsupported
}

func (s *memory) Upgrade(context.Context, *session.Run) error { return session.ErrUnsupported }
