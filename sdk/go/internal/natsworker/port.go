package natsworker

import (
	"context"
	"log/slog"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// A live session is the port that its contexts use.
var _ session.Port = (*live)(nil)

func (l *live) Number() int32        { return l.number }
func (l *live) UID() string          { return l.id.String() }
func (l *live) Logger() *slog.Logger { return l.w.options.Logger }

// Context is made when it is asked for: most handlers never do.
func (l *live) Context() context.Context {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.ctx == nil {
		l.ctx, l.cancel = context.WithCancelCause(context.Background())
		if l.over != nil {
			l.cancel(l.over)
		}
	}
	return l.ctx
}

func (l *live) Apply(r *session.Run, op wire.Operation) error {
	own := r.Own.(*run)
	if own.ops == nil {
		own.ops = make([]wire.Operation, 0, 4)
	}
	own.ops = append(own.ops, op)
	return nil
}

func (l *live) Finish(r *session.Run, action wire.Action) error {
	return l.w.finish(r.Own.(*run), action)
}

func (l *live) Fail(r *session.Run, failure session.Failure) error {
	return l.w.failed(r.Own.(*run), failure)
}

// Fetch answers from memory what is here, and asks the gateway otherwise.
func (l *live) Fetch(ctx context.Context, r *session.Run, what wire.FetchKind, limit int) ([]byte, error) {
	if limit <= 0 || limit > l.w.options.MaxBody {
		limit = l.w.options.MaxBody
	}
	type answer struct {
		body []byte
		err  error
	}
	answers := make(chan answer, 1)
	l.w.mu.Lock()
	own := r.Own.(*run)
	body, err, here := l.atHand(own, what)
	if !here {
		l.w.call(l, what, limit, func(body []byte, err error) {
			if err == nil && what == wire.FetchRequestBody {
				l.body = body
			} else if err == nil {
				own.body = body
			}
			answers <- answer{body, err}
		})
	}
	l.w.mu.Unlock()
	if here {
		if len(body) > limit {
			return nil, session.ErrBodyTooLarge
		}
		return body, err
	}
	select {
	case got := <-answers:
		return got.body, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// atHand is what is known without asking the gateway.
func (l *live) atHand(r *run, what wire.FetchKind) (body []byte, err error, here bool) {
	cached := r.body
	if what == wire.FetchRequestBody {
		cached = l.body
	}
	switch {
	case cached != nil:
		return cached, nil, true
	case l.run != r:
		return nil, closedBy(l), true
	case what == wire.FetchRequestBody && l.snapshot.ContentLength == wire.Some(0):
		return []byte{}, nil, true
	case l.silent, what == wire.FetchResponseBody && r.Phase != wire.ResponseBodyFilter:
		return nil, session.ErrNoBody, true
	default:
		return nil, nil, false
	}
}

// OpenStream gives nil where it fails.
func (l *live) OpenStream(r *session.Run) (session.StreamPort, error) {
	s, err := l.w.openStream(r.Own.(*run))
	if err != nil {
		return nil, err
	}
	return session.Hold(s), nil
}

// ReadStream asks for nothing yet: the first Read does.
func (l *live) ReadStream(r *session.Run, what wire.FetchKind) session.BodyPort {
	return &reading{run: r.Own.(*run), what: what, more: make(chan struct{}, 1)}
}

// Load has nothing to do: every run comes with all of it.
func (l *live) Load(*session.Run, session.Part) {}
